"""The gate: what an evaluation must show before a version is heard, whoever asks."""

import json
import logging
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import Gate, Registry
from adapters.artefact import artefact_digest
from adapters.evaluation.bounds import Share
from adapters.evaluation.evaluation import FILE, Evaluation, card, read
from adapters.evaluation.gate import failed
from common.errors import Conflict, ErrorCode, InvalidRequest, NotFound
from common.settings import Adapters, Settings
from common.settings import Gate as Thresholds
from common.wilson import wilson
from serving.gateway import seed_adapters
from tests.adapters.conftest import SAMPLE, evaluated, evaluation

HALF = Share.of([True, False] * 150)
FEW = Share.of([True] * 10)
GATE = Thresholds()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_the_bounds_are_wilsons() -> None:
    """Against the figures of the literature (Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29)."""
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson(right, n) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_the_shipped_voice_has_an_evaluation_that_passes() -> None:
    """Of these very weights, 300 cases of what the gate asks, by the default thresholds: no configuration helps."""
    shipped = read(SAMPLE / "adapter")
    assert shipped is not None
    assert shipped.digest == artefact_digest(SAMPLE / "adapter")
    assert {shares["faithful"].n for lang, shares in shipped.adapter.items() if lang != "all"} == {300}
    assert failed(shipped, GATE) == []
    assert "gate" not in tomllib.loads((SAMPLE.parents[1] / "groundtone.toml").read_text())["adapters"]


def test_what_is_right_throughout_passes() -> None:
    assert failed(evaluation("x"), GATE) == []


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ({"faithful": HALF}, ["faithful.en"]),
        ({"tone": HALF}, ["tone.en"]),
        ({"format": HALF}, ["format.en"]),
        ({"terminology": HALF}, ["terminology.en"]),
        ({"stale": Share.of([True] * 5 + [False] * 295)}, ["stale.en"]),
        ({"leak": Share.of([True] * 20 + [False] * 280)}, ["leak.en"]),
        ({"general": HALF}, ["general"]),
        ({"faithful": FEW, "tone": FEW}, ["faithful.en", "tone.en"]),
        (
            {"faithful": Share.of([]), "stale": Share.of([]), "leak": Share.of([])},
            ["faithful.en", "stale.en", "leak.en"],
        ),
    ],
)
def test_each_metric_can_fail_by_itself(share: dict[str, Share], expected: list[str]) -> None:
    """By its bound and not its value: ten of ten right prove little, and none nothing."""
    assert failed(evaluation("x", **share), GATE) == expected


def test_a_language_has_thresholds_of_its_own() -> None:
    """What is enough in Japanese is not in English, and a language that the gate does not know can't pass."""
    share = Share.of([True] * 283 + [False] * 17)
    assert failed(evaluation("x", lang="ja", faithful=share, tone=share), GATE) == []
    assert failed(evaluation("x", lang="en", faithful=share, tone=share), GATE) == ["faithful.en", "tone.en"]
    assert failed(evaluation("x", lang="fr"), GATE) == ["faithful.fr", "tone.fr"]


@pytest.mark.parametrize("metric", ["format", "terminology", "stale", "leak"])
def test_what_is_wrong_in_one_language_is_not_made_up_for_by_others(metric: str) -> None:
    """Three in a hundred of one language are one in a hundred of three: together they would pass."""
    made = evaluation("x")
    good = made.adapter["en"]
    wrong = good[metric].value == 1
    few = Share.of([not wrong] * (60 if wrong else 9) + [wrong] * (240 if wrong else 291))
    together = Share.of([not wrong] * (60 if wrong else 9) + [wrong] * (840 if wrong else 891))
    shares = {"all": good | {metric: together}, "en": good, "ja": good | {metric: few}, "zh-TW": good}
    base = dict.fromkeys(shares, made.base["en"])
    assert failed(replace(made, adapter=shares, base=base), Thresholds(leak=0.01)) == [f"{metric}.ja"]


def test_a_language_that_the_documents_lack_is_asked_for_by_its_thresholds() -> None:
    """It was asked general questions only: not measured is not passed, unless the configuration asks nothing of it."""
    made = evaluation("x")
    alone = replace(made, adapter=made.adapter | {"ja": {"general": made.adapter["en"]["general"]}})
    assert failed(alone, GATE) == ["faithful.ja", "tone.ja"]
    assert failed(alone, Thresholds(faithful_ja=0, tone_ja=0)) == []


def test_an_evaluation_without_a_language_shows_nothing() -> None:
    made = evaluation("x")
    assert {"faithful.all", "tone.all"} <= set(failed(replace(made, adapter={"all": made.adapter["en"]}), GATE))


