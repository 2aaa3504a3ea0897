"""The guard over answers to documents that its rules had not seen: fees, leaflets, reports, sheets in four scripts."""

import pytest

from common.language import language_of
from serving.chat.guard import HELD_AGAINST, Guard
from tests.serving.documents import SETS, SHARED, Marked, answers, evidence

# A whole annual report takes seconds to read.
ANSWERS = [
    pytest.param(one, id=one.name, marks=[pytest.mark.full] if one.shared else [])
    for file in SETS
    for one in answers(file)
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_right_figures_pass_and_wrong_ones_do_not(answer: Marked) -> None:
    """Each marked figure is held against the answer or not, as marked; what is not marked is not held."""
    if answer.shared and not (SHARED / answer.evidence[0]).exists():
        pytest.skip("the shared data is not here")
    judged = Guard(answer.question, evidence(*answer.evidence), language_of(answer.question)).judge(answer.text)
    told: list[tuple[str, str]] = []
    for start, end, mark in answer.spans:
        mine = [one for one in judged if one.figure.start < end and one.figure.end > start]
        held = any(one.status in HELD_AGAINST for one in mine)
        judged = [one for one in judged if one not in mine]
        if held is not (mark in "-!~"):
            told.append((mark, answer.text[start:end]))
    told += [("unmarked", one.figure.text) for one in judged if one.status in HELD_AGAINST]
    assert not told
