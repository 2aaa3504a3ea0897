"""Strategies: named, comparable, chosen a knowledge base; and what follows when the choice changes."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.settings import Base, Splitter
from retrieval.choices import Choices, strategy_of, weights_of
from retrieval.cut import DEFAULT, Piece, Strategy, cut
from retrieval.fuse import CALIBRATED, Weights, fuse
from retrieval.intake import Sent, take, take_row
from retrieval.ledger import bases, documents
from retrieval.pieces import cut_by
from retrieval.read import read
from tests.retrieval.house import House, someone, until

PRICES = "# Fees\n\nAll fees hold for a year.\n\n- Gold: 11,000 yen\n- Basic: 1,650 yen\n- Lounge\n"
WORDS = st.lists(
    st.sampled_from(["fee", "11,000", "yen.", "年会費は", "一万円です。", "\n", "👩\u200d👧", "x" * 70]), max_size=200
)


def pieces(text: str, strategy: Strategy) -> list[Piece]:
    return cut(read(text.encode(), "text/markdown"), strategy)


def test_three_strategies_cut_one_page_in_three_ways() -> None:
    facts, sections, fixed = (
        [piece.text for piece in pieces(PRICES, Strategy(name))]
        for name in (Splitter.FACTS, Splitter.SECTIONS, Splitter.FIXED)
    )
    assert facts == ["All fees hold for a year.", "Gold: 11,000 yen", "Basic: 1,650 yen", "Lounge"]
    assert sections == ["All fees hold for a year.\n\nGold: 11,000 yen\nBasic: 1,650 yen\nLounge"]
    assert fixed == ["Fees\n\n" + sections[0]]


def test_a_label_says_all_that_decides_a_cut() -> None:
    """Two revisions with one label are cut by the same rules; the docs quote the default's."""
    labels = [DEFAULT.label, Strategy(size=320).label, Strategy(Splitter.FIXED, 640, 0.2).label]
    assert labels == ["facts/1:640", "facts/1:320", "fixed/1:640+20%"]


@settings(max_examples=60, deadline=None)
@given(WORDS, st.integers(80, 300), st.sampled_from([0.0, 0.2, 0.5]))
def test_windows_lose_nothing_and_overlap_as_told(words: Sequence[str], size: int, overlap: float) -> None:
    """Each is a slice of the text, none is wider than told, and between two only white space is left out."""
    document = read(("x " + " ".join(words)).encode(), "text/plain")
    found = cut(document, Strategy(Splitter.FIXED, size, overlap))
    assert all(document.text[one.start : one.end] == one.text for one in found)
    assert all(sum(1 + (c >= "\u2e80") for c in one.text) <= size for one in found)
    edges = [(0, 0), *((one.start, one.end) for one in found), (len(document.text),) * 2]
    assert all(not document.text[before[1] : after[0]].strip() for before, after in pairwise(edges))
    assert all(before[0] < after[0] for before, after in pairwise(edges[1:-1]))


def test_a_row_of_a_database_is_whole_under_every_strategy(house: House) -> None:
    """It is one fact by its nature, however long."""
    content = take_row("row", Sent(b"word " * 400, "text/plain"))
    assert all(len(cut_by(Strategy(name, 80), content).parts) == 1 for name in Splitter)


def test_settings_and_code_agree_on_the_defaults() -> None:
    base = Base(name="kb")
    assert strategy_of(base) == DEFAULT
    assert weights_of(base) == CALIBRATED


def test_choices_are_a_knowledge_bases_own() -> None:
    """Of its tenant; where several are searched at once, the mean of their weights decides."""
    choices = Choices([Base(name="kb", size=320, dense_en=0.15)])
    me, other = someone(), someone("other")
    assert (choices.strategy(me, "kb").size, choices.strategy(me, "else").size) == (320, 640)
    assert choices.strategy(other, "kb") == DEFAULT
    assert choices.weights(me, ["kb"]).en == 0.15
    assert choices.weights(me, ["kb", "else"]).en == pytest.approx(0.35)
    assert choices.weights(me, []) == CALIBRATED


