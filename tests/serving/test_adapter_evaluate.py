"""`groundtone adapter evaluate` against a fake engine: what it asks, where the result is kept, how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from adapters import Gate, Registry
from adapters.artefact import artefact_digest
from adapters.evaluation.journal import Journal
from adapters.recipe import read_recipe
from benchmarks.adapters import evaluated as benchmarked
from common.canonical import digest
from common.settings import Gate as Thresholds
from common.settings import load
from serving.cli import main
from tests.fakes.engine import MODEL, FakeEngine
from tests.fakes.threaded import in_thread
from tests.serving.conftest import adapter_folder

RECIPE = Path(__file__).parents[2] / "examples" / "kitahama" / "recipe.toml"
OPEN = {f"GROUNDTONE_ADAPTERS__GATE__{name}": "0" for name in ("TERMINOLOGY", "GENERAL", "FORMAT")} | {
    f"GROUNDTONE_ADAPTERS__GATE__{name}_{lang}": "0" for name in ("TONE", "FAITHFUL") for lang in ("EN", "JA", "ZH_TW")
}
LOOSE = OPEN | {f"GROUNDTONE_ADAPTERS__GATE__{name}": "1" for name in ("STALE", "LEAK", "GENERAL")}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "groundtone.toml"))
    with in_thread(FakeEngine()) as engine:
        yield engine


def run(engine: FakeEngine, subject: Path | str, *words: str) -> int:
    told = ["adapter", "evaluate", str(subject), "--recipe", str(RECIPE), "--engine", engine.url, *words]
    return main([*told, "-n", "3", "--json"])


def kept_as_it_is(journal: Journal) -> None:
    """What a run that was broken off leaves of its journal."""


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_version_is_measured_and_the_result_kept_with_it(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Adapter and base are asked under their own names; the engine is left as it was; the gate is open then."""
    for name, value in LOOSE.items():
        monkeypatch.setenv(name, value)
    registry = Registry(tmp_path / "home" / "adapters")
    version = registry.register("kitahama", adapter_folder(tmp_path / "adapter"))
    assert run(engine, version.id) == 0
    result = told(capsys)
    assert (result["version"], result["gate"]) == (version.id, {"passed": True, "failed": []})
    assert result["metrics"]["tone"]["value"] == 1
    assert set(result["metrics"]["tone"]) == {"value", "low", "high", "n", "seconds"}
    assert set(result["by_language"]) == {"en", "ja", "zh-TW"}
    assert {"seconds", "made", "seed", "answers", "base_model"} <= set(result)
    assert result["measured_data_digest"] == read_recipe(RECIPE).data_digest()
    assert result["rules_digest"] == digest((RECIPE.parent / "glossary.toml").read_bytes())
    assert {chat["model"] for chat in engine.chats} == {MODEL, version.id}
    assert all(chat["temperature"] == 0 for chat in engine.chats)
    assert engine.loaded == {}
    kept = Registry(tmp_path / "home" / "adapters", gate=None).version(version.id)
    assert kept.evaluation is not None
    assert kept.evaluation.to_wire()["metrics"] == result["metrics"]
    assert "| tone |" in (kept.path / "card.md").read_text()
    assert ">faithful, zh-TW<" in (kept.path / "evaluation.svg").read_text()


