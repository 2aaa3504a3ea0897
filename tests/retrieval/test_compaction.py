"""A new collection beside the one that serves: whoever builds, publishes or follows meanwhile, nothing is missed."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import KnowledgeUnavailable
from retrieval import indexes
from retrieval.catalogs import Catalogs
from retrieval.indexes import Indexes
from retrieval.knowledge import Knowledge
from retrieval.ledger import embeddings
from retrieval.ledger.database import Ledger
from retrieval.neighbours import Neighbours
from retrieval.vectors import Vectors
from tests.retrieval import test_rebuild
from tests.retrieval.house import House, until
from tests.retrieval.test_indexes import FRUIT
from tests.retrieval.test_rebuild import by_chroma, collection

filled = test_rebuild.filled


def _nothing(_: Any) -> None:
    pass


def _nearest(house: House, text: str) -> str:
    """The chunk nearest to a text, as Chroma's way finds it."""
    with house.knowledge.ledger.read() as connection:
        catalog = house.knowledge.catalogs.caught_up(connection, house.me)
    asked = house.embedder.questions([text])[0]
    rows = np.flatnonzero(catalog.allowed(house.me, ["kb"], catalog.head, 0.0, {}))
    near = Neighbours(house.knowledge.vectors, exact_up_to=0).near(catalog, asked, rows, 1, collection(house))
    return catalog.names[next(iter(near))]


def test_what_is_published_while_the_pointer_moves_is_found_at_once(
    filled: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vector went to the collection of before; until the new one has it, it is searched exactly."""
    monkeypatch.setattr(indexes.Indexes, "repair_vectors", lambda *_: None)
    filled.embedder.failing = False
    found, moved = filled.knowledge.vectors.found, threading.Event()

    def moves(name: str, vectors: Mapping[str, Any]) -> set[str]:
        known = found(name, vectors)
        if not moved.is_set():
            moved.set()
            builder = threading.Thread(target=filled.knowledge.indexes.rebuild_vectors, args=(filled.me, _nothing))
            builder.start()
            builder.join()
        return known

    monkeypatch.setattr(filled.knowledge.vectors, "found", moves)
    filled.put("quince.md", "The quince costs 77 yen.")
    expected = next(one.chunk for one in filled.search("quince 77").evidence if "quince" in one.text)
    assert _nearest(filled, "quince.md\nThe quince costs 77 yen.") == expected


def test_a_writer_that_lost_its_lease_in_the_middle_of_a_build_harms_nothing(filled: House) -> None:
    """It wakes up after the next one has built and moved: what it does then, it does to its own collection."""
    knowledge, woken = filled.knowledge, threading.Event()

    class Sleepy(Vectors):
        def clear(self, name: str) -> None:
            assert woken.wait(30)
            super().clear(name)

        def add(self, collection: str, vectors: Mapping[str, Any]) -> None:
            assert woken.wait(30)
            raise KnowledgeUnavailable("It dies,", "as ordered.")

    catalogs = Catalogs(filled.home / "zombie", filled.embedder.fingerprint, filled.embedder.dimension)
    zombie = Indexes(
        knowledge.ledger, filled.embedder, Sleepy(filled.chroma), knowledge.terms, catalogs, threading.Event()
    )
    failed: list[BaseException] = []

    def build() -> None:
        try:
            zombie.rebuild_vectors(filled.me, _nothing)
        except KnowledgeUnavailable as error:
            failed.append(error)

    sleeper = threading.Thread(target=build)
    sleeper.start()
    before = collection(filled)
    knowledge.indexes.rebuild_vectors(filled.me, _nothing)
    woken.set()
    sleeper.join()
    zombie.vectors.close()
    assert failed
    assert collection(filled) != before
    assert knowledge.vectors.count(collection(filled)) == len(FRUIT)


def test_a_build_that_was_broken_off_is_cleared_away_by_the_next(filled: House) -> None:
    """Nobody else knows its name."""

    def refuse(_: Any) -> None:
        raise KnowledgeUnavailable("This process is no longer the writer.", "As ordered.")

    vectors = filled.knowledge.vectors
    before, serving = set(vectors.names()), collection(filled)
    with pytest.raises(KnowledgeUnavailable):
        filled.knowledge.indexes.rebuild_vectors(filled.me, refuse)
    (broken,) = set(vectors.names()) - before
    assert collection(filled) == serving
    filled.knowledge.indexes.rebuild_vectors(filled.me, _nothing)
    assert broken not in vectors.names()


def test_a_process_that_follows_knows_what_the_new_collection_does_not_find(
    filled: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is searched exactly there too, though the collection of before did find it."""
    follower = House(tmp_path / "follower", filled.chroma, filled.ledger_url)
    follower.embedder = filled.embedder
    follower.open_ = Knowledge(Ledger(follower.ledger_url), filled.embedder, Vectors(filled.chroma), follower.home)
    follower.open_.start()
    try:
        assert follower.open_.publisher.ready.wait(30)
        assert len(follower.texts("costs")) == len(FRUIT)
        found = filled.knowledge.vectors.found
        with filled.knowledge.ledger.read() as connection:
            lost = embeddings.placed(connection, filled.me, filled.embedder.fingerprint, collection(filled))[0]
        monkeypatch.setattr(filled.knowledge.vectors, "found", lambda name, vectors: found(name, vectors) - {lost})
        filled.knowledge.publisher.rebuild(filled.me).result(60)
        assert len(follower.texts("costs")) == len(FRUIT)
        catalog = follower.knowledge.catalogs.of(filled.me)
        assert not catalog.placed[catalog.keys[lost]]
        assert catalog.placed.sum() == len(FRUIT) - 1
    finally:
        follower.close()


def test_what_crowds_out_what_lives_is_built_away_however_small_its_share(filled: House) -> None:
    """Where question after question finds mostly dead neighbours; before, they are answered exactly."""
    filled.embedder.failing = False
    for price in range(3 * len(FRUIT)):
        filled.put("apple.md", f"The apple costs {price} yen.")
    first = collection(filled)
    for _ in range(indexes.CROWDED_OUT):
        assert f"The apple costs {3 * len(FRUIT) - 1} yen." in by_chroma(filled, "the apple costs")
    until(lambda: collection(filled) != first)
    until(lambda: filled.knowledge.vectors.count(collection(filled)) == len(FRUIT))
