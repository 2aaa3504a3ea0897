"""All rules over one file."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.forms import read_forms
from adapters.lint.example import Example, read
from adapters.lint.finding import Finding, Rule
from adapters.lint.personal import personal
from adapters.lint.repeats import repeats
from adapters.lint.volatile import Known, volatile
from common.errors import InvalidRequest

LEAST = 2
"""Examples of an intent and language below which it is not learned."""

Judge = Callable[[str, Sequence[str], str, str], Iterable[tuple[int, int]]]
"""From question, evidence, answer and language: the ranges of the answer's figures that the evidence does not carry.

The guard of `serving` is one; this package does not know it.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, and all that is wrong with it, in the order of the lines."""

    examples: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> int:
        """How many examples have a finding."""
        return len({finding.line for finding in self.findings if finding.rule is not Rule.FEW})

    def to_wire(self) -> dict[str, Any]:
        """The contract's shape."""
        return {
            "examples": self.examples,
            "refused": self.refused,
            "findings": [finding.to_wire() for finding in self.findings],
        }


def lint(path: Path, judge: Judge, known: Known | None = None, *, least: int = LEAST) -> Report:
    """The report on a JSON Lines file of samples, conversations or both, with the forms that stand beside it.

    Raises InvalidRequest for other files.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as wrong:
        raise InvalidRequest(f"{path.name} can't be read as text in UTF-8.", "Save it so.") from wrong
    examples = list(read(iter(lines), read_forms(path.parent)))
    if not examples:
        raise InvalidRequest(f"{path.name} holds no example.", "Write one JSON object a line.")
    known = known or Known()
    findings = [found for example in examples for found in _of_example(example, known, judge)]
    findings += _repeated(examples)
    findings += _few(examples, least)
    return Report(len(examples), tuple(sorted(findings, key=lambda f: (f.line, f.field, f.span))))


def _of_example(example: Example, known: Known, judge: Judge) -> Iterator[Finding]:
    yield from example.wrong
    for part in example.parts:
        private = list(personal(part.text))
        for rule, start, end in private:
            fix = "Take it out: a model that was trained on it may say it to anyone."
            yield Finding(example.line, part.field, (start, end), rule, part.text[start:end], fix)
        if example.evidence is not None:
            continue
        for rule, start, end, document in volatile(part.text, known, asked=part.role == "user"):
            if not any(start < high and end > low for _, low, high in private):
                fix = _instead(example, part.role, rule, document)
                yield Finding(example.line, part.field, (start, end), rule, part.text[start:end], fix)
    for part in example.answers if example.evidence is not None else ():
        for start, end in judge(example.question, example.evidence or (), part.text, example.lang):
            fix = "Say what the evidence says about what was asked, or correct the evidence."
            yield Finding(example.line, part.field, (start, end), Rule.CONTRADICTION, part.text[start:end], fix)


def _instead(example: Example, role: str, rule: Rule, document: str | None) -> str:
    where = f" It is a fact of {document}." if document else ""
    if not example.is_sample:
        return f"Give the source that states it in `evidence`, or write a sample with slots.{where}"
    if rule is Rule.LINK:
        return f"Leave it out: addresses move, and the documents can say where to look.{where}"
    if rule is Rule.NAME:
        return f"Write {{{'file' if example.is_form else 'product'}}}.{where}"
    if example.is_form:
        return f"Write the slot of the field that it fills.{where}"
    if role == "user":
        return f"Ask without it, about {{product}}.{where}"
    return f"Write {{value}}: the documents state it when it is asked for.{where}"


def _repeated(examples: Sequence[Example]) -> Iterator[Finding]:
    for example, earlier, alike in repeats(examples):
        part = next(part for part in example.parts if part.role == "user")
        rule = Rule.DUPLICATE if alike == 1 else Rule.NEAR_DUPLICATE
        fix = f"Leave it out, or ask it otherwise than line {earlier.line} does."
        yield Finding(example.line, part.field, (0, len(part.text)), rule, part.text, fix)


def _few(examples: Sequence[Example], least: int) -> Iterator[Finding]:
    readable = [example for example in examples if example.parts]
    counts = Counter((example.lang, example.intent) for example in readable)
    first = {(example.lang, example.intent): example for example in reversed(readable)}
    for (lang, intent), count in counts.items():
        if count < least:
            fix = (
                f"Write {least} or more of {intent or 'them'} in {lang}; there {'is' if count == 1 else 'are'} {count}."
            )
            yield Finding(first[lang, intent].line, "intent", (0, len(intent)), Rule.FEW, intent, fix)
