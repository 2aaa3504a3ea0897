"""A figure with fewer digits states an exact one only where it says that it was rounded."""

import pytest

from common.figures import find
from serving.chat.guard.rounding import rounds


@pytest.mark.parametrize(
    ("sentence", "exact", "expected"),
    [
        ("差額は九千七百三十円です。", "9,729円", False),
        ("差額は約九千七百三十円です。", "9,729円", True),
        ("売上高は1.2兆円です。", "1,204,500,000,000円", True),
        ("Revenue was 1.2 billion dollars.", "1,204,500,000 dollars", True),
        ("The fee is 9,730 yen.", "9,729 yen", False),
    ],
)
def test_words_are_written_to_their_last_digit(sentence: str, exact: str, expected: bool) -> None:
    """A scale at the end shows a rounded figure; one inside a number in words shows nothing."""
    (figure,), (whole,) = find(sentence), find(exact)
    assert rounds(figure, whole, sentence) is expected
