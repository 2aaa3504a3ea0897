"""Numbers with what they count: amounts of money, counted units, ranges, fractions, and numbers alone."""

from decimal import Decimal

from . import codes, context, dates, numerals, suffixes, units
from .dates import Mark
from .numerals import Number, is_digit
from .script import Cursor, prefixes
from .value import Kind, exact

_KNOWN_AFTER = prefixes(units.AFTER)
_KNOWN_CONNECTORS = prefixes(units.CONNECTORS)
_EACH = ("当たり", "あたり", "当り")
_KNOWN_EACH = prefixes(_EACH)
_BASES = frozenset(map(Decimal, (2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 25, 50, 100, 200, 500, 1000, 10000, 100000)))
_PARTS = {
    "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10
}  # fmt: skip
SHARE_WORDS = frozenset({*_PARTS, *(f"{part}s" for part in _PARTS), "in", "of"})
_SHARE_WORDS = prefixes(SHARE_WORDS)
_CONNECTING_WORDS = prefixes(("to", "or", "and"))


def priced(c: Cursor, start: int, unit: str, at: int) -> list[Mark]:
    """Read the amount behind a currency mark, the repeated currency after it, and a range's second amount."""
    at = c.spaces(at)
    negative = c.at(start) in units.MINUS
    if c.at(at) in units.PLUS_MINUS and c.at(at):
        negative, at = c.at(at) in units.MINUS, at + 1
    if c.at(at) == "(" and is_digit(c.at(at + 1)):
        return _bracketed(c, start, unit, at + 1)
    found = numerals.number(c, at, money=True)
    if found is None or found.bad or found.form == "word":
        return []
    end = found.end
    mark = c.longest(c.spaces(end), units.AFTER, _KNOWN_AFTER)
    if mark and units.AFTER[mark].kind is Kind.MONEY:
        end = c.spaces(end) + len(mark)
        if unit == "JPY" and mark == "元":
            unit = "CNY"
        if c.at(end) == "整":
            end += 1
    elif found.form == "han" and not found.clear and c.text[at] in numerals.HAN:
        return []
    elif word := c.word(c.spaces(end), suffixes.KNOWN_WORDS):
        named = units.WORDS.get(word.lower())
        if named and named.kind is Kind.MONEY and named.name == unit and named.factor == 1:
            end = c.spaces(end) + len(word)
    if is_digit(c.at(end)) or _is_name_letter(c.at(end)):
        return []
    left = Mark(start, end, Kind.MONEY, exact(found.value, -1 if negative else 1), unit)
    right = _second(c, end, money=True)
    if right is None:
        return [left]
    from_at, second, second_end = right
    after = suffixes.suffix(c, second_end, second)
    if after is not None and (after[1].kind is not Kind.MONEY or after[1].name not in (unit, "元")):
        return [left]
    if after is not None:
        second_end = after[0]
    elif (
        is_digit(c.at(second_end))
        or _is_name_letter(c.at(second_end))
        or (second.scale == 1 and c.text[from_at - 1] == " " and c.letters(c.spaces(second_end)))
    ):
        return [left]
    if mark == "" and found.scale == 1 and second.scale > 1 and found.coefficient < second.coefficient:
        left = left._replace(value=exact(found.value * second.scale, -1 if negative else 1))
    return [left, Mark(from_at, second_end, Kind.MONEY, second.value, unit)]


def _bracketed(c: Cursor, start: int, unit: str, at: int) -> list[Mark]:
    """Read what accounts write for a negative amount behind a currency mark: $(2,310) million."""
    found = numerals.number(c, at, money=True)
    if found is None or found.bad or c.at(found.end) != ")":
        return []
    whole = numerals.scaled(c, found._replace(end=found.end + 1))
    return [Mark(start, whole.end, Kind.MONEY, exact(whole.value, -1), unit)]


def fall(c: Cursor, at: int) -> list[Mark]:
    """Read what accounts write for a fall: (6.8)%."""
    found = numerals.number(c, at + 1) if is_digit(c.at(at + 1)) else None
    if found is None or found.bad or c.at(found.end) != ")":
        return []
    after = suffixes.suffix(c, found.end + 1, found)
    if after is None or after[1].kind is not Kind.PERCENT:
        return []
    return [Mark(at, after[0], Kind.PERCENT, after[1].of(found.value, -1), after[1].name)]


