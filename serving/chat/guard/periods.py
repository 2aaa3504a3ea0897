"""Which year and quarter a figure of a sentence is of, as far as its words tell for certain.

`$5 in fiscal 2022`, `(2022: $5)`, `In fiscal 2022 revenue was $5`, `2022 and 2021: $5 and $4`. A word that compares
(from, versus, prior year, 前期) between a period and a figure leaves the figure without one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from common.figures import Figure
from common.figures.units import MONTHS, MONTHS_SHORT

_YEAR = (
    r"(?:(?<![\d.,$¥€£])(?:FY|CY|fiscal |fiscal year )?(?P<year>(?:19|20)\d\d)(?![\d%]|[.,]\d)"
    r"|(?<!\d)(?:民國|民国)?\s?(?P<roc>1[01]\d|[89]\d)\s?年(?=度|底|末|第|上半|下半|全年)"
    r"|令和\s?(?P<reiwa>\d{1,2}|元)年|平成\s?(?P<heisei>\d{1,2}|元)年)"
)
_QUARTER = (
    r"(?:(?<![A-Za-z0-9])Q(?P<a>[1-4])(?!\d)|(?<!\d)(?P<b>[1-4])Q|(?P<c>first|second|third|fourth) quarter"
    r"|第(?P<d>[1-4一二三四])(?:四半期|季)|第(?P<e>\d{1,3})期(?!間))"
)
_YEARS = re.compile(_YEAR, re.IGNORECASE)
_QUARTERS = re.compile(_QUARTER, re.IGNORECASE)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "一": 1, "二": 2, "三": 3, "四": 4}
_RELATIVE = re.compile(
    r"(?:prior|previous|preceding|last)[ -](?:fiscal )?(?:year|quarter|period)|year[ -]earlier"
    r"|(?:a|one) year (?:ago|earlier)"
    r"|前年同期|前(?:連結|事業|会計|中間)*(?:年度?|期)|昨年度?|昨期|去年|上年度?|上期|上季|前四半期|同期",
    re.IGNORECASE,
)
_TERM = re.compile(
    r"(?:前|当|今|本|上|來|来|次)(?:連結|事業|会計|四半|中間|第)*(?:年度|期|年)末?"
    r"|(?:current|prior|previous) (?:fiscal )?(?:year|quarter|period)"
)
# A year that is no period of a figure: notes due 2030, a plan through 2027, growth since 2019.
_NO_PERIOD = re.compile(
    r"(?:\b(?:due|matur\w+|through|until|till|by|since|before|after|beyond|expir\w+|founded|established)"
    r"(?: (?:in|on|fiscal(?: year)?|FY|the|end of"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*(?: \d{1,2},?)?))* ?"
    r"|(?:\b\w{3,}(?<!end)ed|\bbegun|\btaken|\bgiven|\bbought|\bsold) (?:in|on) "
    r"(?:[A-Z][a-z]{2,8}\.? )?(?:\d{1,2}, )?"
    r"|以来|自)\Z",
    re.IGNORECASE,
)
# A year that another one is held against.
_BASE = re.compile(
    r"(?:\b(?:compared (?:to|with)|versus|vs\.?|against|than(?: in)?|over|relative to)"
    r"(?: (?:the )?(?:fiscal )?(?:year )?)?|較|较|比|対) ?\Z",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\b(?:from|compar\w+|versus|vs|against|than|prior|previous|earlier|last year|relative)\b"
    r"|转为|轉為|[增降升減减]至|前[期年連]|昨|去年|上年|比べ|比較|較|较|から|より|対し",
    re.IGNORECASE,
)
_ATTACHED = re.compile(
    r"(?: (?:of )?[a-z'-]+(?: (?!in |for |during |as |at |on )[a-z'-]+){0,3})?,?"
    r"\s*(?:\(|in |for |during |as of |as at |at |on )(?:the )?"
    r"(?:(?:fiscal )?(?:year|quarter)s? )?(?:ended |ending |of |in )?"
    r"(?:[A-Z][a-z]{2,8}\.? \d{1,2}, )?(?:[A-Z][a-z]{2,8} )?\Z"
)
_OPENS = re.compile(r"\s*[:：]\s*\S")
_OR = re.compile(r",? or (?:about |approximately )?")
_IS = re.compile(r"\s*(?:は|の|が|為|为|[:：]|was|were|is)?\s*")
_JOINT = re.compile(r"\s*(?:,|、|，|and|or|&|と|及び|及|和|與|与|,\s*and)\s*(?:in |for )?", re.IGNORECASE)
_EARLY_TERM = re.compile(r"年\s?[1-6]月期")
_MONTH_BEFORE = re.compile(r"\b([A-Za-z]{3,9})\.? (?:\d{1,2},? )?\Z")
_MONTH_BEHIND = re.compile(r"年?\s?(\d{1,2})月")
_NEAR = 14


@dataclass(frozen=True, slots=True)
class Period:
    """A year, a quarter or a month of one. `years` are those that it may be called by."""

    start: int
    end: int
    years: frozenset[int]
    quarter: int | None = None
    month: int | None = None

    @property
    def relative(self) -> bool:
        """Whether it is told only from another: the prior year."""
        return not self.years and self.quarter is None

    def excludes(self, other: "Period") -> bool:
        """Whether nothing is of both: another year, or another quarter."""
        if self.years and other.years:
            # Two business terms are told apart by the year that they end in.
            alike = len(self.years) == len(other.years)
            if max(self.years) != max(other.years) if alike else not self.years & other.years:
                return True
        if self.month and other.month and self.month != other.month:
            return True
        return bool(self.quarter and other.quarter and self.quarter != other.quarter)


def periods(text: str) -> list[Period]:
    """The periods that `text` names, in order; one without year and quarter where it is only `the prior year`."""
    years: list[Period] = []
    for m in _YEARS.finditer(text):
        before = text[max(0, m.start() - 40) : m.start()]
        if not _NO_PERIOD.search(before):
            base = _BASE.search(before)
            years.append(Period(m.start(), m.end(), frozenset() if base else _years(text, m), month=_month(text, m)))
    found: list[Period] = []
    for m in _QUARTERS.finditer(text):
        told = next(value for value in m.groupdict().values() if value)
        quarter = _ORDINALS.get(told.lower()) or int(told)
        near = next((y for y in years if -_NEAR <= y.start - m.end() <= _NEAR or 0 <= m.start() - y.end <= 3), None)
        if near:
            years.remove(near)
            found.append(Period(min(near.start, m.start()), max(near.end, m.end()), near.years, quarter, near.month))
        else:
            found.append(Period(m.start(), m.end(), frozenset(), quarter))
    found += years
    found += [Period(m.start(), m.end(), frozenset()) for m in _RELATIVE.finditer(text)]
    return sorted(found, key=lambda one: one.start)


def _month(text: str, match: re.Match[str]) -> int | None:
    """The month that a year is named with: June 30, 2024; 2024年6月."""
    before = _MONTH_BEFORE.search(text[max(0, match.start() - 16) : match.start()])
    if before:
        return (MONTHS | MONTHS_SHORT).get(before[1].capitalize())
    behind = _MONTH_BEHIND.match(text, match.end())
    return int(behind[1]) if behind and 1 <= int(behind[1]) <= 12 else None


def _years(text: str, match: re.Match[str]) -> frozenset[int]:
    if match["year"]:
        year = int(match["year"])
    elif match["roc"]:
        year = int(match["roc"]) + 1911
    else:
        told, base = (match["reiwa"], 2018) if match["reiwa"] else (match["heisei"], 1988)
        year = base + (1 if told == "元" else int(told))
    # The term that ends in March 2024 is the business year 2023.
    early = _EARLY_TERM.match(text, match.end()) or _EARLY_TERM.match(text, match.end() - 1)
    return frozenset({year, year - 1} if early else {year})


def is_term(label: str) -> bool:
    """Whether a column is headed by a term without its year: 前連結会計年度, prior year."""
    return _TERM.fullmatch(label) is not None


def compares(text: str) -> bool:
    """Whether a sentence holds periods against each other without naming them."""
    return _COMPARES.search(text) is not None


def period_of(text: str, figure: Figure, figures: Sequence[Figure], named: Sequence[Period]) -> Period | None:
    """Of the periods `named` in a sentence the one that `figure` is of; None where that is not certain."""
    if any(one.start < figure.end and figure.start < one.end for one in named):
        return None
    before = [one for one in named if one.end <= figure.start]
    after = [one for one in named if one.start >= figure.end]
    for other in figures:
        if other.start >= figure.end and _OR.fullmatch(text[figure.end : other.start]):
            return period_of(text, other, figures, named)
    mine = [one for one in figures if not any(p.start < one.end and one.start < p.end for p in named)]
    if after and (attached := _behind(text, figure, mine, after)) is not None:
        return attached[0] if attached else None
    if not before:
        return None
    last = before[-1]
    if any(one.end <= last.start and _ATTACHED.match(text[one.end : last.start]) for one in mine):
        return None
    between = text[last.end : figure.start]
    if _COMPARES.search(between) or ";" in between or "；" in between or (last.relative and not _IS.fullmatch(between)):
        return None
    listed = _run(text, before[::-1], back=True)[::-1]
    if len(listed) == 1:
        return last
    run = _run(text, [one for one in mine if one.start >= last.end])
    return listed[run.index(figure)] if len(run) == len(listed) and figure in run else None


def _behind(text: str, figure: Figure, figures: Sequence[Figure], after: Sequence[Period]) -> list[Period] | None:
    """The period that follows `figure` and is tied to it; an empty list where that is not clear, None without one."""
    first = after[0]
    if _OPENS.match(text, first.end):
        return None  # $7 (2022: $8)
    run = [one for one in figures if one.end <= first.start]
    tail = _run(text, run[::-1], back=True)[::-1]
    if figure not in tail or not _ATTACHED.match(text[tail[-1].end : first.start]):
        return None
    listed = [first]
    for one in after[1:]:
        if not _JOINT.fullmatch(text[listed[-1].end : one.start]):
            break
        listed.append(one)
    if len(listed) == 1:
        return [first] if figure == tail[-1] else []
    return [listed[tail.index(figure)]] if len(tail) == len(listed) else []


Spanned = TypeVar("Spanned", Figure, Period)


def _run(text: str, items: Sequence[Spanned], *, back: bool = False) -> list[Spanned]:
    """The items from the first on that stand side by side as `5, 4 and 3` do."""
    out = list(items[:1])
    for one in items[1:]:
        between = text[one.end : out[-1].start] if back else text[out[-1].end : one.start]
        if not _JOINT.fullmatch(between):
            break
        out.append(one)
    return out
