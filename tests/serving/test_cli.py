"""The command line against a fake gateway: what it prints, what it sends, how it ends."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.cli import main
from serving.cli.check import State
from serving.cli.client import Client
from serving.cli.machine import mounted
from serving.cli.output import plain
from serving.cli.parts import engine_checks
from tests.fakes.engine import FakeEngine
from tests.fakes.gateway import ANSWER, FACTS, KEY, VERSION, FakeGateway, refusal
from tests.fakes.threaded import in_thread


@dataclass(frozen=True)
class Ran:
    """A command's end: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout: anything else there fails."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with in_thread(FakeGateway()) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state and no configuration but the test's own."""
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "groundtone.toml"))
    for name in ("GROUNDTONE_URL", "GROUNDTONE_API_KEY", "GROUNDTONE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Ran:
        code = main(words)
        written = capsys.readouterr()
        return Ran(code, written.out, written.err)

    return run


@pytest.fixture
def told(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run`, with the fake gateway's address and key in the environment."""
    monkeypatch.setenv("GROUNDTONE_URL", gateway.url)
    monkeypatch.setenv("GROUNDTONE_API_KEY", KEY)
    return run


def test_help_is_there_before_a_person_looks_up() -> None:
    """Heavy imports stay inside commands: help must not wait for them."""
    code = "import sys; from serving.cli import main; main(['--help']); print(','.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "knowledge" in ran.stdout
    loaded = set(ran.stdout.splitlines()[-1].split(","))
    assert not loaded & {"pydantic", "aiohttp", "sqlalchemy", "fastapi", "numpy", "chromadb", "rfc8785"}


def test_ask_shows_answer_sources_figures_and_receipt(told: Run) -> None:
    ran = told("ask", "年会費は？")
    assert ran.code == 0
    assert ran.out.startswith(ANSWER + "\n")
    assert "[1] しおさいカード (cards.md, revision 3, page 2)" in ran.out
    assert "The annual fee is 11,000 yen." in ran.out
    assert "11,000 yen  supported" in ran.out
    assert f"answered · figures clean · snapshot 42 · {VERSION} · r_1" in ran.out


def test_ask_as_json_is_the_response_itself(told: Run) -> None:
    ran = told("ask", "fee?", "--json")
    assert ran.code == 0
    assert ran.document["groundtone"] == FACTS


def test_ask_goes_to_the_first_assistant_unless_told(told: Run, gateway: FakeGateway) -> None:
    told("ask", "fee?")
    told("ask", "fee?", "--assistant", "kitahama-plain", "--as-of", "7", "--top-k", "3", "--no-knowledge")
    told("ask", "fee?", "--as-of", "2026-03-01T00:00:00Z")
    first, second, third = gateway.asked
    assert first["model"] == "kitahama"
    assert "groundtone" not in first
    assert second["model"] == "kitahama-plain"
    assert second["groundtone"] == {"as_of": 7, "top_k": 3, "knowledge": "off"}
    assert third["groundtone"] == {"as_of": "2026-03-01T00:00:00Z"}


def test_ask_reads_a_long_question_from_stdin(told: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("What is\nthe fee?\n"))
    assert told("ask", "-").code == 0
    assert gateway.asked[0]["messages"][0]["content"] == "What is\nthe fee?"


def test_an_answer_cannot_speak_to_the_terminal(told: Run, gateway: FakeGateway) -> None:
    """Documents and answers are other people's text: no escape sequence of theirs reaches the terminal."""
    gateway.answer = "fee \x1b[2J\x1b]0;owned\x07 \u202eneves"
    out = told("ask", "fee?").out
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert plain("tab\tand 年\n") == "tab\tand 年\n"


def test_an_error_in_the_stream_is_an_error_of_the_command(told: Run, gateway: FakeGateway) -> None:
    gateway.error_in_stream = True
    ran = told("ask", "fee?")
    assert ran.code == 3
    assert "The engine broke off. Ask again." in ran.err