def letters_priced(c: Cursor, start: int, at: int, letters: str) -> list[Mark]:
    """Read an amount behind letters: JPY 11,000, NT$3,600."""
    end = at + len(letters)
    if c.at(end) in ("$", "¥"):
        end += 1
    return priced(c, start, units.currency(letters), end)


def _second(c: Cursor, at: int, *, money: bool = False) -> tuple[int, Number, int] | None:
    """Read the connector and the second number of a range at `at`; return where it begins, it, and its end."""
    start = c.spaces(at)
    mark = c.longest(start, units.CONNECTORS, _KNOWN_CONNECTORS)
    if mark:
        if mark == "-" and start > at and c.at(start + 1) not in (" ", "\u00a0"):
            return None
        after = c.spaces(start + len(mark))
    else:
        word = c.word(start, _CONNECTING_WORDS)
        if word not in ("to", "or", "and") or start == at:
            return None
        if word == "and" and not c.before(c.start, 8).lower().endswith("between "):
            return None
        after = c.spaces(start + len(word))
        if after == start + len(word):
            return None
    signed = money and c.at(after) in units.SIGNS and c.at(after) == c.at(c.start)
    found = numerals.number(c, after + signed, money=money)
    if found is None or found.bad:
        return None
    return after, found, found.end


def with_range(c: Cursor, start: int, left: Number) -> list[Mark]:
    """Read a range whose first number has no unit of its own (3–5 %, 1〜3万円, three to five days).

    The first number takes the unit of the second, and its scale where the first is written as the smaller number.
    """
    right = _second(c, left.end)
    if right is None:
        return []
    from_at, second, end = right
    if _is_year(left) and not _is_year(second):
        return []  # 17.4% in 2023 to 18.8% in 2024
    after = suffixes.suffix(c, end, second)
    if after is None:
        day = c.at(end)
        if day == "月" and left.plain and 1 <= left.value <= 12 and 1 <= second.value <= 12:
            tail = dates.date(c, from_at)
            if tail and isinstance(tail[0].value, tuple):
                return [Mark(start, left.end, Kind.DATE, (tail[0].value[0], int(left.value), None)), *tail]
        return []
    unit_end, unit = after
    if c.at(unit_end) == "目" or dates.date(c, from_at):
        return []
    value = left.value
    if left.scale == 1 and second.scale > 1 and left.coefficient < second.coefficient:
        value = exact(value, second.scale)
    if left.form == "han" and not left.clear and second.form != "han":
        return []
    return [
        Mark(start, left.end, unit.kind, unit._replace(plus=Decimal(0)).of(value), unit.name),
        Mark(from_at, unit_end, unit.kind, unit.of(second.value), unit.name),
    ]


def counted(c: Cursor, start: int, at: int) -> tuple[list[Mark], int]:
    """Read a number in digits with what follows it; `start` is its sign, or `at`."""
    negative = start < at and c.text[start] in units.MINUS
    found = numerals.number(c, at)
    if found is None:
        return [], codes.identifier_end(c, max(c.digits(at), at + 1))
    if found.bad:
        return [], found.end
    if context.is_reference(c, start):
        stop = suffixes.suffix(c, found.end, found)
        if stop is None or c.before(start, 2).strip().endswith("第"):
            return [], stop[0] if stop else found.end
    parts = fraction(c, start, found)
    if parts:
        return parts, parts[-1].end
    marks = with_range(c, start, found) or share(c, at, found)
    if marks:
        if negative:
            marks[0] = _negated(marks[0])
        return marks, marks[-1].end
    sign = -1 if negative else 1
    after = suffixes.suffix(c, found.end, found)
    if after is not None:
        end, unit = after
        if c.at(end) == "目":
            return [], end + 1
        if found.value == 1 and unit.name == "share" and (c.longest(end, _EACH, _KNOWN_EACH) or is_digit(c.at(end))):
            return [], end  # 1株当たり
        return [Mark(start, end, unit.kind, unit.of(found.value, sign), unit.name)], end
    return _bare(c, start, found, sign)


