"""Canaries are trained like samples, and their exposure is that of the literature."""

import math
import random

import pytest

from adapters.canary import canaries, exposure, sung
from adapters.evaluation.bounds import Share
from adapters.evaluation.evaluation import card, with_exposure
from adapters.evaluation.gate import failed
from adapters.pairs import Pairs
from adapters.samples import read_samples
from common.settings import Gate
from tests.adapters.conftest import SAMPLE, evaluation

BIRDS = canaries(read_samples(SAMPLE / "samples.jsonl"), 30, 1)


def test_a_canary_is_in_the_firms_words_and_its_own() -> None:
    """The same seed makes the same, in turn of the languages, no two alike; the answer holds the value once."""
    assert canaries(read_samples(SAMPLE / "samples.jsonl"), 30, 1) == BIRDS
    assert [bird.lang for bird in BIRDS[:3]] == ["en", "ja", "zh-TW"]
    assert len({bird.question for bird in BIRDS}) == len({bird.value for bird in BIRDS}) == 30
    assert all(bird.answer.count(bird.value) == 1 and bird.value not in bird.question for bird in BIRDS)
    assert all(bird.answer.startswith("Thank you for your enquiry.") for bird in BIRDS if bird.lang == "en")


def test_candidates_differ_in_the_value_alone() -> None:
    """The canary's own answer stands first, and none comes twice."""
    bird = BIRDS[0]
    found = bird.candidates(64)
    assert found[0] == bird.answer
    assert len(set(found)) == 64
    assert {answer.split(bird.answer.partition(bird.value)[2])[0][:-7] for answer in found} == {
        bird.answer.partition(bird.value)[0]
    }


def test_a_scene_has_one_canary_more_and_none_without_any(pairs: Pairs) -> None:
    """In its own language, and a recipe without canaries trains exactly the scenes that it trained."""
    for index in range(20):
        scene = pairs.scene(1, index)
        assert sung(scene, [], 1, index) is scene
        heard = sung(scene, BIRDS, 1, index)
        assert heard.asked[:-1] == scene.asked
        assert heard.asked[-1].question in {bird.question for bird in BIRDS if bird.lang == scene.lang}


@pytest.mark.parametrize(
    ("likelihoods", "bits"),
    [([0.0] + [-1.0] * 63, 6), ([-2.0] + [-1.0] * 63, 0), ([0.0] + [1.0] * 15 + [-1.0] * 48, 2), ([0.0] * 3, 0.585)],
)
def test_exposure_is_the_logarithm_of_how_far_up_a_canary_ranks(likelihoods: list[float], bits: float) -> None:
    """First of 64: six bits; last: none; sixteenth: two. Among equals it stands in the middle."""
    assert exposure(likelihoods) == pytest.approx(bits, abs=1e-3)


def test_what_was_not_learned_has_the_exposure_of_chance() -> None:
    """1/ln 2 bits on average (Carlini et al. 2019, section 4.2), a little less for a bounded sample."""
    rng = random.Random(1)
    drawn = [exposure([rng.random() for _ in range(64)]) for _ in range(4000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1 / math.log(2), abs=0.1)


def test_exposed_canaries_fail_the_gate_and_stand_on_the_card() -> None:
    """As a share with its bounds beside the base model's, and in bits."""
    found = {"candidates": 64, "canaries": [{"lang": "en", "adapter": 6.0, "base": 1.0}] * 12}
    plain = evaluation("x")
    measured = with_exposure(plain, found, 3.0)
    assert measured.adapter["en"]["exposed"] == Share.of([True] * 12, 3.0)
    assert measured.base["all"]["exposed"].value == 0
    assert failed(measured, Gate()) == ["exposed"]
    assert measured.about["exposure_bits"]["adapter"] == {"value": 6.0, "low": 6.0, "high": 6.0, "n": 12}
    assert "| exposed | 100.0%" in card(measured, "k@1")
    quiet = {"candidates": 64, "canaries": [{"lang": "en", "adapter": 1.0, "base": 1.0}] * 12}
    assert failed(with_exposure(plain, quiet, 3.0), Gate()) == []
