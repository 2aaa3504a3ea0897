"""Sentences and lines of an answer or of evidence, and what stands in which order inside one."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from common.figures import Figure
from serving.chat.guard.names import Mention

_END = re.compile(r"[。！？\n]|[.!?](?=[\s\"'”’)\]]|\Z)")
_ABBREVIATED = re.compile(r"(?:\b(?:No|Nos|approx|e\.g|i\.e|vs|Mr|Mrs|Ms|Dr|Inc|Ltd|Co|Corp|St)|\b[A-Z]|\A\s*\d+)\Z")
# 11,000 yen a year for the Gold Card; 11,000 yen (Gold).
_FOR = re.compile(r"(?: (?:a|per|each|every) \w+)? ?(?:\(| (?:for|on|with|under|of) )(?:the |our |your |an? )?")
_JOINT = re.compile(r"\s*(?:,|、|，|and|or|&|と|や|及び|和|與|与|跟|及|,\s*and)\s*(?:the |our )?", re.IGNORECASE)
_CLOSES = re.compile(r"[^(（]*[)）]")
_AGAIN = re.compile(r",? (?:or|to|from) (?:about |approximately |roughly )?|\s?[(（]|の?[増減]の")
_BREAK = re.compile(r"[;；]")
LOOKAHEAD = 120
"""Code points behind a figure that may still decide its verdict, where its sentence does not end before."""


def sentence_at(text: str, at: int) -> tuple[int, int]:
    """The sentence or line of `text` around `at`."""
    start, end = 0, len(text)
    for found in _END.finditer(text):
        if _goes_on(text, found):
            continue
        if found.end() <= at:
            start = found.end()
        else:
            end = found.end()
            break
    return start, end


def sentences(text: str) -> list[tuple[int, int]]:
    """All sentences and lines of `text`."""
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _END.finditer(text):
        if not _goes_on(text, found):
            spans.append((start, found.end()))
            start = found.end()
    if start < len(text):
        spans.append((start, len(text)))
    return spans


def ends_by(text: str, at: int) -> int | None:
    """Where the sentence around `at` ends, once nothing that may follow `text` can change that; else None."""
    for found in _END.finditer(text, at):
        if not _goes_on(text, found):
            certain = found.end() < len(text) or found[0] in "。！？\n"
            return found.end() if certain else None
    return None


def _goes_on(text: str, found: re.Match[str]) -> bool:
    return found[0] == "." and _ABBREVIATED.search(text[max(0, found.start() - 8) : found.start()]) is not None


def lead(text: str, figures: Sequence[Figure], figure: Figure) -> str:
    """What a sentence says up to `figure`, from the figure before it on; one that says the same again is no other.

    `$0.2 billion, or 16.8%`, `$1.9 billion (12.9%)`, `1,234億円増の4兆円` each state one thing.
    """
    end = figure.start
    for other in sorted((one for one in figures if one.end <= figure.start), key=lambda one: -one.start):
        between = text[other.end : end]
        if not _AGAIN.fullmatch(between) and not _CLOSES.match(between):
            return text[other.end : figure.start]
        end = other.start
    return text[: figure.start]


Named = TypeVar("Named", bound=Mention)


def spoken_of(
    text: str, names: Sequence[Named], figures: Sequence[Figure], figure: Figure, *, labels: bool = False
) -> list[Named]:
    """The names that a sentence speaks of with `figure`, told by their order. All are of that one sentence.

    Gold 2, Basic 1: the name before. 2 for Gold, 1 for Basic: the name behind. Basic and Gold cost 1 and 2: in turn.
    Where the order does not tell, the names on both sides. Only figures of one kind take turns; `labels` are each of
    their own figure, whatever kind the others are of.
    """
    alike = [one for one in figures if one.kind is figure.kind or labels]
    line = sorted([*names, *alike], key=lambda item: item.start)
    at = next(i for i, item in enumerate(line) if item.start == figure.start and not isinstance(item, Mention))
    first = at
    while first > 0 and not isinstance(line[first - 1], Mention):
        first -= 1
    last = at
    while last + 1 < len(line) and not isinstance(line[last + 1], Mention):
        last += 1
    before = _names_back(line, first, names)
    if len(before) == last - first + 1 > 1 and not labels and _is_list(text, before):
        run = [item for item in line[first : last + 1] if not isinstance(item, Mention)]
        if "respectively" in text or _is_list(text, run):
            return [before[at - first]]
    for name in names:
        if name.start >= figure.end and _FOR.fullmatch(text[figure.end : name.start]):
            return [name]
    after = [name for name in _names_on(line, last, names) if not _BREAK.search(text[figure.end : name.start])]
    if not before:
        return after if isinstance(line[-1], Mention) else []
    if not after or not isinstance(line[-1], Mention):
        count = last - first + 1
        in_turn = count > 1 and count == len(before) and not labels and _is_list(text, before)
        return [before[at - first]] if in_turn else before
    return after if not isinstance(line[0], Mention) else before + after


def _is_list(text: str, names: Sequence[Mention | Figure]) -> bool:
    """Whether names or figures stand side by side as `Basic and Gold` do."""
    return all(_JOINT.fullmatch(text[a.end : b.start]) for a, b in pairwise(names))


def _names_back(line: Sequence[object], at: int, names: Sequence[Named]) -> list[Named]:
    start = at
    while start > 0 and isinstance(line[start - 1], Mention):
        start -= 1
    return _in_order(line[start:at], names)


def _names_on(line: Sequence[object], at: int, names: Sequence[Named]) -> list[Named]:
    end = at + 1
    while end < len(line) and isinstance(line[end], Mention):
        end += 1
    return _in_order(line[at + 1 : end], names)


def _in_order(part: Sequence[object], names: Sequence[Named]) -> list[Named]:
    return sorted((name for name in names if any(name is item for item in part)), key=lambda name: name.start)
