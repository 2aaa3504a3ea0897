"""Measures what labels cost: whether the nearest chunks that a key may read are found, and how soon.

    python -m benchmarks.labels [--chunks 100000] [--questions 200] [--folder FOLDER] [--write]

The whole knowledge service on SQLite and a real Chroma, filled through its own publisher with synthetic chunks: a
topic's vectors lie around its centre, and every question is near one of them. Labels are dealt to documents by chance,
and once more by topic, so that what a key may not read fills the neighbourhood of half of the questions. The truth is
a product of all allowed vectors with the question, computed here and apart from the service. Filling takes long; what a
folder was filled with is used again.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import stack
from common.principal import Principal, Scope
from retrieval.fuse import BEST
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, embeddings
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.neighbours import EXACT_UP_TO, Neighbours, exact
from retrieval.publish import Push
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma

DIMENSION = 384
CHUNKS_A_DOCUMENT = 20
DOCUMENTS_A_PUSH = 25  # what Chroma is given at once
SHARES = {"all": 1.0, "half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
K = 10
ADMIN = Principal("bench", "k_bench", frozenset({"*"}), frozenset(Scope))
_NUMBER = re.compile(r"Item (\d+)")

Matrix = NDArray[np.float32]


class Synthetic:
    """An embedder whose vector for `Item n` is row n of a matrix."""

    dimension = DIMENSION
    fingerprint = "synthetic/384/1"

    def __init__(self, rows: Matrix, asked: Matrix) -> None:
        self._rows, self._asked = rows, asked

    def passages(self, texts: Sequence[str]) -> Matrix:
        return self._rows[[self._number(text) for text in texts]]

    def questions(self, texts: Sequence[str]) -> Matrix:
        return self._asked[[self._number(text) for text in texts]]

    @staticmethod
    def _number(text: str) -> int:
        found = _NUMBER.search(text)
        assert found is not None
        return int(found[1])


def draw(chunks: int, questions: int, spread: float) -> tuple[Matrix, Matrix]:
    """Unit vectors of chunks, about 100 a topic, and of questions near one of them each."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(max(1, chunks // 100), DIMENSION))
    of = np.sort(random.integers(0, len(centres), chunks))
    rows = _unit(_unit(centres)[of] + spread * _unit(random.normal(size=(chunks, DIMENSION))))
    near = random.integers(0, chunks, questions)
    return rows, _unit(rows[near] + spread * _unit(random.normal(size=(questions, DIMENSION))))


def _unit(rows: NDArray[Any]) -> Matrix:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def labels_of(documents: int) -> list[tuple[str, ...]]:
    """Each document's labels, by chance (`tenth`: some tenth) and by topic (`tenth topics`: the first tenth)."""
    drawn = np.random.default_rng(7).permutation(documents)
    return [
        tuple(
            label
            for name, share in SHARES.items()
            for label, place in ((name, drawn[document]), (f"{name} topics", document))
            if place < max(1, round(share * documents))
        )
        for document in range(documents)
    ]


