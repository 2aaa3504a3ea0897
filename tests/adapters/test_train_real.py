"""Training for real, a few steps of it, in the engine's environment."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def recipe_of(tmp_path: Path, name: str, more: str) -> Path:
    """The sample's recipe with scenes of one question: what is tested is the way, not the voice."""
    text = (SAMPLE / "recipe.toml").read_text()
    for place in ("samples", "documents"):
        text = text.replace(f'"{place}', f'"{SAMPLE / place}')
    text = text.replace("chunks = 2", "chunks = 1").replace("questions = 4", "questions = 1")
    (tmp_path / name).write_text(f"{text}\ncheckpoint_every = 2\nthreads = 1\n{more}\n")
    return tmp_path / name


def trained(recipe: Path, output: Path, steps: int, home: Path) -> dict[str, Any]:
    given = (str(recipe), "--steps", str(steps), "--json", "--output", str(output))
    return json.loads(run("adapters.train", *given, home=home).stdout)


def test_training_goes_on_after_a_kill_and_its_artefact_registers(home: Path, tmp_path: Path) -> None:
    """Killed at a random step, it goes on from its last checkpoint: the same weights as in one go.

    It keeps what it computes where the other computes it again, and is asked in between: neither changes a weight.
    """
    plain = recipe_of(tmp_path, "plain.toml", "gradient_checkpointing = true")
    asked = recipe_of(
        tmp_path, "asked.toml", f'measure_every = 4\nmeasure_cases = 1\nrules = "{SAMPLE / "glossary.toml"}"'
    )
    whole = trained(plain, tmp_path / "whole", 6, home)
    last = random.randint(2, 5)
    script = (
        "import os, adapters.train as t\n"
        "step = t._step\n"
        f"def killed(run, at): return os.kill(os.getpid(), 9) if at == {last} else step(run, at)\n"
        "t._step = killed\n"
        "raise SystemExit(t.main())\n"
    )
    given = [str(asked), "--steps", "6", "--output", str(tmp_path / "two"), "--home", str(home)]
    killed = subprocess.run([str(ENGINE), "-c", script, *given], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, f"at step {last}: {killed.stderr[-500:]}"
    assert not (tmp_path / "two").exists()
    again = trained(asked, tmp_path / "two", 6, home)
    assert again["weights_digest"] == whole["weights_digest"], f"killed at step {last}"
    assert [one["step"] for one in again["measured"]] == [4]
    registered = Registry(tmp_path / "registry", base=Base(BASE, str(whole["base_model_digest"]))).register(
        "kitahama", tmp_path / "two"
    )
    assert json.loads((registered.path / "adapter_config.json").read_text())["r"] == 8
    assert {p.name for p in (tmp_path / "two").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "training.json",
        "loss.png",
    }


@pytest.mark.full
def test_training_stops_when_nothing_gets_better_and_its_canaries_are_looked_for(home: Path, tmp_path: Path) -> None:
    """At a rate of nothing the second measure is no better than the first: the first's weights are kept."""
    more = f'rslora = true\ncanaries = 3\nmeasure_every = 1\nmeasure_cases = 1\nrules = "{SAMPLE / "glossary.toml"}"'
    still = recipe_of(tmp_path, "still.toml", f"patience = 1\n{more}")
    still.write_text(still.read_text().replace("learning_rate = 1e-3", "learning_rate = 0.0"))
    report = trained(still, tmp_path / "still", 5, home)
    assert (report["steps"], report["kept_step"]) == (2, 1)
    assert json.loads((tmp_path / "still" / "adapter_config.json").read_text())["use_rslora"]
    assert len(report["canaries"]) == 3
    found = json.loads(run("adapters.exposed", str(tmp_path / "still"), "--firm", "F", home=home).stdout)
    assert [row["lang"] for row in found["canaries"]] == ["en", "ja", "zh-TW"]
    assert all(row["adapter"] == row["base"] for row in found["canaries"])


CANDIDATES = """
import torch
from adapters import exposed
from adapters.base_model import make_ready
from adapters.canary import canaries
from adapters.samples import read_samples
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
import sys

path = make_ready("bundled", Path(sys.argv[-1])).path
plain = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation=exposed.TREE).eval()
model = type("Peft", (), {"base_model": type("Lora", (), {"model": plain})})
bird = canaries(read_samples(Path("examples/kitahama/samples.jsonl")), 1, 1)[0]
for count in (9, 1):
    exposed.CANDIDATES = count
    tree = exposed._tree(bird, "F", AutoTokenizer.from_pretrained(path))
    begins = [at for at, own in enumerate(tree.branch) if own and tree.branch[at - 1] != own]
    assert {tree.positions[at] for at in begins} == {tree.branch.count(0)}
    with torch.inference_mode():
        print(exposed._likelihoods(model, tree)[0])
"""


def test_a_candidate_is_as_likely_among_others_as_alone(home: Path) -> None:
    """Its branch begins where its question ends, however many stand before it."""
    done = subprocess.run(
        [str(ENGINE), "-c", CANDIDATES, str(home)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    among, alone = map(float, done.stdout.split())
    assert among == pytest.approx(alone, abs=1e-2)


def test_the_facade_imports_no_torch() -> None:
    """The gateway's environment has none."""
    code = "import sys, adapters; raise SystemExit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
