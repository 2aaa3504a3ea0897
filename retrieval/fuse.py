"""Joins what the vectors and what the terms found, and says how far the result can be trusted.

Scores are standardised over the best of each list, so that a clear winner counts more than a first among equals;
adding ranks instead would throw that away. What is added is how surprising so high a score would be by chance, the
negative logarithm of its p (Fisher 1932, weighted by Good 1955): a list that singles a chunk out speaks up, and one
that does not know it says little against it. How much the vectors weigh depends on the languages: between two languages
there are few shared words to count.

The constants are calibrated with the bundled embedder (`benchmarks/retrieval.py` measures them). Another embedder's
cosines lie elsewhere: order suffers little, but `confidence` wants a `min_evidence` of the operator's own then.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

import numpy as np

from common.language import language_of

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
    asked = _family(language_of(question))
    size = min(BEST, len(dense.keys() | lexical.keys()))
    by_vector, far = _standardised(dense, min(size, len(dense)))
    by_term, unsaid = _standardised(lexical, size)
    ranked: list[tuple[Chunk, float]] = []
    for chunk in dict.fromkeys([*dense, *lexical]):
        share = weights.share(asked, _family(langs[chunk]))
        near, said = by_vector.get(chunk, far), by_term.get(chunk, unsaid)
        ranked.append((chunk, share * _surprise(near) + (1 - share) * _surprise(said)))
    return sorted(ranked, key=lambda entry: -entry[1])


def confidence(cosine: float, coverage: float, *, asked: str, written: str) -> float:
    """How likely it is, 0..1, that a chunk answers the question; comparable between questions and languages.

    A logistic fit over questions with and without their right passage in the corpus. `cosine` is the chunk's,
    `coverage` the share of the question's terms that it holds, `asked` and `written` the languages of question and
    chunk. Between English and the others terms say nothing, and cosines lie lower; Chinese and Japanese share both.
    """
    english = (_family(asked) == "en", _family(written) == "en")
    if english[0] != english[1]:
        z = 46.5 * cosine - 34.4
    else:
        z = 19.4 * cosine + 9.8 * coverage + _INTERCEPT[_family(asked)]
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))


def _family(lang: str) -> str:
    """Traditional and Simplified Chinese share their terms, which analysis folds together."""
    named = lang.partition("-")[0]
    return named if named in ("en", "ja", "zh") else "en"


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
