"""Numbers as people write them: digits with separators, Chinese and Japanese numerals, English words, scales."""

import re
from decimal import Decimal
from typing import NamedTuple

from . import units
from .script import Cursor, listed, prefixes
from .value import exact


class Number(NamedTuple):
    """A number in the text: `value` is `coefficient * scale`; `form` is `digit`, `han` or `word`.

    `plain` is the bare run of digits where the number is nothing else. `clear` says that the writing alone makes it a
    number, without a unit (一万二千, but not 三); `bad` that the run of numerals is no number and is skipped whole.
    """

    end: int
    value: Decimal
    coefficient: Decimal
    scale: Decimal
    form: str
    plain: str = ""
    clear: bool = True
    bad: bool = False


ONE = Decimal(1)
MAX_DIGITS = 24
"""Longer runs of digits are digests or keys, not figures."""

PARTS = {"½": Decimal("0.5"), "¼": Decimal("0.25"), "¾": Decimal("0.75")}
_SEPARATORS = ",'\u00a0"

HAN_DIGITS = {
    mark: at
    for at, line in enumerate(listed("〇零 一壱壹弌 二弐貳贰兩两 三参參叁 四肆 五伍 六陸陆 七柒 八捌 九玖"))
    for mark in line
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_BIG = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12}
_TENS_MARKS = {"廿": 20, "卅": 30}
HAN = frozenset(HAN_DIGITS) | frozenset(_SMALL) | frozenset(_BIG) | frozenset(_TENS_MARKS)

_SMALL_WORDS = {
    word: at
    for at, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen"
        )
    )
}
_TENS = {
    word: 20 + 10 * at
    for at, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
}
NUMBER_WORDS = frozenset(_SMALL_WORDS) | frozenset(_TENS) | frozenset(units.SCALE_WORDS)
KNOWN_WORDS = prefixes(NUMBER_WORDS | {"and", "a", "half"})
_KNOWN_SCALES = prefixes(word.lower() for word in (*units.SCALE_WORDS, *units.SCALE_MARKS, *units.MONEY_SCALE_MARKS))
_LEADING_ZERO = re.compile(r"0[0-9]")


def number(c: Cursor, at: int, *, money: bool = False) -> Number | None:
    """Read the number that begins at `at`, with its scale; `money` admits the scales that only amounts have."""
    first = c.at(at)
    if first in HAN and first:
        return _han(c, at)
    if (first.isascii() and first.isdigit()) or (first == "." and is_digit(c.at(at + 1))):
        found = _digits(c, at)
        return found and scaled(c, found, money)
    found = _words(c, at)
    return found and scaled(c, found, money)


def is_digit(mark: str) -> bool:
    return "0" <= mark <= "9"


def _digits(c: Cursor, at: int) -> Number | None:
    end = c.digits(at)
    raw, plain, fraction = c.text[at:end], True, ""
    if len(raw) <= 3 and raw[:1] != "0" and raw:
        separator = c.at(end)
        while separator and separator in _SEPARATORS and c.at(end) == separator:
            group = c.digits(end + 1)
            if group - end != 4:
                break
            raw, end, plain = raw + c.text[end + 1 : group], group, False
    dots = []
    while c.at(end) == "." and is_digit(c.at(end + 1)):
        stop = c.digits(end + 1)
        dots.append(c.text[end + 1 : stop])
        end = stop
    if dots:
        comma = c.digits(end + 1) if plain and c.at(end) == "," else 0
        if (
            all(len(dot) == 3 for dot in dots)
            and (len(dots) > 1 or comma == end + 3)
            and 0 < len(raw) <= 3
            and raw != "0"
        ):
            raw += "".join(dots)
            if comma == end + 3:
                fraction, end = c.text[end + 1 : comma], comma
        elif len(dots) == 1:
            fraction = dots[0]
        else:
            return None
        plain = False
    if len(raw) + len(fraction) > MAX_DIGITS:
        return None
    value = Decimal(f"{raw or '0'}.{fraction or '0'}")
    part = PARTS.get(c.at(end))
    if part is not None:
        value, end, plain = value + part, end + 1, False
    value = exact(value)
    return Number(end, value, value, ONE, "digit", raw if plain else "")


def scaled(c: Cursor, found: Number, money: bool = True) -> Number:
    """Add the scale after a number: 3 million, 12k, 1.2万, 1億2000万."""
    mark = c.at(found.end)
    if mark in HAN and mark and found.form == "digit":
        if mark in _SMALL or mark in _BIG:
            return _han(c, found.end, found)
        return found
    at = c.spaces(found.end)
    if at == found.end and mark == "-":
        at += 1
    word = c.word(at, _KNOWN_SCALES)
    if not word or is_digit(c.at(at + len(word))):
        return found
    scale = units.SCALE_WORDS.get(word.lower())
    if scale is None and (at == found.end or (len(word) > 1 or money)) and c.text[at - 1] != "-":
        scale = units.MONEY_SCALE_MARKS.get(word) if money else None
        scale = scale or units.SCALE_MARKS.get(word)
    if scale is None or (found.form == "word" and found.scale > ONE):
        return found
    value = exact(found.value, scale)
    return found._replace(end=at + len(word), value=value, scale=Decimal(scale), plain="")