def test_a_leak_counts_against_a_base_model_that_was_asked_as_often() -> None:
    """Of a base model that was hardly asked nothing is known, and its wide bounds are no allowance."""
    made = evaluation("x", leak=Share.of([True] * 3 + [False] * 297))
    base = {lang: shares | {"leak": FEW} for lang, shares in made.base.items()}
    assert failed(replace(made, base=base), GATE) == ["leak.en"]
    base = {lang: shares | {"leak": made.adapter["en"]["leak"]} for lang, shares in made.base.items()}
    assert failed(replace(made, base=base), GATE) == []


def test_abstaining_can_be_asked_for() -> None:
    """By default it is measured only."""
    none = Share.of([False] * 300)
    assert failed(evaluation("x", abstain=none), GATE) == []
    assert failed(evaluation("x", abstain=none), Thresholds(abstain=0.5)) == ["abstain.en"]


def test_without_an_evaluation_or_below_the_gate_no_channel_moves(registry: Registry, artefact: Path) -> None:
    """409 `gate_not_passed` for either channel; the reason is told."""
    version = registry.register("kitahama", artefact)
    assert version.gate is Gate.NONE
    for reason in ("was not evaluated", r"missed faithful\.en, tone\.en"):
        for channel in ("stable", "canary"):
            with pytest.raises(Conflict, match=reason) as refused:
                registry.point("kitahama", channel, version.id, 10)
            assert refused.value.code is ErrorCode.GATE_NOT_PASSED
        registry.evaluated(version.id, evaluation(version.digest, faithful=HALF, tone=HALF))
    assert registry.version(version.id).gate is Gate.FAILED
    assert evaluated(registry, version).gate is Gate.PASSED
    assert registry.point("kitahama", "stable", version.id).stable == version.id


