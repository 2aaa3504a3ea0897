"""Figures: what is one, what is none, and which are the same."""

import re

import pytest

from common.figures import Figure, find, same
from tests.common.figure_tables import CASES, FALSE_ALARMS


def shown(figure: Figure) -> str:
    """Write a figure as the tables do."""
    value = "-".join(map(str, figure.value)) if isinstance(figure.value, tuple) else str(figure.value)
    return f"{figure.text}|{figure.kind}|{value}|{figure.unit}"


@pytest.mark.parametrize(("text", "wanted"), CASES, ids=[text for text, _ in CASES])
def test_figures_are_found(text: str, wanted: list[str]) -> None:
    """Each writing gives its typed values, and spans that are slices of the text."""
    figures = find(text)
    assert [shown(figure) for figure in figures] == wanted
    assert all(text[figure.start : figure.end] == figure.text for figure in figures)


@pytest.mark.parametrize("text", FALSE_ALARMS)
def test_nothing_is_found(text: str) -> None:
    """List marks, ordinals, references, names and words with numerals are no figures."""
    assert find(text) == []


def test_tables_are_large_enough() -> None:
    """The hand-written tables keep their promised size."""
    assert len(CASES) >= 150
    assert len(FALSE_ALARMS) >= 60


def the(text: str) -> Figure:
    """Return the only figure of a text."""
    (figure,) = find(text)
    return figure


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("$1,200", "$1200"),
        ("12%", "12.0 percent"),
        ("twelve", "１２"),
        ("一万二千円", "1.2万円"),
        ("一万二千円", "JPY 12,000"),
        ("1.5 kg", "1,500 g"),
        ("1 year", "12か月"),
        ("90分", "1.5 hours"),
        ("3,600元", "NT$3,600"),
        ("+81 6-1234-5678", "06-1234-5678"),
        ("令和8年4月1日", "1 April 2026"),
        ("民國115年4月1日", "2026-04-01"),
        ("午後3時", "15:00"),
        ("3枚", "three"),
        ("2026年", "2026"),
        ("25bps", "0.25%"),
    ],
)
def test_same_across_writings(a: str, b: str) -> None:
    """One fact in two writings is one fact, either way round."""
    assert same(the(a), the(b))
    assert same(the(b), the(a))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("12%", "12"),
        ("$12", "€12"),
        ("$12", "12"),
        ("3 days", "3 business days"),
        ("24 hours", "1 day"),
        ("4月1日", "2026年4月1日"),
        ("3枚", "3名"),
        ("2年", "2026年"),
        ("3月", "3か月"),
        ("-5%", "5%"),
        ("3,600元", "¥3,600"),
        ("9:00", "9"),
    ],
)
def test_not_the_same(a: str, b: str) -> None:
    """Another kind, unit, currency, sign or precision is another fact."""
    assert not same(the(a), the(b))


def test_no_figure_spans_lines() -> None:
    """A figure never crosses a line end."""
    assert not [f for f in find("12\n% 3\nbusiness days\n2026年\n4月") if re.search(r"\n", f.text)]
