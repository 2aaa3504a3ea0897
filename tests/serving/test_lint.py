"""`groundtone adapter lint`: the report, its exit code, and the guard as its judge of contradictions."""

import json
from pathlib import Path

import pytest

from adapters.lint import Rule
from serving.cli import main
from tests.fakes.gateway import KEY, FakeGateway
from tests.fakes.threaded import in_thread

SAMPLE = Path(__file__).parents[2] / "examples" / "kitahama"
FORMS = SAMPLE.parent / "forms"
DOCUMENTS = ["--documents", str(SAMPLE / "documents")]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "groundtone.toml"))


def test_the_shipped_samples_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and the contract's document, without a service."""
    for words in ([str(SAMPLE / "samples.jsonl"), *DOCUMENTS], [str(FORMS / "samples.jsonl")]):
        assert main(["adapter", "lint", *words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["refused"], told["findings"]) == (0, [])


def test_the_bad_examples_break_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """The files that show each refusal show each: a rule without an example here is a rule that nobody can try."""
    assert main(["adapter", "lint", str(FORMS / "refused.jsonl"), "--json"]) == 1
    forms = {finding["rule"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert main(["adapter", "lint", str(SAMPLE / "refused.jsonl"), *DOCUMENTS, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {finding["rule"] for finding in told["findings"]} | forms == {rule.value for rule in Rule}
    assert set(told["findings"][0]) == {"line", "field", "span", "rule", "text", "fix"}
    assert 25 not in {finding["line"] for finding in told["findings"]}, "an answer that its evidence carries passes"
    (wrong,) = (finding for finding in told["findings"] if finding["rule"] == "contradiction")
    assert (wrong["line"], wrong["text"]) == (24, "JPY 1,375")


def test_a_person_reads_place_rule_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "lint", str(SAMPLE / "refused.jsonl")]) == 1
    told = capsys.readouterr().out
    assert "refused.jsonl:1 answer[46:56] price: 11,000 yen\n    Write {value}" in told
    assert "\n27 examples, " in told


@pytest.mark.parametrize(
    "words", [["missing.jsonl"], [__file__, "--documents", "missing"], [__file__, *DOCUMENTS, "--kb", "k"]]
)
def test_what_cannot_be_read_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "lint", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "usage"


def test_the_docs_know_every_rule_and_quote_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    """What voice.md shows of the bad example is what the command says."""
    page = (SAMPLE.parents[1] / "docs" / "voice.md").read_text(encoding="utf-8")
    section = page.partition("\n## Linting\n")[2].partition("\n## ")[0]
    assert all(f"`{rule}`" in section for rule in Rule)
    for words, block in (([str(SAMPLE / "refused.jsonl"), *DOCUMENTS], 3), ([str(FORMS / "refused.jsonl")], 5)):
        main(["adapter", "lint", *words])
        told = capsys.readouterr().out.splitlines()
        quoted = section.split("```")[block].strip("\n").splitlines()
        assert quoted
        assert set(quoted) <= set(told)


def test_names_come_from_a_knowledge_base_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--kb` reads the documents through the gateway, with the headings that it keeps of them."""
    text = "Amber Card\nAnnual fee: 500 yen"
    blocks = [["heading", 0, 10, 1, None], ["list_item", 11, 30, 0, None]]
    file = tmp_path / "given.jsonl"
    row = {"id": "x", "lang": "en", "intent": "thanks", "question": "Thanks for the Amber Card.", "answer": "Gladly."}
    file.write_text(json.dumps(row))
    with in_thread(FakeGateway()) as gateway:
        gateway.documents["cards.md"] = {"document": "cards.md", "text": text, "blocks": blocks}
        monkeypatch.setenv("GROUNDTONE_URL", gateway.url)
        monkeypatch.setenv("GROUNDTONE_API_KEY", KEY)
        assert main(["adapter", "lint", str(file), "--kb", "kitahama", "--least", "1", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["rule"], finding["text"]) == ("name", "Amber Card")
