"""`groundtone knowledge tune` against a fake gateway: what it sends to the tries, and what it writes down."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.settings import load
from serving.cli import main, tune
from serving.cli.command import Usage
from serving.cli.configure import write_entry
from tests.fakes.gateway import KEY, FakeGateway
from tests.fakes.threaded import in_thread

TOML = """# The firm's own.
[server]
port = 0  # any

[[assistants]]
name = "desk"  # who answers
top_k = 4

[[bases]]
# measured in spring
name = "other"
size = 320
"""
SHARE = {"value": 0.5, "low": 0.4, "high": 0.6}
FOUND: dict[str, Any] = {
    "n": 8,
    "calibrated_on": 4,
    "reported_on": 4,
    "half_life_columns": 2560,
    "tries": [
        {"label": label, "dense": {"en": 0.5}, "chunks": 9, "gain": SHARE, "recall@1": SHARE, "recall@5": SHARE,
         "difference": 0.1, "p": p, "verdict": verdict}
        for label, p, verdict in (("facts/1:640", None, "today"), ("sections/1:640", 0.3, "no real difference"))
    ],
    "winner": 1,
    "top_k": {"suggested": 2, "tried": [{"top_k": 2, "recall": 0.9, "columns": 300}]},
    "base": {"name": "kitahama", "strategy": "sections", "size": 640, "overlap": 0.0, "dense_en": 0.5},
}  # fmt: skip


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "groundtone.toml"))
    (tmp_path / "groundtone.toml").write_text(TOML)
    with in_thread(FakeGateway()) as gateway:
        monkeypatch.setenv("GROUNDTONE_URL", gateway.url)
        monkeypatch.setenv("GROUNDTONE_API_KEY", KEY)
        gateway.documents["fees.md"] = {"document": "fees.md", "text": "Fees", "blocks": [["heading", 0, 4, 1, None]]}
        yield gateway


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was handed to the process of the tries, which answers with `FOUND`."""
    given: list[dict[str, Any]] = []

    class Process:
        returncode = 0

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def communicate(self, job: str) -> tuple[str, None]:
            given.append(json.loads(job))
            return json.dumps(FOUND), None

    monkeypatch.setattr(tune.subprocess, "Popen", Process)
    return given


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "q.jsonl"
    file.write_text(
        "".join(json.dumps({"question": f"What is fee {i}?", "document": "fees.md"}) + "\n" for i in range(8))
    )
    return str(file)


def test_tune_shows_tries_and_says_what_is_not_proven(
    gateway: FakeGateway, jobs: list[dict[str, Any]], questions: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without --write nothing is written but the drawing."""
    words = ["--questions", questions, "--strategies", "sections", "--sizes", "200,400", "--overlaps", "0"]
    assert main(["knowledge", "tune", "kitahama", *words]) == 0
    told = capsys.readouterr().out
    assert "→ sections/1:640" in told
    assert "not proven" in told
    assert (jobs[0]["strategies"], jobs[0]["sizes"], jobs[0]["overlaps"]) == (["sections"], [200, 400], [0])
    assert (len(jobs[0]["questions"]), jobs[0]["documents"][0]["document"]) == (8, "fees.md")
    assert (tmp_path / "home" / "tune" / "kitahama.svg").read_text().startswith("<svg")
    assert (tmp_path / "groundtone.toml").read_text() == TOML


def test_tune_writes_the_winner_and_keeps_every_other_line(
    gateway: FakeGateway, jobs: list[dict[str, Any]], questions: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And what it wrote is read: the settings have it."""
    file = tmp_path / "groundtone.toml"
    for _ in range(2):
        words = ["--questions", questions, "--write", "--assistant", "desk", "--json"]
        assert main(["knowledge", "tune", "kitahama", *words]) == 0
        assert json.loads(capsys.readouterr().out)["written"] == str(file)
    text = file.read_text()
    assert all(line in text for line in TOML.splitlines() if "top_k" not in line)
    settings = load()
    assert [(base.name, base.strategy, base.size) for base in settings.bases] == [
        ("other", "facts", 320),
        ("kitahama", "sections", 640),
    ]
    assert settings.assistants[0].top_k == 2
    assert len(tomllib.loads(text)["bases"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--strategies", "magic"],
        ["--sizes", "many"],
        ["--sizes", "10"],
        ["--overlaps", "0.9"],
        ["--assistant", "nobody"],
    ],
)
def test_tune_refuses_what_it_cannot_try(
    gateway: FakeGateway, jobs: list[dict[str, Any]], questions: str, words: list[str]
) -> None:
    assert main(["knowledge", "tune", "kitahama", "--questions", questions, *words]) == 2
    assert not jobs


def test_tune_needs_questions_about_documents_that_are_there(
    gateway: FakeGateway, jobs: list[dict[str, Any]], questions: str, tmp_path: Path
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text(json.dumps({"question": "What?", "document": "fees.md"}))
    assert main(["knowledge", "tune", "kitahama", "--questions", str(few)]) == 2
    gateway.documents.clear()
    assert main(["knowledge", "tune", "kitahama", "--questions", questions]) == 2
    gateway.documents["rates.md"] = {"document": "rates.md", "text": "x", "blocks": [["paragraph", 0, 1, 0, None]]}
    assert main(["knowledge", "tune", "kitahama", "--questions", questions]) == 2
    assert not jobs


def test_tries_that_fail_are_told(
    gateway: FakeGateway, questions: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = subprocess.Popen

    def broken(command: list[str], **more: Any) -> Any:
        return real([command[0], "-c", "import sys; sys.stdin.read(); sys.exit(3)"], **more)

    monkeypatch.setattr(tune.subprocess, "Popen", broken)
    assert main(["knowledge", "tune", "kitahama", "--questions", questions, "--json"]) == 1
    assert "exit code 3" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_configuration_that_is_no_toml_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "groundtone.toml"
    for text in ("[[", 'bases = "x"\n'):
        file.write_text(text)
        with pytest.raises(Usage):
            write_entry(file, "bases", {"name": "kb"})
        assert file.read_text() == text
    file.unlink()
    write_entry(file, "bases", {"name": "kb", "size": 320})
    assert tomllib.loads(file.read_text()) == {"bases": [{"name": "kb", "size": 320}]}
