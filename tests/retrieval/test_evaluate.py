"""Evaluation: when an answer counts as found, what ranks are worth, and how sure that is."""

import json
import math
import statistics
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from common.errors import InvalidRequest
from retrieval.evaluation.drafts import fitting, passages, prompt
from retrieval.evaluation.metrics import corrected, estimate, measured, paired
from retrieval.evaluation.plot import Bar, Line, bars, lines
from retrieval.evaluation.questions import Origin, Question, Shown, answered_at, holds, load, of_receipts
from retrieval.evaluation.report import Asked, report
from retrieval.evaluation.weak import curve, suggested

SAMPLE = Path(__file__).parents[2] / "examples" / "kitahama"


def asking(*figures: str, passage: str = "", document: str | None = "cards.md") -> Question:
    return Question("What is the fee?", "en", document, figures, passage)


def test_the_samples_questions_are_read_as_they_are() -> None:
    answerable = load(SAMPLE / "questions.jsonl")
    assert len(answerable) == 61
    assert all(question.document and question.figures for question in answerable)
    assert {question.lang for question in answerable} == {"en", "ja", "zh-TW"}
    hopeless = load(SAMPLE / "unanswerable.jsonl", answerable=False)
    assert len(hopeless) == 18
    assert not any(question.document for question in hopeless)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ('{"document": "a.md"}', "no question"),
        ('{"question": " ", "document": "a.md"}', "no question"),
        ('{"question": "What?"}', "no document"),
        ('{"question": "What?", "document": "a.md", "figures": "5 yen"}', "figures"),
        ("", "no question"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str, said: str) -> None:
    """A misspelt field must not turn a question into an unanswerable one without a word."""
    file = tmp_path / "mine.jsonl"
    file.write_text(line)
    with pytest.raises(InvalidRequest, match=said) as raised:
        load(file)
    assert "mine.jsonl" in str(raised.value)


def test_an_answer_is_found_where_all_its_figures_have_been_read() -> None:
    """In the right document, in any writing of them; of two rows the later one completes the answer."""
    fee, margin = Shown("cards.md", "Annual fee: ￥11,000"), Shown("cards.md", "Margin: 1.80%")
    other = Shown("loans.md", "A fee of 11,000 yen and 1.8 %")
    assert answered_at(asking("11,000 yen"), [other, fee]) == 2
    assert answered_at(asking("11,000 yen", "1.8 %"), [margin, other, fee]) == 3
    assert answered_at(asking("11,000 yen", "1.8 %"), [fee, other]) is None
    assert answered_at(asking("figureless"), [fee, Shown("cards.md", "It is FIGURELESS.")]) == 2
    assert answered_at(asking(), [other, margin]) == 2


def test_a_passage_is_found_where_half_of_its_sentences_stand() -> None:
    """Another cut, other white space: it is still the passage."""
    passage = "The Gold Card is for travellers.\nIts fee is 11,000 yen. It pays 1 % back."
    assert holds("Cards › Gold\nThe  Gold Card is for travellers. Its fee is 11,000 yen.", passage)
    assert not holds("It pays 1 % back.", passage)
    assert answered_at(asking(passage=passage), [Shown("cards.md", "Its fee."), Shown("cards.md", passage)]) == 2


def test_metrics_are_those_of_the_textbook() -> None:
    found = measured([1, 2, None, 10, 11])
    assert found["recall@1"].value == pytest.approx(1 / 5)
    assert found["recall@10"].value == pytest.approx(3 / 5)
    assert found["mrr"].value == pytest.approx((1 + 1 / 2 + 1 / 10) / 5)
    assert found["ndcg@10"].value == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(11)) / 5)


def test_intervals_are_wilsons() -> None:
    """10 of 10 right leaves room for 28 % wrong: FINDINGS of many a demo end here."""
    ten = estimate([1.0] * 10)
    assert (round(ten.low, 2), ten.high) == (0.72, 1.0)
    half = estimate([1.0, 0.0] * 50)
    assert (round(half.low, 3), round(half.high, 3)) == (0.404, 0.596)


def test_intervals_hold_what_they_promise() -> None:
    """Of 95 % intervals over drawn reciprocal ranks, at least 95 % hold the truth."""
    rng = np.random.default_rng(3)
    worth = np.array([1, 1 / 2, 1 / 3, 0])
    truth = float(worth @ (0.7, 0.15, 0.1, 0.05))
    drawn = rng.choice(worth, p=(0.7, 0.15, 0.1, 0.05), size=(500, 60))
    held = [(one := estimate(row.tolist())).low <= truth <= one.high for row in drawn]
    assert statistics.mean(held) >= 0.95


def test_the_paired_test_tells_a_difference_from_chance() -> None:
    """Exactly where there are few differences: five of one kind are 1 in 16."""
    assert paired([1] * 5 + [0] * 20, [0] * 25) == pytest.approx(2 / 2**5)
    assert paired([0.5] * 9, [0.5] * 9) == 1.0
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(300, 10))
    assert 0.01 <= np.mean([paired(row, np.zeros(10)) < 0.05 for row in noise]) <= 0.09
    assert paired(rng.normal(0.8, 1, 60), np.zeros(60)) < 0.01


def test_many_tries_are_corrected_for() -> None:
    """Holm's own procedure, and never below the p that it corrects."""
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.9, 0.6]) == [1.0, 1.0]
    assert corrected([]) == []


