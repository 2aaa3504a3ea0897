"""Labels cost time and never a neighbour, and what may not be read leaves no trace."""

import ast
import itertools
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import labels
from common.errors import NotFound
from common.principal import Principal
from retrieval.fuse import BEST
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, chunks, documents
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.neighbours import Neighbours, exact
from retrieval.publish import Push
from retrieval.search import Search
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, House, someone

CHUNKS, QUESTIONS = 2_000, 15


class Recorded(Vectors):
    """Chroma's client, with all that it was ever sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.bodies: list[Any] = []

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        self.bodies.append(body)
        return super()._call(method, path, body)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Knowledge, Any]]:
    """The benchmark's own service with fewer chunks, on a Chroma of its own."""
    folder = tmp_path_factory.mktemp("labels")
    rows, asked = labels.draw(CHUNKS, QUESTIONS, 0.7)
    chroma = Chroma(folder / "chroma")
    chroma.start()
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    knowledge = Knowledge(ledger, labels.Synthetic(rows, asked), Recorded(chroma.url), folder)
    knowledge.start()
    assert knowledge.publisher.writing.wait(60)
    labels.fill(knowledge, CHUNKS)
    yield knowledge, asked
    knowledge.close()
    chroma.kill()


@pytest.mark.parametrize(
    ("label", "exact_up_to"),
    [*((f"{name}{of}", 0) for name in labels.SHARES for of in ("", " topics")), ("half topics", CHUNKS)],
)
def test_the_nearest_that_a_label_opens_are_found(filled: tuple[Knowledge, Any], label: str, exact_up_to: int) -> None:
    """By Chroma and exactly alike, with labels dealt by chance and by topic; nothing else is ever found."""
    knowledge, asked = filled
    line = labels.measure(knowledge, asked, label, exact_up_to)
    assert line.recall >= 0.99
    assert line.leaked == 0
    assert line.by_chroma == (1.0 if exact_up_to == 0 else 0.0)


class Careless:
    """A Chroma that finds the hidden neighbours well, and of what may be read only the farthest."""

    def __init__(self, answer: list[tuple[str, float]]) -> None:
        self._answer = answer

    def query(self, *_: Any) -> list[list[tuple[str, float]]]:
        return [self._answer]


def test_what_stands_behind_hidden_neighbours_is_not_trusted(filled: tuple[Knowledge, Any]) -> None:
    """Enough of it is no sign that it is the nearest: every allowed vector is compared instead."""
    knowledge, asked = filled
    me = someone("bench", "half topics")
    with knowledge.ledger.read() as connection:
        catalog = knowledge.catalogs.caught_up(connection, me)
    allowed = catalog.allowed(me, ["kb"], catalog.head, 0.0, {})
    rows, hidden = np.flatnonzero(allowed), np.flatnonzero(~allowed)
    keys = {row: key for key, row in catalog.keys.items()}
    ranked = [
        *exact(catalog, asked[0], hidden, 2 * BEST),
        *list(exact(catalog, asked[0], rows, len(rows)))[-2 * BEST :],
    ]
    answer = [(keys[int(catalog.column("vector")[row])], 0.5) for row in ranked]
    careless: Any = Careless(answer)
    found = Neighbours(careless, exact_up_to=0).near(catalog, asked[0], rows, BEST, "collection")
    assert found == exact(catalog, asked[0], rows, BEST)


def test_chroma_is_never_sent_a_where(filled: tuple[Knowledge, Any]) -> None:
    """It would scan the collection, and it would learn who may read what."""
    knowledge, _ = filled
    assert isinstance(knowledge.vectors, Recorded)
    search = Search(knowledge.indexes, exact_up_to=0)
    me = someone("bench", "half")
    search.search(me, ["kb"], "Item 3", filters={"lang": "en", "document": ["0.md"], "source": "push"})
    sent = [body for body in knowledge.vectors.bodies if isinstance(body, dict)]
    assert any("query_embeddings" in body for body in sent)
    assert {key for body in sent for key in body} <= {
        "name", "get_or_create", "configuration", "ids", "embeddings", "query_embeddings", "n_results", "include",
    }  # fmt: skip


