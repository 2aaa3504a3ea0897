"""Whether the figures of an answer stand in its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common import figures
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


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure of an answer, its status, and where in the evidence it stands (code points of the chunk's text)."""

    figure: Figure
    status: Status
    evidence: Evidence | None = None
    evidence_span: tuple[int, int] | None = None

    def to_wire(self, offset: int = 0) -> dict[str, Any]:
        """The contract's figure object; `offset` is where the judged text starts in the whole answer."""
        span = None
        if self.evidence and self.evidence_span:
            base = self.evidence.span[0]
            span = [base + self.evidence_span[0], base + self.evidence_span[1]]
        return {
            "text": self.figure.text,
            "span": [self.figure.start + offset, self.figure.end + offset],
            "kind": self.figure.kind.value,
            "status": self.status.value,
            "chunk": self.evidence.chunk if self.evidence else None,
            "evidence_span": span,
        }


class Guard:
    """The figures of one question and its evidence, read once, against which an answer's figures are held."""

    def __init__(self, question: str, evidence: Sequence[Evidence]) -> None:
        self._evidence = [(chunk, figures.find(chunk.text)) for chunk in evidence]
        self._asked = figures.find(question)

    def judge(self, text: str) -> list[Judged]:
        """A verdict on each figure in `text`, in order."""
        return [self._judge(figure) for figure in figures.find(text)]

    def _judge(self, figure: Figure) -> Judged:
        for chunk, known in self._evidence:
            for candidate in known:
                if figures.same(figure, candidate):
                    return Judged(figure, Status.SUPPORTED, chunk, (candidate.start, candidate.end))
        if any(figures.same(figure, asked) for asked in self._asked):
            return Judged(figure, Status.ECHOED)
        return Judged(figure, Status.UNSUPPORTED)
