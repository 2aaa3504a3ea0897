"""What is put is found by the next question, what is removed is not, and nothing is done twice."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from common.errors import Conflict, Draining, KnowledgeUnavailable, NotFound
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, documents
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.publish import Published, Push
from retrieval.search import Search
from retrieval.vectors import Vectors
from tests.retrieval.house import House, WordEmbedder, someone

FEES = """# Fees

## Gold card

The annual fee of the gold card is {gold} yen.

## Basic card

The basic card is free of charge for ever.
"""


def test_a_document_is_found_by_the_question_after_its_put(house: House) -> None:
    """The snapshot that the PUT returned is the one that the next question is answered from."""
    revision, snapshot = house.put("fees.md", FEES.format(gold=11000))
    found = house.search("annual fee of the gold card")
    assert (revision, snapshot) == (1, found.snapshot)
    first = found.evidence[0]
    assert "11000 yen" in first.text
    assert (first.document, first.revision, first.title, first.heading) == ("fees.md", 1, "Fees", ("Fees", "Gold card"))
    assert len(first.fence) == 8


def test_a_span_is_counted_in_the_text_of_its_revision(house: House) -> None:
    """A citation resolves: the span cuts the chunk's very text out of the revision's."""
    house.put("fees.md", FEES.format(gold=11000))
    with house.knowledge.ledger.read() as connection:
        base = bases.get(connection, house.me, "kb")
        text = documents.get(connection, house.me, base, "fees.md", 1).text
    assert text is not None
    for one in house.search("card").evidence:
        assert text[one.span[0] : one.span[1]] == one.text


def test_an_edit_embeds_only_what_it_changed(house: House) -> None:
    """The section that stayed keeps its chunk; the old fact is gone from the head and still there as of before."""
    _, before = house.put("fees.md", FEES.format(gold=11000))
    kept = {one.chunk for one in house.search("card").evidence if "basic" in one.text}
    house.embedder.embedded.clear()
    revision, after = house.put("fees.md", FEES.format(gold=12000))
    assert revision == 2
    assert after == (before or 0) + 1
    assert [("12000" in text, "free of charge" in text) for text in house.embedder.embedded] == [(True, False)]
    assert {one.chunk for one in house.search("card").evidence if "basic" in one.text} == kept
    assert not any("11000" in text for text in house.texts("gold card fee"))
    assert any("11000" in text for text in house.texts("gold card fee", as_of=before))


def test_the_same_again_is_no_snapshot_and_no_embedding(house: House) -> None:
    """Unchanged content returns the revision and the snapshot that are there."""
    first = house.put("fees.md", FEES.format(gold=11000))
    house.embedder.embedded.clear()
    assert house.put("fees.md", FEES.format(gold=11000)) == first
    assert house.embedder.embedded == []


def test_a_text_that_came_back_is_not_embedded_again(house: House) -> None:
    """Vectors stay in the ledger for good, whatever became of their documents."""
    house.put("fees.md", FEES.format(gold=11000))
    house.put("fees.md", None)
    house.embedder.embedded.clear()
    assert house.put("fees.md", FEES.format(gold=11000))[0] == 2
    assert house.embedder.embedded == []
    assert house.found("gold card") == {"fees.md"}


def test_a_removed_document_is_not_found(house: House) -> None:
    """Nor can it be removed again."""
    house.put("fees.md", FEES.format(gold=11000))
    house.put("fees.md", None)
    assert house.found("gold card fee") == set()
    with pytest.raises(NotFound):
        house.put("fees.md", None)


def test_an_update_that_would_be_lost_is_refused(house: House) -> None:
    """`If-Match` names the revision that was read; 0 says that the document is new."""
    house.put("fees.md", "The fee is 1 yen.", if_match=0)
    house.put("fees.md", "The fee is 2 yen.", if_match=1)
    for stale in (1, 0):
        with pytest.raises(Conflict):
            house.put("fees.md", "The fee is 3 yen.", if_match=stale)
    assert house.texts("fee") == ["The fee is 2 yen."]


def test_staged_changes_become_one_snapshot_when_they_are_published(house: House) -> None:
    """With publish=false nothing is visible until it is asked for."""
    head = house.head
    assert house.put("a.md", "The apple costs 1 yen.", publish=False)[1] is None
    assert house.put("b.md", "The banana costs 2 yen.", publish=False)[1] is None
    assert house.found("costs") == set()
    assert house.knowledge.publisher.publish_staged(house.me, "kb", "Fruit").result(30) == head + 1
    assert house.found("costs") == {"a.md", "b.md"}


def test_a_staged_document_is_taken_back_by_its_removal(house: House) -> None:
    """What was never published leaves no snapshot; a staged removal is taken back by putting what is there."""
    head = house.head
    house.put("a.md", "The apple costs 1 yen.", publish=False)
    assert house.put("a.md", None) == (0, head)
    with pytest.raises(NotFound):
        house.put("a.md", None)
    house.put("b.md", "The banana costs 2 yen.")
    house.put("b.md", None, publish=False)
    house.put("b.md", "The banana costs 2 yen.", publish=False)
    assert house.knowledge.publisher.publish_staged(house.me, "kb", "").result(30) == head + 1
    assert house.found("costs") == {"b.md"}


def test_changes_that_wait_together_are_published_together_and_numbered_apart(house: House) -> None:
    """A group costs one transaction, and each caller gets a snapshot of its own."""
    futures = [house.send(f"{n}.md", f"Item {n} costs {n} yen.") for n in range(20)]
    numbers = [future.result(30).snapshot for future in futures]
    assert len(set(numbers)) == 20
    assert len(house.found("item costs", top_k=50)) == 20


def test_one_that_fails_does_not_spoil_the_others(house: House) -> None:
    """A conflict is its own caller's; everybody else's change is published."""
    house.put("a.md", "The apple costs 1 yen.")
    good = house.send("b.md", "The banana costs 2 yen.")
    bad = house.send("a.md", "The apple costs 3 yen.", if_match=7)
    assert good.result(30).snapshot
    assert isinstance(bad.result(30).outcomes[0].error, Conflict)
    assert house.texts("apple costs", filters={"document": "a.md"}) == ["The apple costs 1 yen."]


def test_a_failing_embedder_leaves_everything_as_it_was(house: House) -> None:
    """All or nothing: the old revision keeps answering, and the next change goes through."""
    house.put("a.md", "The apple costs 1 yen.")
    head = house.head
    house.embedder.failing = True
    with pytest.raises(RuntimeError):
        house.put("a.md", "The apple costs 2 yen.")
    assert house.head == head
    assert house.texts("apple costs") == ["The apple costs 1 yen."]
    house.embedder.failing = False
    house.put("a.md", "The apple costs 3 yen.")
    assert house.texts("apple costs") == ["The apple costs 3 yen."]


def test_an_unknown_knowledge_base_is_not_found(house: House) -> None:
    """To write to and to ask alike."""
    with pytest.raises(NotFound):
        house.search("anything", kb="nowhere")
    with pytest.raises(NotFound):
        house.put("a.md", "text", kb="nowhere")


def test_a_dropped_knowledge_base_is_gone_and_can_be_made_again_empty(house: House) -> None:
    """Its name is free again and brings nothing back."""
    house.put("a.md", "The apple costs 1 yen.")
    house.knowledge.publisher.drop(house.me, "kb").result(30)
    with pytest.raises(NotFound):
        house.search("apple")
    house.base()
    assert house.found("apple") == set()


def test_two_tenants_with_the_same_ids_find_their_own_only(house: House) -> None:
    """Not even the vector of an equal text is shared."""
    other = someone("other")
    house.base(me=other)
    house.put("a.md", "The apple costs 1 yen.")
    house.put("a.md", "The apple costs 2 yen.", me=other)
    assert house.texts("apple costs") == ["The apple costs 1 yen."]
    assert house.texts("apple costs", me=other) == ["The apple costs 2 yen."]
    house.put("a.md", None, me=other)
    assert house.texts("apple costs") == ["The apple costs 1 yen."]


@pytest.mark.parametrize("by_chroma", [False, True])
@pytest.mark.parametrize("times", [12, pytest.param(300, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_every_answer_comes_from_one_snapshot_while_others_are_published(
    house: House, times: int, by_chroma: bool
) -> None:
    """Two documents always change together: no question ever sees one old and one new, or lacks one."""

    def both(n: int) -> Future[Published]:
        changes = [
            Change("kb", name, take(name, Sent(f"The {name} costs {n} yen.".encode(), "text/plain"))) for name in "ab"
        ]
        return house.knowledge.publisher.push(Push(house.me, changes, "Both"))

    last = both(0)
    last.result(30)
    if by_chroma:
        house.knowledge.search = Search(house.knowledge.indexes, exact_up_to=0)
    stop = threading.Event()
    seen: list[set[str]] = []
    failed: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                texts = house.texts("costs yen")
                assert len(texts) == 2
                seen.append({text.split(" costs ")[1] for text in texts})
            except BaseException as error:
                failed.append(error)
                return

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for n in range(1, times):
        last = both(n)
        if n % 3 == 0:
            snapshot = last.result(60).snapshot
            assert set(house.texts("costs yen", as_of=snapshot)) == {f"The {name} costs {n} yen." for name in "ab"}
    last.result(60)
    stop.set()
    for asker in askers:
        asker.join()
    assert failed == []
    assert seen
    assert all(len(prices) == 1 for prices in seen)
    assert {text.split(" costs ")[1] for text in house.texts("costs yen")} == {f"{times - 1} yen."}


def test_another_embedder_gives_every_chunk_a_new_vector(house: House) -> None:
    """Before it answers; and what the first one made is there when it comes back."""
    house.put("a.md", "The apple costs 1 yen.")
    first, second = house.embedder, WordEmbedder("another")
    house.embedder = second
    house.reopen()
    assert house.texts("apple costs") == ["The apple costs 1 yen."]
    assert len(second.embedded) == 1
    house.embedder = first
    first.embedded.clear()
    house.reopen()
    assert house.texts("apple costs") == ["The apple costs 1 yen."]
    assert first.embedded == []


def test_a_process_without_the_lease_answers_and_refuses_changes(house: House, tmp_path: Path) -> None:
    """And sees what the writer publishes."""
    house.put("a.md", "The apple costs 1 yen.")
    follower = House(tmp_path / "follower", house.chroma, house.ledger_url)
    follower.embedder = house.embedder
    follower.open_ = Knowledge(Ledger(follower.ledger_url), house.embedder, Vectors(house.chroma), follower.home)
    follower.open_.start()
    try:
        assert follower.open_.publisher.ready.wait(30)
        assert follower.knowledge.missing() == []
        assert follower.texts("apple costs") == ["The apple costs 1 yen."]
        house.put("a.md", "The apple costs 2 yen.")
        assert follower.texts("apple costs") == ["The apple costs 2 yen."]
        with pytest.raises(KnowledgeUnavailable):
            follower.put("a.md", "The apple costs 3 yen.")
    finally:
        follower.close()


def test_a_stop_does_not_wait_for_a_long_ingestion(house: House) -> None:
    """What was embedded is kept, and who waits is told to come again."""
    house.put("first.md", "The apple costs 1 yen.")
    slow, first = threading.Event(), house.embedder.passages

    def passages(texts: Sequence[str]) -> Any:
        slow.set()
        assert house.knowledge.indexes.stopping.wait(30)
        return first(texts)

    house.embedder.passages = passages  # type: ignore[method-assign]
    waiting = house.send("long.md", "\n\n".join(f"# Item {n}\n\nItem {n} costs {n} yen." for n in range(100)))
    assert slow.wait(30)
    house.close()
    with pytest.raises(Draining):
        waiting.result(30)
    assert 0 < len(house.embedder.embedded) < 100
    house.embedder.passages = first  # type: ignore[method-assign]
    house.open()
    assert house.found("costs yen") == {"first.md"}
