"""An evaluation's result: what the contract promises of it, and what helps to find out why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.evaluation.metrics import measured
from retrieval.evaluation.questions import Question
from retrieval.evaluation.weak import curve, suggested

LISTED = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came of it. `rank` is the answer's, None where it was not found; `best` the best score."""

    question: Question
    rank: int | None
    best: float
    seconds: float
    first: str | None

    def to_json(self) -> dict[str, Any]:
        asked = {"question": self.question.text, "lang": self.question.lang, "document": self.question.document}
        return asked | {"rank": self.rank, "found": self.first, "score": self.best, "seconds": round(self.seconds, 4)}


def report(knowledge: str, asked: Sequence[Asked], threshold: float) -> dict[str, Any]:
    """The result as JSON. At least one question of `asked` must be answerable.

    `worst` lists answerable questions whose answer is not first, the furthest away at the top. Where some have no
    answer, `weak` says what each threshold of evidence would do, `threshold` being today's.
    """
    answerable = [one for one in asked if one.question.document is not None]
    hopeless = [one for one in asked if one.question.document is None]
    missed = sorted((one for one in answerable if one.rank != 1), key=lambda one: (-(one.rank or 1000), one.best))
    times = sorted(one.seconds for one in asked)
    result: dict[str, Any] = {
        "knowledge": knowledge,
        "n": len(answerable),
        "metrics": _metrics(answerable),
        "by_language": {
            lang: {"n": len(some), "metrics": _metrics(some)}
            for lang in sorted({one.question.lang for one in answerable})
            if (some := [one for one in answerable if one.question.lang == lang])
        },
        "source": sorted({one.question.origin for one in asked}),
        "interval": "wilson 95 %",
        "seconds": {
            name: round(times[int(share * (len(times) - 1))], 4) for name, share in (("p50", 0.5), ("p95", 0.95))
        },
        "slowest": [one.to_json() for one in sorted(asked, key=lambda one: -one.seconds)[:LISTED]],
        "worst": [one.to_json() for one in missed[:LISTED]],
        "weak": None,
    }
    if hopeless:
        points = curve([one.best for one in answerable], [one.best for one in hopeless], threshold)
        result["weak"] = {
            "n": len(hopeless),
            "threshold": threshold,
            "suggested": suggested(points).threshold,
            "curve": [point.to_json() for point in points],
        }
    return result


def _metrics(asked: Sequence[Asked]) -> dict[str, dict[str, float]]:
    return {name: value.to_json() for name, value in measured([one.rank for one in asked]).items()}
