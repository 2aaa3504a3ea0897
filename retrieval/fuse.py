"""Joins what the vectors and what the terms found, and says how far the result can be trusted.

Scores are standardised over the best of each list, so that a clear winner counts more than a first among equals;
adding ranks instead would throw that away. How much the vectors weigh depends on the languages: between two languages
there are no shared words to count.
"""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from common.language import language_of

Chunk = TypeVar("Chunk", bound=Hashable)

BEST = 50
_DENSE_SAME_HAN = 0.3
_DENSE_SAME_LATIN = 0.5
_DENSE_ACROSS = 0.9

WEAK_BELOW = 0.35
"""A question whose best evidence has less confidence than this has no good evidence."""


def fuse(
    question: str, dense: Mapping[Chunk, float], lexical: Mapping[Chunk, float], langs: Mapping[Chunk, str]
) -> list[tuple[Chunk, float]]:
    """All chunks of both lists, best first, with the score they are ranked by.

    `dense` holds cosines, `lexical` BM25 scores, `langs` BCP 47 tags. The score orders the chunks of this question
    and means nothing for another one; `confidence` does.
    """
    asked = _family(language_of(question))
    by_vector, by_term = _standardised(dense), _standardised(lexical)
    ranked: list[tuple[Chunk, float]] = []
    for chunk in dict.fromkeys([*dense, *lexical]):
        weight = _dense_weight(asked, _family(langs[chunk]))
        score = weight * by_vector.get(chunk, _absent(by_vector)) + (1 - weight) * by_term.get(chunk, _absent(by_term))
        ranked.append((chunk, score))
    return sorted(ranked, key=lambda entry: -entry[1])


def confidence(cosine: float, coverage: float, *, across: bool = False) -> float:
    """How likely it is, 0..1, that a chunk answers the question; comparable between questions and languages.

    `cosine` is the chunk's, `coverage` the share of the question's terms that it holds, `across` says that question
    and chunk are in different languages, where terms say nothing.
    """
    z = 30 * (cosine - 0.84) + (0 if across else 4 * (coverage - 0.4))
    return 1 / (1 + math.exp(-z))


def _family(lang: str) -> str:
    return "zh" if lang.startswith("zh") else lang[:2]


def _dense_weight(asked: str, written: str) -> float:
    if asked != written:
        return _DENSE_ACROSS
    return _DENSE_SAME_HAN if asked in ("ja", "zh") else _DENSE_SAME_LATIN


def _standardised(scores: Mapping[Chunk, float]) -> dict[Chunk, float]:
    if not scores:
        return {}
    best = np.sort(np.fromiter(scores.values(), dtype=np.float64))[::-1][:BEST]
    mean, spread = float(best.mean()), float(best.std()) or 1.0
    return {chunk: (score - mean) / spread for chunk, score in scores.items()}


def _absent(standardised: Mapping[Chunk, float]) -> float:
    """What a chunk gets that a list lacks: no more than its last."""
    return min(standardised.values(), default=0.0)
