"""Figures in running text, and the same text with its figures drawn anew.

What changes between two readings of a document (amounts, rates, dates, times, numbers to call) is drawn anew in the
form in which it stands: digits, separators, width, unit and scale stay, the value goes. So a model that trains on the
text has nothing to remember, and still meets every way in which the firm writes a figure.
"""

import random
import re
import unicodedata
from dataclasses import dataclass

_NUMBER = r"[\d０-９]+(?:[,，][\d０-９]{3})*(?:[.．][\d０-９]+)?"
_HAN = "一二三四五六七八九十百千萬万"
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_MONTH = "|".join(MONTHS)
_UNITS = (
    r"business days?|working days?|days?|weeks?|months?|years?|hours?|minutes?|visits?|times|cm|"
    r"営業日|か月|ヶ月|年間|日間|時間|分|日|年|歳|名|枚|回|台|口|"
    r"個工作天|工作天|個月|小時|分鐘|公分|天|年|歲|位|次|張"
)
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("phone", r"\+\d{1,3}(?: \d{1,4}){2,4}|0\d{1,3}-\d{2,4}-\d{4}"),
    ("hours", r"\d{1,2}:\d{2}\s?[–\-~〜～至]\s?\d{1,2}:\d{2}"),
    ("time", r"\d{1,2}:\d{2}"),
    (
        "date",
        rf"\d{{1,2}} (?:{_MONTH}) \d{{4}}|(?:令和|民國|平成|西元)?\d{{1,4}}年\d{{1,2}}月\d{{1,2}}日"
        r"|\d{1,2}月\d{1,2}日|\d{4}-\d\d-\d\d",
    ),
    ("percent", rf"{_NUMBER} ?[%％]|{_NUMBER} per cent|[{_HAN}]成[{_HAN}]?"),
    (
        "money",
        rf"(?:USD|GBP|EUR|JPY|TWD|CHF|NT\$|US\$|[$€£¥])\s?{_NUMBER}"
        rf"|(?:新臺幣|新台幣)(?:{_NUMBER}[億萬千]?|[{_HAN}]{{1,6}})元"
        rf"|{_NUMBER}(?:[億万萬](?:{_NUMBER})?千?)?(?:円|元|美元|日圓|ドル|ユーロ|歐元)"
        rf"|{_NUMBER} (?:yen|dollars|euros|pounds)",
    ),
    (
        "quantity",
        rf"{_NUMBER} to {_NUMBER} (?:days|months|years)|満{_NUMBER}歳以上満{_NUMBER}歳以下|{_NUMBER}歲至{_NUMBER}歲"
        rf"|{_NUMBER} ?(?:{_UNITS})(?![a-z])",
    ),
)
_FIGURE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS))
_BEFORE = re.compile(r"(?:up to |at least |年滿|最長|最高|平日|每月|每年|毎月|週一至週五|満|年|月)$")
_AFTER = re.compile(r"^(?:以上|以下|まで|以內|（税込）|（含稅）)")


@dataclass(frozen=True, slots=True)
class Figure:
    """A half-open range of a text that is one figure, with the words that belong to it ("年0.21%", "満18歳以上")."""

    start: int
    end: int
    kind: str


def figures(text: str) -> list[Figure]:
    """The figures of `text`, in order."""
    found: list[Figure] = []
    for match in _FIGURE.finditer(text):
        start, end = match.span()
        # A word that belongs to the figure, unless it ends another figure: "令和8年10%".
        before = _BEFORE.search(text[max(0, start - 8) : start])
        if before and not text[: start - len(before[0])][-1:].isdigit():
            start -= len(before[0])
        if after := _AFTER.match(text[end:]):
            end += len(after[0])
        found.append(Figure(start, end, match.lastgroup or "quantity"))
    return found


def normal(figure: str) -> str:
    """`figure` for comparison: NFKC, no spaces, no commas, one dash."""
    plain = unicodedata.normalize("NFKC", figure).replace(",", "")
    return re.sub(r"\s+", "", re.sub(r"[–—〜~‐−]", "-", plain))


def core(text: str) -> str:
    """The figure in `text`, for comparison: without words around it and the currency that goes without saying."""
    match = _FIGURE.search(text)
    return re.sub(r"^(?:新臺幣|新台幣)", "", normal(match[0] if match else text))


def redraw(figure: str, kind: str, rng: random.Random) -> str:
    """Another figure of the same form. May return the same one when the form leaves little choice."""
    match kind:
        case "phone":
            return figure[:-4] + "".join(str(rng.randrange(10)) for _ in range(4))
        case "hours" | "time":
            return _redraw_times(figure, rng)
        case "date":
            return _redraw_date(figure, rng)
        case _:
            if not re.search(r"[\d０-９]", figure):
                return _redraw_han(figure, rng)
            return re.sub(_NUMBER, lambda number: _redraw_number(number[0], kind, rng), figure)


def _redraw_times(figure: str, rng: random.Random) -> str:
    hours = iter(sorted(rng.sample(range(7, 21), 2)))

    def time(old: re.Match[str]) -> str:
        return f"{next(hours)}:{rng.choice(('00', '00', '15', '30', '30', '45'))}"

    return re.sub(r"\d{1,2}:\d{2}", time, figure)


def _redraw_date(figure: str, rng: random.Random) -> str:
    for month in MONTHS:
        if month in figure:
            year = int(figure[-4:]) + rng.randint(-1, 2)
            return f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {year}"
    figure = re.sub(r"(\d+)(?=年)", lambda year: str(max(1, int(year[0]) + rng.randint(-1, 2))), figure)
    figure = re.sub(r"\d+(?=月)", lambda _: str(rng.randint(1, 12)), figure)
    return re.sub(r"\d+(?=日)", lambda _: str(rng.randint(1, 28)), figure)


def _redraw_han(figure: str, rng: random.Random) -> str:
    return re.sub("[一二三四五六七八九]", lambda _: rng.choice("二三四五六七八九"), figure)


def _redraw_number(number: str, kind: str, rng: random.Random) -> str:
    """As many digits as before; zeros at the end of a large amount mostly stay, as amounts are round."""
    wide = any("０" <= c <= "９" for c in number)
    plain = unicodedata.normalize("NFKC", number)
    digits = plain.replace(",", "")
    whole, _, decimals = digits.partition(".")
    zeros = len(whole) - len(whole.rstrip("0")) if not decimals else 0
    if kind == "money" and zeros and zeros == len(whole) - 1 and len(whole) > 2 and rng.random() < 0.4:
        zeros -= 1
    if kind == "quantity" and len(whole) == 1 and rng.random() < 0.25:
        whole = "1" + whole
        zeros = 0
    head = "".join(str(rng.randrange(10)) for _ in range(len(whole) - zeros))
    if head and head[0] == "0" and (len(whole) > 1 or not decimals):
        head = str(rng.randint(1, 9)) + head[1:]
    whole = (head + "0" * zeros) if whole != "0" else whole
    drawn = f"{int(whole):,}" if "," in plain else whole
    if decimals:
        drawn += "." + "".join(str(rng.randrange(10)) for _ in decimals[:-1]) + str(rng.randrange(10))
        if float(drawn.replace(",", "")) == 0:
            drawn = drawn[:-1] + str(rng.randint(1, 9))
    return drawn.translate(_WIDE) if wide else drawn


_WIDE = str.maketrans("0123456789,.", "０１２３４５６７８９，．")
