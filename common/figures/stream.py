"""Figures in text that is still being written."""

import re

from . import amounts, numerals, recognise, units
from .dates import KNOWN_MONTHS, MONTH_WORDS, Mark
from .script import LOOKBACK, REACH, UNFOLDED, Cursor, fold, listed, prefixes

WINDOW = REACH + 96
"""The most code points at the end of the text that `open_tail` looks at."""

_NUMBER_PREFIXES = prefixes(numerals.NUMBER_WORDS | {"twice"})
_MONTH_PREFIXES = prefixes(MONTH_WORDS)
_LITERAL_PREFIXES = prefixes(units.LITERALS)
_LONGEST_LITERAL = max(len(literal) for literal in units.LITERALS)
_LAST_WORD = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]{1,9}\Z")
_ADDRESS = re.compile(r"(?<![A-Za-z0-9._-])(?:[A-Za-z0-9._-]{1,64}|https?:/?)\Z")
"""What may yet become an e-mail address or a URL."""

_VOCABULARY = (
    numerals.NUMBER_WORDS
    | KNOWN_MONTHS
    | units.PHRASE_WORDS
    | units.SCALE_WORDS.keys()
    | amounts.SHARE_WORDS
    | recognise.AFTER_TWICE
    | {"twice"}
    | frozenset(
        word.lower()
        for word in (
            *units.SCALE_MARKS,
            *units.MONEY_SCALE_MARKS,
            *listed("and a half to or of am pm p m"),
        )
    )
)
"""Every English word, lower case, after which an attempt may read on."""
_MATERIAL = frozenset(
    mark
    for word in (
        *units.AFTER,
        *units.LITERALS,
        *units.CONNECTORS,
        *units.ORDINAL_MARKS,
        *numerals.HAN,
        *units.SIGNS,
    )
    for mark in word
).union(
    units.PLUS_MINUS,
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    " -_.,:;'@/()[]$%#½¼¾\u00a0\t\0",
    "多餘余整鐘钟半分之の目まかよ號号年月日時时点點至到元",
)
"""Every mark after which an attempt may read on; any other ends what is before it."""
_NO_MATERIAL = f"[^{re.escape(''.join(sorted(_MATERIAL | UNFOLDED)))}]"
_BREAK_BACKWARDS = re.compile(_NO_MATERIAL + r"|(?<= )[A-Za-z]+(?= )")
"""What no figure goes across, searched in reversed text: a mark that no figure holds, or a whole word."""


def may_begin(text: str, start: int, end: int) -> bool:
    """Whether a figure can begin in `text[start:end]`. Costs a microsecond where it can't: ask before `find`."""
    return recognise.STARTER.search(fold(text[max(0, start - 2) : end]), start - max(0, start - 2)) is not None


def open_tail(text: str) -> int:
    """Return the index from which the end of `text` may yet be, or be part of, another figure; its length if none.

    Whatever text follows, the figures that end at or before this index are final, and no figure will ever lie across
    it. Looks at the last `WINDOW` code points only and holds back at most that many; never raises.
    """
    raw = text[-WINDOW:]
    start = _last_break(raw)
    if start == len(raw):
        return len(text)
    cut = max(0, start - (WINDOW - REACH))
    tail = fold(raw[cut:])
    start -= cut
    if not start and len(text) > WINDOW:
        start = LOOKBACK
    return len(text) - len(tail) + _open(tail, start)


def _last_break(raw: str) -> int:
    """Return the index behind the last place in `raw` that no figure can go across, or 0."""
    for found in _BREAK_BACKWARDS.finditer(raw[::-1]):
        word = found[0][::-1]
        if not (word.isascii() and word.isalpha()) or word.lower() not in _VOCABULARY:
            return len(raw) - found.start()
    return 0


def _open(tail: str, at: int) -> int:
    """Return where the open end of the folded `tail` begins; nothing before `at` is open."""
    size = len(tail)
    opened = _unfinished_word(tail)
    address = _ADDRESS.search(tail, max(0, size - 65))
    edge = address.start() if address else size
    blanked = ""
    closed: list[Mark] = []
    while (found := recognise.STARTER.search(tail, at)) and found.start() < opened:
        at = found.start()
        cursor = Cursor(tail, at)
        marks, _ = recognise.attempt(cursor, at)
        if cursor.hit or (marks and marks[-1].end > edge):
            opened = at
            break
        if at < edge <= cursor.seen:
            blanked = blanked or tail[:edge] + "\0" * (size - edge)
            if recognise.attempt(Cursor(blanked, at), at)[0] != marks:
                opened = at
                break
        closed += marks
        at += 1
    for mark in reversed(closed):
        if mark.start < opened < mark.end:
            opened = mark.start
    return opened


def _unfinished_word(tail: str) -> int:
    """Return the start of a last word that may become the first of a figure, else the length."""
    size = len(tail)
    found = _LAST_WORD.search(tail, max(0, size - 10))
    if found:
        known = found[0].lower() in _NUMBER_PREFIXES or found[0] in _MONTH_PREFIXES
        return found.start() if known else size
    for length in range(min(_LONGEST_LITERAL, size), 0, -1):
        if tail[size - length :] in _LITERAL_PREFIXES:
            return size - length
    return size
