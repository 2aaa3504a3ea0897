"""What a list of ranks is worth, how sure that is, and whether one list is really better than another."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.wilson import wilson

DEPTH = 10
"""Ranks below this are not looked at."""
_FLIPS = 20_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of values in 0..1 over questions, with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("value", "low", "high")}


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of `values`, each in 0..1, with Wilson's interval."""
    total, n = sum(values), len(values)
    return Estimate(total / n, *wilson(total, n))


def measured(ranks: Sequence[int | None]) -> dict[str, Estimate]:
    """recall@1, 3, 5 and 10, MRR and nDCG@10 over the rank of each question's answer; None: not among the first ten.

    A question has one answer, so the ideal gain is one and nDCG (Järvelin and Kekäläinen 2002) is 1 / log2(1 + rank).
    """
    cut = [rank if rank is not None and rank <= DEPTH else None for rank in ranks]
    of: Mapping[str, list[float]] = {
        **{f"recall@{k}": [float(rank is not None and rank <= k) for rank in cut] for k in (1, 3, 5, 10)},
        "mrr": [1 / rank if rank else 0.0 for rank in cut],
        "ndcg@10": [1 / math.log2(1 + rank) if rank else 0.0 for rank in cut],
    }
    return {name: estimate(values) for name, values in of.items()}


def paired(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely so large a mean difference is by chance alone: Fisher's paired randomisation test, two-sided.

    The signs of the differences are flipped at random, all ways where there are few (Smucker, Allan and Carterette 2007
    compare the tests of retrieval; this one assumes nothing about the values).
    """
    differences: NDArray[np.float64] = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    if 2 ** len(differences) <= _FLIPS:
        signs = 1 - 2 * ((np.arange(2 ** len(differences))[:, None] >> np.arange(len(differences))) & 1)
        extra = 0
    else:
        signs = np.random.default_rng(7).choice((-1, 1), size=(_FLIPS, len(differences)))
        extra = 1  # what was seen is one of the ways, or p could be nought
    sums = np.abs(signs @ differences)
    beyond = int((sums >= abs(differences.sum()) - 1e-12).sum())
    return (beyond + extra) / (len(signs) + extra)


def corrected(ps: Sequence[float]) -> list[float]:
    """`ps` of several tests made at once, so that one in twenty *series* errs and not one test in twenty: Holm 1979."""
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for place, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - place) * ps[i]))
        adjusted[i] = highest
    return adjusted
