"""`groundtone knowledge evaluate` against a fake gateway, and the feedback that its questions come from."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from serving.cli import main
from tests.fakes.gateway import KEY, Call, FakeGateway, Reply
from tests.fakes.threaded import in_thread
from tests.serving.conftest import Gateway, session

FEE = "The annual fee of the Harbour Gold Card is 11,000 yen, billed at the end of the year."


class Shelf(FakeGateway):
    """A gateway whose search gives a fee page first, and a rate page before it where the question is about rates."""

    def _search(self, call: Call) -> Reply:
        fee = {"document": "fees.md", "heading": ["Cards"], "text": FEE, "score": 0.8}
        rate = {"document": "rates.md", "heading": ["Loans"], "text": "The rate is 2.5 %.", "score": 0.03}
        found = [rate] if "gold bar" in call.json["query"] else [rate, fee] if "rate" in call.json["query"] else [fee]
        return 200, {"snapshot": 1, "weak": False, "results": found}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "groundtone.toml"))
    with in_thread(Shelf()) as gateway:
        monkeypatch.setenv("GROUNDTONE_URL", gateway.url)
        monkeypatch.setenv("GROUNDTONE_API_KEY", KEY)
        yield gateway


def written(file: Path, *rows: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Three answerable questions, one of them second and one missed, and one that nothing answers."""
    return (
        written(
            tmp_path / "q.jsonl",
            {"question": "What is the fee?", "document": "fees.md", "figures": ["11,000 yen"]},
            {"question": "Which rate has the fee page?", "document": "fees.md"},
            {"question": "What is the term?", "document": "terms.md"},
        ),
        written(tmp_path / "u.jsonl", {"question": "Do you sell gold bars?"}),
    )