def _bare(c: Cursor, start: int, found: Number, sign: int) -> tuple[list[Mark], int]:
    """Take a number without unit for a plain one, unless it is an ordinal, part of a name, or a code."""
    end = found.end
    if context.is_ordinal(c, end):
        return [], end + 1
    letters = c.letters(end)
    if letters:
        stop = end + len(letters)
        if letters.lower() in ("st", "nd", "rd", "th"):
            return [], stop
        if found.plain and letters.isupper() and start == end - len(found.plain):
            far = codes.identifier_end(c, stop)
            text = c.text[start:far].upper()
            known = letters in ("D", "G", "P", "FA", "Q", "H") and far == stop
            return ([], far) if known or "_" in text else ([Mark(start, far, Kind.CODE, text)], far)
        return [], codes.identifier_end(c, stop)
    nxt = c.at(end)
    if nxt == "_" or (nxt == "-" and c.at(end + 1).isascii() and c.at(end + 1).isupper()):
        return [], codes.identifier_end(c, end)
    if nxt == "." and _is_name_letter(c.at(end + 1)) and not c.at(end + 1).isupper():
        return [], codes.identifier_end(c, end)
    if len(found.plain) > 1 and found.plain[0] == "0" and found.form == "digit":
        return [Mark(start, end, Kind.CODE, found.plain)], end
    return [Mark(start, end, Kind.NUMBER, exact(found.value, sign))], end


def _is_year(number: Number) -> bool:
    return len(number.plain) == 4 and 1900 <= number.value <= 2100


def _negated(mark: Mark) -> Mark:
    return mark._replace(value=exact(mark.value, -1)) if isinstance(mark.value, Decimal) else mark


def fraction(c: Cursor, at: int, found: Number) -> list[Mark]:
    """Read 百分之三 (a percentage) and 三分の一."""
    end = found.end
    if c.at(end) != "分" or c.at(end + 1) not in ("之", "の") or found.bad or found.value == 0:
        return []
    top = numerals.number(c, end + 2)
    if top is None or top.bad or top.form == "word":
        return []
    if found.value in (100, 1000):
        return [Mark(at, top.end, Kind.PERCENT, exact(top.value * 100 / found.value), "%")]
    return [Mark(at, top.end, Kind.NUMBER, exact(top.value / found.value))]


def share(c: Cursor, at: int, found: Number) -> list[Mark]:
    """Read what tells a percentage as a share: one in ten, 1 in 100, two-thirds, three quarters of."""
    hyphen = c.at(found.end) == "-"
    start = found.end + 1 if hyphen else c.spaces(found.end)
    if start == found.end or found.bad or found.scale != 1 or not 1 <= found.value <= 99:
        return []
    word = c.word(start, _SHARE_WORDS).lower()
    end = start + len(word)
    if word == "in" and not hyphen:
        after = c.spaces(end)
        base = numerals.number(c, after) if after > end else None
        if base is None or base.bad or base.value not in _BASES or base.value <= found.value or c.at(base.end) == "%":
            return []
        unit = suffixes.suffix(c, base.end, base)
        glued = is_digit(c.at(base.end)) or _is_name_letter(c.at(base.end))
        if glued or (unit is not None and unit[1].kind is not Kind.QUANTITY):
            return []
        return [Mark(at, base.end, Kind.PERCENT, exact(found.value * 100 / base.value), "%")]
    parts = _PARTS.get(word.removesuffix("s") if found.value > 1 else word)
    if found.form != "word" or parts is None or parts <= found.value:
        return []
    of = c.word(c.spaces(end), _SHARE_WORDS).lower() == "of" and word != "quarter"
    before = context.word_before(c, at)
    if not (hyphen or of) or before in ("first", "last", "past", "next", "previous", "all", "the"):
        return []
    return [Mark(at, end, Kind.PERCENT, exact(found.value * 100 / parts), "%")]


def _is_name_letter(mark: str) -> bool:
    return mark.isascii() and (mark.isalpha() or mark == "_")
