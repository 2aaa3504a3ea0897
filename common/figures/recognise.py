"""Finding figures: a search for places where one can begin, and one attempt at each.

An attempt is a function of the text around one place alone: at most `REACH` code points from it on and `LOOKBACK`
before it. It never backtracks over repeated groups, so `find` takes time linear in the text. `stream.open_tail` relies
on the same property to know what can still change.
"""

import re
from decimal import Decimal

from . import amounts, codes, context, dates, numerals, suffixes, units
from .dates import Mark
from .numerals import is_digit
from .script import Cursor, fold, prefixes
from .value import Figure, Kind

_ORDINARY_HAN = "〇零一二三四五六七八九十百千廿卅兩两壱弐"
_FORMAL_HAN = "壹貳贰參叁参肆伍陸陆柒捌玖拾佰仟"
_ALL_HAN = _ORDINARY_HAN + _FORMAL_HAN + "万萬億亿兆"
_FIRST_MARKS = "".join(sorted({literal[0] for literal in units.LITERALS} | set(_ORDINARY_HAN + _FORMAL_HAN)))
STARTER = re.compile(
    rf"(?=[-0-9.$¥€£₩+−△▲±({_FIRST_MARKS}]|(?<![A-Za-z0-9_])[A-Zbefhmnostz])"  # spares most places the alternatives
    r"(?:(?<![0-9])[0-9]|(?<![0-9A-Za-z.])\.(?:(?=[0-9])|\Z)"
    rf"|(?<![{_ALL_HAN}])(?:[{_ORDINARY_HAN}]|[{_FORMAL_HAN}](?=[{_FORMAL_HAN}万萬億亿]|\Z))"
    r"|[$¥€£₩]|(?<![0-9A-Za-z)])[-+−△▲±](?=[0-9$¥€£.A-Z]|\Z)|\((?=[0-9]|\Z)"
    r"|(?<![A-Za-z0-9_])[A-Z](?=[A-Z0-9$¥-]|\Z)"
    rf"|(?<![A-Za-z0-9_])(?i:{'|'.join(sorted(numerals.NUMBER_WORDS | {'twice'}))})(?![A-Za-z])"
    rf"|(?<![A-Za-z0-9_])(?:{'|'.join(sorted(dates.MONTH_WORDS))})(?![A-Za-z])"
    rf"|{'|'.join(sorted(units.LITERALS, key=len, reverse=True))})"
)
"""Where a figure can begin; every attempt of `find` is at a match, whatever was matched before it."""

_KNOWN_LITERALS = prefixes(units.LITERALS)
_NO_HAN_BEFORE = "第前上隔某週周期拜曜数數几幾何好"
AFTER_TWICE = frozenset({"a", "as", "per", "each", "every", "daily", "weekly", "monthly", "yearly", "annually"})
_KNOWN_AFTER_TWICE = prefixes(AFTER_TWICE)
_ONE_NO_UNIT = frozenset({"time", "point", "piece", "item", "case", "page", "person", "unit"})


def find(text: str) -> list[Figure]:
    """Return the figures of `text` in order, without overlap. Takes linear time; never raises."""
    folded = fold(text)
    figures: list[Figure] = []
    at = 0
    while found := STARTER.search(folded, at):
        marks, at = attempt(Cursor(folded, found.start()), found.start())
        figures += [Figure(text[m.start : m.end], m.start, m.end, m.kind, m.value, m.unit) for m in marks]
    return figures


def attempt(c: Cursor, at: int) -> tuple[list[Mark], int]:
    """Try for one figure (two for a range) that begins at `at`; return it and the index to search on from."""
    first = c.at(at)
    if is_digit(first):
        return _at_digit(c, at)
    if first in units.PLUS_MINUS:
        return _at_sign(c, at)
    if first == "(":
        return _done(codes.phone(c, at) or amounts.fall(c, at), at + 1)
    if first in units.SIGNS:
        return _done(amounts.priced(c, at, units.SIGNS[first], at + 1), at + 1)
    if first in numerals.HAN:
        return _at_han(c, at)
    if first == ".":
        return amounts.counted(c, at, at) if is_digit(c.at(at + 1)) else ([], at + 1)
    if not first.isascii():
        return _at_literal(c, at)
    return _at_letter(c, at)


def _done(marks: list[Mark], otherwise: int) -> tuple[list[Mark], int]:
    return (marks, marks[-1].end) if marks else ([], otherwise)


def _at_digit(c: Cursor, at: int) -> tuple[list[Mark], int]:
    before = c.before(at, 2)
    glued = before[-1:].isascii() and (before[-1:].isalpha() or before[-1:] == "_")
    if glued or (before[-1:] in ("-", ".", "/") and before[:1].isascii() and before[:1].isalpha()):
        return [], codes.identifier_end(c, at)
    if before[-1:] == "." and is_digit(before[:1]):
        return [], c.digits(at)
    if context.is_list_mark(c, at):
        return [], c.digits(at)
    for read in (dates.date, dates.time, codes.groups):
        marks = read(c, at)
        if marks:
            return marks, marks[-1].end
    for idiom in map("/".join, codes.IDIOMS):
        if all(c.at(at + offset) == mark for offset, mark in enumerate(idiom)):
            return [], at + len(idiom)
    return amounts.counted(c, at, at)