def _han(c: Cursor, at: int, lead: Number | None = None) -> Number:
    """Read numerals of Chinese and Japanese; `lead` is a number in digits already read before `at`."""
    total, section = Decimal(0), Decimal(0)
    current = lead.value if lead else None
    small = big = Decimal("Infinity")
    end, marks, scales, bad, concatenated, mixed = at, 0, 0, False, "", False
    while not bad:
        mark = c.at(end)
        if mark in HAN_DIGITS and mark:
            run = end
            while (digit := c.at(run)) and digit in HAN_DIGITS:
                run += 1
            digits = "".join(str(HAN_DIGITS[digit]) for digit in c.text[end:run])
            bad = current is not None
            if len(digits.lstrip("0")) > 1 or (len(digits) > 1 and not scales and end == at):
                bad = bad or bool(scales) or lead is not None
                concatenated = digits
            current, marks, end = Decimal(digits), marks + run - end, run
            if c.at(end) in ("点", "點") and c.at(end + 1) in HAN_DIGITS and c.at(end + 1) and not concatenated:
                stop = end + 1
                while (digit := c.at(stop)) and digit in HAN_DIGITS:
                    stop += 1
                digits += "." + "".join(str(HAN_DIGITS[digit]) for digit in c.text[end + 1 : stop])
                current, end = Decimal(digits), stop
        elif mark in _TENS_MARKS and mark:
            bad = current is not None or small <= 10
            section, small, marks, scales, end = (
                section + _TENS_MARKS[mark],
                Decimal(10),
                marks + 1,
                scales + 1,
                end + 1,
            )
        elif mark in _SMALL and mark:
            unit = Decimal(_SMALL[mark])
            bad = unit >= small or bool(concatenated)
            section, small, current = section + (ONE if current is None else current) * unit, unit, None
            marks, scales, end = marks + 1, scales + 1, end + 1
        elif mark in _BIG and mark:
            unit = Decimal(_BIG[mark])
            section += current or 0
            if not section and total and unit > big:
                total *= unit
            else:
                bad = not section or unit >= big or bool(concatenated)
                total += section * unit
            section, current, small, big = Decimal(0), None, Decimal("Infinity"), unit
            marks, scales, end = marks + 1, scales + 1, end + 1
        elif is_digit(mark) and current is None and (scales or lead):
            inner = _digits(c, end)
            if inner is None or inner.value >= min(small, big):
                break
            current, end, mixed = inner.value, inner.end, True
        else:
            break
    while bad and c.at(end) in HAN and c.at(end):
        end += 1
    if len(concatenated) > MAX_DIGITS or marks > 2 * MAX_DIGITS:
        bad = True
    value = exact(total + section + (current or 0)) if not bad else Decimal(0)
    clear = bool(lead) or (marks >= 2 and scales > 0)
    if concatenated and not (len(concatenated) >= 4 or "0" in concatenated):
        bad = True
    coefficient, scale = value, ONE
    if lead:
        if lead.value and marks == scales and not mixed and not bad:
            coefficient, scale = lead.value, exact(value / lead.value)
    elif not bad and big < Decimal("Infinity") and not section and not current and total:
        coefficient, scale = exact(total / big), big
    return Number(end, value, coefficient, scale, "han", concatenated, clear, bad)


def _words(c: Cursor, at: int) -> Number | None:
    """Read English number words from `at`: `one hundred and twenty-five thousand`, `two and a half`."""
    total = section = 0
    last = 10**18  # the size class of the word before: what follows must be smaller, or a scale
    end = at
    joined = True
    while True:
        start = end
        if end > at:
            mark = c.at(end)
            if mark not in (" ", "-", "\u00a0") or not mark:
                break
            start = end + 1
        word = c.word(start, KNOWN_WORDS).lower()
        if word == "and" and end > at and last >= 100:
            after = c.spaces(start + 3)
            if after == start + 3:
                break
            word, start = c.word(after, KNOWN_WORDS).lower(), after
            joined = False
        if word in _SMALL_WORDS:
            value = _SMALL_WORDS[word]
            if last < 20 or (last < 100 and not 0 < value < 10) or (end > at and value == 0):
                break
            section, last = section + value, min(19, last) if value >= 10 else 1
        elif word in _TENS:
            if last < 100:
                break
            section, last = section + _TENS[word], 20
        elif word == "hundred" and joined:
            if last >= 100 and end > at:
                break
            section, last = max(section, 1) * 100, 100
        elif word in units.SCALE_WORDS and word != "hundred" and joined:
            scale = units.SCALE_WORDS[word]
            if total and total % scale == 0 and total // scale < 1000 and not section:
                break
            total, section, last = total + max(section, 1) * scale, 0, scale
        else:
            break
        joined = True
        end = start + len(word)
    if end == at:
        return None
    value = Decimal(total + section)
    if total == 0 and section < 20:
        half = _half(c, end)
        if half:
            value, end = value + Decimal("0.5"), half
    value = exact(value)
    scale = Decimal(last) if last >= 1000 and total and not section else ONE
    return Number(end, value, exact(value / scale), scale, "word")


def _half(c: Cursor, at: int) -> int:
    """Return the end of ` and a half` at `at`, or 0."""
    end = at
    for word in ("and", "a", "half"):
        start = c.spaces(end)
        if start == end or c.word(start, KNOWN_WORDS).lower() != word:
            return 0
        end = start + len(word)
    return end