def test_chat_keeps_the_history(told: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["年会費は？", "/sources", "学生は？", ""])

    def typed(prompt: str) -> str:
        return next(lines)

    monkeypatch.setattr("builtins.input", typed)
    ran = told("chat")
    assert ran.code == 0
    assert [turn["role"] for turn in gateway.asked[1]["messages"]] == ["user", "assistant", "user"]
    assert "Sources" in ran.out


def test_nothing_there_is_exit_code_3_and_says_how_to_start_it(run: Run) -> None:
    ran = run("ask", "fee?", "--url", "http://127.0.0.1:9", "--key", "gt_x", "--json")
    assert ran.code == 3
    assert "make up" in ran.document["error"]["message"]
    assert "connection refused" in ran.err


def test_a_refusal_is_exit_code_1_with_the_services_message(told: Run, gateway: FakeGateway) -> None:
    ran = told("receipt", "show", "r_none", "--json")
    assert ran.code == 1
    assert ran.document["error"]["code"] == "not_found"
    assert ran.err == "There is no such receipt. List them.\n"


def test_a_part_that_is_down_is_exit_code_3(told: Run, gateway: FakeGateway) -> None:
    gateway.refuse["/v1/chat/completions"] = refusal(503, "The engine is down. Ask again.", "engine_unavailable")
    ran = told("ask", "fee?", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (3, "engine_unavailable")


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["ask"],
        ["ask", "fee?", "--top-k", "99"],
        ["ask", " "],
        ["knowledge", "add", "missing.md"],
        ["knowledge", "sources", "explode", "files"],
        ["adapter", "promote", "kitahama"],
        ["adapter", "train", "missing.toml"],
        ["ask", "fee?", "--url", "not an address"],
        ["chat"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_still_one_document(told: Run, words: list[str]) -> None:
    ran = told(*words, "--json")
    assert ran.code == 2
    assert ran.document["error"]["type"] == "usage"
    assert ran.err


def test_the_admin_key_never_leaves_for_another_machine(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "admin.key").write_text("gt_secret\n")
    ran = run("key", "ls", "--url", "http://192.0.2.1:8080")
    assert ran.code == 2
    assert "Give its API key" in ran.err


def test_the_address_and_key_of_the_running_service_are_found(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "admin.key").write_text(f"{KEY}\n")
    (tmp_path / "home" / "running.json").write_text(json.dumps({"pid": 1, "address": gateway.url, "parts": {}}))
    assert run("receipt", "ls").code == 0


def test_a_wrong_key_says_where_the_right_one_is(run: Run, gateway: FakeGateway) -> None:
    ran = run("receipt", "ls", "--url", gateway.url, "--key", "gt_wrong")
    assert ran.code == 1
    assert "admin.key" in ran.err


def test_add_puts_files_and_folders_under_their_names(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "docs" / "ja").mkdir(parents=True)
    (tmp_path / "docs" / "ja" / "料金 表.csv").write_text("a,b\n")
    (tmp_path / "docs" / ".hidden.md").write_text("no")
    (tmp_path / "docs" / "picture.png").write_bytes(b"no")
    (tmp_path / "fees.md").write_text("# Fees")
    ran = told("knowledge", "add", str(tmp_path / "docs"), str(tmp_path / "fees.md"), "--lang", "ja", "--json")
    assert ran.code == 0
    assert [d["document"] for d in ran.document["documents"]] == ["ja/料金 表.csv", "fees.md"]
    assert gateway.documents["ja/料金 表.csv"]["media_type"] == "text/csv"
    assert gateway.documents["fees.md"] | {"lang": "ja", "media_type": "text/markdown"} == gateway.documents["fees.md"]


def test_one_unreadable_file_does_not_keep_the_others_out(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("unreadable")
    (tmp_path / "b.md").write_text("good")
    ran = told("knowledge", "add", str(tmp_path / "a.md"), str(tmp_path / "b.md"))
    assert ran.code == 1
    assert "can't be read" in ran.out
    assert set(gateway.documents) == {"b.md"}


def test_add_waits_for_an_operation_that_takes_longer(
    told: Run, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.cli.documents._POLL_SECONDS", 0.0)
    gateway.slow_operations = True
    (tmp_path / "a.md").write_text("text")
    ran = told("knowledge", "add", str(tmp_path / "a.md"), "--id", "long/one", "--title", "表", "--json")
    assert ran.code == 0
    assert ran.document["documents"][0]["snapshot"] == 1
    assert gateway.documents["long/one"]["title"] == "表"
    failed = told("knowledge", "add", str(tmp_path / "a.md"), "--id", "failing")
    assert failed.code == 1
    assert "The change failed. Send it again." in failed.out


def test_rm_ls_and_show_follow_what_was_added(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text("text")
    assert told("knowledge", "add", *(str(tmp_path / name) for name in ("a.md", "b.md", "c.md"))).code == 0
    assert [d["document"] for d in told("knowledge", "ls", "kitahama", "--json").document["data"]] == [
        "a.md",
        "b.md",
        "c.md",
    ]
    assert told("knowledge", "show", "a.md", "--json").document["revision"] == 1
    assert told("knowledge", "rm", "a.md").out == "removed a.md (snapshot 4)\n"
    assert told("knowledge", "rm", "a.md").code == 1
    assert told("knowledge", "ls", "--json").document["data"][0]["name"] == "kitahama"
    assert len(told("knowledge", "ls", "kitahama", "-n", "1", "--json").document["data"]) == 1


def test_tables_align_wide_characters(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    """A Japanese character takes two columns of a terminal: what stands right of it must still line up."""
    from rich.cells import cell_len

    (tmp_path / "a.md").write_text("text")
    told("knowledge", "add", str(tmp_path / "a.md"), "--id", "しおさい.md", "--title", "カード")
    told("knowledge", "add", str(tmp_path / "a.md"), "--title", "card")
    lines = [line for line in told("knowledge", "ls", "kitahama").out.splitlines() if ".md" in line]
    assert len({cell_len(line[: line.index("ja")]) for line in lines}) == 1


def test_search_shows_what_an_assistant_would_be_given(told: Run, gateway: FakeGateway) -> None:
    ran = told("knowledge", "search", "年会費", "--as-of", "7")
    assert "0.71  しおさいカード (cards.md, revision 3)" in ran.out
    assert "1 result in snapshot 7" in ran.out


def test_snapshots_diff_restore_and_sources_speak_the_contract(told: Run, gateway: FakeGateway) -> None:
    assert [s["number"] for s in told("knowledge", "snapshots", "--json").document["data"]] == [2, 1]
    assert told("knowledge", "diff", "1", "2").out.splitlines() == [
        "+ kitahama/a.md  revision 1",
        "~ kitahama/c.md  revision 1 → revision 2",
        "- kitahama/b.md  revision 4",
    ]
    assert told("knowledge", "restore", "1", "--kb", "kitahama").out == "restored snapshot 1 (snapshot 9)\n"
    assert "watching" in told("knowledge", "sources").out
    assert "files: broken.pdf: The document can't be read." in told("knowledge", "sources").out
    assert told("knowledge", "sources", "pause", "files").code == 0
    assert gateway.calls[-1] == "POST /v1/sources/files:pause"


def test_holds_are_placed_ended_and_listed_with_who_and_why(told: Run, gateway: FakeGateway) -> None:
    assert "cards.md are kept" in told("knowledge", "hold", "cards.md", "--kb", "kitahama", "--reason", "Case 7").out
    assert told("knowledge", "unhold", "1", "--reason", "Closed").out == "hold 1 has ended\n"
    assert gateway.calls[-1] == "POST /v1/holds/1:end"
    listed = told("knowledge", "holds").out
    assert all(word in listed for word in ("cards.md", "k_1", "Case 7", "k_2: Closed"))


def test_embedders_are_shown_compared_and_switched(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    assert told("knowledge", "embedder").out.split()[-4:] == ["large", "1024", "beside", "12"]
    assert told("knowledge", "embedder", "switch").out.startswith("large serves")
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "年会費", "document": "cards.md"}')
    compared = told("knowledge", "embedder", "compare", "--kb", "kitahama", "--questions", str(questions), "--json")
    assert compared.document["mrr"] == {"difference": 0.0, "p": 1.0}
    assert told("knowledge", "embedder", "compare").code == 2


def test_a_knowledge_base_is_created_with_its_labels(told: Run, gateway: FakeGateway) -> None:
    ran = told("knowledge", "create", "loans", "--labels", "staff, audit", "--json")
    assert ran.document["labels"] == ["staff", "audit"]


def test_adapters_are_listed_with_their_channels(told: Run) -> None:
    out = told("adapter", "ls").out
    assert VERSION in out
    assert "stable" in out
    assert told("adapter", "show", VERSION, "--json").document["id"] == VERSION
    assert told("adapter", "show", "nobody").code == 1
    assert (
        f"2026-11-22 14:00:00  k_1: stable {VERSION}, canary other@0123456789ab 10 %"
        in told("adapter", "show", "kitahama").out
    )


def test_two_versions_are_shown_side_by_side(told: Run) -> None:
    """Values with bounds and cases, what one side lacks as a dash, and a mark where it is more than chance."""
    lines = told("adapter", "compare", "kitahama").out.splitlines()
    flagged = next(line for line in lines if line.startswith("flagged"))
    assert flagged.split("  ")[1].strip() == "2.0% (1.0% to 4.0%; 500)"
    assert flagged.endswith("+10.0% (+5.0% to +18.0%) *")
    seconds = next(line for line in lines if line.startswith("seconds"))
    assert "–" in seconds
    assert "1.50 s (1.25 s to 2.00 s; 100)" in seconds
    assert told("adapter", "compare", "kitahama", "--json").document["canary"]["version"] == "kitahama@ba9876543210"


def test_register_packs_the_adapters_files_and_nothing_else(told: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    folder = tmp_path / "voice"
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json", "training.json", "optimizer.pt"):
        (folder / name).write_text(name)
    assert told("adapter", "register", str(folder), "--json").document["id"] == "voice@ffffffffffff"
    first = gateway.registered
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert set(tar.getnames()) == {"adapter_model.safetensors", "adapter_config.json", "training.json"}
    told("adapter", "register", str(folder))
    assert gateway.registered == first
    (folder / "adapter_config.json").unlink()
    assert told("adapter", "register", str(folder)).code == 2


def test_channels_move_over_http(told: Run, gateway: FakeGateway) -> None:
    assert told("adapter", "promote", VERSION).out == f"stable is {VERSION}\n"
    assert told("adapter", "canary", VERSION, "--share", "25").code == 0
    assert gateway.channels["canary"] == {"version": VERSION, "share": 25}
    assert told("adapter", "rollback", "kitahama").out == f"stable is {VERSION}\n"


def test_train_runs_in_the_engines_environment_and_passes_progress_on(
    told: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "engine" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho step 1 of 2 >&2\necho "{\\"arguments\\": \\"$*\\"}"\nexit ${FAKE_CODE:-0}\n')
    python.chmod(0o755)
    monkeypatch.setattr("serving.supervisor.plan.ENGINE_ENVIRONMENT", tmp_path / "engine")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    ran = told("adapter", "train", str(recipe), "--steps", "9", "--json")
    home = tmp_path / "home"
    assert ran.document == {"arguments": f"-m adapters.train {recipe} --home {home} --steps 9 --json"}
    monkeypatch.setenv("FAKE_CODE", "7")
    assert told("adapter", "train", str(recipe), "--json").code == 1


def test_receipts_are_listed_and_shown(told: Run) -> None:
    listed = told("receipt", "ls", "--json").document["data"]
    assert [r["receipt"] for r in listed] == ["r_0", "r_1", "r_2"]
    assert "年会費は？" in told("receipt", "ls").out
    assert told("receipt", "show", "r_1", "--json").document["ended"] == "answered"


def test_audit_verify_finds_what_was_changed(told: Run, gateway: FakeGateway) -> None:
    assert told("audit", "verify", "--json").document == {"receipts": 3, "wrong": []}
    gateway.receipts[1]["outcome"]["output"] = ["The annual fee is 1 yen."]
    ran = told("audit", "verify", "--json")
    assert ran.code == 1
    assert [entry["receipt"] for entry in ran.document["wrong"]] == ["r_1"]


def test_keys_are_made_and_revoked(told: Run, gateway: FakeGateway) -> None:
    made = told("key", "create", "app", "--labels", "public,staff", "--scopes", "chat,knowledge:read")
    assert made.out == "gt_new\n"
    assert "not shown again" in made.err
    assert told("key", "revoke", "k_1", "--json").document == {"id": "k_1", "revoked": True}


def test_doctor_says_what_is_wrong_and_what_to_do(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "admin.key").write_text("gt_x\n")
    (home / "admin.key").chmod(0o644)
    ran = run("doctor", "--json", "--url", "http://127.0.0.1:9")
    assert ran.code == 1
    failed = {check["name"]: check["do"] for check in ran.document["checks"] if check["state"] == "fail"}
    assert "chmod 600" in failed["keys"]
    assert "make up" in failed["gateway"]
    assert not ran.document["ok"]


def test_doctor_looks_at_every_part_and_the_loaded_adapters(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in ("admin.key", "internal.key"):
        (home / name).write_text(f"{KEY}\n")
        (home / name).chmod(0o600)
    (tmp_path / "groundtone.toml").write_text(
        '[engine]\nurls = ["http://127.0.0.1:9"]\n[[assistants]]\nname = "kitahama"\n'
    )
    with in_thread(FakeEngine()) as engine:
        parts = {"engine": {"address": engine.url}, "knowledge": {"address": "http://127.0.0.1:9"}}
        (home / "running.json").write_text(json.dumps({"pid": 1, "address": gateway.url, "parts": parts}))
        ran = run("doctor", "--json")
        states = {(check["name"], check["state"]) for check in ran.document["checks"]}
        assert {("engine", "ok"), ("knowledge", "fail"), ("ready", "ok"), ("adapter", "fail")} <= states
        engine.loaded[VERSION] = "/a"
        ran = run("doctor", "--json")
        assert ("adapter", "ok") in {(check["name"], check["state"]) for check in ran.document["checks"]}
        assert f"adapter            {VERSION} is loaded" in run("doctor").out


def test_doctor_measures_the_engine_by_the_configuration() -> None:
    """A version with known holes, and a window that is smaller than the one that prompts are cut for."""
    with in_thread(FakeEngine(max_model_len=4096)) as engine:
        found = {check.name: check.state for check in engine_checks(Client(engine.url, None), 8192)}
        assert found == {"engine version": State.OK, "window": State.FAIL}
        found = {check.name: check.state for check in engine_checks(Client(engine.url, None), 4096)}
        assert found["window"] is State.OK


def test_doctor_leaves_the_mode_of_a_mounted_key_to_its_host() -> None:
    """A secret of a container is a mount of its own; a file of the state folder is not."""
    assert mounted(Path("/proc"))
    assert not mounted(Path(__file__))


def test_doctor_tells_the_reasons_of_a_gateway_that_is_not_ready(told: Run, gateway: FakeGateway) -> None:
    gateway.refuse["/readyz"] = (503, {"ready": False, "reasons": ["no engine replica is up"]})
    ran = told("doctor", "--json")
    ready = next(check for check in ran.document["checks"] if check["name"] == "ready")
    assert (ready["state"], ready["found"]) == ("fail", "no engine replica is up")


def test_a_wrong_configuration_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "groundtone.toml").write_text("[server]\nport = 99999\n")
    ran = run("receipt", "ls")
    assert ran.code == 2
    assert "server.port" in ran.err
