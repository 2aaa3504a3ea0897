"""Training for real, a few steps of it, in the engine's environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import Base, Registry
from tests.adapters.conftest import BASE, SAMPLE

ROOT = SAMPLE.parents[1]
ENGINE = ROOT / ".venv-engine" / "bin" / "python"

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ENGINE), "-m", *arguments, "--home", str(home)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`GROUNDTONE_TEST_HOME` names a home with the base model made ready; without it, it is made here."""
    return Path(os.environ.get("GROUNDTONE_TEST_HOME") or tmp_path_factory.mktemp("home"))


def test_the_base_model_is_made_once(home: Path) -> None:
    """One JSON document, the same twice, and the second time at once."""
    first = json.loads(run("adapters.base_model", "--name", "bundled", home=home).stdout)
    made = Path(first["path"]) / "model.safetensors"
    before = made.stat().st_mtime_ns
    assert json.loads(run("adapters.base_model", "--name", "bundled", home=home).stdout) == first
    assert made.stat().st_mtime_ns == before
    assert first["served"] == BASE
    assert json.loads((made.parent / "config.json").read_text())["max_position_embeddings"] == 8192


def test_training_goes_on_after_a_kill_and_its_artefact_registers(home: Path, tmp_path: Path) -> None:
    """Two steps, a kill, two more: the same weights as four steps in one go, and the registry takes them."""
    text = (SAMPLE / "recipe.toml").read_text()
    for place in ("samples", "documents"):
        text = text.replace(f'"{place}', f'"{SAMPLE / place}')
    # Small scenes: what is tested is the way, not the voice.
    text = text.replace("chunks = 4", "chunks = 1").replace("questions = 6", "questions = 1")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text + "\ncheckpoint_every = 2\nthreads = 1\n")

    def train(output: str, *more: str) -> dict[str, object]:
        given = ("adapters.train", str(recipe), "--steps", "4", "--json", "--output", str(tmp_path / output))
        return json.loads(run(*given, *more, home=home).stdout)

    whole = train("whole")
    script = (
        "import os, adapters.train as t\n"
        "keep = t._checkpoint\n"
        "def kill(run): keep(run); os.kill(os.getpid(), 9)\n"
        "t._checkpoint = kill\n"
        "raise SystemExit(t.main())\n"
    )
    killed = subprocess.run(
        [
            str(ENGINE),
            "-c",
            script,
            str(recipe),
            "--steps",
            "4",
            "--output",
            str(tmp_path / "two"),
            "--home",
            str(home),
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9
    assert not (tmp_path / "two").exists()
    assert train("two")["weights_digest"] == whole["weights_digest"]
    registered = Registry(tmp_path / "registry", base=Base(BASE, str(whole["base_model_digest"]))).register(
        "kitahama", tmp_path / "two"
    )
    assert registered.rank == 8
    assert {p.name for p in (tmp_path / "two").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "training.json",
        "loss.png",
    }


def test_the_facade_imports_no_torch() -> None:
    """The gateway's environment has none."""
    code = "import sys, adapters; raise SystemExit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
