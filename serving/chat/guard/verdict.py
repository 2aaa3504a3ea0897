"""What can be said of a figure, and of an answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from common.evidence import Evidence
from common.figures import Figure


class Status(StrEnum):
    """What is known of one figure of an answer."""

    SUPPORTED = "supported"
    MISATTRIBUTED = "misattributed"
    DERIVED = "derived"
    ECHOED = "echoed"
    UNSUPPORTED = "unsupported"


class Verdict(StrEnum):
    """What is said of the whole answer."""

    CLEAN = "clean"
    FLAGGED = "flagged"
    WITHHELD = "withheld"
    STOPPED = "stopped"
    OFF = "off"


HELD_AGAINST = frozenset({Status.UNSUPPORTED, Status.MISATTRIBUTED})


class Operation(StrEnum):
    """The arithmetic that a derived figure may come from."""

    SUM = "sum"
    DIFFERENCE = "difference"
    PRODUCT = "product"
    RATIO = "ratio"
    PERCENTAGE = "percentage"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a figure follows from others of the same answer: each of them is supported."""

    operation: Operation
    operands: tuple[Figure, ...]
    text: str

    def to_wire(self) -> dict[str, Any]:
        spans = [[operand.start, operand.end] for operand in self.operands]
        return {"operation": self.operation.value, "operands": spans, "text": self.text}

    def placed(self, place: Callable[[int], int]) -> Self:
        return replace(self, operands=tuple(_placed(operand, place) for operand in self.operands))


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure of an answer, its status, and where in the evidence it stands (code points of the chunk's text).

    For `misattributed` the evidence is where the value stands about something else.
    """

    figure: Figure
    status: Status
    evidence: Evidence | None = None
    evidence_span: tuple[int, int] | None = None
    derivation: Derivation | None = None

    def to_wire(self) -> dict[str, Any]:
        """The contract's figure object; a derived figure shows its derivation."""
        span = None
        if self.evidence and self.evidence_span:
            base = self.evidence.span[0]
            span = [base + self.evidence_span[0], base + self.evidence_span[1]]
        wire: dict[str, Any] = {
            "text": self.figure.text,
            "span": [self.figure.start, self.figure.end],
            "kind": self.figure.kind.value,
            "status": self.status.value,
            "chunk": self.evidence.chunk if self.evidence else None,
            "evidence_span": span,
        }
        return wire | ({"derivation": self.derivation.to_wire()} if self.derivation else {})

    def placed(self, place: Callable[[int], int]) -> Self:
        """The same verdict in a text where what stood at an index stands at `place` of it."""
        derivation = self.derivation.placed(place) if self.derivation else None
        return replace(self, figure=_placed(self.figure, place), derivation=derivation)


def _placed(figure: Figure, place: Callable[[int], int]) -> Figure:
    start = place(figure.start)
    return replace(figure, start=start, end=start + len(figure.text))
