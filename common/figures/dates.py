"""Dates and clock times, in the Gregorian calendar, Japanese eras and the calendar of the Republic of China."""

import re
from decimal import Decimal
from typing import NamedTuple

from . import numerals, units
from .script import Cursor, prefixes
from .value import Kind, Value


class Mark(NamedTuple):
    """A recognised span with its typed value; `Figure` without the text."""

    start: int
    end: int
    kind: Kind
    value: Value
    unit: str | None = None


_MONTHS = units.MONTHS | units.MONTHS_SHORT
MONTH_WORDS = frozenset(_MONTHS) | frozenset(name.upper() for name in units.MONTHS)
KNOWN_MONTHS = prefixes(name.lower() for name in (*_MONTHS, "of", "st", "nd", "rd", "th"))
_HALVES = prefixes(("am", "pm", "a", "p", "m", "noon"))
_BETWEEN = ("-", "–", "—", "~", "〜", "至", "到")
_MONTH_BEFORE = re.compile(r"(?:月|月[0-9]{1,2}日?\s?(?:[-–~〜～至到及、]|から))\s?\Z")
_DAY_AFTER = (
    "まで",
    "に",
    "から",
    "より",
    "付",
    "締",
    "払",
    "(月",
    "(火",
    "(水",
    "(木",
    "(金",
    "(土",
    "(日",
    "起",
    "號",
)
_CLOCK_AFTER = "到至半整前后後開开起結结"


def _small(c: Cursor, at: int) -> tuple[int, int]:
    """Read an integer of one or two digits, or of Chinese numerals below 100; return it with its end, or (-1, at)."""
    end = c.digits(at)
    if end > at:
        return (int(c.text[at:end]), end) if end - at <= 2 else (-1, at)
    if (mark := c.at(at)) and mark in numerals.HAN:
        found = numerals.number(c, at)
        if found and found.value < 100 and found.value == int(found.value) and not found.bad:
            return int(found.value), found.end
    return -1, at


def _year(c: Cursor, at: int) -> tuple[int, int]:
    """Read a year number in front of 年 or a separator: up to four digits, or Chinese numerals."""
    end = c.digits(at)
    if end > at:
        return (int(c.text[at:end]), end) if end - at <= 4 else (-1, at)
    if (mark := c.at(at)) and mark in numerals.HAN:
        found = numerals.number(c, at)
        if found and found.form == "han" and found.value == int(found.value) and found.value < 3000 and not found.bad:
            return int(found.value), found.end
    return -1, at


def date(c: Cursor, at: int) -> list[Mark]:
    """Return the date that begins with the number at `at`; two where a range of days shares month and year."""
    value, end = _year(c, at)
    if value < 0:
        return []
    mark, wide = c.at(end), end - at
    if mark and mark in "-/." and c.text[at].isascii():
        return _numeric(c, at, value, end, wide, mark)
    after = c.spaces(end)
    mark = c.at(after)
    if mark == "年" and (1000 <= value < 3000 and (wide == 4 or c.text[at] not in "0123456789")):
        return _year_mark(c, at, value, after + 1)
    if mark == "年" and 80 <= value <= 150 and wide == 3:
        tail = _month_day(c, c.spaces(after + 1))
        if tail:
            return [Mark(at, tail[0], Kind.DATE, (value + 1911, tail[1], tail[2]))]
        if c.at(after + 1) in ("度", "底", "第") and c.at(after + 1):
            return [Mark(at, after + 1, Kind.DATE, (value + 1911, None, None))]
    if mark == "月":
        tail = _month_day(c, at)
        if tail:
            return [Mark(at, tail[0], Kind.DATE, (None, tail[1], tail[2]))]
    if mark == "日" and 1 <= value <= 31 and (after + 1 - at) <= 4 and _is_day(c, at, after + 1):
        return [Mark(at, after + 1, Kind.DATE, (None, None, value))]
    if wide <= 2 and 1 <= value <= 31:
        return _day_month(c, at, value, end)
    return []


def _is_day(c: Cursor, at: int, end: int) -> bool:
    """Say whether `5日` is the fifth: after a month, or before what only follows a point in time."""
    if _MONTH_BEFORE.search(c.before(at, 8)):
        return True
    window = c.at(end) and c.at(end) + (c.at(end + 1) if c.at(end) in "まか(よ" else "")
    return bool(window) and window.startswith(_DAY_AFTER)


def _year_mark(c: Cursor, at: int, year: int, end: int) -> list[Mark]:
    tail = _month_day(c, c.spaces(end))
    if tail:
        return [Mark(at, tail[0], Kind.DATE, (year, tail[1], tail[2]))]
    return [Mark(at, end, Kind.DATE, (year, None, None))]


def _month_day(c: Cursor, at: int) -> tuple[int, int, int | None] | None:
    """Read `4月` or `4月1日`; return the end, the month and the day."""
    month, end = _small(c, at)
    end = c.spaces(end)
    if not 1 <= month <= 12 or c.at(end) != "月":
        return None
    end += 1
    if c.at(end) in ("給", "謝", "曜", "間"):
        return None
    day, after = _small(c, c.spaces(end))
    after = c.spaces(after)
    if 1 <= day <= 31 and c.at(after) in ("日", "號", "号"):
        return after + 1, month, day
    return end, month, None


