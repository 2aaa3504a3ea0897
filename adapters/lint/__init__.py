"""What must not be trained on: reads samples and conversations, and says line by line what to change."""

from adapters.lint.check import Report, lint
from adapters.lint.finding import Rule
from adapters.lint.volatile import Known

__all__ = ["Known", "Report", "Rule", "lint"]
