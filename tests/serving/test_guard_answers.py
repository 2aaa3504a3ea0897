"""The guard over answers to the sample's documents whose verdicts and citations a reader set by hand."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from common.evidence import Evidence
from common.language import language_of
from common.settings import Guard as Policy
from retrieval.cut import cut, path
from retrieval.read import media_type_of, read
from serving.chat.guard import HELD_AGAINST
from serving.chat.transducer import Conclusion, Transducer

SAMPLE = Path(__file__).parents[2] / "examples/kitahama"
ANSWERS: list[dict[str, Any]] = [json.loads(line) for line in (SAMPLE / "answers.jsonl").read_text().splitlines()]


@cache
def chunks(document: str) -> tuple[Evidence, ...]:
    """A document of the sample as the knowledge base cuts it."""
    file = SAMPLE / "documents" / document
    media = media_type_of(file.name)
    assert media
    whole = read(file.read_bytes(), media)
    title = whole.title or file.stem
    return tuple(
        Evidence(
            f"{file.stem}-{i}", "sha256:0", "kitahama", document, 1, title, path(title, piece.heading), piece.text,
            (piece.start, piece.end), piece.page, str(language_of(whole.text)), i, 0.8, f"{i:08x}",
        )
        for i, piece in enumerate(cut(whole))
    )  # fmt: skip


def evidence(names: list[str]) -> tuple[Evidence, ...]:
    """The chunks of documents, or with `#heading` of one section."""
    parts = [name.partition("#") for name in names]
    return tuple(c for file, _, under in parts for c in chunks(file) if not under or c.heading[-1] == under)


def concluded(answer: dict[str, Any], policy: Policy = Policy.FLAG, size: int = 7) -> Conclusion:
    """The answer in pieces of `size` characters through the transducer."""
    question, text = answer["question"], answer["answer"]
    passing = Transducer(question, evidence(answer["evidence"]), policy, language_of(question), firm="Kitahama Trust")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    for i, piece in enumerate(pieces):
        finish = "stop" if i + 1 == len(pieces) else None
        passing.feed({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": finish}]})
    return passing.conclude()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["id"])
def test_every_figure_gets_the_readers_verdict(answer: dict[str, Any]) -> None:
    """Found where the reader found it, and judged as the reader did."""
    told = [(tuple(figure["span"]), figure["status"]) for figure in concluded(answer).figures]
    assert told == [(tuple(figure["span"]), figure["status"]) for figure in answer["figures"]]


def pairs(answer: dict[str, Any]) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
    """What is cited and what should be, as (sentence's start, text that it rests on)."""
    found = {(c.answer_span[0], c.to_wire()["text"]) for _, c in concluded(answer).citations}
    wanted = set[tuple[int, str]]()
    sentences = sorted({c.answer_span for _, c in concluded(answer).citations})
    for place in answer["citations"]:
        texts = [text for text in _units(answer) if place["rests_on"] in text]
        assert len(texts) == 1, (answer["id"], place["rests_on"], texts)
        start = next((low for low, high in sentences if low <= place["at"] < high), -1)
        wanted.add((start, texts[0]))
    return found, wanted


def _units(answer: dict[str, Any]) -> Iterator[str]:
    """The sentences and rows of an answer's evidence."""
    from serving.chat.cite import units

    for chunk in evidence(answer["evidence"]):
        yield from (chunk.text[low:high] for low, high in units(chunk.text))


def test_citations_are_precise_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Over all answers whose figures are supported: of what is cited, and of what should be."""
    assert len(ANSWERS) >= 150
    count: Counter[str] = Counter()
    for answer in ANSWERS:
        found, wanted = pairs(answer)
        count += Counter(found=len(found), wanted=len(wanted), right=len(found & wanted))
    precision, recall = count["right"] / count["found"], count["right"] / count["wanted"]
    with capsys.disabled():
        print(f"\ncitations over {len(ANSWERS)} answers: precision {precision:.3f}, recall {recall:.3f}, {dict(count)}")
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize("size", [1, 3])
def test_a_stream_gives_the_verdicts_of_the_whole(size: int) -> None:
    """However the answer is cut, what is withheld is what would be flagged, and nothing else."""
    for answer in ANSWERS:
        streamed = concluded(answer, Policy.WITHHOLD, size)
        held = {str(status) for status in HELD_AGAINST}
        assert [f["text"] for f in streamed.refused] == [f["text"] for f in answer["figures"] if f["status"] in held]
        assert [f["text"] for f in streamed.figures] == [
            f["text"] for f in answer["figures"] if f["status"] not in held
        ]
        for figure in streamed.figures:
            assert streamed.texts[0][slice(*figure["span"])] == figure["text"]
