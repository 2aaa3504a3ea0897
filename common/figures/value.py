"""What a figure is: a typed value with its place in the text, and when two figures say the same."""

from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import TypeAlias

from .script import listed

_EXACT = Context(prec=64)

Value: TypeAlias = Decimal | str | tuple[int | None, int | None, int | None]


class Kind(StrEnum):
    """The type of a figure; it decides what `Figure.value` and `Figure.unit` hold."""

    MONEY = "money"
    PERCENT = "percent"
    QUANTITY = "quantity"
    DURATION = "duration"
    DATE = "date"
    TIME = "time"
    PHONE = "phone"
    CODE = "code"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: `text` is exactly the `start:end` slice (code points) of the text it was found in.

    | kind | value | unit |
    | --- | --- | --- |
    | MONEY | `Decimal` in the main unit of the currency | ISO 4217 code; `元` where only 元, 圓 or 塊 is written |
    | PERCENT | `Decimal`; basis points, 割 and ‰ are turned into percent | `%` |
    | QUANTITY, DURATION | `Decimal` as written, scales multiplied out | canonical singular: `kg`, `business day` |
    | DATE | `(year, month, day)`, Gregorian, `None` for what is not written | `None` |
    | TIME | `Decimal` minutes since midnight | `None` |
    | PHONE | digits as `str`, with a leading `+` where written | `None` |
    | CODE | upper-case folded `str`; long digit groups lose their separators | `None` |
    | NUMBER | `Decimal` | `None` |

    A range is two figures; the left one inherits what readers would give it (`3–5 %` is 3 % and 5 %).
    """

    text: str
    start: int
    end: int
    kind: Kind
    value: Value
    unit: str | None = None


def exact(value: Decimal, factor: Decimal | int = 1) -> Decimal:
    """Return `value * factor` in one canonical form: an integer without exponent, else no trailing zeros."""
    product = _EXACT.multiply(value, Decimal(factor))
    whole = product.to_integral_value()
    return _EXACT.quantize(whole, Decimal(1)) if product == whole else product.normalize(_EXACT)


COUNTERS = frozenset(
    listed(
        "item case sheet person time piece unit company store volume kind page character set floor share tablet "
        "household"
    )
)
"""Units that only count: `3枚` says what `three cards` says, so a plain 3 may stand for it."""

_SCALED: dict[str, tuple[str, Decimal]] = {
    unit: (base, Decimal(factor))
    for base, units in {
        "month": {"month": "1", "year": "12"},
        "second": {"second": "1", "minute": "60", "hour": "3600"},
        "day": {"day": "1", "week": "7"},
        "g": {"µg": "0.000001", "mg": "0.001", "g": "1", "kg": "1000", "t": "1000000"},
        "m": {"mm": "0.001", "cm": "0.01", "m": "1", "km": "1000"},
        "L": {"mL": "0.001", "L": "1"},
        "B": {"KB": "1E3", "MB": "1E6", "GB": "1E9", "TB": "1E12", "PB": "1E15"},
        "W": {"W": "1", "kW": "1000", "MW": "1E6"},
        "Wh": {"Wh": "1", "kWh": "1000", "MWh": "1E6"},
    }.items()
    for unit, factor in units.items()
}
_YUAN = frozenset({"TWD", "CNY", "HKD"})
_COUNTRY_CODES = ("886", "852", "81", "86", "82", "65", "61", "49", "44", "33", "1")


def same(a: Figure, b: Figure) -> bool:
    """Say whether two figures state the same value, kind and unit. Symmetric, not transitive.

    Units of one dimension are scaled (1.5 kg and 1,500 g, a year and 12 months; a day is *not* 24 hours, a business day
    is no day, a month no number of days). Across writings four things are equal on purpose: a bare `元` and TWD, CNY or
    HKD; a phone number with and without its country code; a NUMBER and a QUANTITY whose unit only counts (`COUNTERS`);
    a NUMBER and the DATE of that year alone. Dates are compared strictly: `4月1日` is not `2026年4月1日`.
    """
    if a.kind is not b.kind:
        return _number_for(a, b) or _number_for(b, a)
    if a.kind is Kind.MONEY:
        return a.value == b.value and same_unit(a.unit, b.unit)
    if a.kind is Kind.PHONE:
        return bool(_phone_forms(str(a.value)) & _phone_forms(str(b.value)))
    return base(a) == base(b)


def _number_for(number: Figure, other: Figure) -> bool:
    if number.kind is not Kind.NUMBER:
        return False
    if other.kind is Kind.QUANTITY:
        return other.unit in COUNTERS and number.value == other.value
    return other.kind is Kind.DATE and other.value == (number.value, None, None)


def same_unit(a: str | None, b: str | None) -> bool:
    """Say whether two units are one; a bare 元 may be any of three currencies."""
    return a == b or (a == "元" and b in _YUAN) or (b == "元" and a in _YUAN)


def _phone_forms(digits: str) -> set[str]:
    if not digits.startswith("+"):
        return {digits, digits.removeprefix("0")} if digits[:1] == "0" else {digits, digits.removeprefix("1")}
    number = digits[1:]
    code = next((code for code in _COUNTRY_CODES if number.startswith(code)), "")
    return {number[len(code) :].removeprefix("0")}


def base(figure: Figure) -> tuple[Value, str | None]:
    """The value of a figure in the least unit of its dimension, and that unit."""
    scaled = _SCALED.get(figure.unit or "")
    if scaled is None or not isinstance(figure.value, Decimal):
        return figure.value, figure.unit
    return exact(figure.value, scaled[1]), scaled[0]