def _numeric(c: Cursor, at: int, first: int, end: int, wide: int, mark: str) -> list[Mark]:
    """Read 2026-04-01, 2026/4/1, 2026.4.1, 2026-04, 2026/4, and 4/1/2026 (month first unless that cannot be)."""
    stop = c.digits(end + 1)
    size = stop - end - 1
    if not 1 <= size <= 2:
        return []
    second = int(c.text[end + 1 : stop])
    third = c.digits(stop + 1) if c.at(stop) == mark else stop
    size_third = third - stop - 1
    if c.at(third) == mark and numerals.is_digit(c.at(third + 1)):
        return []
    if wide == 4 and 1 <= second <= 12 and 1000 <= first < 3000:
        if 1 <= size_third <= 2 and 1 <= (day := int(c.text[stop + 1 : third])) <= 31:
            return [Mark(at, third, Kind.DATE, (first, second, day))]
        if size_third < 1 and ((mark == "-" and size == 2 and 1900 <= first <= 2100) or mark == "/"):
            return [Mark(at, stop, Kind.DATE, (first, second, None))]
    if wide <= 2 and mark in "/-." and size_third == 4:
        year = int(c.text[stop + 1 : third])
        month, day = (second, first) if first > 12 or mark == "." else (first, second)
        if 1 <= month <= 12 and 1 <= day <= 31 and 1000 <= year < 3000:
            return [Mark(at, third, Kind.DATE, (year, month, day))]
    return []


def _ordinal(c: Cursor, at: int) -> int:
    return at + 2 if c.word(at, KNOWN_MONTHS).lower() in ("st", "nd", "rd", "th") else at


def _day_month(c: Cursor, at: int, day: int, end: int, *, nested: bool = False) -> list[Mark]:
    """Read `1 April 2026`, `1st of April`, and `1–5 April`, where the first day takes the month of the second."""
    after = c.spaces(_ordinal(c, end))
    if c.at(after) in _BETWEEN and c.at(after) and not nested:
        start = c.spaces(after + 1)
        last, stop = _small(c, start)
        right = _day_month(c, start, last, stop, nested=True) if 1 <= last <= 31 and c.text[start].isascii() else []
        if len(right) == 1 and isinstance(right[0].value, tuple):
            year, month, _ = right[0].value
            return [Mark(at, end, Kind.DATE, (year, month, day)), right[0]]
        return []
    if after == end and c.at(after) != "-":
        return []
    start = after + 1 if after == end else after
    if c.word(start, KNOWN_MONTHS).lower() == "of":
        start = c.spaces(start + 2)
    word = c.word(start, KNOWN_MONTHS)
    month = _MONTHS.get(word.capitalize()) if word[:1].isupper() else None
    if month is None:
        return []
    stop = start + len(word)
    year, far = _trailing_year(c, stop + 1 if len(word) <= 4 and c.at(stop) == "." else stop)
    return [Mark(at, far if year else stop, Kind.DATE, (year, month, day))]


def _trailing_year(c: Cursor, at: int) -> tuple[int | None, int]:
    """Read `, 2026` or ` 2026` or `-2026`."""
    start = at + 1 if c.at(at) in (",", "-") else at
    start = c.spaces(start)
    end = c.digits(start)
    if start == at or end - start != 4 or not 1000 <= int(c.text[start:end]) < 3000:
        return None, at
    if (c.at(end) in (",", ".") and numerals.is_digit(c.at(end + 1))) or c.at(end) == "%":
        return None, at
    return int(c.text[start:end]), end


def month_first(c: Cursor, at: int, *, alone: bool) -> list[Mark]:
    """Read `April 1, 2026`, `April 2026`, `Apr. 1`; `alone` admits the name of a month without day and year."""
    word = c.word(at, KNOWN_MONTHS)
    month = _MONTHS.get(word.capitalize())
    if month is None:
        return []
    end = at + len(word)
    year, far = _trailing_year(c, end)
    if year:
        return [Mark(at, far, Kind.DATE, (year, month, None))]
    dot = end + 1 if len(word) <= 4 and c.at(end) == "." else end
    start = c.spaces(dot)
    day, stop = _small(c, start)
    if start > dot and 1 <= day <= 31 and c.text[start].isascii():
        glued = (c.at(stop) in (",", ".", ":") and numerals.is_digit(c.at(stop + 1))) or c.at(stop) == "%"
        stop = _ordinal(c, stop)
        if not glued and not c.at(stop).isalpha():
            year, far = _trailing_year(c, stop)
            return [Mark(at, far if year else stop, Kind.DATE, (year, month, day))]
    if alone and word.capitalize() in units.MONTHS:
        return [Mark(at, end, Kind.DATE, (None, month, None))]
    return []


