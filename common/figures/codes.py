"""Phone numbers, account-like groups of digits, versions, and product codes."""

import re

from .dates import Mark
from .numerals import is_digit
from .script import Cursor, listed
from .value import Kind

_NAMES = frozenset(
    listed(
        "COVID-19 B2B B2C C2C B2G P2P O2O CO2 H2O O2 N2 G7 G8 G20 MP3 MP4 UTF-8 SHA-1 SHA-256 SHA-512 S3 "
        "EC2 W3C L10N I18N K8S PM2 A4 A3 A5 B5 Y2K X86 X64 IPV4 IPV6 F1 U2 M2M E2E V2X MI6 H1N1"
    )
)
"""Words of capitals and digits that name no product of a firm; never figures."""

_TERM = re.compile(r"(?:Q[1-4]|H[12]|[FC]Y)(?:[FC]Y)?(?:[0-9]{2}|[0-9]{4})?")
"""Quarters, half-years and business years: Q3, FY2024."""
_MOST_PARTS = 8
IDIOMS = (["24", "7"], ["50", "50"])
"""Fractions that state nothing."""


def phone(c: Cursor, at: int) -> list[Mark]:
    """Read `+81 6-1234-5678` or `(02) 2345-6789` at a plus sign or a bracket."""
    if c.at(at) == "+":
        end = c.digits(at + 1)
        digits, groups = c.text[at + 1 : end], 1
    else:
        end = c.digits(at + 1)
        digits, groups = c.text[at + 1 : end], 1
        if c.at(end) != ")" or not 2 <= len(digits) <= 5 or not (digits[0] == "0" or len(digits) == 3):
            return []
        end += 1
    while True:
        start = end + 1 if c.at(end) in ("-", " ", "\u00a0") else end
        bracket = c.at(start) == "("
        stop = c.digits(start + bracket)
        if stop == start + bracket or groups > 5:
            break
        if bracket and c.at(stop) != ")":
            break
        digits += c.text[start + bracket : stop]
        end = stop + bracket
        groups += 1
    plus = c.at(at) == "+"
    if groups < 2 or not (8 if plus else 9) <= len(digits) <= 15 or (plus and digits[0] == "0"):
        return []
    return [Mark(at, end, Kind.PHONE, ("+" if plus else "") + digits)]


def groups(c: Cursor, at: int) -> list[Mark]:
    """Read groups of digits that are no number: phones, accounts and cards, post codes, versions, 4/1."""
    end = c.digits(at)
    mark = c.at(end)
    first = c.text[at:end]
    if mark == "(" and first[:1] == "0" and 2 <= len(first) <= 5:
        inner = c.digits(end + 1)
        if c.at(inner) == ")" and (last := c.digits(inner + 1)) > inner + 1:
            digits = first + c.text[end + 1 : inner] + c.text[inner + 1 : last]
            return [Mark(at, last, Kind.PHONE, digits)] if 9 <= len(digits) <= 11 else []
    if not mark or mark not in "-./ " or not is_digit(c.at(end + 1)):
        return []
    parts = [first]
    while c.at(end) == mark and is_digit(c.at(end + 1)):
        if len(parts) == _MOST_PARTS:
            return []
        stop = c.digits(end + 1)
        parts.append(c.text[end + 1 : stop])
        end = stop
    if c.at(end) in (",", ".") and is_digit(c.at(end + 1)):
        return []
    kind, value = _grouped(mark, parts)
    if kind is None or (c.at(end).isascii() and (c.at(end).isalpha() or c.at(end) == "_")):
        return []
    return [Mark(at, end, kind, value)]


def _grouped(mark: str, parts: list[str]) -> tuple[Kind | None, str]:
    digits, count = "".join(parts), len(parts)
    sizes = [len(part) for part in parts]
    if mark == ".":
        european = all(size == 3 for size in sizes[1:]) and sizes[0] <= 3
        return (Kind.CODE, ".".join(parts)) if count > 2 and not european else (None, "")
    if mark == "/":
        small = count == 2 and max(sizes) <= 2 and parts not in IDIOMS
        return (Kind.CODE, "/".join(parts)) if small else (None, "")
    if mark == " ":
        if parts[0][0] == "0" and 2 <= sizes[0] <= 4 and count in (3, 4) and 9 <= len(digits) <= 11:
            return Kind.PHONE, digits
        return (Kind.CODE, digits) if count >= 3 and set(sizes) == {4} else (None, "")
    local = parts[0][0] == "0" and sizes[0] >= 2 and 9 <= len(digits) <= 11
    american = sizes[-3:] == [3, 3, 4] and (count == 3 or parts[:-3] == ["1"])
    if (local and count >= 2) or american:
        return Kind.PHONE, digits
    if count == 2:
        zero = any(part[0] == "0" and len(part) > 1 for part in parts)
        falling = int(parts[0]) > int(parts[1]) if max(sizes) <= 24 else True
        return (Kind.CODE, "-".join(parts)) if zero or falling else (None, "")
    return Kind.CODE, digits if len(digits) >= 12 else "-".join(parts)


def code(c: Cursor, at: int) -> tuple[list[Mark], int]:
    """Read a product code such as `KT-2025A` at a capital letter; return it with the index to go on from."""
    end, lower = at, 0
    while mark := c.at(end):
        if not mark.isascii():
            break
        if mark.isalnum():
            lower += mark.islower()
            end += 1
        elif mark == "-" and (after := c.at(end + 1)).isascii() and after and (after.isupper() or after.isdigit()):
            end += 1
        else:
            break
    text = c.text[at:end]
    folded = text.upper()
    far = identifier_end(c, end)
    has_digit = any(is_digit(mark) for mark in text)
    if not has_digit or lower > 2 or len(text) > 32 or far > end or folded in _NAMES:
        return [], max(far, end)
    if _TERM.fullmatch(folded):
        return [], far
    head = re.match(r"[A-Z]+", text)
    if lower and (not head or not re.search(r"[0-9][A-Za-z]*[a-z]", text) or re.search(r"[a-z][A-Za-z-]*[0-9]", text)):
        return [], far
    return [Mark(at, end, Kind.CODE, folded)], end


def identifier_end(c: Cursor, end: int) -> int:
    """Return the end of the identifier that goes on at `end`: letters, digits, `_`, and `.` or `-` between them."""
    while (mark := c.at(end)) and mark.isascii():
        after = c.at(end + 1) if mark in "._-" else ""
        if not (mark.isalnum() or mark == "_" or (after and after.isascii() and after.isalnum())):
            break
        end += 1
    return end
