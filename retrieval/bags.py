"""Texts as bags of terms, and what a question scores against them."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from retrieval import analysis

K1 = 0.5
"""BM25's saturation: the third mention of a term adds almost nothing."""

Bag = tuple[NDArray[np.uint32], NDArray[np.float32]]
"""The hashes of a text's terms and how often each occurs: a kilobyte or two a chunk."""


def bag_of(terms: Iterable[str]) -> Bag:
    counts = Counter(terms)
    hashes = np.fromiter((_hash(term) for term in counts), dtype=np.uint32, count=len(counts))
    return hashes, np.fromiter(counts.values(), dtype=np.float32, count=len(counts))


def score(
    wanted: Sequence[str], bags: Mapping[str, Bag], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """BM25 without length normalisation (Robertson and Zaragoza 2009, b = 0) of each bag, in the mapping's order.

    Without `weights` the inverse document frequencies are those of the bags themselves. Either way a term also weighs
    what its script tells: among few texts a polite ending can be as rare as a product's name. Shape `(len(bags),)`.
    """
    scores = np.zeros(len(bags))
    if not bags:
        return scores
    sizes = [len(hashes) for hashes, _ in bags.values()]
    owners = np.repeat(np.arange(len(bags)), sizes)
    hashes = np.concatenate([hashes for hashes, _ in bags.values()])
    counts = np.concatenate([counts for _, counts in bags.values()])
    for i, term in enumerate(wanted):
        at = np.flatnonzero(hashes == _hash(term))
        if not len(at):
            continue
        weight = weights[i] if weights is not None else np.log(1 + (len(bags) - len(at) + 0.5) / (len(at) + 0.5))
        scores[owners[at]] += analysis.weight(term) * weight * counts[at] * (K1 + 1) / (counts[at] + K1)
    return scores


def coverage(question: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """For each text, the share of the weight of the question's terms that it holds: 0..1, shape `(len(texts),)`.

    Weights come from the terms alone and not from the index, so that the number means the same next year and says
    nothing about what other documents hold.
    """
    wanted = {term: analysis.weight(term) for term in analysis.terms(question)}
    total = sum(wanted.values())
    if not total:
        return np.zeros(len(texts), dtype=np.float32)
    return np.array([sum(wanted[t] for t in wanted.keys() & _held(text)) / total for text in texts], dtype=np.float32)


@lru_cache(maxsize=4096)
def _held(text: str) -> frozenset[str]:
    return frozenset(analysis.terms(text))


def _hash(term: str) -> int:
    return zlib.crc32(term.encode())