def test_evaluate_tells_the_contracts_document(
    shelf: Shelf, files: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plot = tmp_path / "curve.svg"
    words = ["--questions", files[0], "--unanswerable", files[1], "--plot", str(plot), "--json"]
    assert main(["knowledge", "evaluate", "kitahama", *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["knowledge"], result["n"]) == ("kitahama", 3)
    assert result["metrics"]["recall@1"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert result["metrics"]["recall@3"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["by_language"]["en"]["n"] == 3
    assert [one["document"] for one in result["worst"]] == ["terms.md", "fees.md"]
    assert {p["threshold"]: p["unanswerable_caught"]["value"] for p in result["weak"]["curve"]}[0.1] == 1
    assert plot.read_text().startswith("<svg")


def test_evaluate_for_a_reader_shows_tables(
    shelf: Shelf, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["knowledge", "evaluate", "kitahama", "--questions", files[0], "--unanswerable", files[1]]) == 0
    told = capsys.readouterr().out
    assert "0.333 (0.06–0.79)" in told
    assert all(word in told for word in ("Worst", "Slowest", "terms.md", "default", "best", "file"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--least", "recall@3=0.2"], 0),
        (["--least", "recall@3=0.6"], 1),
        (["--least", "recall@2=0.6"], 2),
        (["--least", "mrr=high"], 2),
        (["--receipts"], 2),
        (["--plot", "curve.svg"], 2),
    ],
)
def test_evaluate_ends_as_the_contract_says(
    shelf: Shelf, files: tuple[str, str], words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bound is held by the interval's lower end: 2 of 3 proves less than it looks."""
    assert main(["knowledge", "evaluate", "kitahama", "--questions", files[0], *words, "--json"]) == code
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_without_questions_evaluate_says_where_they_may_come_from(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--questions", "nowhere.jsonl"], ["--receipts"]):
        assert main(["knowledge", "evaluate", "kitahama", *words]) == 2
    assert "--draft N" in capsys.readouterr().err


def test_without_a_service_evaluate_ends_with_3(
    shelf: Shelf, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["knowledge", "evaluate", "kb", "--questions", files[0], "--url", "http://127.0.0.1:1"]) == 3


def test_rated_receipts_are_asked_again(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the rated ones are fetched, and what was cited must be found again."""
    for receipt in shelf.receipts:
        receipt["rating"] = "good"
        receipt["intent"]["knowledge"] = ["kitahama"]
        receipt["outcome"]["citations"] = [{"document": "fees.md", "text": FEE}]
    assert main(["knowledge", "evaluate", "kitahama", "--receipts", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n"], result["source"], result["metrics"]["recall@1"]["value"]) == (3, ["receipts"], 1)


def test_drafts_come_from_an_assistant_without_knowledge_and_are_marked(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.documents["fees.md"] = {"document": "fees.md", "text": f"{FEE}\n\n{FEE} Ask the desk."}
    kept = tmp_path / "drafts.jsonl"
    shelf.answer = "What is the annual fee of the Harbour Gold Card?"
    words = ["--draft", "2", "--assistant", "kitahama-plain", "--save", str(kept), "--json"]
    assert main(["knowledge", "evaluate", "kitahama", *words]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == ["drafted"]
    assert {(a["model"], a["groundtone"]["knowledge"]) for a in shelf.asked} == {("kitahama-plain", "off")}
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(row["source"], row["document"]) for row in rows] == [("drafted", "fees.md")] * 2
    shelf.answer = "I can't help with that."
    assert main(["knowledge", "evaluate", "kitahama", "--draft", "2"]) == 2


async def test_an_asker_rates_its_own_answers_and_the_last_word_counts(gateway: Gateway) -> None:
    """A key without `audit:read` rates what it was answered itself; for others' receipts there are none."""
    made = await (await gateway.http.post("/v1/keys", json={"name": "app"})).json()
    async with session(gateway.url, made["key"]) as app:
        body = {"model": "plain", "messages": [{"role": "user", "content": "What is the annual fee?"}]}
        mine = (await (await app.post("/v1/chat/completions", json=body)).json())["groundtone"]["receipt"]
        admins = (await (await gateway.ask()).json())["groundtone"]["receipt"]
        assert await _rate(app, mine, {"rating": "bad"}) == 200
        assert await _rate(app, mine, {"rating": "good"}) == 200
        assert await _rate(app, admins, {"rating": "good"}) == 404
    assert (await gateway.receipt(mine))["rating"] == "good"
    assert (await gateway.receipt(admins))["rating"] is None
    assert await _rated(gateway, "good") == [mine]
    assert await _rated(gateway, "bad") == []
    assert await _rate(gateway.http, mine, {"rating": "bad"}) == 200
    assert await _rated(gateway, "bad") == [mine]


async def test_feedback_that_is_none_is_refused(gateway: Gateway) -> None:
    receipt = (await (await gateway.ask()).json())["groundtone"]["receipt"]
    for body in ({}, {"rating": "great"}, {"rating": "good", "note": "x"}):
        assert await _rate(gateway.http, receipt, body) == 400
    assert await _rate(gateway.http, "r_nowhere", {"rating": "good"}) == 404
    assert (await gateway.http.get("/v1/receipts?rating=great")).status == 400


def test_receipt_feedback_says_what_it_sent(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.refuse["/v1/receipts/r_1/feedback"] = (200, {"receipt": "r_1", "rating": "good"})
    assert main(["receipt", "feedback", "r_1", "good"]) == 0
    assert shelf.calls == ["POST /v1/receipts/r_1/feedback"]
    assert "r_1 is rated good" in capsys.readouterr().out
    assert main(["receipt", "feedback", "r_1", "splendid"]) == 2


async def _rate(http: aiohttp.ClientSession, receipt: str, body: dict[str, Any]) -> int:
    return (await http.post(f"/v1/receipts/{receipt}/feedback", json=body)).status


async def _rated(gateway: Gateway, rating: str) -> list[str]:
    listed = await (await gateway.http.get(f"/v1/receipts?rating={rating}")).json()
    return [row["receipt"] for row in listed["data"]]
