"""Tuning: what is really better wins, noise changes nothing, and the index that answers is never touched."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.settings import Base, Splitter
from retrieval.choices import strategy_of, weights_of
from retrieval.cut import DEFAULT, Strategy
from retrieval.evaluation.questions import Question, Shown, answered_at
from retrieval.evaluation.scratch import Scratch
from retrieval.evaluation.tries import HALF, Page, Reading, Try
from retrieval.evaluation.tune import best, halves, page_of, question_of, tune
from retrieval.fuse import CALIBRATED
from retrieval.ledger import bases, documents
from retrieval.read import read
from retrieval.text import Document
from tests.retrieval.house import House, WordEmbedder

NAMES = [
    f"{a}{b}" for a in ("amber", "birch", "cedar", "delta", "ember", "flint") for b in ("fox", "gate", "hill", "isle")
]


def firm(count: int = 24) -> tuple[list[Page], list[Question]]:
    """A page a product with six fees, and a question for one of them, told by its figure."""
    rng = random.Random(1)
    pages: list[Page] = []
    asked: list[Question] = []
    fees = ("annual", "card", "transfer", "cash", "late", "foreign")
    for i, name in enumerate(NAMES[:count]):
        figures = [f"{rng.randrange(10, 99)}{i:02},000 yen" for _ in fees]
        rows = "\n".join(f"- {kind} fee: {figure}" for kind, figure in zip(fees, figures, strict=True))
        filler = "It is offered to clients of every branch and may be ordered at the counter or by letter. " * 6
        text = f"# {name}\n\n{filler}\n\n{rows}\n"
        pages.append(Page(f"{name}.md", read(text.encode(), "text/markdown")))
        asked.append(Question(f"What is the {fees[i % 6]} fee of {name}?", "en", f"{name}.md", (figures[i % 6],)))
    return pages, asked


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder("tune")


def tuned(tmp_path: Path, embedder: WordEmbedder, now: Base, strategies: Sequence[Strategy]) -> dict[str, Any]:
    scratch = Scratch(tmp_path / "vectors.db", embedder)
    result = tune(*firm(), now, strategies, scratch)
    scratch.close()
    return json.loads(json.dumps(result))


def test_a_really_better_cut_wins_and_is_called_so(tmp_path: Path, embedder: WordEmbedder) -> None:
    """Windows over whole pages against chunks of one fact, on questions about one fact."""
    now = Base(name="kb", strategy=Splitter.FIXED, size=1280)
    result = tuned(tmp_path, embedder, now, [DEFAULT, Strategy(Splitter.SECTIONS)])
    winner = result["tries"][result["winner"]]
    assert (winner["label"], winner["verdict"]) == ("facts/1:640", "better")
    assert winner["difference"] > 0
    assert result["base"] | {"name": "kb", "strategy": "facts", "size": 640, "overlap": 0.0} == result["base"]
    assert Base(**result["base"]).name == "kb"
    assert (result["calibrated_on"], result["reported_on"]) == (12, 12)


def test_what_a_firm_has_stays_where_nothing_is_better(tmp_path: Path, embedder: WordEmbedder) -> None:
    """Strategies that cut the same are one try, and the configuration that comes of it is the one that went in."""
    now = Base(name="kb", dense_en=0.0)
    tried = [Strategy(Splitter.FACTS, size, overlap) for size in (640, 641) for overlap in (0.0, 0.2)]
    result = tuned(tmp_path, embedder, now, [*tried, Strategy(Splitter.FIXED)])
    assert [(one["label"], one["verdict"]) for one in result["tries"]] == [
        ("facts/1:640", "today"),
        ("fixed/1:640", "worse"),
    ]
    assert result["winner"] == 0
    assert Base(**result["base"]) == now


def test_weights_are_tuned_where_terms_know_what_vectors_do_not(tmp_path: Path, embedder: WordEmbedder) -> None:
    """Vectors that know nothing must lose their weight, for the languages that were asked in and no other."""

    class Blind(WordEmbedder):
        def questions(self, texts: Sequence[str]) -> Any:
            drawn = np.random.default_rng(4).normal(size=(len(texts), 64))
            return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    result = tuned(tmp_path, Blind("blind"), Base(name="kb", dense_en=0.9), [])
    assert result["base"]["dense_en"] < 0.5
    assert (result["base"]["dense_ja"], result["base"]["dense_across"]) == (CALIBRATED.ja, CALIBRATED.across)
    assert result["tries"][result["winner"]]["dense"]["en"] == result["base"]["dense_en"]


def test_tries_share_vectors_and_a_second_run_embeds_nothing(tmp_path: Path, embedder: WordEmbedder) -> None:
    strategies = [DEFAULT, Strategy(Splitter.SECTIONS), Strategy(Splitter.SECTIONS, 320)]
    first = tuned(tmp_path, embedder, Base(name="kb"), strategies)
    assert len(embedder.embedded) == len(set(embedder.embedded))
    assert first["embedded"] > 0
    again = tuned(tmp_path, embedder, Base(name="kb"), strategies)
    assert again["embedded"] == 0
    assert again["tries"] == first["tries"]
    other = WordEmbedder("another")
    assert tuned(tmp_path, other, Base(name="kb"), [])["embedded"] > 0


def test_choosing_and_reporting_share_no_question() -> None:
    """Each language stands in both halves alike, and the order of the file decides nothing."""
    asked = [Question(f"q{i}", lang, "a.md") for i in range(15) for lang in ("en", "ja")]
    first, second = halves(asked)
    assert sorted(first + second) == list(range(30))
    assert {lang: sum(asked[i].lang == lang for i in first) for lang in ("en", "ja")} in (
        {"en": 8, "ja": 7},
        {"en": 7, "ja": 8},
    )
    turned = asked[::-1]
    assert {asked[i].text + asked[i].lang for i in first} == {
        turned[i].text + turned[i].lang for i in halves(turned)[0]
    }


def test_noise_does_not_unseat_what_is_there() -> None:
    """A lead within its standard error stays a lead on paper; a clear one wins."""
    rng = np.random.default_rng(2)
    unseated = sum(best(rng.normal(0.5, 0.1, size=(2, 40)).tolist()) for _ in range(200)) / 200
    assert unseated < 0.25
    assert best([[0.5, 0.6] * 20, [0.9, 0.8] * 20, [0.1] * 40]) == 1
    assert best([[0.5] * 4, [0.5] * 4]) == 0


def test_gain_halves_with_what_must_be_read() -> None:
    assert [Reading(1, n).gain for n in (0, HALF, 2 * HALF)] == [1, 0.5, 0.25]
    assert Reading(None, None).gain == 0


def test_a_try_finds_what_search_finds(tmp_path: Path, house: House) -> None:
    """The same chunks, candidates and fusion: else what is tuned here would not hold there."""
    pages, asked = firm(8)
    house.chosen = [Base(name="kb", strategy=Splitter.SECTIONS, size=200, dense_en=0.2)]
    house.reopen()
    for page in pages:
        text = page.document.text.replace(page.document.title, f"# {page.document.title}", 1)
        house.put(page.name, text.replace("\n\nannual", "\n\n- annual").replace(" yen\n", " yen\n- "))
    pages = [Page(page.name, read_back(house, page.name)) for page in pages]
    one = Try(pages, strategy_of(house.chosen[0]), asked)
    scratch = Scratch(tmp_path / "vectors.db", house.embedder)
    one.embed(scratch)
    scratch.close()
    for question, reading in zip(asked, one.read(weights_of(house.chosen[0])), strict=True):
        found = house.search(question.text, top_k=50).evidence
        shown = [Shown(one.document, "\n".join([*one.heading, one.text])) for one in found]
        assert answered_at(question, shown) == reading.rank


def read_back(house: House, name: str) -> Document:
    """A document as the ledger kept it."""
    with house.knowledge.ledger.read() as connection:
        kept = documents.get(connection, house.me, bases.get(connection, house.me, "kb"), name)
    row = {"document": name, "title": kept.title, "lang": kept.lang, "text": kept.text, "blocks": kept.blocks}
    return page_of(row).document


def test_documents_and_questions_come_through_the_wire_whole() -> None:
    pages, asked = firm(2)
    page = pages[0]
    blocks = [[b.kind, b.start, b.end, b.level, b.page] for b in page.document.blocks]
    row = {"document": page.name, "title": page.document.title, "lang": page.document.lang, "text": page.document.text}
    assert page_of(json.loads(json.dumps(row | {"blocks": blocks}))) == page
    assert [question_of(json.loads(json.dumps(question.to_line()))) for question in asked] == asked
