"""A share with its 95 % interval."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from common.wilson import wilson


@dataclass(frozen=True, slots=True)
class Share:
    """`value` of `n` cases lies between `low` and `high`. Nothing is known of none: 0 to 1.

    `seconds` is the run time: what its answers took of the whole, where several were asked at a time.
    """

    value: float
    low: float
    high: float
    n: int
    seconds: float = 0.0

    @classmethod
    def of(cls, verdicts: Iterable[bool], seconds: float = 0.0) -> Self:
        held = list(verdicts)
        return cls._counted(sum(held), len(held), seconds)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """The bounds are computed anew, not believed. Raises ValueError for what is no share."""
        n = int(wire["n"])
        right = round(float(wire["value"]) * n)
        if not 0 <= right <= n:
            raise ValueError("a share is between 0 and 1")
        return cls._counted(right, n, float(wire.get("seconds", 0)))

    @classmethod
    def _counted(cls, right: int, n: int, seconds: float) -> Self:
        low, high = (round(bound, 4) for bound in wilson(right, n))
        return cls(round(right / n, 4) if n else 0.0, low, high, n, round(seconds, 1))

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)
