"""The writing samples: how the firm speaks, with slots where facts will stand."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from adapters.forms import Form, Shape, read_forms
from common.errors import InvalidRequest

FACTUAL = frozenset({"fee", "rate", "limit", "hours", "date", "duration", "phone", "general"})
"""Intents that ask for a fact. `abstain`, `greeting` and `thanks` are answered without one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question and answer in the firm's voice; `{product}`, `{attribute}` and `{value}` are slots."""

    id: str
    lang: str
    intent: str
    question: str
    answer: str

    @property
    def factual(self) -> bool:
        return self.intent in FACTUAL

    @property
    def names_attribute(self) -> bool:
        return "{attribute}" in self.question

    def fill(self, product: str = "", attribute: str = "", value: str = "") -> tuple[str, str]:
        """Question and answer with the slots filled."""
        slots = {"product": product, "attribute": attribute, "value": value}
        return _fill(self.question, slots), _fill(self.answer, slots)


@dataclass(frozen=True, slots=True)
class FormSample(Sample):
    """A question for a form. `evidence` is the file that it is filled from, with the form's fields as slots."""

    form: Form
    evidence: str
    shape: Shape


def read_samples(path: Path) -> list[Sample]:
    """The samples of a JSON Lines file, with the forms beside it. Raises InvalidRequest that names the line."""
    forms = read_forms(path.parent)
    samples: list[Sample] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            told = (str(row["id"]), str(row["lang"]), str(row["intent"]), str(row["question"]))
            if "form" in row:
                shape = Shape.DOCUMENT if isinstance(row["answer"], str) else Shape.JSON
                answer = row["answer"] if shape is Shape.DOCUMENT else json.dumps(row["answer"], ensure_ascii=False)
                sample = FormSample(*told, answer, forms[row["form"]], str(row["evidence"]), shape)
            else:
                sample = Sample(*told, str(row["answer"]))
        except (ValueError, KeyError, TypeError) as wrong:
            raise InvalidRequest(
                f"Line {number} of {path.name} is no writing sample.",
                "Give it id, lang, intent, question and answer as JSON.",
            ) from wrong
        if sample.factual and ("{product}" not in sample.question or "{value}" not in sample.answer):
            raise InvalidRequest(
                f"Line {number} of {path.name} asks for a fact but has no slot for it.",
                "Write {product} in the question and {value} in the answer, or choose the intent abstain.",
            )
        samples.append(sample)
    return samples


def _fill(text: str, slots: dict[str, str]) -> str:
    return re.sub(r"\{(product|attribute|value)\}", lambda slot: slots[slot[1]], text)
