"""Chroma, the lexical index and the matrix are derived: lost or wrong, they are made whole without embedding again."""

import shutil
import socket
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from retrieval import indexes, vectors
from retrieval.ledger import embeddings, schema
from retrieval.search import Search
from retrieval.vectors import Vectors, VectorsUnavailable
from tests.retrieval.house import Chroma, House, until

FRUIT = ("apple", "banana", "cherry", "date", "elderberry", "fig")


@pytest.fixture
def chroma(tmp_path: Path) -> Generator[Chroma]:
    """A Chroma of the test's own."""
    chroma = Chroma(tmp_path / "chroma")
    chroma.start()
    yield chroma
    chroma.kill()


@pytest.fixture
def filled(tmp_path: Path, chroma: Chroma) -> Generator[House]:
    house = House(tmp_path, chroma.url)
    house.open()
    house.base()
    for n, fruit in enumerate(FRUIT):
        house.put(f"{fruit}.md", f"The {fruit} costs {n} yen.")
    house.embedder.embedded.clear()
    yield house
    house.close()


def _whole(house: House) -> bool:
    """Whether Chroma holds every vector that the ledger has, and the ledger knows it."""
    knowledge = house.knowledge
    fingerprint = house.embedder.fingerprint
    with knowledge.ledger.read() as connection:
        collection = embeddings.collection_of(connection, house.me, fingerprint) or ""
        placed = embeddings.placed(connection, house.me, fingerprint, collection)
        missing = embeddings.unplaced(connection, house.me, fingerprint, collection, 10)
    return len(placed) == len(FRUIT) and not missing and knowledge.vectors.present(collection, placed) == set(placed)


def test_an_emptied_chroma_is_filled_again(filled: House, chroma: Chroma) -> None:
    """While the service runs, from the ledger's own vectors."""
    assert _whole(filled)
    chroma.kill(empty=True)
    chroma.start()
    until(lambda: _whole(filled))
    assert filled.embedder.embedded == []


def test_an_absent_chroma_stops_neither_questions_nor_changes(filled: House, chroma: Chroma) -> None:
    """Search is exact meanwhile, readiness tells, and the repair catches up afterwards."""
    chroma.kill()
    filled.put("apple.md", "The apple costs 7 yen.")
    assert filled.texts("apple costs")[0] == "The apple costs 7 yen."
    assert filled.knowledge.missing() == []
    assert len(filled.knowledge.degraded()) == 1
    filled.put("apple.md", "The apple costs 0 yen.")
    chroma.start()
    until(lambda: filled.knowledge.degraded() == [])


