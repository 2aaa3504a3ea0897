"""What may not be trained on is refused, with its place and what to write instead."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.documents import read_documents
from adapters.lint import Known, Report, Rule, lint
from adapters.lint.example import read
from adapters.lint.personal import is_card, is_iban, is_my_number, is_roc_id
from adapters.lint.repeats import jaccard, normal, repeats, triples
from adapters.lint.volatile import volatile
from common.errors import InvalidRequest
from tests.adapters.conftest import SAMPLE

KNOWN = Known.of(read_documents(SAMPLE / "documents"))
FEE = "The annual fee of the {product} is {value}."


def nothing(question: str, evidence: Sequence[str], answer: str, lang: str) -> list[tuple[int, int]]:
    """A judge that finds every figure supported."""
    return []


def sample(question: str = "What is the fee of the {product}?", answer: str = FEE, **other: str) -> dict[str, Any]:
    return {"id": "x", "lang": "en", "intent": "fee", "question": question, "answer": answer} | other


def chat(*turns: tuple[str, str], **other: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns], "intent": "fee"} | other


def report(folder: Path, *rows: dict[str, Any] | str, **options: Any) -> Report:
    file = folder / "given.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("\n".join(lines), encoding="utf-8")
    return lint(file, options.pop("judge", nothing), options.pop("known", KNOWN), least=options.pop("least", 1))


def rules(found: Report) -> list[str]:
    return [finding.rule.value for finding in found.findings]


def test_the_sample_firms_own_samples_are_clean() -> None:
    """What the shipped adapter is trained on passes what it preaches."""
    found = lint(SAMPLE / "samples.jsonl", nothing, KNOWN)
    assert found.to_wire() == {"examples": found.examples, "refused": 0, "findings": []}
    assert found.examples >= 100


@pytest.mark.parametrize("field", ["question", "answer"])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("11,000 yen", "price"),
        ("新臺幣二十萬元", "price"),
        ("年0.21％", "rate"),
        ("七成五", "rate"),
        ("1 April 2026", "date"),
        ("民國116年1月4日", "date"),
        ("9:30", "time"),
        ("5営業日", "duration"),
        ("3 left in stock", "stock"),
        ("在庫", "stock"),
        ("12個", "quantity"),
        ("version 2.1", "version"),
        ("第3版", "version"),
        ("バージョン4", "version"),
        ("KT-2024-B", "code"),
        ("+81 6-5550-0142", "phone"),
        ("090-1234-5678", "phone"),
        ("ext. 234", "phone"),
        ("内線二三四", "phone"),
        ("3.2版", "version"),
        ("第三版", "version"),
        ("iOS 17", "version"),
        ("the third edition", "version"),
        ("only four left", "stock"),
        ("在庫残りわずか", "stock"),
        ("剩餘三件", "stock"),
        ("完売", "stock"),
        ("half a dozen", "quantity"),
        ("https://kitahama.example/fees", "link"),
        ("www.kitahama.example", "link"),
        ("harbour gold card", "name"),
        ("Harbour Gold Card", "name"),
        ("潮騒ゴールドカード", "name"),
        ("墨竹白金卡", "name"),
    ],
)
def test_a_fact_is_refused_with_its_place(tmp_path: Path, text: str, rule: str, field: str) -> None:
    """In question and answer, in three languages; the span cuts the very words out of the field."""
    row = sample() | {field: f"{sample()[field]} {text}"}
    found = [finding for finding in report(tmp_path, row).findings if finding.rule == rule]
    assert found, rules(report(tmp_path, row))
    (finding,) = found
    assert finding.field == field
    assert row[field][slice(*finding.span)] == finding.text
    assert finding.fix


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("free of charge", "price"),
        ("75p", "price"),
        ("無料", "price"),
        ("半價", "price"),
        ("half a percent", "rate"),
        ("a quarter of", "rate"),
        ("〇・二五％", "rate"),
        ("八五折", "rate"),
        ("last Tuesday", "date"),
        ("Since yesterday", "date"),
        ("next month", "date"),
        ("来月", "date"),
        ("上週二", "date"),
        ("金曜日", "date"),
        ("正午", "time"),
        ("一週間", "duration"),
        ("半月", "duration"),
    ],
)
def test_what_is_told_in_words_is_refused_of_answers_only(tmp_path: Path, text: str, rule: str) -> None:
    """It is wrong one day as a figure is; but a customer may well ask about next month."""
    assert rule in rules(report(tmp_path, sample(answer=f"{FEE} {text}")))
    if text not in ("75p", "一週間", "〇・二五％", "八五折"):
        assert rules(report(tmp_path, sample(f"Is the {{product}} {text}?"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "In stock exchange matters",
        "We take stock of it",
        "Just a second",
        "There are two ways to go about it",
        "1. Open it. 2. Sign it",
        "(1) 申請 (2) 審核",
        "１．お申し込み　２．ご確認",
        "五十音順",
        "二人三脚で",
        "千萬不要",
        "以下三點",
        "三つの手順",
        "お二人で",
        "仕様と同様",
        "お客様",
        "先生、女士",
        "Dear Sir or Madam",
        "毎日",
        "一日",
        "一天",
        "24/7",
        "One of our advisers",
        "opening hours",
        "first",
        "[1]",
        "each month",
        "a day",
        "普通預金",
    ],
)
def test_words_that_no_price_list_changes_pass(tmp_path: Path, text: str) -> None:
    """A lint that cries at grammar is switched off."""
    assert rules(report(tmp_path, sample(answer=f"{text}: {FEE}"))) == []


def test_a_figure_of_the_documents_is_told_with_its_document(tmp_path: Path) -> None:
    """Who reads the finding sees where the fact lives, in whatever form it is written."""
    (finding,) = report(tmp_path, sample(answer=f"{FEE} Or 11000 yen.")).findings
    assert "harbour-cards.md" in finding.fix


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("anna.lind@example.com", "e-mail"),
        ("4111 1111 1111 1111", "card"),
        ("3530111333300000", "card"),
        ("DE89 3704 0044 0532 0130 00", "iban"),
        ("GB82WEST12345698765432", "iban"),
        ("123456789018", "my-number"),
        ("１２３４-５６７８-９０１８", "my-number"),
        ("A123456789", "roc-id"),
        ("A800000014", "roc-id"),
        ("Ms Okafor", "person"),
        ("Dr. Henry Adler", "person"),
        ("田中太郎様", "person"),
        ("佐々木さん", "person"),
        ("王小明先生", "person"),
        ("张先生", "person"),
    ],
)
def test_personal_data_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    """Once, as what it is: not as a number besides. In evidence and conversations, too."""
    assert rules(report(tmp_path, sample(question=f"I am {text}, about the {{product}}"))) == [rule]
    grounded = chat(("user", "Who?"), ("assistant", "It is them."), evidence=["Nobody.", f"It is {text}."])
    (finding,) = report(tmp_path, grounded).findings
    assert (finding.rule, finding.field) == (rule, "evidence[1]")


@pytest.mark.parametrize(
    ("valid", "text"),
    [
        (is_card, "4111111111111111"),
        (is_iban, "DE89370400440532013000"),
        (is_my_number, "123456789018"),
        (is_roc_id, "A123456789"),
    ],
)
def test_a_wrong_check_digit_is_no_personal_number(valid: Any, text: str) -> None:
    """Every other last digit is refused by the checksum: long numbers alone are not taken for people's."""
    assert [last for last in "0123456789" if valid(text[:-1] + last)] == [text[-1]]


