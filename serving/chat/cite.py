"""Which span of the evidence each sentence of an answer rests on.

A small model writes no markers, so alignment is the basis: a sentence is cited when it shares a run of words with a
chunk, or states a figure that stands in it. Listing all evidence would not be citing.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from common.evidence import Evidence
from serving.chat.guard import Judged, Status

_SENTENCE = re.compile(r"[^。！？\n]+?(?:[。！？]+|[.!?]+(?=\s|$)|\n|$)")
_TOKEN = re.compile(r"[0-9]+(?:[.,:][0-9]+)*|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]")
_WIDE = re.compile(r"[\u30a0-\u30ff\u3400-\u9fff]")
MIN_RUN = 12
"""Letters that a shared run must cover, names aside; a Chinese character or katakana counts as three."""


@dataclass(frozen=True, slots=True)
class Citation:
    """One sentence of the answer and the sentence or row of evidence it rests on, half-open, in code points.

    `figures` are the figures among them: where each stands in the answer, and its very span in the evidence.
    """

    evidence: Evidence
    span: tuple[int, int]
    answer_span: tuple[int, int]
    figures: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()

    def to_wire(self) -> dict[str, Any]:
        base = self.evidence.span[0]
        wire: dict[str, Any] = {
            "document": self.evidence.document,
            "chunk": self.evidence.chunk,
            "revision": self.evidence.revision,
            "title": self.evidence.title,
            "page": self.evidence.page,
            "span": [base + self.span[0], base + self.span[1]],
            "text": self.evidence.text[self.span[0] : self.span[1]],
            "answer_span": list(self.answer_span),
        }
        places = [{"answer_span": list(a), "span": [base + b[0], base + b[1]]} for a, b in self.figures]
        return wire | ({"figures": places} if places else {})


@dataclass(frozen=True, slots=True)
class _Tokens:
    words: list[str]
    spans: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Source:
    chunk: Evidence
    tokens: _Tokens
    names: frozenset[str]
    """Words of its headings and of the firm: a sentence that shares these alone rests on nothing."""


def cite(
    answer: str,
    evidence: Sequence[Evidence],
    judged: Sequence[Judged],
    marked: Sequence[tuple[int, tuple[Evidence, ...]]] = (),
    firm: str = "",
) -> list[Citation]:
    """The citations of `answer`, in order: for each sentence one for each place that it rests on.

    `marked` are the markers that the model wrote: where one stands, and the chunks that it points at. The name of
    `firm` tells nothing about a source.
    """
    sources = [_Source(chunk, _tokens(chunk.text), _names(chunk, firm)) for chunk in evidence]
    found: list[Citation] = []
    for match in _SENTENCE.finditer(answer):
        start, end = _trim(answer, match.start(), match.end())
        if start < end:
            pointed = [chunk for at, chunks in marked if match.start() <= at <= match.end() for chunk in chunks]
            inside = [one for one in judged if start <= one.figure.start < end]
            if inside:
                # A sentence that states only what the evidence does not carry rests on nothing.
                found += _of_figures(start, end, inside)
            else:
                found += _of_words(answer[start:end], start, sources, pointed)
    return found


def _of_figures(start: int, end: int, judged: Sequence[Judged]) -> list[Citation]:
    """What a reader checks is the figure, so the sentences and rows where its supported figures stand are cited."""
    places: dict[tuple[str, int, int], tuple[Evidence, list[tuple[tuple[int, int], tuple[int, int]]]]] = {}
    for one in judged:
        if one.status is Status.SUPPORTED and one.evidence and one.evidence_span:
            low, high = _whole_sentence(one.evidence.text, *one.evidence_span)
            place = places.setdefault((one.evidence.chunk, low, high), (one.evidence, []))
            place[1].append(((one.figure.start, one.figure.end), one.evidence_span))
    return [
        Citation(chunk, (low, high), (start, end), tuple(figures))
        for (_, low, high), (chunk, figures) in places.items()
    ]


def _of_words(sentence: str, start: int, sources: Sequence[_Source], pointed: Sequence[Evidence]) -> list[Citation]:
    """Where a sentence shares the longest run of words; a chunk that a marker points at needs no more than one word."""
    words = _tokens(sentence).words
    best: tuple[int, Evidence, int, int] | None = None
    for source in sources:
        chunk, tokens = source.chunk, source.tokens
        for run in SequenceMatcher(None, words, tokens.words, autojunk=False).get_matching_blocks():
            weight = sum(_weight(word) for word in words[run.a : run.a + run.size] if word not in source.names)
            told = any(chunk is one for one in pointed)
            enough = run.size and (told if pointed else weight >= MIN_RUN and run.size > 1)
            if enough and (best is None or weight > best[0]):
                best = weight, chunk, tokens.spans[run.b][0], tokens.spans[run.b + run.size - 1][1]
    if best is None:
        return []
    _, chunk, low, high = best
    return [Citation(chunk, _whole_sentence(chunk.text, low, high), (start, start + len(sentence)))]


def _names(chunk: Evidence, firm: str) -> frozenset[str]:
    return frozenset(word for text in (*chunk.heading, firm) for word in _tokens(text).words)


def _weight(word: str) -> int:
    """Latin letters and hiragana count as one, a Chinese character or katakana as three."""
    return 3 if _WIDE.match(word) else len(word)


def _tokens(text: str) -> _Tokens:
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        words.append(unicodedata.normalize("NFKC", match[0]).casefold())
        spans.append(match.span())
    return _Tokens(words, spans)


def units(text: str) -> Iterator[tuple[int, int]]:
    """The sentences and lines of `text`, without the space around them: what a citation shows."""
    for match in _SENTENCE.finditer(text):
        start, end = _trim(text, match.start(), match.end())
        if start < end:
            yield start, end


def _whole_sentence(text: str, low: int, high: int) -> tuple[int, int]:
    """`low..high` widened to the sentences or line around it, so that the cited text can be read alone."""
    around = [unit for unit in units(text) if unit[0] < high and unit[1] > low]
    return (around[0][0], around[-1][1]) if around else (low, high)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