def _at_sign(c: Cursor, at: int) -> tuple[list[Mark], int]:
    if c.at(at) == "+" and (marks := codes.phone(c, at)):
        return marks, marks[-1].end
    nxt = c.at(at + 1)
    if is_digit(nxt) or nxt == ".":
        if context.LIST_BEFORE.search(c.before(at, 14)) and nxt == ".":
            return [], at + 1
        return amounts.counted(c, at, at + 1)
    if nxt in units.SIGNS and nxt:
        return _done(amounts.priced(c, at, units.SIGNS[nxt], at + 2), at + 1)
    if nxt.isascii() and nxt.isupper():
        letters = c.letters(at + 1)
        if letters in units.CURRENCY_CODES or c.at(at + 1 + len(letters)) in ("$", "¥"):
            return _done(amounts.letters_priced(c, at, at + 1, letters), at + 1)
    return [], at + 1


def _at_literal(c: Cursor, at: int) -> tuple[list[Mark], int]:
    name = c.longest(at, units.LITERALS, _KNOWN_LITERALS)
    end = at + len(name)
    if name in units.BEFORE:
        return _done(amounts.priced(c, at, units.BEFORE[name], end), at + 1)
    if name in units.DAY_HALVES:
        return _done(dates.time(c, c.spaces(end), units.DAY_HALVES[name], at), end)
    return _done(dates.era(c, at, name), at + 1) if name else ([], at + 1)


def _at_letter(c: Cursor, at: int) -> tuple[list[Mark], int]:
    letters = c.letters(at)
    end = at + len(letters)
    if letters.lower() in numerals.NUMBER_WORDS:
        return _at_word(c, at, letters)
    if letters.lower() == "twice":
        after = c.word(c.spaces(end), _KNOWN_AFTER_TWICE).lower()
        unit = "fold" if after == "as" else "time"
        return ([Mark(at, end, Kind.QUANTITY, Decimal(2), unit)] if after in AFTER_TWICE else []), end
    if letters in dates.MONTH_WORDS:
        return _done(dates.month_first(c, at, alone=context.is_month(c, at, letters)), end)
    if letters in units.CURRENCY_CODES or c.at(end) in ("$", "¥"):
        marks = amounts.letters_priced(c, at, at, letters)
        if marks:
            return marks, marks[-1].end
        if c.at(end) in ("$", "¥"):
            return [], end
    marks = dates.era_letter(c, at)
    return (marks, marks[-1].end) if marks else codes.code(c, at)


def _at_han(c: Cursor, at: int) -> tuple[list[Mark], int]:
    before = c.before(at, 1)
    found = numerals.number(c, at)
    if found is None:
        return [], at + 1
    if (before in _NO_HAN_BEFORE and before) or (before == " " and c.before(at, 2)[:1] == "第"):
        return [], found.end
    parts = amounts.fraction(c, at, found)
    if parts:
        return parts, parts[-1].end
    for read in (dates.date, dates.time):
        marks = read(c, at)
        if marks:
            return marks, marks[-1].end
    if found.bad:
        return [], found.end
    marks = amounts.with_range(c, at, found)
    if marks:
        return marks, marks[-1].end
    after = suffixes.suffix(c, found.end, found)
    if after is None:
        if found.clear and not context.is_ordinal(c, found.end):
            return [Mark(at, found.end, Kind.NUMBER, found.value)], found.end
        return [], found.end
    end, unit = after
    if context.is_common_word(c, at, found, end, unit):
        return [], end
    return [Mark(at, end, unit.kind, unit.of(found.value), unit.name)], end


def _at_word(c: Cursor, at: int, word: str) -> tuple[list[Mark], int]:
    before = c.before(at, 2)
    if before[-1:] in ("-", "'", "_") and before[:1].isascii() and before[:1].isalnum():
        return [], at + len(word)
    led = context.word_before(c, at)
    if word.lower() in units.SCALE_WORDS and led != "a":
        return [], at + len(word)
    found = numerals.number(c, at)
    if found is None:
        return [], at + len(word)
    if marks := amounts.with_range(c, at, found) or amounts.share(c, at, found):
        return marks, marks[-1].end
    after = suffixes.suffix(c, found.end, found)
    if after is not None:
        end, unit = after
        lone = found.value == 1 and found.end - at == 3
        if lone and (unit.name in _ONE_NO_UNIT or led in ("no", "any", "every") or c.at(found.end) == "-"):
            return [], end
        return [Mark(at, end, unit.kind, unit.of(found.value), unit.name)], end
    if context.is_pronoun(c, at, word, found, led):
        return [], found.end
    return [Mark(at, found.end, Kind.NUMBER, found.value)], found.end
