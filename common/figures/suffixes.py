"""Units after a number."""

from decimal import Decimal

from . import numerals, units
from .numerals import Number, is_digit
from .script import Cursor, prefixes

_KNOWN_AFTER = prefixes(units.AFTER)
KNOWN_WORDS = prefixes(units.PHRASE_WORDS)
_TENTHS_ALONE = frozenset("成個个年月日天人名歲元萬万點点%")
"""Marks that make a digit behind 成 a number of its own: 七成、八成 without the comma, 三成五年."""


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
    if mark == "%" and at > found.end and _heads_a_column(c, end, found):
        return None
    if mark in units.TENTHS:
        return _tenths(c, end, unit)
    if nxt == "半" and unit.name in units.HALF and c.at(end + 1) not in ("ば", "分"):
        return end + 1, unit._replace(plus=numerals.PARTS["½"])
    return end, unit


def _heads_a_column(c: Cursor, end: int, found: Number) -> bool:
    """Say whether `2022 % CHANGE` are two headings of a table run together: a year, and a column of changes."""
    year = len(found.plain) == 4 and 1900 <= found.value <= 2100
    return year and c.at(end) == " " and c.at(end + 1).isascii() and c.at(end + 1).isupper()


def _tenths(c: Cursor, end: int, unit: units.Unit) -> tuple[int, units.Unit]:
    """Read what follows tenths: 七成五 and 七成半 are 75 %, 3割5分2厘 is 35.2 %."""
    hundredths, stop = Decimal(0), end
    if c.at(end) == "半":
        hundredths, stop = Decimal(5), end + 1
    elif (digit := _single_digit(c, end)) is not None:
        after = c.at(end + 1)
        if after == "分" and c.at(end + 2) not in ("の", "之"):
            hundredths, stop = Decimal(digit), end + 2
            thousandths = _single_digit(c, stop)
            if thousandths is not None and c.at(stop + 1) in ("厘", "釐"):
                hundredths, stop = hundredths + Decimal(thousandths) / 10, stop + 2
        elif c.text[end - 1] == "成" and not (after and (after in numerals.HAN or after in _TENTHS_ALONE)):
            hundredths, stop = Decimal(digit), end + 1
    return stop, unit._replace(plus=hundredths)


def _single_digit(c: Cursor, at: int) -> int | None:
    mark = c.at(at)
    if not mark or is_digit(c.at(at + 1)):
        return None
    return int(mark) if is_digit(mark) else numerals.HAN_DIGITS.get(mark)


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
