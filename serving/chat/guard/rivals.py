"""Whether the evidence has another figure for what the answer says: 291 factories for apparel, and 123 for footwear.

Figures of one kind and unit are rivals. Two of them are told apart by the words that only one of them has: those of its
clause, then those of its sentence, row and heading. Where the answer says the words of a rival alone, and most of what
tells that from the figure, it means the rival. What is nearest decides.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from common.figures import Figure, Kind, units
from common.figures.script import listed
from common.figures.value import base

_BREAK = re.compile(
    r"[,;，；。！？()（）|\n•]|(?<!は)、|[.!?](?=\s|\Z)|\s[-–—]\s"
    r"|[及和與与や]|と(?![しないの])|\b(?:and|while|whereas|but|versus|vs|compared|which|from)\b"
)
_ASIDE = re.compile(r"[(（][^()（）]*[)）]")
_PART = re.compile(r"[,，、。]")
_COMPARED = re.compile(r"\b(?:compared|versus|vs|from)\s*\Z")
_ATTACHED = 4
_EXCEPT = re.compile(
    r"\b(?:outside|excluding|except(?: for)?|other than|besides|without) (?:the |an? )?\w+(?: [a-z]+)?"
)
_HARD = re.compile(r"[;；|\n]")
_TOKEN = re.compile(
    r"[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]*[\u00df-\u024f][a-z0-9\u00df-\u024f]*|[\u30a1-\u30fa\u30fc\u3400-\u9fff々]+"
)
_ENDING = re.compile(r"(?:at(?:ions?|ing|ed|es?)|ings?|ions?|ed|es|e|s)\Z")

_HAN = re.compile(r"[\u30a1-\u30fa\u30fc\u3400-\u9fff々]")
_IDLE = frozenset(
    listed(
        "the a an our your its their his her this that these those it they we you he she there here is are was "
        "were be been from and which while but whereas has have had do does did can could may might will would "
        "should for of in on at by with as to or than not no any each every per up down about over under after "
        "against before only also both all some most such so i.e namely fiscal year years quarter quarters fy day "
        "month week total amount amounts approximately around roughly nearly almost million billion thousand "
        "trillion bn respectively generate generated generating used spent earned provided include included "
        "including one first second third fourth reported came reached stood increase increased increasing "
        "decrease decreased grew grow growth rise rose fall fell decline declined drop dropped gain gained change "
        "changed higher lower more less sequentially sequential prior previous preceding earlier same period "
        "compared versus last current january february march april june july august september october november "
        "december"
    )
)
_IDLE_MARKS = frozenset("月为的之與和及或為是在於有每與与為对對于等則则並并也且共約约達达第季較较同")
_IDLE_PAIRS = frozenset(
    listed(
        "前期 期比 前年 当期 今期 次期 来期 当連 前連 比增 比減 比减 增加 减少 減少 增長 增长 成長 上季 本期 去年 年度 "
        "年间 年間 年末 年底 年期 年增 年減 年减 年比 上年 末增 下降 上升 上昇 低下 上漲 上涨 下滑 提高 比下 比上 降至 "
        "升至"
    )
)


def pieces(text: str) -> frozenset[str]:
    """The telling words of folded text: stems of Latin ones, pairs of characters in Chinese and Japanese."""
    found: set[str] = set()
    for token in _TOKEN.findall(text):
        if _HAN.match(token):
            pairs = (token[i : i + 2] for i in range(len(token) - 1))
            found.update(pair for pair in pairs if not _IDLE_MARKS & set(pair) and pair not in _IDLE_PAIRS)
        elif token not in _IDLE and token not in units.PHRASE_WORDS:
            found.add(_ENDING.sub("", token) if len(token) > 5 else token.removesuffix("s"))
    return frozenset(found)


Families: TypeAlias = frozenset[tuple[Kind, str | None]]


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a figure in its clause or cell, from the last comma on, at the sentence's start, in headings."""

    near: frozenset[str]
    wide: frozenset[str]
    topic: frozenset[str] = frozenset()
    heads: frozenset[str] = frozenset()


UNSAID = Words(frozenset(), frozenset())


