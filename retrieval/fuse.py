"""Joins what the vectors and what the terms found, and says how far the result can be trusted.

Scores are standardised over the best of each list, so that a clear winner counts more than a first among equals;
adding ranks instead would throw that away. What is added is how surprising so high a score would be by chance, the
negative logarithm of its p (Fisher 1932, weighted by Good 1955): a list that singles a chunk out speaks up, and one
that does not know it says little against it. How much the vectors weigh depends on the languages: between two languages
there are few shared words to count.

Scores of two languages can't be compared: a wrong page in the asker's language lies nearer, and shares more terms, than
the right one in another. So each language is ranked by itself, and the rankings are merged by confidence, which was
calibrated for both.

The constants are calibrated with the bundled embedder (`benchmarks/retrieval.py` measures them). Another embedder's
cosines lie elsewhere: order suffers little, but `confidence` wants a `min_evidence` of the operator's own then.
"""

import math
from collections import deque
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

import numpy as np

from common.language import family_of, language_of

Chunk = TypeVar("Chunk", bound=Hashable)

BEST = 50


@dataclass(frozen=True, slots=True)
class Weights:
    """How much the vectors weigh, 0..1, the rest being the terms: by the language of the question, and across two."""

    en: float = 0.55
    ja: float = 0.4
    zh: float = 0.45
    across: float = 0.9

    def share(self, asked: str, written: str) -> float:
        """For a question and a chunk of these language families."""
        return {"en": self.en, "ja": self.ja, "zh": self.zh}[asked] if asked == written else self.across

    @classmethod
    def mean(cls, several: "Sequence[Weights]") -> "Weights":
        """What holds where knowledge bases of several weights are searched at once."""
        return cls(*(sum(column) / len(several) for column in zip(*map(astuple, several), strict=True)))


CALIBRATED = Weights()
_INTERCEPT = {"en": -20.8, "ja": -22.6, "zh": -21.0}
_ELSEWHERE = 2.0
"""Log-odds by which a question is less likely meant for a document in another language, where its own has any."""
_FIRST = 1.0
"""Log-odds by which such a document must be the likelier one beyond that before a reader would rather have it."""
_WILL_DO = 0.3
"""Confidence from which what stands in the asker's own language goes first, whatever another language has."""


def fuse(
    question: str,
    dense: Mapping[Chunk, float],
    lexical: Mapping[Chunk, float],
    langs: Mapping[Chunk, str],
    weights: Weights = CALIBRATED,
) -> list[tuple[Chunk, float]]:
    """All chunks of both lists, best first, with the score they are ranked by.

    `dense` holds cosines, `lexical` BM25 scores, `langs` BCP 47 tags. The score orders the chunks of this question
    and means nothing for another one; `confidence` does.
    """
    asked = family_of(language_of(question))
    size = min(BEST, len(dense.keys() | lexical.keys()))
    by_vector, far = _standardised(dense, min(size, len(dense)))
    by_term, unsaid = _standardised(lexical, size)
    ranked: list[tuple[Chunk, float]] = []
    for chunk in dict.fromkeys([*dense, *lexical]):
        share = weights.share(asked, family_of(langs[chunk]))
        near, said = by_vector.get(chunk, far), by_term.get(chunk, unsaid)
        ranked.append((chunk, share * _surprise(near) + (1 - share) * _surprise(said)))
    return sorted(ranked, key=lambda entry: -entry[1])


def fuse_apart(
    question: str,
    dense: Mapping[Chunk, float],
    lexical: Mapping[Chunk, float],
    langs: Mapping[Chunk, str],
    weights: Weights = CALIBRATED,
) -> list[list[Chunk]]:
    """A ranking by `fuse` for each language family of the chunks, as if it stood alone."""
    families: dict[str, set[Chunk]] = {}
    for chunk in dict.fromkeys([*dense, *lexical]):
        families.setdefault(family_of(langs[chunk]), set()).add(chunk)
    return [
        [chunk for chunk, _ in fuse(question, _only(dense, family), _only(lexical, family), langs, weights)]
        for family in families.values()
    ]


def merge(
    question: str, rankings: Sequence[Sequence[Chunk]], langs: Mapping[Chunk, str], trust: Mapping[Chunk, float]
) -> list[Chunk]:
    """One ranking of several: again and again the first of that ranking whose first is likeliest to answer.

    The asker's own language goes first as long as what it has will do: another embedder's cosines make confidence
    between languages too high or too low, and a right answer must not be lost to that.
    `trust` holds each chunk's `confidence`; chunks without are left out. Within its language a chunk keeps its place.
    """
    asked = family_of(language_of(question))

    def odds(chunk: Chunk) -> float:
        sure = min(max(trust[chunk], 1e-9), 1 - 1e-9)
        return math.log(sure / (1 - sure)) + (_FIRST if family_of(langs[chunk]) == asked else 0.0)

    waiting = [deque(ranked) for ranking in rankings if (ranked := [chunk for chunk in ranking if chunk in trust])]
    merged: list[Chunk] = []
    while waiting:
        own = next((r for r in waiting if family_of(langs[r[0]]) == asked and trust[r[0]] >= _WILL_DO), None)
        first = own or max(waiting, key=lambda ranked: odds(ranked[0]))
        merged.append(first.popleft())
        waiting = [ranked for ranked in waiting if ranked]
    return merged


def confidence(cosine: float, coverage: float, *, asked: str, written: str, rivalled: bool = False) -> float:
    """How likely it is, 0..1, that a chunk answers the question; comparable between questions and languages.

    A logistic fit over questions with and without their right passage in the corpus. `cosine` is the chunk's,
    `coverage` the share of the question's terms that it holds, `asked` and `written` the languages of question and
    chunk. Between English and the others terms say nothing, and cosines lie lower; Chinese and Japanese share both.
    `rivalled` says that there are chunks in the asker's language too, which makes another language less likely.
    """
    question, chunk = family_of(asked), family_of(written)
    if (question == "en") != (chunk == "en"):
        z = 46.5 * cosine - 34.4
    else:
        z = 19.4 * cosine + 9.8 * coverage + _INTERCEPT[question]
    if rivalled and question != chunk:
        z -= _ELSEWHERE
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))


def _only(scores: Mapping[Chunk, float], chunks: Collection[Chunk]) -> dict[Chunk, float]:
    return {chunk: score for chunk, score in scores.items() if chunk in chunks}


def _standardised(scores: Mapping[Chunk, float], size: int) -> tuple[dict[Chunk, float], float]:
    """Scores as distances from the mean of the `size` best, and what a chunk gets that the list lacks.

    A list that is shorter than `size` is filled with zeros, which is what its terms score everywhere else.
    """
    if not scores:
        return {}, 0.0
    best = np.sort(np.fromiter(scores.values(), dtype=np.float64))[::-1][:size]
    best = np.pad(best, (0, max(0, size - len(best))))
    mean, spread = float(best.mean()), float(best.std()) or 1.0
    return {chunk: (score - mean) / spread for chunk, score in scores.items()}, (float(best[-1]) - mean) / spread


def _surprise(deviations: float) -> float:
    """-log of how likely a normal value lies so many standard deviations, at most some seven, above the mean."""
    return -math.log(math.erfc(deviations / math.sqrt(2)) / 2)
