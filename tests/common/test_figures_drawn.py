"""Figures of any value, in every writing: an oracle writes them, which shares no code with what reads them."""

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from common.figures import Kind, find
from tests.common.figure_tables import listed

HAN = "〇一二三四五六七八九"


def han(value: int) -> str:
    """Write an integer below 10**8 in Japanese numerals."""
    if value >= 10_000:
        return han(value // 10_000) + "万" + (han(value % 10_000) if value % 10_000 else "")
    out = ""
    for unit, mark in ((1000, "千"), (100, "百"), (10, "十")):
        digit, value = divmod(value, unit)
        out += ("" if digit == 1 else HAN[digit]) + mark if digit else ""
    return out + (HAN[value] if value else "")


ONES = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
TENS = ["_", *listed("_ twenty thirty forty fifty sixty seventy eighty ninety")]


def words(value: int) -> str:
    """Write an integer below 10**9 in English words."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10] + (f"-{ONES[value % 10]}" if value % 10 else "")
    for unit, name, joint in ((10**6, "million", " "), (1000, "thousand", " "), (100, "hundred", " and ")):
        if value >= unit:
            rest = value % unit
            return f"{words(value // unit)} {name}" + (f"{joint}{words(rest)}" if rest else "")
    raise AssertionError


def wide(text: str) -> str:
    """Write ASCII as full-width forms."""
    return "".join(chr(ord(mark) + 0xFEE0) if "!" <= mark <= "~" else mark for mark in text)


CARRIERS = [
    "The answer is {}, as the leaflet says.",
    "As of now it is {} (see the leaflet).",
    "手数料は{}です。",
    "ご案内：{}となります。",
    "費用為{}，請留意。",
    "根据规定，{}。",
    "| Gold | {} | yes |",
    "**{}**",
]
carriers = st.sampled_from(CARRIERS)
MANY = settings(max_examples=400, derandomize=True, deadline=None)


def alone(carrier: str, text: str, kind: Kind, value: object, unit: str | None) -> None:
    """Assert that exactly the written figure is found in its sentence, span and all."""
    sentence = carrier.format(text)
    figures = find(sentence)
    assert [(f.text, f.kind, f.value, f.unit) for f in figures] == [(text, kind, value, unit)], sentence
    assert figures[0].start == carrier.index("{}")


AMOUNTS = [
    lambda n: (f"{n:,}円", "JPY"),
    lambda n: (f"{n}円", "JPY"),
    lambda n: (wide(f"{n:,}") + "円", "JPY"),
    lambda n: (han(n) + "円", "JPY"),
    lambda n: (f"¥{n:,}", "JPY"),
    lambda n: (f"JPY {n:,}", "JPY"),
    lambda n: (f"{n:,} yen", "JPY"),
    lambda n: (f"{words(n)} yen", "JPY"),
    lambda n: (f"NT${n:,}", "TWD"),
    lambda n: (f"新臺幣{n:,}元", "TWD"),
    lambda n: (f"{han(n)}元", "元"),
    lambda n: (f"${n:,}.00", "USD"),
    lambda n: (f"{n:,} euros", "EUR"),
    lambda n: (f"人民币{n}元", "CNY"),
]


@MANY
@given(st.integers(2, 99_999_999), st.sampled_from(AMOUNTS), carriers)
def test_any_amount(value: int, write: object, carrier: str) -> None:
    """An amount of money in any style and language is found as written."""
    text, unit = write(value)  # type: ignore[operator]
    alone(carrier, text, Kind.MONEY, Decimal(value), unit)


RATES = [
    lambda d: f"{d}%",
    lambda d: f"{d} %",
    lambda d: wide(f"{d}%"),
    lambda d: f"{d} percent",
    lambda d: f"{d}パーセント",
    lambda d: f"百分之{d}",
]


@MANY
@given(st.decimals(0, 200, places=2), st.sampled_from(RATES), carriers)
def test_any_rate(value: Decimal, write: object, carrier: str) -> None:
    """A percentage is found, and 12.00 % is 12 %."""
    text = write(value)  # type: ignore[operator]
    if text.startswith("百"):
        found = find(carrier.format(text))
        assert [f.value for f in found] == [value]
    else:
        alone(carrier, text, Kind.PERCENT, value, "%")


DAYS = [
    lambda d: d.isoformat(),
    lambda d: f"{d.year}/{d.month}/{d.day}",
    lambda d: f"{d.year}年{d.month}月{d.day}日",
    lambda d: wide(f"{d.year}") + "年" + wide(f"{d.month}") + "月" + wide(f"{d.day}") + "日",
    lambda d: f"{d.day} {d:%B} {d.year}",
    lambda d: f"{d:%B} {d.day}, {d.year}",
    lambda d: f"令和{d.year - 2018}年{d.month}月{d.day}日",
    lambda d: f"R{d.year - 2018}.{d.month}.{d.day}",
    lambda d: f"民國{d.year - 1911}年{d.month}月{d.day}日",
    lambda d: f"{''.join(HAN[int(x)] for x in str(d.year))}年{han(d.month)}月{han(d.day)}日",
]


@MANY
@given(st.dates(date(2020, 1, 1), date(2060, 12, 31)), st.sampled_from(DAYS), carriers)
def test_any_day(day: date, write: object, carrier: str) -> None:
    """A date in three calendars is one Gregorian day."""
    alone(carrier, write(day), Kind.DATE, (day.year, day.month, day.day), None)  # type: ignore[operator]


MEASURES = [
    ("{} business days", "business day", Kind.DURATION),
    ("{}営業日", "business day", Kind.DURATION),
    ("{}個工作天", "business day", Kind.DURATION),
    ("{}か月", "month", Kind.DURATION),
    ("{}個月", "month", Kind.DURATION),
    ("{} months", "month", Kind.DURATION),
    ("{}分鐘", "minute", Kind.DURATION),
    ("{}時間", "hour", Kind.DURATION),
    ("{}小时", "hour", Kind.DURATION),
    ("{} kg", "kg", Kind.QUANTITY),
    ("{}GB", "GB", Kind.QUANTITY),
    ("{}歳", "year old", Kind.QUANTITY),
    ("{}枚", "sheet", Kind.QUANTITY),
    ("{}名", "person", Kind.QUANTITY),
    ("{} km", "km", Kind.QUANTITY),
]


@MANY
@given(st.integers(2, 9999), st.sampled_from(MEASURES), st.sampled_from(["plain", "comma", "wide", "han"]), carriers)
def test_any_measure(value: int, measure: tuple[str, str, Kind], style: str, carrier: str) -> None:
    """Durations and quantities take their unit, in digits of every script."""
    pattern, unit, kind = measure
    if style == "han" and pattern.isascii():
        style = "plain"
    number = {"plain": str(value), "comma": f"{value:,}", "wide": wide(str(value)), "han": han(value)}[style]
    alone(carrier, pattern.format(number), kind, Decimal(value), unit)


PAIRS = [
    ("{} to {} yen", Kind.MONEY, "JPY"),
    ("{}〜{}円", Kind.MONEY, "JPY"),
    ("{}–{} %", Kind.PERCENT, "%"),
    ("{}至{}天", Kind.DURATION, "day"),
    ("{}-{} months", Kind.DURATION, "month"),
]


@MANY
@given(st.integers(1, 999), st.integers(1, 999), st.sampled_from(PAIRS), carriers)
def test_any_range(low: int, more: int, pair: tuple[str, Kind, str], carrier: str) -> None:
    """A range is two figures, and the left one has the unit of the right."""
    pattern, kind, unit = pair
    figures = find(carrier.format(pattern.format(f"{low:,}", f"{low + more:,}")))
    assert [(f.kind, f.value, f.unit) for f in figures] == [(kind, low, unit), (kind, low + more, unit)]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(13, 999_999_999))
def test_any_number_in_words(value: int) -> None:
    """English number words are read to the value that wrote them."""
    alone("There were {} in all.", words(value), Kind.NUMBER, Decimal(value), None)
