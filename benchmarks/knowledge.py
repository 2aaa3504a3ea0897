"""What the ledger, the indexes and a publication cost as the knowledge grows.

    python -m benchmarks.knowledge [--sizes 10000 100000] [--million] [--changes 30] [--restored 10000] [--write]

The real knowledge service in this process, on SQLite, with real tantivy and a Chroma of its own. The vectors are
synthetic: 384 dimensions around a thousand centres, so that neighbours crowd as they do in a firm's documents, and
embedding costs nothing. So every figure is what comes on top of the embedder, and none says how good a search is.

A document is a price list of fifty chunks. A change is a document of one chunk, put and waited for; a question asked
after it is answered from its snapshot. The restore goes back over `--restored` changed chunks.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stack import bootstrap, machine, median, publish
from common.principal import Principal, Scope
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, embeddings
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.publish import Push
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma

DIMENSION, CENTRES, SPREAD = 384, 1000, 0.6
PIECES = 50  # chunks of a document
TOGETHER = 20  # documents of one push: so many chunks that it does not wait for Chroma, which catches up beside
ME = Principal("default", "k_bench", frozenset({"*"}), frozenset(Scope))


class Clustered:
    """A text's vector: a centre that its first line chooses, and noise of its own. Counts what it embeds."""

    dimension = DIMENSION
    fingerprint = f"clustered/{DIMENSION}/AAAA"

    def __init__(self) -> None:
        self._centres = np.random.default_rng(1).normal(size=(CENTRES, DIMENSION)).astype(np.float32)
        self.embedded = 0
        self.seconds = 0.0

    def passages(self, texts: Sequence[str]) -> Any:
        began = time.perf_counter()
        made = np.stack([self._one(text) for text in texts])
        self.embedded += len(texts)
        self.seconds += time.perf_counter() - began
        return made

    def questions(self, texts: Sequence[str]) -> Any:
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Any:
        seed = zlib.crc32(text.encode())
        noise = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
        vector = self._centres[seed % CENTRES] + SPREAD * noise
        return vector / np.linalg.norm(vector)


def change(number: int, edition: int = 0) -> Change:
    """A price list of `PIECES` rows, each a chunk, all of which say another edition."""
    rows = "".join(
        f"- The fee of service {number}-{n} is {100 + (number * 7 + n * 11 + edition * 13) % 90_000} yen in edition "
        f"{edition}, payable at branch {n % 97}.\n"
        for n in range(PIECES)
    )
    return Change("kb", f"list-{number}", take(f"list-{number}", Sent(rows.encode(), "text/markdown")))


def notice(edition: int) -> Change:
    text = f"The counter opens at {9 + edition % 3}:{edition % 60:02} in edition {edition} of the notice."
    return Change("kb", "notice", take("notice", Sent(text.encode(), "text/plain")))