def test_a_version_that_was_changed_on_disk_is_not_measured(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before the first question, and not after the last."""
    version = Registry(tmp_path / "home" / "adapters").register("kitahama", adapter_folder(tmp_path / "adapter"))
    config = version.path / "adapter_config.json"
    config.chmod(0o644)
    config.write_text(config.read_text() + " ")
    assert run(engine, version.id) == 2
    assert "Register it again" in told(capsys)["error"]["message"]
    assert engine.chats == []


def test_too_few_cases_do_not_pass_the_default_gate(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three cases a language prove nothing, however well they went: exit code 1, and the version stays unheard."""
    registry = Registry(tmp_path / "home" / "adapters")
    version = registry.register("kitahama", adapter_folder(tmp_path / "adapter"))
    assert run(engine, version.id) == 1
    assert {"tone.en", "faithful.ja", "stale.zh-TW"} <= set(told(capsys)["gate"]["failed"])
    assert registry.version(version.id).gate is Gate.FAILED


def test_forms_are_measured_where_the_samples_have_some(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Validity and terms, of adapter and base side by side, on files beside the samples that none is trained on."""
    recipe = RECIPE.parents[1] / "forms" / "recipe.toml"
    folder = adapter_folder(tmp_path / "adapter")
    words = ["adapter", "evaluate", str(folder), "--recipe", str(recipe), "--engine", engine.url]
    assert main([*words, "-n", "3", "--json"]) == 1
    result = told(capsys)
    for side in (result["metrics"], result["base"]["all"]):
        assert {name: side[name]["n"] for name in ("format", "terminology", "faithful")} == dict.fromkeys(
            ("format", "terminology", "faithful"), 9
        )
    assert {"tone.en", "stale.en"} <= set(result["gate"]["failed"]), "what was not measured is not passed"


@pytest.mark.parametrize("same", [True, False])
def test_other_data_than_it_was_trained_on_is_told(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], same: bool
) -> None:
    """An adapter can't be stale in what it never learned: the figures are kept, and what they were taken on."""
    folder = adapter_folder(tmp_path / "adapter")
    data = read_recipe(RECIPE).data_digest() if same else "sha256:" + "0" * 64
    (folder / "training.json").write_text(json.dumps({"data_digest": data}))
    run(engine, folder)
    assert ("never have seen" in capsys.readouterr().err) is not same


def test_a_folder_gets_its_evaluation_beside_the_weights(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bound to them: that is how an adapter ships with what it was measured to do. What was loaded stays loaded.

    What was asked before a run broke off is not asked again; once it ended, nothing of it is kept.
    """
    folder = adapter_folder(tmp_path / "adapter")
    digest = artefact_digest(folder)
    id = f"kitahama@{digest.removeprefix('sha256:')[:12]}"
    engine.loaded[id] = str(folder)
    with monkeypatch.context() as broken_off:
        broken_off.setattr(Journal, "forget", kept_as_it_is)
        run(engine, folder)
    asked = len(engine.chats)
    took = told(capsys)["seconds"]
    run(engine, folder)
    assert len(engine.chats) == asked > 0
    assert not any((tmp_path / "home" / "evaluations").iterdir())
    again = told(capsys)
    assert (again["version"], again["seconds"]) == (id, took), "answers of before count with the time that they took"
    assert json.loads((folder / "evaluation.json").read_text())["digest"] == digest
    assert id in engine.loaded


def test_a_benchmark_holds_to_the_default_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the project's folder, whose own configuration asks less of the sample."""
    started: dict[str, Any] = {}

    def run(command: list[str], **how: Any) -> CompletedProcess[str]:
        started.update(how)
        return CompletedProcess(command, 1, '{"metrics": {}}')

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.run", run)
        benchmarked(RECIPE, tmp_path, "http://127.0.0.1:1", 3)
    monkeypatch.chdir(started["cwd"])
    monkeypatch.setattr("os.environ", {k: v for k, v in started.get("env", {}).items() if k == "GROUNDTONE_CONFIG"})
    assert load().adapters.gate == Thresholds()


@pytest.mark.parametrize("subject", ["kitahama@000000000000", "nothing", "../etc"])
def test_what_is_no_version_is_exit_code_2(
    engine: FakeEngine, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, subject) == 2
    assert told(capsys)["error"]["type"] == "usage"


def test_an_engine_that_is_gone_is_exit_code_3(tmp_path: Path, engine: FakeEngine) -> None:
    """Nothing is kept of an evaluation that did not end."""
    folder = adapter_folder(tmp_path / "adapter")
    words = ["--recipe", str(RECIPE), "--engine", "http://127.0.0.1:1", "-n", "3"]
    assert main(["adapter", "evaluate", str(folder), *words]) == 3
    assert not (folder / "evaluation.json").exists()
