"""Snapshots: every question has one, the past can be asked, and going back is a new one."""

import time

import pytest

from common.errors import InvalidRequest, NotFound
from retrieval.ledger import snapshots
from retrieval.ledger.snapshots import Difference, rfc3339
from tests.retrieval.house import House, someone


def test_the_past_is_asked_by_number_and_by_time(house: House) -> None:
    """A time means the newest snapshot then; before the first one nothing was known."""
    long_ago = rfc3339(time.time() - 3600)
    _, first = house.put("a.md", "The apple costs 1 yen.")
    between = rfc3339(time.time() + 0.001)
    while rfc3339(time.time()) <= between:
        pass
    house.put("a.md", "The apple costs 2 yen.")
    for as_of in (first, str(first), between):
        assert house.texts("apple costs", as_of=as_of) == ["The apple costs 1 yen."]
    assert house.texts("apple costs") == ["The apple costs 2 yen."]
    assert house.search("apple", as_of=long_ago).snapshot == 0
    assert house.texts("apple", as_of=long_ago) == []


def test_a_snapshot_that_never_was_is_not_found(house: House) -> None:
    """And what is no time is an error of its own."""
    for number in (99, -1, 2**80):
        with pytest.raises(NotFound):
            house.search("apple", as_of=number)
    with pytest.raises(InvalidRequest):
        house.search("apple", as_of="last March")


def test_going_back_embeds_nothing_and_is_a_new_snapshot(house: House) -> None:
    """What was added since is gone, what was removed is there, what was changed is as it was."""
    house.put("kept.md", "The fig costs 9 yen.")
    house.put("changed.md", "The apple costs 1 yen.")
    _, then = house.put("removed.md", "The banana costs 2 yen.")
    house.put("changed.md", "The apple costs 100 yen.")
    house.put("removed.md", None)
    _, last = house.put("added.md", "The cherry costs 3 yen.")
    house.embedder.embedded.clear()
    restored = house.knowledge.publisher.restore(house.me, then or 0, None).result(30)
    assert restored == (last or 0) + 1
    assert house.embedder.embedded == []
    assert sorted(house.texts("costs yen")) == sorted(house.texts("costs yen", as_of=then))
    assert house.put("changed.md", "The apple costs 5 yen.")[0] == 3


def test_going_back_twice_changes_nothing_the_second_time(house: House) -> None:
    """There is no snapshot without a difference."""
    _, then = house.put("a.md", "The apple costs 1 yen.")
    house.put("a.md", "The apple costs 2 yen.")
    numbers = [house.knowledge.publisher.restore(house.me, then or 0, None).result(30) for _ in range(2)]
    assert numbers[0] == numbers[1]


def test_going_back_in_one_knowledge_base_leaves_the_others(house: House) -> None:
    """The knowledge bases named, and no other."""
    house.base("other")
    house.put("a.md", "The apple costs 1 yen.")
    _, then = house.put("b.md", "The banana costs 1 yen.", kb="other")
    house.put("a.md", "The apple costs 2 yen.")
    house.put("b.md", "The banana costs 2 yen.", kb="other")
    house.knowledge.publisher.restore(house.me, then or 0, ["kb"]).result(30)
    assert house.texts("apple costs") == ["The apple costs 1 yen."]
    assert house.texts("banana costs", kb="other") == ["The banana costs 2 yen."]


def test_two_snapshots_are_compared_by_document(house: House) -> None:
    """As far as the asker may read them."""
    house.put("a.md", "The apple costs 1 yen.")
    _, before = house.put("b.md", "The banana costs 1 yen.")
    house.put("a.md", "The apple costs 2 yen.")
    house.put("b.md", None)
    house.put("secret.md", "The secret.", labels=("hr",))
    _, after = house.put("c.md", "The cherry costs 1 yen.")
    with house.knowledge.ledger.read() as connection:
        seen = snapshots.diff(connection, someone("default", "public"), before or 0, after or 0)
        everything = snapshots.diff(connection, house.me, before or 0, after or 0)
    assert seen == [
        Difference("kb", "a.md", 1, 2),
        Difference("kb", "b.md", 1, None),
        Difference("kb", "c.md", None, 1),
    ]
    assert len(everything) == 4


def test_a_document_applies_between_its_effective_dates(house: House) -> None:
    """Next month's fee can be published today; a time in the past reads the dates as they were then."""
    now = time.time()
    house.put("old.md", "The apple fee is 1 yen.", effective_until=now + 3600)
    house.put("new.md", "The apple fee is 2 yen.", effective_from=now + 3600)
    house.put("past.md", "The apple fee is 0 yen.", effective_until=now - 1)
    assert house.found("apple fee") == {"old.md"}
    assert house.found("apple fee", as_of=rfc3339(now + 7200)) == {"new.md"}


def test_each_snapshots_digest_commits_to_the_one_before(house: House) -> None:
    """Two histories with the same contents in another order have other digests."""
    house.put("a.md", "The apple costs 1 yen.")
    house.put("b.md", "The banana costs 1 yen.")
    with house.knowledge.ledger.read() as connection:
        found = snapshots.newest(connection, house.me, None, 10)
    assert [one.number for one in found] == [2, 1]
    assert [one.author for one in found] == ["k_test", "k_test"]
    assert len({one.digest for one in found}) == 2
    assert all(one.digest.startswith("sha256:") for one in found)
