"""A second embedder's index is built beside the first's, compared with it, and put in its place in one transaction."""

from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from common.errors import Conflict, KnowledgeUnavailable
from retrieval.api import create_app
from retrieval.knowledge import Knowledge
from retrieval.ledger import chunks, embeddings
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, House, WordEmbedder, until
from tests.retrieval.test_api import KEY, headers


class Narrow(WordEmbedder):
    """Another model with another dimension."""

    dimension = 32

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.fingerprint = f"narrow/32/{name}"
        self.asked: list[str] = []

    def passages(self, texts: Any) -> Any:
        return _narrow(super().passages(texts))

    def questions(self, texts: Any) -> Any:
        self.asked += texts
        return _narrow(super().questions(texts))


def _narrow(vectors: Any) -> Any:
    folded = vectors[:, :32] + vectors[:, 32:]
    return (folded / np.linalg.norm(folded, axis=1, keepdims=True)).astype(np.float32)


class Two(House):
    """A house with a second embedder."""

    second: Narrow | None = None

    def open(self) -> Knowledge:
        ledger = Ledger(self.ledger_url)
        ledger.migrate()
        self.open_ = Knowledge(ledger, self.embedder, Vectors(self.chroma), self.home, second=self.second)
        self.open_.start()
        assert self.open_.publisher.writing.wait(30)
        return self.open_


@pytest.fixture
def two(house: House) -> Generator[Two]:
    """Filled by the first embedder alone, then opened with both."""
    house.put("apple.md", "The apple costs 1 yen.")
    house.put("apple.md", "The apple costs 2 yen.")
    house.put("fig.md", "The fig costs 9 yen.")
    house.close()
    two = Two(house.home, house.chroma, house.ledger_url)
    two.embedder, two.second = house.embedder, Narrow(house.embedder.fingerprint[-12:])
    two.open()
    yield two
    two.close()


def _lacking(two: Two, past: bool = True) -> int:
    assert two.knowledge.serving.other
    with two.knowledge.ledger.read() as connection:
        return two.knowledge.serving.lacking(connection, two.knowledge.serving.other, past=past)


def _current(two: Two) -> str | None:
    with two.knowledge.ledger.read() as connection:
        return embeddings.current(connection)


def _built(two: Two) -> Narrow:
    assert two.second
    until(lambda: _lacking(two) == 0)
    return two.second


def test_the_second_index_is_built_while_the_first_serves(two: Two) -> None:
    """Of what is visible and of the past; a question is the second's only where it is asked of it, to compare."""
    second = _built(two)
    assert sorted(second.embedded) == sorted({*second.embedded})
    assert len(second.embedded) == 3
    assert two.texts("apple costs")[0] == "The apple costs 2 yen."
    assert second.asked == []
    assert two.texts("the fig costs", other_embedder=True)[0] == "The fig costs 9 yen."
    assert second.asked == ["the fig costs"]
    assert _current(two) == two.embedder.fingerprint