def test_repetitions_are_found_within_an_intent(tmp_path: Path) -> None:
    """Case, width, spaces and punctuation make no new example; another intent, language or source does."""
    once, twice = sample("Which fee has the {product}?"), sample("which fee has the {product}")
    assert rules(report(tmp_path, once, twice)) == ["duplicate"]
    for one, other in (
        ("どのカードがおすすめですか。", "どの ｶｰﾄﾞ　がおすすめですか?"),
        ("Which card is it?", "ｗｈｉｃｈ　card\t is\u200b it"),
    ):
        assert rules(
            report(tmp_path, *(chat(("user", q), ("assistant", "Any."), lang="ja") for q in (one, other)))
        ) == ["duplicate"]
    almost = sample("Good day, which yearly fees has the {product} that you offer?")
    found = report(tmp_path, sample("Good day, which yearly fee has the {product} that you offer?"), almost)
    assert rules(found) == ["near-duplicate"]
    assert "line 1" in found.findings[0].fix
    assert rules(report(tmp_path, once, sample("What would I pay for a {product} of yours?"))) == []
    assert rules(report(tmp_path, once, {**twice, "intent": "general"})) == []
    asked = [("user", "Fee?"), ("assistant", "As stated.")]
    assert rules(report(tmp_path, chat(*asked, evidence=["Cats"]), chat(*asked, evidence=["Dogs and mice"]))) == []


def test_the_index_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    """Prefix filtering leaves no pair out: against the plain definition on drawn questions."""
    rng = random.Random(5)
    words = [f"{a}{b}" for a in ("am", "bi", "ce", "de") for b in ("fox", "gate", "hill")]
    texts = [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(60)]
    texts += [text.replace("fox", "foxes", 1) for text in texts]
    rng.shuffle(texts)
    rows = [json.dumps(chat(("user", text), ("assistant", "Yes."))) for text in texts]
    held = [triples(normal(text)) for text in texts]
    expected = {i for i in range(len(texts)) if any(jaccard(held[i], held[j]) >= 0.85 for j in range(i))}
    assert {example.line - 1 for example, _, _ in repeats(list(read(iter(rows))))} == expected
    assert expected


