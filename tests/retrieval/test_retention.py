"""What no snapshot within the retention needs is dropped everywhere; a legal hold keeps it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from common.errors import Conflict, Gone, InvalidRequest, NotFound
from common.settings import Retention
from retrieval.api import create_app
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, chunks, documents, embeddings, holds, schema
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, House, someone, until
from tests.retrieval.test_api import KEY, headers

LAST = Retention(snapshots=1)


@pytest.fixture
def aged(house: House) -> House:
    """An apple that cost something else in each of three snapshots, and a fig that never changed."""
    house.put("fig.md", "The fig costs 9 yen.")
    for price in (1, 2, 3):
        house.put("apple.md", f"# Apple\n\nThe apple costs {price} yen.\n\n# More\n\nAll apples are red.")
    return house


def _retain(house: House, keep: Retention = LAST) -> int:
    return house.knowledge.publisher.retain(house.me, keep).result(60)


def _count(house: House, table: Any) -> int:
    with house.knowledge.ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _hold(house: House, document: str | None, reason: str = "Case 7") -> holds.Hold:
    with house.knowledge.ledger.write() as connection:
        return holds.place(connection, house.me, "kb", document, reason)


def _texts(house: House) -> str:
    """All text that the ledger keeps anywhere."""
    with house.knowledge.ledger.read() as connection:
        kept = [*connection.execute(select(schema.chunks.c.text)).scalars()]
        return "\n".join([*kept, *connection.execute(select(schema.revisions.c.text)).scalars()])


def test_what_no_snapshot_needs_is_dropped_from_ledger_vectors_terms_and_matrix(aged: House) -> None:
    """The head answers as before; what went is in none of the places where it was."""
    before, head = sorted(aged.texts("costs")), aged.head
    assert _retain(aged) == 1
    assert sorted(aged.texts("costs")) == before
    assert aged.head == head
    assert "costs 3 yen" in _texts(aged)
    assert "costs 1 yen" not in _texts(aged)
    assert "costs 2 yen" not in _texts(aged)
    live = len(before)
    assert (_count(aged, schema.chunks), _count(aged, schema.embeddings)) == (live, live)
    knowledge = aged.knowledge
    with knowledge.ledger.read() as connection:
        collection = embeddings.collection_of(connection, aged.me, aged.embedder.fingerprint) or ""
        catalog = knowledge.catalogs.caught_up(connection, aged.me)
    assert knowledge.vectors.count(collection) == knowledge.terms.count() == catalog.matrix.rows == live
    assert _retain(aged) == 0
    aged.reopen()
    assert sorted(aged.texts("costs")) == before
    assert aged.put("apple.md", "The apple costs 4 yen.")[0] == 4


def test_a_snapshot_beyond_the_retention_is_gone(aged: House) -> None:
    """By number and by time, for a question and for a restore; the newest kept one still answers."""
    _retain(aged, Retention(snapshots=2))
    assert "The apple costs 2 yen." in "\n".join(aged.texts("apple costs", as_of=3))
    for as_of in (2, 1, 0, "2001-01-01"):
        with pytest.raises(Gone):
            aged.search("apple costs", as_of=as_of)
    with pytest.raises(Gone):
        aged.knowledge.publisher.restore(aged.me, 2, None).result(30)
    restored = aged.knowledge.publisher.restore(aged.me, 3, None).result(30)
    assert "The apple costs 2 yen." in "\n".join(aged.texts("apple costs", as_of=restored))


def test_days_keep_what_was_the_head_when_they_began(aged: House) -> None:
    """With snapshots too, whichever keeps more; without either everything is kept."""
    for keep in (Retention(), Retention(days=1), Retention(days=1, snapshots=1)):
        assert _retain(aged, keep) == 0
    assert aged.texts("apple costs", as_of=2)
    assert _retain(aged, Retention(days=1e-9)) == 1


def test_a_citation_of_what_was_dropped_is_gone_and_not_unknown(aged: House) -> None:
    """To those who may read its document; to others there is no such citation."""
    chunk = next(one.chunk for one in aged.search("apple costs", as_of=2).evidence if "1 yen" in one.text)
    _retain(aged)
    with aged.knowledge.ledger.read() as connection:
        with pytest.raises(Gone):
            chunks.cited(connection, aged.me, chunk)
        for who in (someone("default", "hr"), someone("other")):
            with pytest.raises(NotFound):
                chunks.cited(connection, who, chunk)


@pytest.mark.parametrize("document", ["apple.md", None])
def test_a_hold_keeps_what_retention_would_drop_until_it_ends(aged: House, document: str | None) -> None:
    """Of a document or of its knowledge base; who, why and when stay on record, of its end too."""
    chunk = next(one.chunk for one in aged.search("apple costs", as_of=2).evidence if "1 yen" in one.text)
    hold = _hold(aged, document)
    assert _retain(aged) == 0
    with aged.knowledge.ledger.read() as connection:
        assert "1 yen" in chunks.cited(connection, aged.me, chunk).text
        base = bases.get(connection, aged.me, "kb")
        assert "1 yen" in (documents.get(connection, aged.me, base, "apple.md", 1).text or "")
    with aged.knowledge.ledger.write() as connection:
        ended = holds.end(connection, aged.me, hold.id, "Case closed")
        with pytest.raises(Conflict):
            holds.end(connection, aged.me, hold.id, "Again")
        assert holds.every(connection, aged.me) == [ended]
    assert (ended.author, ended.reason, ended.ended_by, ended.ended_reason) == (
        "k_test",
        "Case 7",
        "k_test",
        "Case closed",
    )
    assert _retain(aged) == 1


def test_a_hold_of_another_document_keeps_nothing(aged: House) -> None:
    """Nor does one without a reason, or of what does not exist, come to be."""
    _hold(aged, "fig.md")
    assert _retain(aged) == 1
    with pytest.raises(InvalidRequest):
        _hold(aged, "fig.md", " ")
    with pytest.raises(NotFound):
        _hold(aged, "nothing.md")


def test_what_waits_to_be_published_is_kept(aged: House) -> None:
    """A staged change may show a chunk again that no snapshot has any more."""
    aged.put("apple.md", "# Apple\n\nThe apple costs 1 yen.\n\n# More\n\nAll apples are red.", publish=False)
    _retain(aged)
    aged.knowledge.publisher.publish_staged(aged.me, "kb", "").result(30)
    assert "The apple costs 1 yen." in "\n".join(aged.texts("apple costs"))


def test_holds_over_http(tmp_path: Path, shared_chroma: Chroma) -> None:
    """Placed, listed and ended; a hold says what it holds, who placed it and why."""
    house = House(tmp_path, shared_chroma.url)
    house.open()
    house.base()
    house.put("a.md", "The apple costs 1 yen.")
    house.close()
    knowledge = Knowledge(Ledger(house.ledger_url), house.embedder, Vectors(house.chroma), house.home)
    with TestClient(create_app(knowledge, KEY), headers=headers(house.me)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        placed = client.post("/v1/holds", json={"knowledge": "kb", "document": "a.md", "reason": "Case 7"})
        assert placed.status_code == 201
        hold = placed.json()
        assert (hold["knowledge"], hold["document"], hold["author"], hold["reason"]) == (
            "kb",
            "a.md",
            "k_test",
            "Case 7",
        )
        assert hold["ended"] is None
        ended = client.post(f"/v1/holds/{hold['id']}:end", json={"reason": "Closed"}).json()
        assert (ended["ended_by"], ended["ended_reason"]) == ("k_test", "Closed")
        assert client.get("/v1/holds").json() == {"data": [ended]}
        for path, body, status in (
            ("/v1/holds", {"knowledge": "kb"}, 400),
            ("/v1/holds", {"knowledge": "none", "reason": "x"}, 404),
            ("/v1/holds/77:end", {"reason": "x"}, 404),
            ("/v1/holds/x:end", {"reason": "x"}, 404),
        ):
            assert client.post(path, json=body).status_code == status