def test_keeping_the_second_index_whole_costs_what_came_and_not_what_is_there(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is whole only chunks of later snapshots are looked at: of a million others none is asked about again."""
    second, looked, ask = _built(two), list[tuple[str, int]](), chunks.without_vector

    def asked(connection: Any, principal: Any, fingerprint: str, *, past: bool = False, after: int = -1) -> list[int]:
        looked.append((fingerprint, after))
        return ask(connection, principal, fingerprint, past=past, after=after)

    monkeypatch.setattr(chunks, "without_vector", asked)
    both = {second.fingerprint, two.embedder.fingerprint}
    for n in (4, 5):  # the first round of both, which looks at everything, may be under way
        two.put("pear.md", f"The pear costs {n} yen.")
        until(lambda n=n: any(text.endswith(f"The pear costs {n} yen.") for text in second.embedded))
    until(lambda: {fingerprint for fingerprint, after in looked if after >= 3} == both)
    assert all(after >= 3 for _, after in looked[4:])


def test_a_switch_and_the_way_back_embed_nothing_and_lose_nothing(two: Two) -> None:
    """What is published under the one is there under the other; the past is asked of both alike."""
    second, first = _built(two), two.embedder
    assert two.knowledge.publisher.switch_embedder().result(30) == second.fingerprint
    assert two.texts("apple costs")[0] == "The apple costs 2 yen."
    assert second.asked
    two.put("apple.md", "The apple costs 3 yen.")
    assert "The apple costs 1 yen." in two.texts("apple costs", as_of=1)
    until(lambda: _lacking(two) == 0)
    first.embedded.clear()
    two.reopen()
    assert _current(two) == second.fingerprint
    assert two.knowledge.publisher.switch_embedder().result(30) == first.fingerprint
    assert "The apple costs 3 yen." in two.texts("apple costs")
    assert first.embedded == []


def test_a_question_that_began_before_a_switch_is_answered_by_one_embedder(two: Two) -> None:
    """Its vector is made again where the ledger names another one by the time its snapshot is pinned."""
    second = _built(two)
    ask, switched = two.embedder.questions, list[Future[str]]()

    def questions(texts: Any) -> Any:
        switched.append(two.knowledge.publisher.switch_embedder())
        switched[0].result(30)
        return ask(texts)

    two.embedder.questions = questions  # type: ignore[method-assign]
    assert two.texts("the fig costs now")[0] == "The fig costs 9 yen."
    assert second.asked == ["the fig costs now"]


def test_an_index_that_is_not_whole_does_not_serve(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that nobody configured."""
    monkeypatch.setattr("retrieval.switch._LEFT_AT_MOST", 0)
    second = _built(two)
    second.failing = True
    two.put("pear.md", "The pear costs 4 yen.")
    assert two.found("pear costs") >= {"pear.md"}
    with pytest.raises(Conflict):
        two.knowledge.publisher.switch_embedder().result(30)
    assert _current(two) == two.embedder.fingerprint
    second.failing = False
    two.second = None
    two.reopen()
    with pytest.raises(Conflict):
        two.knowledge.publisher.switch_embedder().result(30)


def test_a_vector_of_another_dimension_is_never_stored(two: Two) -> None:
    """The change is refused, and what is there stays as it is."""
    embed = two.embedder.passages
    two.embedder.passages = lambda texts: embed(texts)[:, :32]  # type: ignore[method-assign]
    with pytest.raises(KnowledgeUnavailable):
        two.put("pear.md", "The pear costs 4 yen.")
    two.embedder.passages = embed  # type: ignore[method-assign]
    assert two.found("costs yen") == {"apple.md", "fig.md"}
    with two.knowledge.ledger.read() as connection:
        kept = list(embeddings.since(connection, two.me, two.embedder.fingerprint, 0))
    assert {vector.shape for _, _, _, vector in kept} == {(64,)}


def test_a_process_without_the_embedder_that_serves_answers_nothing(two: Two, tmp_path: Path) -> None:
    """Rather than by vectors that mean something else."""
    _built(two)
    two.knowledge.publisher.switch_embedder().result(30)
    replica = House(tmp_path / "replica", two.chroma, two.ledger_url)
    replica.embedder = two.embedder
    replica.open_ = Knowledge(Ledger(two.ledger_url), two.embedder, Vectors(two.chroma), replica.home)
    replica.open_.start()
    try:
        assert replica.open_.publisher.ready.wait(30)
        with pytest.raises(KnowledgeUnavailable):
            replica.search("apple costs")
    finally:
        replica.close()


def test_embedders_over_http(tmp_path: Path, shared_chroma: Chroma) -> None:
    """How far each is, and the switch; a search can be asked of the other one."""
    house = House(tmp_path, shared_chroma.url)
    second = Narrow("http")
    knowledge = Knowledge(Ledger(house.ledger_url), house.embedder, Vectors(house.chroma), house.home, second=second)
    knowledge.ledger.migrate()
    with TestClient(create_app(knowledge, KEY), headers=headers(house.me)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        client.put("/v1/knowledge/kb")
        client.put(
            "/v1/knowledge/kb/documents/a", content="The apple costs 1 yen.", headers={"content-type": "text/plain"}
        )
        rows = until(lambda: (d := client.get("/v1/embedders").json()["data"])[1]["lacking"] == 0 and d)
        assert [row["serves"] for row in rows] == [True, False]
        body = {"query": "apple", "other_embedder": True}
        assert client.post("/v1/knowledge/kb/search", json=body).json()["results"][0]["document"] == "a"
        assert client.post("/v1/embedders:switch").json() == {"fingerprint": second.fingerprint}
        assert [row["serves"] for row in client.get("/v1/embedders").json()["data"]] == [False, True]
