"""Answers as large models give them over annual reports: rounded, scaled, of the right year, a loss as a loss.

The reports of `reports.jsonl` are made, in the shapes of a 10-K, a 決算短信, a 年報: tables that state their scale
once, business years and quarters, negative amounts in brackets, prose about the same. In its answers each figure is
marked: `{+5%}` the evidence carries, `{-6%}` it does not.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.language import language_of
from serving.chat.guard import HELD_AGAINST, Guard
from serving.chat.guard.periods import periods
from tests.fakes.knowledge import evidence

LINES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("reports.jsonl").read_text(encoding="utf-8").splitlines()
]
REPORTS = {one["report"]: one["chunks"] for one in LINES if "report" in one}
ANSWERS = [one for one in LINES if "of" in one]
_MARK = re.compile(r"\{([+-])([^{}]*)\}")


def marked(answer: str) -> tuple[str, list[tuple[int, int, bool]]]:
    """The text of an answer, and where its figures stand and whether each is right."""
    text, at, spans = "", 0, list[tuple[int, int, bool]]()
    for mark in _MARK.finditer(answer):
        text += answer[at : mark.start()]
        spans.append((len(text), len(text) + len(mark[2]), mark[1] == "+"))
        text, at = text + mark[2], mark.end()
    return text + answer[at:], spans


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: f"{case['of']}: {case['answer'][:40]}")
def test_right_figures_of_a_report_pass_and_wrong_ones_do_not(case: dict[str, Any]) -> None:
    """Another year's, another line's, another scale's, a loss told as income: held against the answer, nothing else."""
    text, spans = marked(case["answer"])
    chunks = [evidence(body, f"{i}.pdf", title=title) for i, (title, body) in enumerate(REPORTS[case["of"]])]
    judged = Guard(case["question"], chunks, language_of(case["question"])).judge(text)
    for start, end, right in spans:
        mine = [one for one in judged if one.figure.start < end and one.figure.end > start]
        assert mine or right, f"{text[start:end]} was not found"
        assert all((one.status not in HELD_AGAINST) is right for one in mine), [one.to_wire() for one in mine]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("in fiscal 2023 and FY2022", [{2023}, {2022}]),
        ("113年度、令和6年度", [{2024}, {2024}]),
        ("2024年3月期", [{2024, 2023}]),
        ("the prior year, 前期", [set[int](), set[int]()]),
        ("notes due 2030, founded in 1990, since 2019, authorized in June 2022", list[set[int]]()),
        ("12,023 or 2,024 people and $2025", list[set[int]]()),
    ],
)
def test_periods_are_told_from_other_years(text: str, wanted: list[set[int]]) -> None:
    """A business year, one that is only told from another, and years that date something else."""
    assert [set(one.years) for one in periods(text)] == wanted
