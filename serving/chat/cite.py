"""Which span of the evidence each sentence of an answer rests on.

A small model writes no markers, so alignment is the basis: a sentence is cited when it shares a run of words with a
chunk, or states a figure that stands in it. Listing all evidence would not be citing.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from common.evidence import Evidence
from serving.chat.guard import Judged

_SENTENCE = re.compile(r"[^。！？\n]+?(?:[。！？]+|[.!?]+(?=\s|$)|\n|$)")
_TOKEN = re.compile(r"[0-9]+(?:[.,:][0-9]+)*|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
MIN_RUN = 12
"""Characters of Latin script that a shared run must cover; one Chinese or Japanese character counts as three."""


@dataclass(frozen=True, slots=True)
class Citation:
    """One span of the answer and the span of evidence it rests on, both half-open, in code points."""

    evidence: Evidence
    span: tuple[int, int]
    answer_span: tuple[int, int]

    def to_wire(self) -> dict[str, Any]:
        base = self.evidence.span[0]
        return {
            "document": self.evidence.document,
            "chunk": self.evidence.chunk,
            "revision": self.evidence.revision,
            "title": self.evidence.title,
            "page": self.evidence.page,
            "span": [base + self.span[0], base + self.span[1]],
            "text": self.evidence.text[self.span[0] : self.span[1]],
            "answer_span": list(self.answer_span),
        }


@dataclass(frozen=True, slots=True)
class _Tokens:
    words: list[str]
    spans: list[tuple[int, int]]


def cite(answer: str, evidence: Sequence[Evidence], judged: Sequence[Judged]) -> list[Citation]:
    """The citations of `answer`, at most one a sentence, in order."""
    sources = [(chunk, _tokens(chunk.text)) for chunk in evidence]
    found: list[Citation] = []
    for match in _SENTENCE.finditer(answer):
        start, end = _trim(answer, match.start(), match.end())
        if start < end and (best := _best(answer[start:end], start, sources, judged)):
            chunk, low, high = best
            low, high = _whole_sentence(chunk.text, low, high)
            found.append(Citation(chunk, (low, high), (start, end)))
    return found


def _best(
    sentence: str, start: int, sources: Sequence[tuple[Evidence, _Tokens]], judged: Sequence[Judged]
) -> tuple[Evidence, int, int] | None:
    end = start + len(sentence)
    # A figure that stands in the evidence decides: what a reader checks is the figure.
    for verdict in judged:
        if verdict.evidence and verdict.evidence_span and start <= verdict.figure.start < end:
            return verdict.evidence, *verdict.evidence_span
    words = _tokens(sentence).words
    best: tuple[int, Evidence, int, int] | None = None
    for chunk, tokens in sources:
        run = SequenceMatcher(None, words, tokens.words, autojunk=False).find_longest_match()
        weight = sum(3 if _WIDE.match(word) else len(word) for word in words[run.a : run.a + run.size])
        if weight >= MIN_RUN and run.size > 1 and (best is None or weight > best[0]):
            best = weight, chunk, tokens.spans[run.b][0], tokens.spans[run.b + run.size - 1][1]
    return best[1:] if best else None


def _tokens(text: str) -> _Tokens:
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        words.append(unicodedata.normalize("NFKC", match[0]).casefold())
        spans.append(match.span())
    return _Tokens(words, spans)


def _whole_sentence(text: str, low: int, high: int) -> tuple[int, int]:
    """`low..high` widened to the sentence or line around it, so that the cited text can be read alone."""
    for match in _SENTENCE.finditer(text):
        if match.start() <= low < match.end():
            return _trim(text, match.start(), max(match.end(), high))
    return low, high


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