@pytest.mark.parametrize(
    "turns",
    [
        [("assistant", "Yes.")],
        [("user", "Fee?")],
        [("user", "Fee?"), ("user", "Fee!"), ("assistant", "Yes.")],
        [("user", "Fee?"), ("assistant", "Yes."), ("system", "Obey.")],
        [("user", "Fee?"), ("assistant", "Yes.<|im_end|>")],
        [("user", "Fee?"), ("assistant", " ")],
        [("user", "Fee?"), ("assistant", "\u200b")],
        [("tool", "{}"), ("assistant", "Yes.")],
        [("bot", "Fee?"), ("assistant", "Yes.")],
    ],
)
def test_broken_roles_are_refused(tmp_path: Path, turns: list[tuple[str, str]]) -> None:
    """System first or not at all, user and assistant in turns, the assistant last, no template's marks."""
    assert rules(report(tmp_path, chat(*turns))) == ["roles"]


@pytest.mark.parametrize("messages", [[], {}, "hello", [1], [{"role": "user"}], [{"content": "x"}], None])
def test_messages_of_another_shape_are_refused(tmp_path: Path, messages: Any) -> None:
    assert rules(report(tmp_path, {"messages": messages})) == ["roles"]


@pytest.mark.parametrize("line", ["{", "[]", "7", '"text"', '{"id": "x"}', json.dumps(sample(lang="")), "[" * 5000])
def test_a_line_that_is_no_example_is_refused_and_the_rest_read(tmp_path: Path, line: str) -> None:
    found = report(tmp_path, line, sample())
    assert (rules(found), found.findings[0].line, found.refused, found.examples) == (["form"], 1, 1, 2)


@pytest.mark.parametrize(
    ("row", "count"),
    [
        (sample(lang="fr"), "form"),
        (sample(intent="complaint"), "form"),
        (sample("What is the fee?"), "slots"),
        (sample(answer="It is high."), "slots"),
        (sample("What of {value} and the {product}?"), "slots"),
        (sample("The {attribute} of the {product}?"), "slots"),
    ],
)
def test_a_sample_has_known_words_and_slots(tmp_path: Path, row: dict[str, Any], count: str) -> None:
    assert rules(report(tmp_path, row)) == [count]


def test_with_evidence_the_judge_decides(tmp_path: Path) -> None:
    """Figures that stand in the evidence are copied, not remembered; those that don't are contradictions."""
    seen: list[tuple[str, Sequence[str], str]] = []

    def judge(question: str, evidence: Sequence[str], answer: str, lang: str) -> list[tuple[int, int]]:
        seen.append((question, evidence, lang))
        return [(10, 18)]

    source = "<source 1f>\nCards > Gold Card\nFee: JPY 1,000\n</source 1f>"
    row = chat(("system", f"Answer.\n\n{source}"), ("user", "Fee?"), ("assistant", "It costs JPY 2,000."))
    assert rules(report(tmp_path, row)) == []
    found = report(tmp_path, row, judge=judge)
    assert [(f.rule, f.field, f.span) for f in found.findings] == [
        (Rule.CONTRADICTION, "messages[2].content", (10, 18))
    ]
    assert seen == [("Fee?", ("Cards > Gold Card\nFee: JPY 1,000",), "en")]
    for none in ({}, {"evidence": []}, {"evidence": [" "]}):
        row = chat(("user", "Fee?"), ("assistant", "It costs JPY 2,000."), **none)
        assert rules(report(tmp_path, row)) == ["price"]


def test_too_few_examples_of_an_intent(tmp_path: Path) -> None:
    """Per language, at its first line."""
    found = report(tmp_path, sample(), sample(lang="ja", question="{product}の年会費は？"), least=2)
    assert [(f.line, f.rule, f.text) for f in found.findings] == [(1, Rule.FEW, "fee"), (2, Rule.FEW, "fee")]
    assert found.refused == 0


def test_a_file_that_holds_nothing_to_read_is_no_clean_file(tmp_path: Path) -> None:
    """An empty file passing the check would be a check that ran on nothing."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_text("\n \n")
    for name in ("binary", "empty"):
        with pytest.raises(InvalidRequest, match=name):
            lint(tmp_path / name, nothing)


def test_names_are_those_of_things() -> None:
    """Headings and rows that facts are about, and not the labels of the facts."""
    assert {"Harbour Gold Card", "Compass Express Transfer", "磐石保管箱", "みなと貸金庫"} <= KNOWN.names
    assert not {"Interest rate", "Complaints desk", "金利", "利率", "中型"} & KNOWN.names
    assert [rule for rule, *_ in volatile("The interest rate", KNOWN)] == []
