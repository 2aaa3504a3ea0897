"""One way of cutting, tried: documents cut and embedded in memory, and questions searched in them as search does it.

What a rank is worth depends on how long the chunks are: one chunk that holds the whole document is always first and
always right. So a try is judged by its *gain*: 1 where the answer is complete at once, and half for each `HALF` columns
of evidence that are read until it is. It is the time-biased gain of Smucker and Clarke (2012), with columns for time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.language import family_of, language_of
from retrieval import analysis
from retrieval.bags import bag_of, coverage, score
from retrieval.cut import Strategy, cut, embedded_text
from retrieval.evaluation.questions import Question, Shown, answered_at
from retrieval.evaluation.scratch import Scratch
from retrieval.fuse import BEST, Weights, confidence, fuse_apart, merge
from retrieval.text import Document, columns

HALF = 2_560
"""Four chunks of the default size: what an assistant with the default `top_k` answers from."""


@dataclass(frozen=True, slots=True)
class Page:
    """A document of the knowledge base under its id. `Document.title` is what is searched with each of its chunks."""

    name: str
    document: Document


@dataclass(frozen=True, slots=True)
class Candidates:
    """What vectors and terms found for a question, and how likely each is to answer it: by the place of the chunk."""

    dense: dict[int, float]
    lexical: dict[int, float]
    trust: dict[int, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """A question's answer in a ranked list: its rank, and the columns read until it is complete. None: not found."""

    rank: int | None
    columns: int | None

    @property
    def gain(self) -> float:
        return 0.0 if self.columns is None else 2 ** (-self.columns / HALF)


class Try:
    """`pages` cut by `strategy`, and what each of `questions` finds there before vectors and terms are weighed."""

    def __init__(self, pages: Sequence[Page], strategy: Strategy, questions: Sequence[Question]) -> None:
        self.strategy, self.questions = strategy, questions
        self.shown: list[Shown] = []
        self.langs: dict[int, str] = {}
        for page in pages:
            for piece in cut(page.document, strategy):
                self.langs[len(self.shown)] = page.document.lang
                self.shown.append(Shown(page.name, embedded_text(page.document.title, piece)))
        self.widths = [columns(shown.text.partition("\n")[2]) for shown in self.shown]
        self._candidates: list[Candidates] = []

    @property
    def content(self) -> tuple[Shown, ...]:
        """What was cut: two strategies that give the same are one try."""
        return tuple(self.shown)

    def embed(self, scratch: Scratch) -> None:
        """Finds the candidates of every question, once. Takes as long as embedding what no try had before."""
        vectors = scratch.passages([shown.text for shown in self.shown])
        asked = scratch.questions([question.text for question in self.questions])
        bags = {str(i): bag_of(analysis.terms(shown.text)) for i, shown in enumerate(self.shown)}
        self._candidates = [
            self._found(
                question.text, vectors @ vector, score(list(dict.fromkeys(analysis.terms(question.text))), bags)
            )
            for question, vector in zip(self.questions, asked, strict=True)
        ]

    def _found(self, question: str, cosines: NDArray[np.floating], scores: NDArray[np.floating]) -> Candidates:
        written = np.array([family_of(lang) for lang in self.langs.values()])
        dense: dict[int, float] = {}
        for family in dict.fromkeys(written.tolist()):
            dense |= _best(np.where(written == family, cosines, -np.inf), least=-1)
        lexical, asked = _best(scores, least=1e-9), language_of(question)
        found = list(dict.fromkeys([*dense, *lexical]))
        shares = coverage(question, [self.shown[chunk].text for chunk in found])
        rivalled = family_of(asked) in written
        trust = {
            chunk: confidence(
                float(cosines[chunk]), float(share), asked=asked, written=self.langs[chunk], rivalled=rivalled
            )
            for chunk, share in zip(found, shares, strict=True)
        }
        return Candidates(dense, lexical, trust)

    def read(self, weights: Weights) -> list[Reading]:
        """How far each question's answer is with these weights."""
        readings: list[Reading] = []
        for question, found in zip(self.questions, self._candidates, strict=True):
            rankings = fuse_apart(question.text, found.dense, found.lexical, self.langs, weights)
            ranked = merge(question.text, rankings, self.langs, found.trust)
            rank = answered_at(question, [self.shown[chunk] for chunk in ranked])
            readings.append(Reading(rank, None if rank is None else sum(self.widths[c] for c in ranked[:rank])))
        return readings


def _best(scores: NDArray[np.floating], least: float = -np.inf) -> dict[int, float]:
    order = np.argsort(-scores, kind="stable")[:BEST]
    return {int(i): float(scores[i]) for i in order if scores[i] >= least}
