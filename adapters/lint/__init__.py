"""What must not be trained on: reads samples and conversations, and says line by line what to change."""

from adapters.lint.check import Judge, Report, lint
from adapters.lint.example import Example, Part, read
from adapters.lint.finding import Finding, Rule
from adapters.lint.volatile import Known

__all__ = ["Example", "Finding", "Judge", "Known", "Part", "Report", "Rule", "lint", "read"]