def test_weights_decide_between_vectors_and_terms() -> None:
    near = {"near": 0.9, "said": 0.7} | {f"c{i}": 0.5 for i in range(20)}
    terms = {"said": 9.0, "near": 3.0}
    langs = dict.fromkeys(near, "en")
    by_weight = [fuse("What?", near, terms, langs, Weights(en=share))[0][0] for share in (0.0, 1.0)]
    assert by_weight == ["said", "near"]


def test_reading_cuts_nothing() -> None:
    """Only a knowledge base knows how, so every document is cut once."""
    assert not take("fees.md", Sent(PRICES.encode(), "text/markdown")).parts


def test_a_chosen_strategy_cuts_whatever_is_put(house: House) -> None:
    house.chosen = [Base(name="kb", strategy=Splitter.SECTIONS)]
    house.reopen()
    house.put("fees.md", PRICES)
    assert len(house.texts("gold")) == 1


def test_a_changed_strategy_cuts_again_without_the_sources(house: House) -> None:
    """Text, title, labels, source and dates stay; what was embedded stays; the old state is a snapshot."""
    house.put("fees.md", PRICES, labels=("staff",), title="Prices")
    house.put("gone.md", PRICES)
    house.put("gone.md", None)
    before, embedded = house.head, len(house.embedder.embedded)
    assert len(house.texts("gold")) == 4
    house.chosen = [Base(name="kb", strategy=Splitter.SECTIONS)]
    assert house.reopen().recut.settled.wait(20)
    assert len(house.texts("gold")) == 1
    assert len(house.embedder.embedded) == embedded + 1
    assert house.found("gold", me=someone("default", "staff")) == {"fees.md"}
    assert not house.found("gold", me=someone("default", "public"))
    assert len(house.texts("gold", as_of=before)) == 4
    with house.knowledge.ledger.read() as connection:
        base = bases.get(connection, house.me, "kb")
        now = documents.get(connection, house.me, base, "fees.md")
    assert (now.revision, now.title, now.strategy) == (2, "Prices", "sections/1:640")
    head = house.head
    assert house.reopen().recut.settled.wait(20)
    assert house.head == head
    house.chosen = []
    assert house.reopen().recut.settled.wait(20)
    assert len(house.texts("gold")) == 4
    assert len(house.embedder.embedded) == embedded + 1


def test_a_stop_does_not_wait_for_what_is_left_to_be_cut(house: House) -> None:
    """It ends between two batches, and the next start goes on."""
    for i in range(3):
        house.put(f"fees{i}.md", PRICES.replace("Gold", f"Gold {i}"))
    house.chosen = [Base(name="kb", strategy=Splitter.SECTIONS)]
    house.reopen().indexes.stopping.set()
    house.close()
    assert house.reopen().recut.settled.wait(20)
    assert len(house.texts("gold")) == 3


def test_cutting_again_leaves_a_waiting_change_alone(house: House) -> None:
    """An editor staged the next edition: that is neither lost nor published by it."""
    house.put("fees.md", PRICES)
    house.put("fees.md", PRICES.replace("11,000", "12,000"), publish=False)
    house.chosen = [Base(name="kb", strategy=Splitter.SECTIONS)]
    assert house.reopen().recut.settled.wait(20)
    assert len(house.texts("gold")) == 4
    house.knowledge.publisher.publish_staged(house.me, "kb", "").result(20)
    assert any("12,000" in text for text in house.texts("gold"))


def test_a_document_that_is_put_again_after_a_change_is_cut_anew_even_if_it_is_the_same(house: House) -> None:
    house.put("fees.md", PRICES)
    house.chosen = [Base(name="kb", size=81, strategy=Splitter.FIXED)]
    house.reopen()
    house.put("fees.md", PRICES)
    until(house.knowledge.recut.settled.is_set)
    revision, _ = house.put("fees.md", PRICES)
    assert revision == 2
    assert all(len(text) <= 81 for text in house.texts("gold"))