@dataclass(slots=True)
class Measured:
    """Seconds and bytes at one size."""

    chunks: int
    overhead: float = 0.0
    whole: float = 0.0
    again: float = 0.0
    changes: list[float] = field(default_factory=list[float])
    restored: int = 0
    restore: float = 0.0
    rebuilt: float = 0.0
    disk: dict[str, int] = field(default_factory=dict[str, int])
    memory: int = 0


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def size_of(path: Path) -> int:
    """Bytes on disk: of a sparse file, what it really takes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


def push(knowledge: Knowledge, changes: Sequence[Change]) -> int:
    published = knowledge.publisher.push(Push(ME, changes, "benchmark")).result()
    assert published.snapshot is not None
    return published.snapshot


def fill(knowledge: Knowledge, first: int, count: int, edition: int = 0) -> None:
    for start in range(first, first + count, TOGETHER):
        push(knowledge, [change(n, edition) for n in range(start, min(start + TOGETHER, first + count))])
    print(f"{count} documents in", file=sys.stderr, flush=True)


def until_whole(knowledge: Knowledge, embedder: Clustered) -> None:
    """Waits until Chroma finds every vector that there is, or 20 minutes."""
    for _ in range(1200):
        with knowledge.ledger.read() as connection:
            name = embeddings.collection_of(connection, ME, embedder.fingerprint) or ""
            if not embeddings.unplaced(connection, ME, embedder.fingerprint, name, 1):
                return
        time.sleep(1)


def measure(home: Path, chroma: Chroma, size: int, options: argparse.Namespace) -> Measured:
    embedder, found = Clustered(), Measured(size)
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    ledger.migrate()
    knowledge = Knowledge(ledger, embedder, Vectors(chroma.url, timeout=60), home)
    knowledge.start()
    assert knowledge.publisher.writing.wait(60)
    with ledger.write() as connection:
        bases.put(connection, ME, "kb", None)
    push(knowledge, [notice(0)])
    knowledge.search.search(ME, ["kb"], "When does the counter open?", top_k=5)  # what is loaded once is loaded now
    before, documents = resident(), size // PIECES
    began = time.perf_counter()
    fill(knowledge, 0, documents)
    found.overhead = time.perf_counter() - began - embedder.seconds
    until_whole(knowledge, embedder)
    found.whole = time.perf_counter() - began
    knowledge.search.search(ME, ["kb"], "The fee of service 7-7", top_k=5)
    found.memory = resident() - before
    parts = {"ledger": home / "ledger.db", "terms": home / "terms", "matrix": home / "matrix", "vectors": chroma.path}
    found.disk = {name: size_of(path) for name, path in parts.items()}
    embedder.embedded = 0
    began = time.perf_counter()
    fill(knowledge, 0, documents)
    found.again = time.perf_counter() - began
    assert embedder.embedded == 0
    for n in range(1, options.changes + 1):
        began = time.perf_counter()
        snapshot = push(knowledge, [notice(n)])
        found.changes.append(time.perf_counter() - began)
        assert knowledge.search.search(ME, ["kb"], "When does the counter open?", top_k=5).snapshot == snapshot
    found.restored = min(options.restored, size)
    fill(knowledge, 0, found.restored // PIECES, 2)
    until_whole(knowledge, embedder)
    embedder.embedded = 0
    began = time.perf_counter()
    knowledge.publisher.restore(ME, snapshot, None).result()
    found.restore = time.perf_counter() - began
    began = time.perf_counter()
    knowledge.publisher.rebuild(ME).result()
    found.rebuilt = time.perf_counter() - began
    assert embedder.embedded == 0
    knowledge.close()
    return found


def report(all_found: Sequence[Measured]) -> str:
    columns = (
        "chunks", "publish one change, p50 ms", "slowest, ms", "restore, s",
        "ingestion without embedding, ms a chunk",
        "until Chroma holds all, ms a chunk", "re-ingest unchanged, ms a chunk", "rebuild of both indexes, s",
    )  # fmt: skip
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for found in all_found:
        milliseconds = [1000 * value for value in found.changes]
        rows.append(
            f"| {found.chunks:,} | {bootstrap(milliseconds, median, 500).text(0)} | {max(milliseconds):.0f} | "
            f"{found.restore:.2f} for {found.restored:,} | {1000 * found.overhead / found.chunks:.2f} | "
            f"{1000 * found.whole / found.chunks:.2f} | "
            f"{1000 * found.again / found.chunks:.2f} | {found.rebuilt:.1f} |"
        )
    rows += [
        "",
        "| chunks | ledger | terms | matrix | Chroma | resident memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for found in all_found:
        share = 1e6 / found.chunks / 2**30
        disk = " | ".join(f"{found.disk[name] * share:.2f}" for name in ("ledger", "terms", "matrix", "vectors"))
        rows.append(f"| {found.chunks:,} | {disk} | {found.memory * share:.2f} |")
    changes = len(all_found[0].changes)
    return "\n".join(
        [
            "# Knowledge",
            "",
            f"`python -m benchmarks.knowledge --sizes {' '.join(str(found.chunks) for found in all_found)}` on "
            f"{machine()}; SQLite, tantivy, a Chroma of its own. **Synthetic vectors** ({DIMENSION} dimensions around "
            f"{CENTRES:,} centres), so that embedding costs nothing. {changes} changes each; brackets are 95 % "
            "bootstrap bounds. The unchanged corpus embedded nothing, the restore and the rebuild neither.",
            "",
            *rows,
            "",
            "The second table is GiB for a million chunks, in proportion, after the filling; memory is what the "
            "process grew by meanwhile.",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="chunks")
    parser.add_argument("--million", action="store_true", help="a million chunks too: hours, 8 GiB of memory")
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--restored", type=int, default=10_000, help="chunks that change and are restored")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    all_found: list[Measured] = []
    for size in [*options.sizes, *([1_000_000] if options.million else [])]:
        with tempfile.TemporaryDirectory(prefix="groundtone-knowledge-") as folder:
            chroma = Chroma(Path(folder) / "vectors")
            chroma.start()
            try:
                all_found.append(measure(Path(folder) / "home", chroma, size, options))
            finally:
                chroma.kill()
    publish("knowledge", report(all_found) + "\n", options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
