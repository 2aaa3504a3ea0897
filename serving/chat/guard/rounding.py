"""Figures that state another one rounded: $51.2 billion of $51,217 million, about 164,000 of 163,700.

A figure is rounded where it says so (about, nearly, 約, 近) or where its scale does (51.2 billion); it then shows at
least two digits. What is written out in full says that it is exact.
"""

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

from common.figures import Figure, Kind
from serving.chat.guard.names import fold, is_cjk

_KINDS = frozenset({Kind.MONEY, Kind.NUMBER, Kind.QUANTITY, Kind.PERCENT})
_ABOUT = re.compile(
    r"(?:\b(?:approximately|approx\.?|about|around|roughly|some|circa|close to)|[~≈]"
    r"|約|およそ|おおよそ|概ね|大約|大约|约)"
    r"\s?\Z",
    re.IGNORECASE,
)
_BELOW = re.compile(r"(?:\b(?:nearly|almost|just (?:under|below))|ほぼ|近|將近|将近|接近)\s?\Z", re.IGNORECASE)
_ABOVE = re.compile(
    r"(?:\b(?:over|more than|above|exceeding|in excess of|upwards of)"
    r"|逾|超過|超过|超)\s?\Z",
    re.IGNORECASE,
)
_BELOW_AFTER = re.compile(r"\s?弱")
_ABOVE_AFTER = re.compile(r"\s?(?:強|余り?|超|以上|を超え|を上回)")
_ABOUT_AFTER = re.compile(r"\s?(?:程度|前後|左右|上下)")
_WRITTEN = re.compile(r"(\d[\d,]*)(?:\.(\d+))?")
_HEDGED = re.compile(r"[约約近逾超]|ほぼ|およそ|強|弱")
_TENTH = 2
"""Points by which about three tenths may be off."""
_PERCENT = re.compile(r"[%％割成‰点點]|per ?cent|pct|bps?\b|point|分之|パーセント|ポイント", re.IGNORECASE)
_SCALED = re.compile(
    r"(?i:thousand|million|billion|trillion|bn|mn|tn)|\d ?[KMB]\b|\d ?[千百]"
    r"|[万萬億亿兆](?![〇零一二三四五六七八九十百千\d])"
)
"""A figure that ends in a scale: 九千七百三十 is written to its last digit."""


def rounds(figure: Figure, exact: Figure, sentence: str) -> bool:
    """Whether `figure` of `sentence` is `exact` with fewer digits. Kind and unit agree already."""
    if figure.kind not in _KINDS or not isinstance(figure.value, Decimal) or not isinstance(exact.value, Decimal):
        return False
    if figure.kind is Kind.PERCENT and not _PERCENT.search(figure.text):
        return abs(figure.value - exact.value) < 1  # two thirds, one in five
    modes = _modes(figure, sentence)
    if figure.kind is Kind.PERCENT and figure.text.endswith(("成", "割")):
        return (bool(modes) or _HEDGED.search(sentence) is not None) and abs(figure.value - exact.value) <= _TENTH
    step = _step(figure)
    value, other = abs(figure.value), abs(exact.value)
    if not step or value < 10 * step or value == other or abs(value - other) >= step:
        return False
    return any((other / step).quantize(Decimal(1), mode) * step == value for mode in modes)


def may_round(figure: Figure, sentence: str) -> bool:
    """Whether `figure` of `sentence` is of a kind that is rounded, and says that it is."""
    plain = figure.kind is Kind.PERCENT and not _PERCENT.search(figure.text.rstrip("成割"))
    return figure.kind in _KINDS and (plain or bool(_modes(figure, sentence)))


def _modes(figure: Figure, sentence: str) -> list[str]:
    """How `figure` may have been rounded, as modes of `decimal`; none where it says that it is exact."""
    before, after = sentence[max(0, figure.start - 16) : figure.start], sentence[figure.end : figure.end + 6]
    if _BELOW.search(before) or _BELOW_AFTER.match(after):
        return [ROUND_UP]
    if _ABOVE.search(before) or _ABOVE_AFTER.match(after):
        return [ROUND_DOWN]
    if _ABOUT.search(before) or _ABOUT_AFTER.match(after):
        return [ROUND_HALF_UP]
    if not _SCALED.search(figure.text) or figure.kind is Kind.PERCENT:
        return []
    # Accounts in Chinese and Japanese cut off what they leave out.
    return [ROUND_HALF_UP, ROUND_DOWN] if is_cjk(figure.text) else [ROUND_HALF_UP]


def _step(figure: Figure) -> Decimal | None:
    """What the last digit that `figure` shows is worth; trailing zeros show nothing."""
    runs = list(_WRITTEN.finditer(fold(figure.text)))
    assert isinstance(figure.value, Decimal)
    value = abs(figure.value)
    if not value:
        return None
    if len(runs) == 1 and runs[0][2]:
        whole = Decimal(runs[0][1].replace(",", "") + "." + runs[0][2])
        return value / whole / 10 ** len(runs[0][2]) if whole else None
    digits = str(int(value)) if value == int(value) else ""
    # Two digits may be shown by a zero: 70,000 of 69,700.
    zeros = min(len(digits) - len(digits.rstrip("0")), max(0, len(digits) - 2))
    return Decimal(10) ** zeros if digits else None