def test_a_file_that_names_it_makes_no_version_heard(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """Channels that someone wrote by hand are read, and what has not passed is left out of them."""
    version = registry.register("kitahama", artefact)
    stored = {"stable": version.id, "canary": {"version": version.id, "share": 50}, "former": []}
    (tmp_path / "registry" / "kitahama" / "channels.json").write_text(json.dumps(stored))
    served = registry.served("kitahama")
    assert (served.stable, served.canary) == (None, None)
    evaluated(registry, version)
    assert registry.served("kitahama").stable == version.id


def test_rolling_back_passes_the_gate_too(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """A version that was heard once is not heard again below today's thresholds."""
    from tests.adapters.conftest import safetensors, tensors, write

    old = evaluated(registry, registry.register("kitahama", artefact))
    new = evaluated(registry, registry.register("kitahama", write(tmp_path / "n", safetensors(tensors(fill=0.2)))))
    for version in (old, new):
        registry.point("kitahama", "stable", version.id)
    registry.evaluated(old.id, evaluation(old.digest, tone=HALF))
    with pytest.raises(Conflict):
        registry.rollback("kitahama")
    assert registry.channels("kitahama").stable == new.id


def test_stricter_thresholds_hold_for_what_is_there(tmp_path: Path, artefact: Path) -> None:
    """The gate is what the configuration says today, and not what it said at registration."""
    loose = Registry(tmp_path / "registry")
    version = evaluated(loose, loose.register("kitahama", artefact))
    assert Registry(tmp_path / "registry", gate=Thresholds(tone_en=1)).version(version.id).gate is Gate.FAILED
    assert loose.version(version.id).gate is Gate.PASSED


def test_where_no_evaluation_is_required_one_that_failed_is_still_refused(tmp_path: Path, artefact: Path) -> None:
    """`required = false` is for a first try: it overlooks that there is none, and not what one said."""
    registry = Registry(tmp_path / "registry", gate=Thresholds(required=False))
    version = registry.register("kitahama", artefact)
    assert registry.point("kitahama", "stable", version.id).stable == version.id
    assert registry.served("kitahama").stable == version.id
    registry.evaluated(version.id, evaluation(version.digest, tone=HALF))
    assert registry.served("kitahama").stable is None
    with pytest.raises(Conflict):
        registry.point("kitahama", "stable", version.id)


def test_an_evaluation_belongs_to_its_weights(registry: Registry, artefact: Path) -> None:
    """Of another artefact it is refused, and where a file is put there all the same it counts as none."""
    version = registry.register("kitahama", artefact)
    with pytest.raises(InvalidRequest):
        registry.evaluated(version.id, evaluation("sha256:" + "0" * 64))
    for text in (json.dumps(evaluation("sha256:" + "0" * 64).to_wire()), "{", "[]", '{"digest": 1}'):
        (version.path / FILE).write_text(text)
        assert registry.version(version.id).gate is Gate.NONE


def test_what_passed_lends_its_evaluation_to_no_other_weights(
    registry: Registry, artefact: Path, tmp_path: Path
) -> None:
    """Other weights with the files of a version that passed are no version, under its name or one of their own."""
    from tests.adapters.conftest import safetensors, tensors, write

    passed = evaluated(registry, registry.register("kitahama", artefact))
    other = write(tmp_path / "other", safetensors(tensors(fill=0.2)))
    digest = artefact_digest(other)
    short = digest.removeprefix("sha256:")[:12]
    for named, changed in ((short, {}), (short, {"digest": digest}), (short, {"id": f"kitahama@{short}"})):
        place = passed.path.parent / named
        shutil.copytree(passed.path, place)
        for file in place.iterdir():
            file.chmod(0o644)
        shutil.copytree(other, place, dirs_exist_ok=True)
        for name in ("version.json", FILE):
            told = json.loads((place / name).read_text()) | changed
            (place / name).write_text(json.dumps(told))
        stored = {"stable": f"kitahama@{named}", "canary": None, "former": []}
        (place.parent / "channels.json").write_text(json.dumps(stored))
        assert registry.served("kitahama").stable is None
        assert registry.versions("kitahama") == [passed]
        with pytest.raises(NotFound):
            registry.point("kitahama", "stable", f"kitahama@{named}")
        shutil.rmtree(place)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": 1}'])
def test_a_folder_that_holds_no_version_hides_none(registry: Registry, artefact: Path, text: str) -> None:
    """What a crash, a backup or a person left beside the versions is passed over."""
    passed = evaluated(registry, registry.register("kitahama", artefact))
    (passed.path.parent / "0123456789ab").mkdir()
    (passed.path.parent / "0123456789ab" / "version.json").write_text(text)
    assert registry.names() == ["kitahama"]
    assert registry.versions("kitahama") == [passed]


@pytest.mark.parametrize(
    ("edit", "gate"),
    [({"low": 0.99}, Gate.FAILED), ({"value": 2}, Gate.NONE), ({"n": -1}, Gate.NONE), ({"n": float("inf")}, Gate.NONE)],
)
def test_bounds_are_computed_and_not_believed(
    registry: Registry, artefact: Path, edit: dict[str, Any], gate: Gate
) -> None:
    """Who writes better bounds beside the same cases gains nothing."""
    version = registry.register("kitahama", artefact)
    wire = evaluation(version.digest, tone=HALF).to_wire()
    for shares in (wire["metrics"], wire["by_language"]["en"]):
        shares["tone"] |= edit
    (version.path / FILE).write_text(json.dumps(wire))
    assert registry.version(version.id).gate is gate


def test_an_evaluation_on_another_base_model_is_refused(registry: Registry, artefact: Path) -> None:
    """What it does there says nothing about here."""
    version = registry.register("kitahama", artefact)
    made = evaluation(version.digest)
    with pytest.raises(InvalidRequest, match="another base model"):
        registry.evaluated(version.id, replace(made, about={"base_model": "someone/Larger-Model"}))
    kept = replace(made, about={"base_model": f"/models/{version.base_model}"})
    assert registry.evaluated(version.id, kept).gate is Gate.PASSED


def test_only_a_trusted_sender_brings_an_evaluation(tmp_path: Path, artefact: Path) -> None:
    """From HTTP it is left behind; from the configuration's own folder it counts, if it is of these weights."""
    (artefact / FILE).write_text(json.dumps(evaluation(artefact_digest(artefact)).to_wire()))
    registry = Registry(tmp_path / "registry")
    assert registry.register("kitahama", artefact).gate is Gate.NONE
    trusted = registry.register("kitahama", artefact, trusted=True)
    assert trusted.gate is Gate.PASSED
    assert (trusted.path / "card.md").read_text().startswith(f"# {trusted.id}")


@pytest.mark.parametrize(
    ("share", "served", "told"), [({}, True, ""), ({"tone": HALF}, False, "missed tone.en"), (None, False, "evaluated")]
)
def test_a_seed_passes_the_same_gate(
    tmp_path: Path, artefact: Path, share: dict[str, Any] | None, served: bool, told: str, caplog: Any
) -> None:
    """It starts the gateway either way; what has not passed is told and not served."""
    if share is not None:
        (artefact / FILE).write_text(json.dumps(evaluation(artefact_digest(artefact), **share).to_wire()))
    settings = Settings(home=tmp_path / "home", adapters=Adapters(seed={"kitahama": artefact}))
    with caplog.at_level(logging.WARNING):
        seed_adapters(settings)
    assert (Registry.of(settings).served("kitahama").stable is not None) is served
    assert told in caplog.text


def test_an_evaluation_is_read_as_it_was_written() -> None:
    made = evaluation("sha256:1")
    assert Evaluation.from_wire(json.loads(json.dumps(made.to_wire()))) == made
    shown = card(made, "kitahama@1")
    assert "| tone | 100.0% (98.7% to 100.0%; 300) |" in shown
    assert "| leak of the base model | 0.0% (0.0% to 1.3%; 300) | 0.0%" in shown, "the gate compares in each language"
