"""When evidence is too weak to answer from: what each threshold costs, and what it saves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.evaluation.metrics import Estimate, estimate

THRESHOLDS = (
    0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.95,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """At `threshold`: the share of answerable questions that are refused, and of unanswerable ones that are caught."""

    threshold: float
    refused: Estimate
    caught: Estimate

    @property
    def gain(self) -> float:
        """Youden's index (1950): caught less refused."""
        return self.caught.value - self.refused.value

    def to_json(self) -> dict[str, Any]:
        shares = {"answerable_refused": self.refused.to_json(), "unanswerable_caught": self.caught.to_json()}
        return {"threshold": self.threshold, **shares}


def curve(answerable: Sequence[float], unanswerable: Sequence[float], now: float) -> list[Point]:
    """A point for each threshold, `now` among them, over the best score that each question's evidence has."""
    return [
        Point(at, estimate([float(s < at) for s in answerable]), estimate([float(s < at) for s in unanswerable]))
        for at in sorted({*THRESHOLDS, now})
    ]


def suggested(points: Sequence[Point]) -> Point:
    """The point with the largest gain, and of equals the one that refuses least: the lowest."""
    return max(points, key=lambda point: (round(point.gain, 9), -point.threshold))
