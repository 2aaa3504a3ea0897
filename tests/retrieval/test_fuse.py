"""Fusion: never worse than its better half, and a confidence that can be compared."""

from functools import partial

import numpy as np
import pytest

from common.evidence import WEAK_BELOW
from retrieval.bags import coverage
from retrieval.fuse import confidence, fuse, fuse_apart, merge

JA, EN = "年会費はいくらですか。", "What is the annual fee?"


def test_a_clear_winner_of_either_list_wins() -> None:
    near = {f"c{i}": 0.80 + i / 10_000 for i in range(40)}
    langs = dict.fromkeys([*near, "right"], "ja")
    assert fuse(JA, near | {"right": 0.92}, dict.fromkeys(langs, 5.0), langs)[0][0] == "right"
    assert fuse(JA, near, {f"c{i}": 1.0 for i in range(9)} | {"c20": 30.0}, langs)[0][0] == "c20"


def test_a_chunk_that_one_list_singles_out_beats_one_that_both_find_fair() -> None:
    """What a list does not know it says little against: vectors rank the right chunk 48th here, terms far ahead."""
    near = {f"c{i}": 0.80 + i / 10_000 for i in range(50)}
    said = {f"c{i}": 4.0 + 0.8 * (i % 5) for i in range(50)} | {"c2": 16.0, "c46": 12.0}
    assert fuse(JA, near, said, dict.fromkeys(near, "ja"))[0][0] == "c2"


def test_between_two_languages_the_vectors_decide() -> None:
    """The only word that a Chinese question shares with an English passage may be the wrong passage's."""
    dense = {"right": 0.90, "wrong": 0.84} | {f"c{i}": 0.80 for i in range(40)}
    langs = dict.fromkeys(dense, "en")
    assert fuse("年費是多少？", dense, {"wrong": 4.0}, langs)[0][0] == "right"


def test_each_language_is_ranked_as_if_it_stood_alone() -> None:
    """Half a hundred nearer pages in the asker's language change nothing among the English ones."""
    english = {"right": 0.75, "wrong": 0.72, "other": 0.71}
    crowd = {f"c{i}": 0.80 + i / 10_000 for i in range(50)}
    langs = dict.fromkeys(crowd, "zh-TW") | dict.fromkeys(english, "en")
    alone = [chunk for chunk, _ in fuse("年費是多少？", english, {}, langs)]
    assert fuse_apart("年費是多少？", english | crowd, {"c3": 4.0}, langs)[0] == alone == ["right", "wrong", "other"]


@pytest.mark.parametrize(("own", "first"), [(0.9, "own"), (0.6, "own"), (0.05, "far")])
def test_another_language_comes_first_only_where_the_askers_own_knows_little(own: float, first: str) -> None:
    """Equal confidence is not enough, and within a language the order stays, whatever the confidence."""
    langs = {"own": "zh-CN", "own 2": "zh-TW", "far": "en", "far 2": "en"}
    trust = {"own": own, "own 2": own, "far": 0.6, "far 2": 0.7}
    expected = sorted(langs, key=lambda chunk: not chunk.startswith(first))
    assert merge("年費是多少？", [["far", "far 2"], ["own", "own 2"]], langs, trust) == expected
    assert merge("年費是多少？", [["far", "unknown"]], langs, trust) == ["far"]


def test_what_will_do_in_the_askers_language_goes_first() -> None:
    """However sure another language looks: with another embedder's cosines it may always look so."""
    langs = {"far": "en", "own": "zh-TW"}
    assert merge("年費是多少？", [["far"], ["own"]], langs, {"far": 0.999, "own": 0.4}) == ["own", "far"]


@pytest.mark.parametrize(
    ("dense", "lexical", "expected"),
    [
        ({}, {}, []),
        ({"a": 0.8}, {}, ["a"]),
        ({}, {"a": 2.0, "b": 1.0}, ["a", "b"]),
        ({"a": 0.8}, {"b": 1.0}, ["b", "a"]),
    ],
)
def test_one_list_alone_is_enough(dense: dict[str, float], lexical: dict[str, float], expected: list[str]) -> None:
    langs = dict.fromkeys([*dense, *lexical], "en")
    assert [chunk for chunk, _ in fuse(EN, dense, lexical, langs)] == expected


@pytest.mark.parametrize("noise", [(0.5, 0.8), (0.8, 0.5), (0.6, 0.6)])
@pytest.mark.parametrize("question", [JA, EN])
def test_fusion_is_never_worse_than_its_better_half(noise: tuple[float, float], question: str) -> None:
    """Over two hundred drawn questions, whichever half is the noisier one."""
    rng = np.random.default_rng(7)
    hits: dict[str, int] = {"dense": 0, "lexical": 0, "fused": 0}
    for _ in range(200):
        truth = np.zeros(60)
        truth[0] = 1.6
        dense = dict(enumerate((0.8 + 0.02 * (truth + noise[0] * rng.normal(size=60))).tolist()))
        lexical = dict(enumerate((9 + 3 * (truth + noise[1] * rng.normal(size=60))).tolist()))
        langs = dict.fromkeys(dense, "ja" if question == JA else "en")
        hits["dense"] += max(dense, key=lambda chunk: dense[chunk]) == 0
        hits["lexical"] += max(lexical, key=lambda chunk: lexical[chunk]) == 0
        hits["fused"] += fuse(question, dense, lexical, langs)[0][0] == 0
    assert hits["fused"] >= max(hits["dense"], hits["lexical"]) - 4


def test_confidence_grows_with_both_and_stays_within_its_bounds() -> None:
    ja = partial(confidence, asked="ja", written="ja")
    across = partial(confidence, asked="ja", written="en")
    assert all(0 <= ja(cosine, share) <= 1 for cosine in (-1, 0.7, 0.8, 0.9, 1) for share in (0, 0.5, 1))
    assert ja(0.9, 0.9) > ja(0.9, 0.5) > ja(0.8, 0.5) > ja(0.7, 0.1)
    assert across(0.8, 0.0) > across(0.72, 1.0)
    assert across(0.8, 0.0) > across(0.8, 0.0, rivalled=True) > 0
    assert ja(0.8, 0.5) == ja(0.8, 0.5, rivalled=True)


@pytest.mark.parametrize(
    ("asked", "written", "good", "useless"),
    [
        ("ja", "ja", (0.86, 0.8), (0.76, 0.15)),
        ("zh-TW", "zh-CN", (0.86, 0.8), (0.76, 0.15)),
        ("en", "en", (0.81, 0.8), (0.71, 0.15)),
        ("zh-TW", "en", (0.75, 0.0), (0.68, 0.0)),
        ("zh-TW", "ja", (0.86, 0.6), (0.80, 0.07)),
    ],
)
def test_the_threshold_lies_between_a_good_and_a_useless_passage(
    asked: str, written: str, good: tuple[float, float], useless: tuple[float, float]
) -> None:
    """Chinese and Japanese look alike to the model, so there the terms are asked as well."""
    assert confidence(*good, asked=asked, written=written) > WEAK_BELOW
    assert confidence(*useless, asked=asked, written=written) < WEAK_BELOW


def test_coverage_and_confidence_refuse_a_question_about_something_else() -> None:
    """Same form of question, another subject: the form alone is no evidence."""
    share = float(coverage("自動車ローンの金利を教えてください。", ["ゆとり退職金定期の金利は年1.20％です。"])[0])
    assert confidence(0.77, share, asked="ja", written="ja") < WEAK_BELOW
