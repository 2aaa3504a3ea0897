"""A share with its 95 % Wilson score interval (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, right / n
    centre, width = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, (centre - width) / (1 + z * z / n)), min(1.0, (centre + width) / (1 + z * z / n))


@dataclass(frozen=True, slots=True)
class Share:
    """`value` of `n` cases lies between `low` and `high`. Nothing is known of none: 0 to 1."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, verdicts: Iterable[bool]) -> Self:
        held = list(verdicts)
        low, high = wilson(sum(held), len(held))
        return cls(round(sum(held) / len(held), 4) if held else 0.0, round(low, 4), round(high, 4), len(held))

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(float(wire["value"]), float(wire["low"]), float(wire["high"]), int(wire["n"]))

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)
