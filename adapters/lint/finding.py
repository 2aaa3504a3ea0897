"""One reason to refuse an example: where it stands, which rule it breaks, and what to write instead."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

WIDE = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}
"""Full-width forms to plain ones, a character for a character."""


class Rule(StrEnum):
    """What an example breaks. docs/voice.md explains each."""

    FORM = "form"
    ROLES = "roles"
    SLOTS = "slots"
    SCHEMA = "schema"
    TERM = "term"
    PRICE = "price"
    RATE = "rate"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    QUANTITY = "quantity"
    NUMBER = "number"
    CODE = "code"
    VERSION = "version"
    STOCK = "stock"
    PHONE = "phone"
    LINK = "link"
    NAME = "name"
    PERSON = "person"
    EMAIL = "e-mail"
    CARD = "card"
    IBAN = "iban"
    MY_NUMBER = "my-number"
    ROC_ID = "roc-id"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    CONTRADICTION = "contradiction"
    FEW = "few"


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` counts from 1. `span` is the half-open range of `text` in the decoded `field`, in code points."""

    line: int
    field: str
    span: tuple[int, int]
    rule: Rule
    text: str
    fix: str

    def to_wire(self) -> dict[str, Any]:
        """The contract's shape."""
        return {**asdict(self), "span": list(self.span)}
