"""Units after a number."""

from . import numerals, units
from .numerals import Number, is_digit
from .script import Cursor, prefixes

_KNOWN_AFTER = prefixes(units.AFTER)
KNOWN_WORDS = prefixes(units.PHRASE_WORDS)


def suffix(c: Cursor, end: int, found: Number) -> tuple[int, units.Unit] | None:
    """Read the unit after a number; return its end and what it means."""
    at = c.spaces(end)
    mark = c.at(at)
    if not mark or mark in "\n\0":
        return None
    if mark in ("多", "餘", "余") and at == end:
        at += 1
    if not mark.isascii() or mark in "%":
        return _mark_suffix(c, at, found)
    if mark == "-" and at == end and found.scale == 1:
        at += 1
    if found.form == "han" and not found.clear:
        return None
    return _word_suffix(c, at, glued=at == end)


def _mark_suffix(c: Cursor, at: int, found: Number) -> tuple[int, units.Unit] | None:
    mark = c.longest(at, units.AFTER, _KNOWN_AFTER)
    if not mark:
        return None
    end = at + len(mark)
    unit = units.AFTER[mark]
    nxt = c.at(end)
    if nxt and nxt in units.VETOES.get(mark, ""):
        return None
    if nxt == "半" and unit.name in units.HALF and c.at(end + 1) not in ("ば", "分"):
        half = numerals.PARTS["½"] / found.value if found.value else numerals.ONE
        return end + 1, unit._replace(factor=unit.factor + half)
    return end, unit


def _word_suffix(c: Cursor, at: int, *, glued: bool) -> tuple[int, units.Unit] | None:
    best: tuple[int, units.Unit] | None = None
    phrase, end = "", at
    for _ in range(3):
        word = c.word(end, KNOWN_WORDS)
        if not word or word in ("G", "M", "H", "T"):
            break
        phrase = f"{phrase} {word.lower()}" if phrase else word.lower()
        end += len(word)
        unit = units.WORDS.get(phrase)
        if unit is not None and not (phrase in units.GLUED_ONLY and not glued):
            best = end, unit
        if phrase not in units.PHRASE_HEADS:
            break
        spaced = c.spaces(end)
        if spaced == end:
            break
        end = spaced
    if best is None:
        return None
    nxt = c.at(best[0])
    if is_digit(nxt) or nxt == "_" or (nxt.isascii() and nxt.isalpha()):
        return None
    return best
