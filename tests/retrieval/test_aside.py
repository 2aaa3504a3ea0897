"""A large push keeps nobody waiting: what it takes long for is done beside, and its transactions let others in."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from common.errors import Conflict
from retrieval.intake import Sent, take
from retrieval.ledger import operations, staging
from retrieval.ledger.database import Turns
from retrieval.ledger.staging import Change
from retrieval.press import AT_ONCE
from retrieval.push import Published, Push
from tests.retrieval.house import House

MANY = 3 * AT_ONCE


def _change(n: int, text: str = "") -> Change:
    return Change("kb", f"{n}.md", take(f"{n}.md", Sent((text or f"Item {n} costs {n} yen.").encode(), "text/plain")))


def _send_many(house: House) -> Future[Published]:
    return house.knowledge.publisher.push(Push(house.me, [_change(n) for n in range(MANY)], "Many"))


@pytest.fixture
def gate(house: House) -> tuple[threading.Event, threading.Event]:
    """The embedder stands still with a text of the large push in hand (the first), until it may go on (the second)."""
    arrived, go_on, embed = threading.Event(), threading.Event(), house.embedder.passages

    def passages(texts: Sequence[str]) -> Any:
        if any("Item" in text for text in texts):
            arrived.set()
            assert go_on.wait(60)
        return embed(texts)

    house.embedder.passages = passages  # type: ignore[method-assign]
    return arrived, go_on


def test_others_publish_while_a_large_push_is_embedded(house: House, gate: Any) -> None:
    """Another PUT, a restore and an operation, all before it; it becomes one snapshot after them."""
    arrived, go_on = gate
    _, first = house.put("fee.md", "The fee costs 1 yen.")
    waiting = _send_many(house)
    assert arrived.wait(30)
    house.put("fee.md", "The fee costs 2 yen.")
    house.knowledge.publisher.restore(house.me, first or 0, None).result(30)
    with house.knowledge.ledger.write() as connection:
        operations.begin(connection, house.me)
    assert house.texts("costs yen") == ["The fee costs 1 yen."]
    head = house.head
    assert not waiting.done()
    go_on.set()
    assert waiting.result(60).snapshot == head + 1
    assert len(house.found("item costs", top_k=50)) == 50


def test_a_later_change_of_a_document_in_a_large_push_is_the_last(house: House, gate: Any) -> None:
    """It waits for the push and comes after it; a change of another document does not wait."""
    arrived, go_on = gate
    waiting = _send_many(house)
    assert arrived.wait(30)
    later = house.knowledge.publisher.push(Push(house.me, [_change(7, "The seventh costs nothing.")], "Later"))
    house.put("other.md", "The other costs 1 yen.")
    assert not later.done()
    go_on.set()
    large, small = waiting.result(60).snapshot, later.result(60).snapshot
    assert (small or 0) == (large or 0) + 1
    assert house.texts("costs", filters={"document": "7.md"}) == ["The seventh costs nothing."]


def test_a_large_change_for_a_revision_that_a_restore_took_away_is_refused(house: House, gate: Any) -> None:
    """Although the revision was the current one when it came."""
    arrived, go_on = gate
    _, first = house.put("list.md", "The list is short.")
    house.put("list.md", "The list is empty.")
    long = "\n\n".join(f"# Item {n}\n\nItem {n} costs {n} yen." for n in range(MANY))
    waiting = house.send("list.md", long, if_match=2)
    assert arrived.wait(30)
    house.knowledge.publisher.restore(house.me, first or 0, None).result(30)
    go_on.set()
    with pytest.raises(Conflict):
        waiting.result(60)
    assert house.texts("list") == ["The list is short."]


def test_a_large_push_is_written_down_in_transactions_that_let_others_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the ledger during the first of them has it before the last."""
    prepare, seen, asked, written = staging.prepare, list[str](), threading.Event(), threading.Event()

    def preparing(connection: Any, principal: Any, change: Any) -> Any:
        if not seen:
            writer.start()
            assert asked.wait(30)
        seen.append(change.document)
        return prepare(connection, principal, change)

    def write() -> None:
        asked.set()
        with house.knowledge.ledger.write() as connection:
            operations.begin(connection, house.me)
            seen.append("another")
        written.set()

    writer = threading.Thread(target=write)
    monkeypatch.setattr(staging, "prepare", preparing)
    assert _send_many(house).result(60).snapshot
    assert written.wait(30)
    writer.join()
    if house.knowledge.ledger.sqlite:
        assert 0 < seen.index("another") <= 2 * AT_ONCE
    assert len(seen) == MANY + 1


def test_a_lock_is_had_in_the_order_of_asking() -> None:
    """Who has just had it and asks again comes after those who asked meanwhile."""
    turns, order, waiting = Turns(), list[str](), threading.Event()

    def other() -> None:
        with turns.mine():
            order.append("other")

    thread = threading.Thread(target=other)
    with turns.mine():
        order.append("first")
        thread.start()
        while len(turns) < 2:
            waiting.wait(0.001)
    with turns.mine():
        order.append("again")
    thread.join()
    assert order == ["first", "other", "again"]
