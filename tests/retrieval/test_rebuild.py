"""The indexes are built anew from the ledger alone, while questions and publications go on; nothing is embedded."""

import shutil
import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from retrieval import indexes
from retrieval.api import create_app
from retrieval.knowledge import Knowledge
from retrieval.ledger import embeddings
from retrieval.ledger.database import Ledger
from retrieval.search import Search
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, House, until
from tests.retrieval.test_api import KEY, headers
from tests.retrieval.test_indexes import FRUIT


@pytest.fixture
def filled(house: House) -> Generator[House]:
    for n, fruit in enumerate(FRUIT):
        house.put(f"{fruit}.md", f"The {fruit} costs {n} yen.")
    house.embedder.failing = True  # from here on whoever embeds a passage fails
    yield house
    house.embedder.failing = False


def collection(house: House) -> str:
    with house.knowledge.ledger.read() as connection:
        return embeddings.collection_of(connection, house.me, house.embedder.fingerprint) or ""


def by_chroma(house: House, question: str) -> list[str]:
    """What Chroma's way finds, whatever the size of the allowed set."""
    search = Search(house.knowledge.indexes, exact_up_to=0)
    return [one.text for one in search.search(house.me, ["kb"], question, top_k=20).evidence]


def test_a_rebuild_makes_both_indexes_anew_and_embeds_nothing(filled: House) -> None:
    """Dead vectors are left out, the past and what comes back are found all the same."""
    filled.embedder.failing = False
    filled.put("apple.md", "The apple costs 100 yen.")
    filled.embedder.failing = True
    exact, old = filled.texts("the cherry costs"), collection(filled)
    built = filled.knowledge.publisher.rebuild(filled.me).result(60)
    assert built == {"vectors": 6, "terms": 7}
    assert collection(filled) != old
    assert filled.knowledge.vectors.count(collection(filled)) == 6
    assert by_chroma(filled, "the cherry costs") == filled.texts("the cherry costs") == exact
    assert "The apple costs 0 yen." in filled.texts("apple costs", as_of=6)
    filled.knowledge.publisher.restore(filled.me, 6, None).result(30)
    assert "The apple costs 0 yen." in by_chroma(filled, "the apple costs")
    assert "The apple costs 100 yen." not in by_chroma(filled, "the apple costs")


def test_lost_indexes_are_rebuilt_by_a_word(filled: House) -> None:
    """Even when nobody noticed the loss."""
    filled.knowledge.vectors.clear(collection(filled))
    filled.knowledge.terms.clear()
    filled.knowledge.publisher.rebuild(filled.me).result(60)
    assert filled.knowledge.terms.count() == len(FRUIT)
    assert filled.knowledge.vectors.count(collection(filled)) == len(FRUIT)


def test_questions_and_publications_go_on_during_a_rebuild(house: House) -> None:
    """Each question sees one state of each document, and what was published meanwhile is in both indexes after."""
    for n in range(30):
        house.put(f"{n}.md", f"Item {n} costs {n} yen.")
    stop = threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                assert len(by_chroma(house, "item costs")) == 20
            except BaseException as error:
                failed.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    rebuilt = house.knowledge.publisher.rebuild(house.me)
    for n in range(10):
        house.put(f"new {n}.md", f"Item new {n} costs {n} yen.")
    rebuilt.result(60)
    stop.set()
    asker.join()
    assert failed == []
    until(lambda: house.knowledge.vectors.count(collection(house)) == 40)
    assert house.knowledge.terms.count() == 40
    assert by_chroma(house, "item new 9 costs 9 yen")[0] == "Item new 9 costs 9 yen."


@pytest.mark.parametrize("damage", ["wrong vectors", "emptied", "terms gone", "terms torn"])
def test_a_start_finds_damage_and_repairs_it(filled: House, damage: str) -> None:
    """By counts, and by asking for a few chunks by themselves."""
    old, vectors = collection(filled), Vectors(filled.chroma)
    with filled.knowledge.ledger.read() as connection:
        placed = embeddings.placed(connection, filled.me, filled.embedder.fingerprint, old)
    filled.close()
    if damage == "wrong vectors":
        vectors.clear(old)
        noise = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)
        others = {f"other {n}": vector for n, vector in enumerate(noise)}
        vectors.add(old, {key: -np.ones(64, dtype=np.float32) for key in placed} | others)
    elif damage == "emptied":
        vectors.clear(old)
    elif damage == "terms gone":
        shutil.rmtree(filled.home / "terms")
    else:
        for file in (filled.home / "terms").glob("*.idx"):
            file.write_bytes(b"")
    vectors.close()
    filled.open()
    until(lambda: filled.knowledge.vectors.count(collection(filled)) >= len(FRUIT))
    assert filled.knowledge.terms.count() == len(FRUIT)
    assert by_chroma(filled, "the cherry costs")[0] == "The cherry costs 2 yen."
    with filled.knowledge.ledger.read() as connection:
        fingerprint = filled.embedder.fingerprint
        known = embeddings.sample(connection, filled.me, fingerprint, collection(filled), 2 * len(FRUIT))
    assert filled.knowledge.vectors.found(collection(filled), known) == known.keys()
    assert len(known) == len(FRUIT)


def test_a_collection_that_is_mostly_dead_is_compacted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document updated again and again stays findable throughout, and the dead are gone in the end."""
    monkeypatch.setattr(indexes, "DEAD_AT_LEAST", 20)
    _update(house, 60, 10)


@pytest.mark.full
def test_one_row_updated_a_thousand_times_stays_findable(house: House) -> None:
    """The same with the real thresholds."""
    _update(house, 1000, 25)


def _update(house: House, times: int, group: int) -> None:
    house.put("pear.md", "The pear costs 7 yen.")
    first = None
    for begin in range(0, times, group):
        futures = [house.send("apple.md", f"The apple costs {begin + n} yen.") for n in range(group)]
        for future in futures:
            future.result(60)
        first = first or collection(house)
        found = [text for text in by_chroma(house, "the apple costs") if "apple" in text]
        assert found == [f"The apple costs {begin + group - 1} yen."]
    until(lambda: collection(house) != first)
    house.put("apple.md", "The apple costs nothing.")
    assert by_chroma(house, "the apple costs")[0] == "The apple costs nothing."
    until(lambda: house.knowledge.vectors.count(collection(house)) < times)


def test_a_rebuild_over_http_is_an_operation(
    tmp_path: Path, shared_chroma: Chroma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result says how much stands anew, also where it had to wait for another to end before it began."""
    house = House(tmp_path, shared_chroma.url)
    house.open()
    house.base()
    house.put("a.md", "The apple costs 1 yen.")
    house.close()
    knowledge = Knowledge(Ledger(house.ledger_url), house.embedder, Vectors(house.chroma), house.home)
    go_on, clear = threading.Event(), knowledge.vectors.clear
    with TestClient(create_app(knowledge, KEY), headers=headers(house.me)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/knowledge:rebuild").json() == {"vectors": 1, "terms": 1}
        monkeypatch.setattr(knowledge.vectors, "clear", lambda name: go_on.wait(60) and clear(name))
        answers = [client.post("/v1/knowledge:rebuild?wait=0") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        go_on.set()
        for path in [f"/v1/operations/{answer.json()['operation']}" for answer in answers]:
            done = until(lambda path=path: (found := client.get(path).json())["state"] != "running" and found)
            assert (done["state"], done["result"]) == ("done", {"vectors": 1, "terms": 1})