def test_no_module_names_a_where_for_chroma() -> None:
    """Nor its client, whose own functions would embed texts."""
    named: set[str] = set()
    for path in (Path(__file__).parents[2] / "retrieval").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
            elif isinstance(node, ast.keyword):
                named.add(node.arg or "")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                named |= {name.name.partition(".")[0] for name in node.names}
                named.add((getattr(node, "module", None) or "").partition(".")[0])
    assert not named & {"where", "where_document", "query_texts", "chromadb"}


NUMBERS = itertools.count()
WORDS = ("gold", "card", "fee", "yen", "loan", "rate")
DOCUMENT = st.tuples(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
    st.sampled_from([("public",), ("hr",), ("public", "board"), ("board",), ()]),
)
SENT = st.dictionaries(st.sampled_from([f"{n}.md" for n in range(8)]), DOCUMENT, min_size=1)
QUESTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
READER = st.sampled_from([frozenset({"public"}), frozenset({"hr", "x"}), frozenset({"none"}), frozenset[str]()])


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    """A service without Chroma: what is claimed here is claimed of exact search."""
    house = House(tmp_path_factory.mktemp("tenants"), "http://127.0.0.1:9")
    house.open()
    yield house
    house.close()


def published(house: House, tenant: str, sent: dict[str, tuple[str, tuple[str, ...]]]) -> None:
    changes = [
        Change("kb", name, take(name, Sent(text.encode(), "text/markdown")), labels=own)
        for name, (text, own) in sent.items()
    ]
    house.knowledge.publisher.push(Push(someone(tenant), changes, "Put", True)).result(60)


def seen(house: House, me: Principal, question: str) -> list[Any]:
    """All of a search that does not name the tenant, and the documents that are listed."""
    with house.knowledge.ledger.read() as connection:
        base = bases.get(connection, me, "kb")
        listed = [revision.document for revision in documents.page(connection, me, base, "", 50)[0]]
    found = house.search(question, me=me)
    results = [
        (e.document, e.title, e.heading, e.text, e.span, e.page, e.position, e.revision, e.score)
        for e in found.evidence
    ]
    # Equals among them stand by the ids of their chunks, which name the tenant.
    return [found.weak, sorted(results, key=lambda result: (-result[-1], result[0])), listed]


def no_trace(
    house: House, sent: dict[str, tuple[str, tuple[str, ...]]], labels_: frozenset[str], question: str
) -> None:
    """Fails where a tenant with hidden documents and one without them differ to a reader."""
    readable = {name: one for name, one in sent.items() if labels_ & set(one[1])}
    views: list[list[Any]] = []
    number = next(NUMBERS)
    for tenant, held in ((f"with{number}", sent), (f"without{number}", readable)):
        owner = someone(tenant)
        house.base("kb", me=owner)
        if held:
            published(house, tenant, held)
        me = Principal(tenant, "k", labels_, owner.scopes)
        views.append(seen(house, me, question))
        every = house.search(question, me=owner).evidence
        assert {one.text for one in every} <= {text for text, _ in held.values()}
        for one in every:
            if one.document not in readable:
                with house.knowledge.ledger.read() as connection, pytest.raises(NotFound):
                    chunks.cited(connection, me, one.chunk)
    assert views[0] == views[1]
    assert {document for document, *_ in views[0][1]} <= readable.keys()


@pytest.mark.parametrize("examples", [12, pytest.param(100, marks=pytest.mark.full)])
def test_what_may_not_be_read_leaves_no_trace(tenants: House, examples: int) -> None:
    """Results, scores, lists and citations are the same whether hidden documents are there or not.

    Two tenants hold documents of the same ids, and neither ever finds the other's.
    """

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(sent=SENT, labels_=READER, question=QUESTION)
    def check(sent: Any, labels_: frozenset[str], question: str) -> None:
        no_trace(tenants, sent, labels_, question)

    check()