def test_vectors_that_chroma_never_finds_hold_up_no_others(
    filled: House, chroma: Chroma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a graph may lose its way to some: they are searched exactly, and are not added again and again."""
    lost, added, find, add = set[str](), list[str](), Vectors.found, Vectors.add

    def found(self: Vectors, collection: str, some: Mapping[str, Any]) -> set[str]:
        return find(self, collection, some) - lost

    def counted(self: Vectors, collection: str, some: Mapping[str, Any]) -> None:
        added.extend(some)
        add(self, collection, some)

    monkeypatch.setattr(Vectors, "found", found)
    monkeypatch.setattr(Vectors, "add", counted)
    monkeypatch.setattr(indexes, "_PLACED_AT_ONCE", 2)
    chroma.kill()
    _, before = filled.put("grape.md", "The grape costs 6 yen."), _keys(filled)
    for n in (7, 8, 9):  # the newest: they come first when Chroma is back
        filled.put(f"new-{n}.md", f"The new one costs {n} yen.")
    lost |= _keys(filled) - before
    assert len(lost) == 3
    chroma.start()
    until(lambda: _placed(filled) == before)
    assert filled.found("the new one costs") > {"new-7.md", "new-8.md", "new-9.md"}
    rounds = [added.count(key) for key in lost]
    filled.knowledge.indexes.repair_vectors(filled.me)
    assert [added.count(key) for key in lost] == rounds


def test_a_start_builds_nothing_anew_for_one_vector_that_is_not_found(
    filled: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one is searched exactly. A graph that finds hardly anything is built anew."""
    find = Vectors.found
    for unfound, rebuilt in ((1, False), (len(FRUIT), True)):
        lost = set(sorted(_placed(filled))[:unfound])

        def found(self: Vectors, collection: str, some: Mapping[str, Any], lost: set[str] = lost) -> set[str]:
            return find(self, collection, some) - lost

        before = _collection(filled)
        filled.close()
        monkeypatch.setattr(Vectors, "found", found)
        filled.open()
        assert (_collection(filled) != before) == rebuilt
        assert _placed(filled) == _keys(filled) - lost
        monkeypatch.setattr(Vectors, "found", find)
        filled.reopen()
        until(lambda: _whole(filled))


def _collection(house: House) -> str | None:
    with house.knowledge.ledger.read() as connection:
        return embeddings.collection_of(connection, house.me, house.embedder.fingerprint)


def _keys(house: House) -> set[str]:
    with house.knowledge.ledger.read() as connection:
        return set(connection.execute(select(schema.embeddings.c.digest)).scalars())


def _placed(house: House) -> set[str]:
    fingerprint = house.embedder.fingerprint
    with house.knowledge.ledger.read() as connection:
        collection = embeddings.collection_of(connection, house.me, fingerprint) or ""
        return set(embeddings.placed(connection, house.me, fingerprint, collection))


def test_a_chroma_that_hangs_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each who asks would wait as long, questions and publications: meanwhile they go on without it."""
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        hung = Vectors(f"http://127.0.0.1:{hangs.getsockname()[1]}", timeout=0.1)
        hangs.settimeout(0.0)
        asked = 0
        for left_alone, times in ((60.0, 1), (0.0, 3)):
            monkeypatch.setattr(vectors, "_LEFT_ALONE", left_alone)
            hung._silent_until = 0.0
            for _ in range(3):
                with pytest.raises(VectorsUnavailable):
                    hung.names()
            for _ in range(times):
                hangs.accept()[0].close()
            asked += times
            with pytest.raises(BlockingIOError):
                hangs.accept()
        hung.close()
    assert asked == 4


def test_large_sets_are_searched_by_chroma_and_agree_with_the_exact_search(filled: House) -> None:
    """Above the limit Chroma answers, and what it lacks is searched exactly beside it."""
    exact = filled.texts("the cherry costs")
    by_chroma = Search(filled.knowledge.indexes, exact_up_to=0)
    found = by_chroma.search(filled.me, ["kb"], "the cherry costs", top_k=20)
    assert [one.text for one in found.evidence] == exact


def test_a_lost_lexical_index_is_built_again_at_the_start(filled: House) -> None:
    """From the chunks in the ledger."""
    filled.close()
    shutil.rmtree(filled.home / "terms")
    knowledge = filled.open()
    assert knowledge.terms.count() == len(FRUIT)
    assert filled.texts("cherry")[0] == "The cherry costs 2 yen."


@pytest.mark.parametrize("damage", ["lost", "zeros", "another", "cut"])
def test_a_damaged_matrix_is_read_again_from_the_ledger(filled: House, damage: str) -> None:
    """Every row is compared at the opening."""
    before = filled.search("the cherry costs")
    filled.close()
    path = next((filled.home / "matrix").glob("*.f32"))
    data = bytearray(path.read_bytes())
    if damage == "lost":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[:300])
    else:
        data[0:512] = bytes(512) if damage == "zeros" else data[256:768]
        path.write_bytes(data)
    filled.open()
    assert filled.search("the cherry costs") == before
    assert filled.embedder.embedded == []


def test_one_document_changed_many_times_stays_findable(filled: House) -> None:
    """Dead versions crowd the neighbours of the live one; the exact search is the way out."""
    by_chroma = Search(filled.knowledge.indexes, exact_up_to=0)
    for group in range(5):
        futures = [filled.send("apple.md", f"The apple costs {group * 10 + n} yen.") for n in range(10)]
        for future in futures:
            future.result(60)
    found = by_chroma.search(filled.me, ["kb"], "the apple costs", top_k=20)
    assert [one.text for one in found.evidence if "apple" in one.text] == ["The apple costs 49 yen."]