def words_of(text: str, figure: Figure, figures: Iterable[Figure]) -> Words:
    """The words of `figure` in the folded sentence `text` whose figures are `figures`; years bound no clause.

    A figure without words of its own has those of the one in front of it (fuel fell 6.8% to $10.6 billion), and so has
    one that is compared with it.
    """
    text = _ASIDE.sub(lambda found: _blank(found, figure), text)
    text = _EXCEPT.sub(lambda found: _blank(found, figure), text)
    bounds = [one for one in figures if _bounds(one) and text[one.start : one.end].strip()]
    high = min((one.start for one in bounds if one.start >= figure.end), default=len(text))
    stop = _BREAK.search(text, figure.end, high)
    near = pieces(text[figure.end : stop.start() if stop else high])
    start = max([0, *(found.end() for found in _HARD.finditer(text, 0, figure.start))])
    breaks = [found.end() for found in _BREAK.finditer(text, start, figure.start) if not _inside(found, bounds)]
    before = [one for one in bounds if start <= one.start and one.end <= figure.start]
    high = figure.start
    for low in sorted({start, *breaks, *(one.end for one in before)}, reverse=True):
        near |= pieces(text[low:high])
        last = next((one for one in before if one.end == low), None)
        if before and (last if not near else _COMPARED.search(text[:low])):
            near |= words_of(text, before[-1], figures).near
        close = last and figure.start - last.end <= _ATTACHED and not _BREAK.search(text, last.end, figure.start)
        if close and last and (last.kind is Kind.QUANTITY or last.value == 1):
            near = frozenset(word for word in near if word[0] != "(") | {
                str(base(last))
            }  # 24錠入り1,280円, 1ユーロ158円
        if near:
            break
        high = low
    parts = [found.end() for found in _PART.finditer(text, start, figure.start) if not _inside(found, bounds)]
    return Words(
        near, near | _opening(text, max([start, *parts]), figure, bounds), _opening(text, start, figure, bounds)
    )


def _opening(text: str, start: int, figure: Figure, bounds: Sequence[Figure]) -> frozenset[str]:
    first = min((one.start for one in bounds if one.start >= start), default=figure.start)
    return pieces(text[start : min(first, figure.start)])


def _bounds(figure: Figure) -> bool:
    """Whether a figure parts clauses: no date, no code, and no `five-year` in front of a noun."""
    return figure.kind not in (Kind.DATE, Kind.CODE) and not is_year(figure) and "-" not in figure.text[1:]


def _inside(found: re.Match[str], figures: Iterable[Figure]) -> bool:
    return any(one.start <= found.start() < one.end for one in figures)


def _blank(aside: re.Match[str], figure: Figure) -> str:
    return aside[0] if aside.start() < figure.end and figure.start < aside.end() else " " * len(aside[0])


def is_year(figure: Figure) -> bool:
    return figure.kind is Kind.NUMBER and len(figure.text) == 4 and 1900 <= Decimal(str(figure.value)) <= 2100


def families(readings: Iterable[Figure]) -> Families:
    """The kinds and least units that a figure may be of."""
    return frozenset((one.kind, base(one)[1]) for one in readings if isinstance(one.value, Decimal))


def means_other(said: Words, mine: Words, other: Words) -> bool | None:
    """Whether `said` means a figure of `other` words and not one of `mine`; None where it tells neither."""
    known = mine.near | mine.heads
    told = _contrast(said.near, mine.near, other.near, known)
    if told is None:
        told = _contrast(said.near | said.topic, mine.heads, other.heads, known)
    if told is None and mine.near and 2 * len(said.near & mine.near) >= len(mine.near):
        return False
    ours, theirs = mine.wide | mine.heads, other.wide | other.heads
    for words in (said.near, said.wide):
        told = _contrast(words, ours, theirs, ours) if told is None else told
    return told


def _contrast(words: frozenset[str], mine: frozenset[str], other: frozenset[str], known: frozenset[str]) -> bool | None:
    """Whether `words` are of `other` and not of `mine`; what is `known` of the figure tells nothing against it."""
    if words & (mine - other):
        return False
    marks = {mark for pair in known if _HAN.match(pair) for mark in pair}
    telling = {word for word in other - known if not (_HAN.match(word) and set(word) <= marks)}
    return (2 * len(words & telling) >= len(telling) or words <= other) if words & telling else None
