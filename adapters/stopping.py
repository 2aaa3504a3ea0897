"""When a training has had enough: by the gate's metrics, as they are taken in between (`adapters.measure`)."""

from collections.abc import Mapping, Sequence

GATED = ("faithful", "tone", "stale")
"""Of the gate's metrics those that few questions tell; `stale` is better low."""

Measured = Mapping[str, float]
"""The share of each of `GATED`, and the `step` that it was taken after."""


def best(measured: Sequence[Measured]) -> int:
    """The place of the best by the mean of its metrics, the first among equals; -1 where nothing was measured."""
    scores = [one["faithful"] + one["tone"] - one["stale"] for one in measured]
    return scores.index(max(scores)) if scores else -1


def enough(measured: Sequence[Measured], patience: int) -> bool:
    """Whether the last `patience` measures brought nothing better than one before them; never for a patience of 0."""
    return 0 < patience < len(measured) - best(measured)