def test_the_curve_of_weak_evidence_counts_both_kinds_of_error() -> None:
    """And the best point is where most is caught for the least refused; of equals, the lowest."""
    points = curve([0.9, 0.8, 0.32, 0.05], [0.01, 0.2, 0.3, 0.31], now=0.123)
    at = {point.threshold: point for point in points}
    assert (at[0.123].refused.value, at[0.123].caught.value) == (0.25, 0.25)
    assert (at[0.0].refused.value, at[0.0].caught.value) == (0, 0)
    assert (at[0.95].refused.value, at[0.95].caught.value) == (1, 1)
    assert suggested(points).threshold == 0.35
    assert suggested(curve([0.9], [0.1], 0.1)).threshold == 0.15


def test_the_report_has_the_contracts_shape() -> None:
    ja = Question("年会費は？", "ja", "ja.md")
    asked = [
        Asked(asking(), 1, 0.9, 0.02, "cards.md"),
        Asked(ja, None, 0.2, 0.5, "cards.md"),
        Asked(asking(document=None), None, 0.04, 0.01, "cards.md"),
    ]
    result: Any = json.loads(json.dumps(report("kitahama", asked, 0.1)))
    assert (result["knowledge"], result["n"]) == ("kitahama", 2)
    assert set(result["metrics"]) == {"recall@1", "recall@3", "recall@5", "recall@10", "mrr", "ndcg@10"}
    assert set(result["metrics"]["recall@1"]) == {"value", "low", "high"}
    assert result["by_language"]["ja"]["metrics"]["recall@10"]["value"] == 0
    assert result["by_language"]["en"]["n"] == 1
    assert [one["question"] for one in result["worst"]] == ["年会費は？"]
    assert result["slowest"][0]["question"] == "年会費は？"
    assert result["weak"]["n"] == 1
    assert report("kitahama", asked[:2], 0.1)["weak"] is None


def receipt(question: str, ended: str = "answered", rating: str | None = "good", turns: int = 1) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}] * turns
    cited = [{"document": "cards.md", "text": "The fee is 11,000 yen."}]
    return {
        "ended": ended,
        "rating": rating,
        "intent": {"knowledge": ["kb"], "body": {"messages": messages}},
        "outcome": {"citations": cited if ended == "answered" else []},
    }


def test_receipts_become_questions_where_somebody_was_content() -> None:
    """With what was cited; a good refusal is a question without an answer; half a conversation is none."""
    kept = [receipt("What is the fee?"), receipt("Do you sell gold?", "abstained")]
    left = [receipt("?", rating="bad"), receipt("?", rating=None), receipt("and now?", turns=2), receipt("?", "failed")]
    found = list(of_receipts(kept + left, "kb"))
    assert [(q.text, q.document, q.passage) for q in found] == [
        ("What is the fee?", "cards.md", "The fee is 11,000 yen."),
        ("Do you sell gold?", None, ""),
    ]
    assert {q.origin for q in found} == {Origin.RECEIPTS}
    assert not list(of_receipts(kept, "another"))


PASSAGE = "The annual fee of the Harbour Gold Card is 11,000 yen, billed at the end of the year."


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("What is the annual fee of the Harbour Gold Card?", True),
        (' "What is the annual fee of the Harbour Gold Card?" ', True),
        ("The annual fee is 11,000 yen.", False),
        ("Sure! Here is a question:\nWhat is the annual fee of the Harbour Gold Card?", False),
        ("Is the annual fee of the Harbour Gold Card 11,000 yen?", False),
        ("What is the capital of France?", False),
        ("ハーバーゴールドカードの年会費はいくらですか。", False),
        ("", False),
    ],
)
def test_a_draft_that_does_not_fit_its_passage_is_dropped(answer: str, fits: bool) -> None:
    """No question, chatter, the answer given away, another subject, another language."""
    drafted = fitting(answer, "cards.md", PASSAGE)
    assert (drafted is not None) is fits
    if drafted:
        assert (drafted.text, drafted.origin, drafted.passage) == (
            "What is the annual fee of the Harbour Gold Card?",
            Origin.DRAFTED,
            PASSAGE,
        )


def test_passages_are_drawn_from_every_document_and_asked_for_in_their_language() -> None:
    texts = {
        "a.md": "\n\n".join(f"{PASSAGE} Part {i}." for i in range(9)),
        "b.md": "潮騒ゴールドカードの年会費は12,100円です。毎年四月にお支払いいただきます。",
        "c.md": "Short.",
    }
    drawn = passages(texts, 4, seed=1)
    assert [name for name, _ in drawn] == ["a.md", "b.md", "a.md", "a.md"]
    assert passages(texts, 4, seed=1) == drawn
    assert "日本語" in prompt(drawn[1][1])
    assert PASSAGE in prompt(drawn[0][1])


def test_a_drafted_question_stays_marked_in_a_file(tmp_path: Path) -> None:
    drafted = fitting("What is the annual fee of the Harbour Gold Card?", "cards.md", PASSAGE)
    assert drafted is not None
    file = tmp_path / "drafts.jsonl"
    file.write_text(json.dumps(drafted.to_line()))
    assert '"source": "drafted"' in file.read_text()
    assert load(file) == [drafted]


def test_plots_are_pictures_whatever_their_words() -> None:
    """Well-formed, and a name from a user's file stays text."""
    for svg in (
        lines("<kb> & more", [Line("refused", [(0, 0), (1, 1)])], [("today", 0.1)]),
        bars("<kb>", [Bar("facts/1 <640>", 0.9, 0.8, 0.95), Bar("fixed", 0.5, 0.4, 0.6, marked=True)]),
    ):
        root = ElementTree.fromstring(svg)
        assert "<kb>" in "".join(root.itertext())