def era(c: Cursor, at: int, name: str) -> list[Mark]:
    """Read `令和8年4月1日`, `民國115年`, `平成元年` after the era's name."""
    base = units.ERAS.get(name) or units.ROC.get(name, 0)
    start = c.spaces(at + len(name))
    year, end = (1, start + 1) if c.at(start) == "元" else _year(c, start)
    end = c.spaces(end)
    if not 1 <= year <= 200 or c.at(end) != "年":
        return []
    return _year_mark(c, at, base + year, end + 1)


def era_letter(c: Cursor, at: int) -> list[Mark]:
    """Read `R8.4.1`, `H30/4/1`."""
    base = units.ERA_LETTERS.get(c.at(at), 0)
    end = c.digits(at + 1)
    mark = c.at(end)
    if not base or not 1 <= end - at - 1 <= 2 or mark not in (".", "/"):
        return []
    stop = c.digits(end + 1)
    far = c.digits(stop + 1) if c.at(stop) == mark else stop
    if not 1 <= stop - end - 1 <= 2 or not 1 <= far - stop - 1 <= 2:
        return []
    year, month, day = (int(c.text[a:b]) for a, b in ((at + 1, end), (end + 1, stop), (stop + 1, far)))
    if not year or not 1 <= month <= 12 or not 1 <= day <= 31:
        return []
    return [Mark(at, far, Kind.DATE, (base + year, month, day))]


def _half_of_day(c: Cursor, at: int) -> tuple[int, int]:
    """Read ` a.m.`, `pm`, …; return its end and 0 or 1, or -1 where there is none."""
    start = c.spaces(at)
    word = c.word(start, _HALVES)
    lower = word.lower()
    if lower in ("am", "pm"):
        return start + 2, int(lower == "pm")
    if lower in ("a", "p") and c.at(start + 1) == "." and c.word(start + 2, _HALVES).lower() == "m":
        return start + (4 if c.at(start + 3) == "." else 3), int(lower == "p")
    return at, -1


def _clock(hour: int, minute: int, half: int) -> Decimal:
    if half == 1 and hour < 12:
        hour += 12
    elif half == 0 and hour == 12:
        hour = 0
    return Decimal(hour * 60 + minute)


def time(c: Cursor, at: int, half: int = -1, start: int | None = None) -> list[Mark]:
    """Return the clock time whose hour is at `at`; `half` is 0 or 1 where a mark such as 午後 stands before it."""
    first = at if start is None else start
    hour, end = _small(c, at)
    if not 0 <= hour <= 29:
        return []
    mark = c.at(end)
    if mark == ":":
        return _colon(c, first, hour, end, half)
    if mark == "：":
        return []
    after = c.spaces(end)
    mark = c.at(after)
    if mark and mark in "時时点點":
        return _hour_mark(c, first, at, hour, after, half)
    if c.text[at].isascii():
        stop, found = _half_of_day(c, end)
        if found >= 0 and 1 <= hour <= 12:
            return [Mark(first, stop, Kind.TIME, _clock(hour, 0, found))]
        if mark in _BETWEEN and mark and hour <= 12 and half < 0:
            right_start = c.spaces(after + 1)
            right_hour, right_end = _small(c, right_start)
            right_stop, right_half = _half_of_day(c, right_end)
            if right_half >= 0 and 1 <= right_hour <= 12:
                return [
                    Mark(first, end, Kind.TIME, _clock(hour, 0, right_half)),
                    Mark(right_start, right_stop, Kind.TIME, _clock(right_hour, 0, right_half)),
                ]
    return []


def _colon(c: Cursor, first: int, hour: int, end: int, half: int) -> list[Mark]:
    stop = c.digits(end + 1)
    if stop - end != 3 or int(c.text[end + 1 : stop]) > 59:
        return []
    minute = int(c.text[end + 1 : stop])
    seconds = Decimal(0)
    if c.at(stop) == ":" and (far := c.digits(stop + 1)) - stop == 3:
        seconds, stop = Decimal(int(c.text[stop + 1 : far])) / 60, far
    if half < 0:
        stop, half = _half_of_day(c, stop)
    return [Mark(first, stop, Kind.TIME, (_clock(hour, minute, half) + seconds).normalize() + 0)]


def _hour_mark(c: Cursor, first: int, at: int, hour: int, after: int, half: int) -> list[Mark]:
    mark, end = c.at(after), after + 1
    if mark in "時时" and c.at(end) in ("間", "间", "代", "期", "点", "點", "計", "给", "給", "短", "刻"):
        return []
    minute, stop = _small(c, end)
    if c.at(end) == "半":
        return [Mark(first, end + 1, Kind.TIME, _clock(hour, 30, half))]
    if 0 <= minute <= 59 and c.at(stop) == "分" and c.at(stop + 1) not in ("之", "の"):
        return [Mark(first, stop + 1, Kind.TIME, _clock(hour, minute, half))]
    if half < 0:
        if c.text[at] == "一" and after - at == 1 and mark == "時":
            return []
        clock = (c.at(end) and c.at(end) in _CLOCK_AFTER) or c.before(at) in ("到", "至")
        if mark in "点點" and (hour > 24 or not clock):
            return []
    if c.at(end) == "鐘" or c.at(end) == "钟" or c.at(end) == "整":
        end += 1
    return [Mark(first, end, Kind.TIME, _clock(hour, 0, half))]
