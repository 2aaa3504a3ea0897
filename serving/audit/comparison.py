"""Two adapter versions side by side, by what the record holds of their answers; a person decides.

Shares have Wilson's 95 % bounds, medians those of their order statistics (Conover 1999, 3.2), and differences those
that follow from the two sides' (Zou and Donner 2008, doi 10.1002/sim.3095). Answers are taken as independent: those of
one conversation are not quite, so the true bounds are somewhat wider.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Engine

from common.wilson import wilson
from serving.audit.record import Ended, Rating, newest
from serving.audit.schema import intents, outcomes
from serving.chat.guard import HELD_AGAINST, Verdict

NEWEST = 20_000
"""At most so many receipts are read: older answers say less about today's questions."""
_SPOKEN = frozenset({Ended.ANSWERED, Ended.WITHHELD, Ended.REFUSED})
Figure = dict[str, float]


@dataclass(slots=True)
class Side:
    """One version's answers: of each share the cases, of each measure the values."""

    version: str
    shares: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    measures: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def take(self, row: Any) -> None:
        """Counts one answer that came to its end."""
        told = orjson.loads(row.outcome)
        self._case("abstained", row.ended == Ended.ABSTAINED)
        self._case("failed", row.ended in (Ended.FAILED, Ended.CRASHED))
        self._case("aborted", row.ended == Ended.ABORTED)
        if row.rating is not None:
            self._case("disliked", row.rating == Rating.BAD)
        if row.ended not in _SPOKEN:
            return
        self._case("flagged", told["guard"]["verdict"] == Verdict.FLAGGED)
        self._case("withheld", row.ended != Ended.ANSWERED)
        for figure in told["guard"]["figures"]:
            self._case("wrong figures", figure["status"] in HELD_AGAINST)
        self.measures.setdefault("seconds", []).append((row.closed - row.opened).total_seconds())
        self.measures.setdefault("characters", []).append(float(sum(map(len, told["output"]))))

    def _case(self, name: str, holds: bool) -> None:
        self.shares.setdefault(name, []).append(holds)

    def metrics(self) -> dict[str, Figure]:
        """Each as `{"value", "low", "high", "n"}`; what there was no case of is left out."""
        shares = {name: _figure(sum(c) / len(c), *wilson(sum(c), len(c)), len(c)) for name, c in self.shares.items()}
        return shares | {name: _median(values) for name, values in self.measures.items()}


def compare(database: Engine, tenant: str, stable: str, canary: str, since: str | None) -> dict[str, Any]:
    """What `tenant`'s answers by the two versions were like since the time `since`, or among the newest receipts."""
    sides = {id: Side(id) for id in (stable, canary)}
    for row in _answers(database, tenant, since):
        side = sides.get(orjson.loads(row.intent).get("adapter"))
        if side is not None:
            side.take(row)
    one, other = sides[stable].metrics(), sides[canary].metrics()
    return {
        "since": since,
        "stable": {"version": stable, "metrics": one},
        "canary": {"version": canary, "metrics": other},
        "difference": {name: _difference(one[name], other[name]) for name in one if name in other},
    }


def _answers(database: Engine, tenant: str, since: str | None) -> Iterable[Any]:
    query = newest(tenant).where(outcomes.c.ended.is_not(None)).limit(NEWEST)
    if since is not None:
        # A receipt's id begins with its time, and the index with the id.
        moment = int(datetime.fromisoformat(since).timestamp() * 1000)
        query = query.where(intents.c.receipt >= f"r_{moment:012x}")
    with database.connect() as connection:
        yield from connection.execution_options(yield_per=500).execute(query)


def _median(values: Sequence[float]) -> Figure:
    ordered, n = sorted(values), len(values)
    half = 0.98 * math.sqrt(n)
    low, high = max(0, math.floor(n / 2 - half) - 1), min(n - 1, math.ceil(n / 2 + half))
    return _figure((ordered[(n - 1) // 2] + ordered[n // 2]) / 2, ordered[low], ordered[high], n)


def _difference(one: Figure, other: Figure) -> Figure:
    """The canary's less stable's."""
    value = other["value"] - one["value"]
    low = value - math.hypot(other["value"] - other["low"], one["high"] - one["value"])
    high = value + math.hypot(other["high"] - other["value"], one["value"] - one["low"])
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def _figure(value: float, low: float, high: float, n: int) -> Figure:
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4), "n": n}