def fill(knowledge: Knowledge, chunks: int) -> None:
    """Publishes all chunks."""
    with knowledge.ledger.write() as connection:
        bases.put(connection, ADMIN, "kb", ["public"])
    documents = -(-chunks // CHUNKS_A_DOCUMENT)
    labels = labels_of(documents)
    for first in range(0, documents, DOCUMENTS_A_PUSH):
        changes: list[Change] = []
        for document in range(first, min(first + DOCUMENTS_A_PUSH, documents)):
            numbers = range(document * CHUNKS_A_DOCUMENT, min((document + 1) * CHUNKS_A_DOCUMENT, chunks))
            text = f"# D{document}\n\n" + "".join(f"- Item {n} costs {n} yen.\n" for n in numbers)
            content = take(f"{document}.md", Sent(text.encode(), "text/markdown"))
            changes.append(Change("kb", f"{document}.md", content, labels=labels[document]))
        knowledge.publisher.push(Push(ADMIN, changes, "Filled", True)).result(600)
        print(f"{first + len(changes)} of {documents} documents", file=sys.stderr)


def settled(knowledge: Knowledge, pause: float = 5.0) -> int:
    """Waits until Chroma was given everything. Returns how many vectors it does not find: they are searched exactly."""
    fingerprint = knowledge.indexes.embedder.fingerprint
    missing: list[int] = []
    while len(missing) < 3 or len(set(missing[-3:])) > 1:
        time.sleep(pause)
        with knowledge.ledger.read() as connection:
            collection = embeddings.collection_of(connection, ADMIN, fingerprint) or ""
            missing.append(len(embeddings.unplaced(connection, ADMIN, fingerprint, collection, 10**9)))
        print(f"{missing[-1]} vectors are not in Chroma", file=sys.stderr)
    return missing[-1]


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    allowed: int
    by_chroma: float
    recall: float
    worst: float
    leaked: int
    near_ms: float
    exact_ms: float
    search_ms: float


def measure(knowledge: Knowledge, asked: Matrix, label: str, exact_up_to: int = EXACT_UP_TO) -> Line:
    """Recall of the `K` nearest among those that `label` opens, and the time of one search."""
    me = Principal("bench", "k_reader", frozenset({label}), frozenset(Scope))
    fingerprint = knowledge.indexes.embedder.fingerprint
    with knowledge.ledger.read() as connection:
        catalog = knowledge.catalogs.caught_up(connection, me)
        collection = embeddings.collection_of(connection, me, fingerprint)
    rows = np.flatnonzero(catalog.allowed(me, ["kb"], catalog.head, time.time(), {}))
    counted = Counted(knowledge.vectors)
    neighbours = Neighbours(counted, exact_up_to)  # pyright: ignore[reportArgumentType]
    vectors = np.array(catalog.matrix.vectors)[catalog.column("vector")[rows]]
    wanted = min(K, len(rows))
    recalls: list[float] = []
    near, whole, search = list[float](), list[float](), list[float]()
    leaked = 0
    for i, vector in enumerate(asked):
        truth = set(rows[np.argsort(-(vectors @ vector), kind="stable")[:wanted]].tolist())
        at = time.perf_counter()
        found = neighbours.near(catalog, vector, rows, BEST, collection)
        near.append(time.perf_counter() - at)
        at = time.perf_counter()
        exact(catalog, vector, rows, BEST)
        whole.append(time.perf_counter() - at)
        recalls.append(len(truth & set(list(found)[:wanted])) / wanted)
        leaked += len(set(found) - set(rows.tolist()))
        at = time.perf_counter()
        knowledge.search.search(me, ["kb"], f"Item {i}", top_k=K)
        search.append(time.perf_counter() - at)
    times = (1000 * stack.median(some) for some in (near, whole, search))
    return Line(label, len(rows), counted.asked / len(asked), float(np.mean(recalls)), min(recalls), leaked, *times)


class Counted:
    """Chroma's client, counting how often it was asked."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors, self.asked = vectors, 0

    def query(self, *arguments: Any) -> Any:
        self.asked += 1
        return self._vectors.query(*arguments)


def report(lines: list[Line], chunks: int, questions: int, tail: int, spread: float) -> str:
    head = [
        "# Labels",
        "",
        "Printed by `python -m benchmarks.labels --write`.",
        "",
        f"{stack.machine()}. {chunks:,} chunks of {DIMENSION} dimensions (spread {spread}), published as any other; "
        f"{tail} of their vectors Chroma did not find by themselves: they are searched exactly beside it. {questions} "
        f"questions. recall@{K} of the dense half is against a product with every allowed vector. Times are medians in "
        "milliseconds: `neighbours` as the service finds them, `exact scan` without Chroma, `search` the whole of it "
        "with terms, fusion and evidence. `asked` is the share of questions that Chroma was asked at all.",
        "",
        f"| label | allowed | asked | recall@{K} | worst question | not allowed, yet found "
        "| neighbours | exact scan | search |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return (
        "\n".join(
            head
            + [
                f"| {line.label} | {line.allowed:,} | {line.by_chroma:.2f} | {line.recall:.4f} | {line.worst:.1f} "
                f"| {line.leaked} | {line.near_ms:.1f} | {line.exact_ms:.1f} | {line.search_ms:.1f} |"
                for line in lines
            ]
        )
        + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--spread", type=float, default=0.7, help="how far a topic's vectors lie from its centre")
    parser.add_argument("--folder", type=Path, help="keep the service's state here, and use what is here")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    rows, asked = draw(chosen.chunks, chosen.questions, chosen.spread)
    with tempfile.TemporaryDirectory(prefix="groundtone-bench-") as scratch:
        folder = chosen.folder or Path(scratch)
        filled = (folder / "ledger.db").exists()
        chroma = Chroma(folder / "chroma")
        chroma.start()
        ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        ledger.migrate()
        knowledge = Knowledge(ledger, Synthetic(rows, asked), Vectors(chroma.url), folder)
        knowledge.start()
        try:
            knowledge.publisher.writing.wait()
            if not filled:
                fill(knowledge, chosen.chunks)
            tail = settled(knowledge)
            lines = [measure(knowledge, asked, f"{name}{of}") for name in SHARES for of in ("", " topics")]
        finally:
            knowledge.close()
            chroma.kill()
    stack.publish("labels", report(lines, chosen.chunks, chosen.questions, tail, chosen.spread), chosen.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
