"""What a stream may let pass: nothing of a figure that may go on, and hardly anything else held back."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.figures import Kind, find, open_tail
from tests.common.figure_tables import CASES, FALSE_ALARMS, listed

PIECES = [text for text, _ in CASES] + FALSE_ALARMS
PIECES += listed(
    "and to - 〜 . , ， 。 円 % 年 a tw ( + @x.com :// twelve www. 0 12 1, 二 万 第 NT $ A between half m から"
)
PIECES += ["半", "目", "Foo", "月", " ", "\n", "\u00a0"]
jumbles = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).flatmap(
    lambda parts: st.sampled_from(["", " ", "、"]).map(lambda joint: joint.join(parts))
)


GLUED = [
    "GT-R35.https://example.com/1",
    "$5 to 10 https://example.com/2",
    "12 www.example.com",
    "US$5.john@example.com",
]


def assert_splits_hold(text: str, cuts: range) -> None:
    """Assert the contract of `open_tail` for the cuts of a text, and that no figure lies across the index."""
    whole = find(text)
    for cut in cuts:
        start = text[:cut]
        index = open_tail(start)
        assert 0 <= index <= cut
        before = [figure for figure in find(start) if figure.end <= index]
        after = [figure for figure in whole if figure.end <= index]
        assert before == after, (start, text[cut:], index)
        assert not [f for f in whole if f.start < index < f.end], (start, text[cut:], index)


@pytest.mark.parametrize("text", [*PIECES, *GLUED])
def test_every_split_of_every_case(text: str) -> None:
    """What `open_tail` lets pass is final, wherever the token border falls."""
    assert_splits_hold(text, range(len(text) + 1))
    assert_splits_hold(f"x {text} y", range(len(text) + 5))


@settings(max_examples=400, derandomize=True, deadline=None)
@given(jumbles)
def test_every_split_of_jumbles(text: str) -> None:
    """The same holds for figures, words and debris in any order."""
    assert_splits_hold(text, range(len(text) + 1))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text("0123456789.,-:/()+$%¥ kmMKABe@w_一二十百万年月日時円元第分半の~to\n", min_size=1, max_size=40))
def test_every_split_of_noise(text: str) -> None:
    """The same holds for noise made of the marks that matter."""
    assert_splits_hold(text, range(len(text) + 1))


@settings(max_examples=25, derandomize=True, deadline=None)
@given(jumbles, st.sampled_from(["1 ", "12,", "一", "x", "9-", "one ", "a.", "9", "$"]))
def test_splits_behind_a_long_start(text: str, filler: str) -> None:
    """The bounded window changes nothing: long starts hold the same promise."""
    long = filler * (400 // len(filler)) + text
    assert_splits_hold(long, range(400, len(long) + 1, 3))


PROSE = (
    "Thank you for asking. The notice is sent to everyone who has an account with us, and nobody needs to answer it "
    "before the end of the season; our staff are glad to help with any question about it."
)


def test_prose_flows() -> None:
    """On prose without figures at most the last word is ever held back, and mostly nothing."""
    held = [cut - open_tail(PROSE[:cut]) for cut in range(1, len(PROSE) + 1)]
    assert max(held) <= 6
    assert sum(1 for size in held if size) < 0.35 * len(held)
    japanese = "お問い合わせありがとうございます。担当者が確認のうえ、改めてご連絡いたします。"
    assert all(open_tail(japanese[:cut]) == cut for cut in range(len(japanese) + 1))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("It costs 11,000 yen per", ""),
        ("It costs 11,0", "11,0"),
        ("It costs 11,000 y", "11,000 y"),
        ("It costs 11,000 apples", ""),
        ("費用為3,600元。", ""),
        ("費用為新", "新"),
        ("a plan for tw", "tw"),
        ("a plan for the", ""),
        ("the plan f", "f"),
        ("the plan fr", ""),
        ("NASA said", ""),
    ],
)
def test_held_text(text: str, held: str) -> None:
    """Only the figure in the making is held."""
    assert text[open_tail(text) :] == held


@pytest.mark.parametrize(
    "piece",
    listed(
        "1 1, 1- 一 万 one_ one_hundred_and_ 1.2. A- A1- $ ( 1_ a@ a. 千万 1/ 2026- 1〜 twenty- https:// "
        "1,000, 十一 +1_ NT$ 年"
    ),
)
@pytest.mark.timeout(120)
def test_hostile_text_ends(piece: str) -> None:
    """A hundred thousand characters of the worst repetition take seconds at most."""
    text = piece.replace("_", " ") * (100_000 // len(piece))
    began = time.process_time()
    find(text)
    open_tail(text)
    assert time.process_time() - began < 30


def test_a_figure_of_many_words_is_one() -> None:
    """Up to 300 characters, however it arrives."""
    whole = "nine hundred and seventy-seven trillion seven hundred and seventy-seven billion seven hundred and "
    text = f"It cost {whole}seventy-seven million seven hundred and seventy-seven thousand and seven US dollars in all."
    [figure] = find(text)
    assert len(figure.text) > 160
    assert (figure.kind, figure.value, figure.unit) == (Kind.MONEY, 977_777_777_777_007, "USD")
    assert_splits_hold(text, range(0, len(text) + 1, 7))
