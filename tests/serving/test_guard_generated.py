"""The guard over made answers: the oracle drew the values first and knows nothing of how figures are read."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from common.language import Language
from common.settings import Guard as Policy
from serving.chat.guard import HELD_AGAINST, Guard, Status
from serving.chat.transducer import Transducer
from tests.serving.made import Case, case

HELD = {status.value for status in HELD_AGAINST}


def judged(made: Case) -> list[tuple[str, str]]:
    """What the guard says of a made answer."""
    guard = Guard(made.question, made.evidence, Language(made.lang), "Made Firm")
    return [(one.figure.text, one.status.value) for one in guard.judge(made.answer)]


@pytest.mark.timeout(300)
def test_no_wrong_figure_passes_and_few_right_ones_are_held(capsys: pytest.CaptureFixture[str]) -> None:
    """Over 2,000 made answers in three languages: none passes that should not, at most 1 % are held for nothing."""
    count: Counter[str] = Counter()
    for seed in range(2_000):
        made = case(Random(seed))
        told = judged(made)
        assert len(told) == len(made.verdicts), (seed, made.answer, told)
        for (text, status), (meant, verdict) in zip(told, made.verdicts, strict=True):
            assert text == meant, (seed, made.answer)
            assert verdict not in HELD or status in HELD, (seed, made.name, made.question, made.answer, text, status)
            count["figures"] += 1
            count["right"] += verdict not in HELD
            count["false alarms"] += verdict not in HELD and status in HELD
            count["other status"] += status != verdict
    with capsys.disabled():
        print(f"\nmade answers: {dict(count)}")
    assert count["false alarms"] <= 0.01 * count["right"]
    assert count["other status"] <= 0.01 * count["figures"]


def assert_streams_alike(made: Case, pieces: list[list[str]]) -> None:
    """However the answer arrives, what is held against it never leaves, and all else leaves as it was written."""
    first = Transducer(made.question, made.evidence, Policy.WITHHOLD, Language(made.lang), firm="Made Firm")
    wrong = [text for text, verdict in made.verdicts if verdict in HELD]
    expected = made.answer
    for cut in pieces:
        passing = first.trial()
        sent = ""
        for i, piece in enumerate(cut):
            finish = "stop" if i + 1 == len(cut) else None
            event = {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": finish}]}
            sent += "".join(out["choices"][0]["delta"].get("content") or "" for out in passing.feed(event))
        conclusion = passing.conclude()
        assert conclusion.texts == [sent]
        assert [one["text"] for one in conclusion.refused] == wrong, (made.name, made.answer, cut)
        rest = sent
        for part in _around(expected, wrong):
            assert part in rest, (made.answer, sent, cut)
            rest = rest[rest.index(part) + len(part) :]
        assert all(one["status"] not in HELD for one in conclusion.figures)


def _around(answer: str, wrong: list[str]) -> list[str]:
    """What stands around the figures that are held against an answer."""
    parts: list[str] = []
    for text in wrong:
        before, _, answer = answer.partition(text)
        parts.append(before)
    return [*parts, answer]


def test_a_wrong_figure_never_leaves_however_it_is_cut() -> None:
    """Characters one by one, and six pieces of random lengths."""
    for seed in range(10_000, 10_100):
        made = case(Random(seed))
        cuts = sorted(Random(seed).sample(range(1, len(made.answer)), min(5, len(made.answer) - 1)))
        pieces = [made.answer[a:b] for a, b in pairwise([0, *cuts, len(made.answer)])]
        assert_streams_alike(made, [list(made.answer), pieces])


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_every_split_of_many_answers() -> None:
    """2,000 made answers, each in two pieces at every place."""
    for seed in range(100_000, 102_000):
        made = case(Random(seed))
        assert_streams_alike(made, [[made.answer[:at], made.answer[at:]] for at in range(1, len(made.answer))])


def test_statuses_all_occur() -> None:
    """The generator makes every verdict that there is."""
    made = {verdict for seed in range(300) for _, verdict in case(Random(seed)).verdicts}
    assert made == {status.value for status in Status}
