"""What the ledger, the indexes and a publication cost as the knowledge grows.

    python -m benchmarks.knowledge [--sizes 10000 100000] [--changes 30] [--restored 10000] [--again 100000]
                                   [--rebuilt-up-to 10000] [--folder FOLDER] [--write]

The real knowledge service in this process, on SQLite, with real tantivy and a Chroma of its own. The vectors are
synthetic: 384 dimensions around a thousand centres, so that neighbours crowd as they do in a firm's documents, and
embedding costs nothing. So every figure is what comes on top of the embedder, and none says how good a search is.

One corpus grows from size to size, and is looked at at each. A document is a price list of fifty chunks. A change is a
document of one chunk, put and waited for; a question asked after it is answered from its snapshot. Each is made in turn
with one in a corpus of 10,000 chunks, so that what else the machine does weighs on both alike. The restore goes back
over `--restored` changed chunks. A large corpus takes hours: with `--folder` it is kept, and grows on another day.
"""

import argparse
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

from benchmarks.stack import bootstrap, machine, median, publish
from common.principal import Principal, Scope
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, embeddings, schema, tenants
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.publish import Push
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma

DIMENSION, CENTRES, SPREAD = 384, 1000, 0.6
PIECES = 50  # chunks of a document
SMALL = 10_000  # chunks of the corpus that does not grow
FEW = 100  # vectors that Chroma's graph need not find by themselves; of more than 20,000 half a per cent
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
    """Seconds and bytes at one size; of `overhead`, `whole` and `again` seconds a chunk."""

    chunks: int
    overhead: float | None = None
    whole: float | None = None
    again: float = 0.0
    changes: list[float] = field(default_factory=list[float])
    small: list[float] = field(default_factory=list[float])  # the same in a small corpus, in turn
    restored: int = 0
    restore: float = 0.0
    rebuilt: float | None = None
    disk: dict[str, int] = field(default_factory=dict[str, int])
    memory: dict[str, int] = field(default_factory=dict[str, int])
    held: int = 0  # vectors
    placed: int = 0  # of them in Chroma


def resident(pid: int) -> dict[str, int]:
    """Bytes of a process in memory: its own, and those of mapped files, which the system may take back."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: 1024 * int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")}


def size_of(path: Path) -> int:
    """Bytes on disk: of a sparse file, what it really takes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


class Corpus:
    """A service with a home and a Chroma of its own, and the documents that were put into it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.chroma, self.embedder = folder / "home", Chroma(folder / "vectors"), Clustered()
        folder.mkdir(parents=True, exist_ok=True)
        self.chroma.start()
        ledger = Ledger(f"sqlite:///{self.home / 'ledger.db'}")
        ledger.migrate()
        self.knowledge = Knowledge(ledger, self.embedder, Vectors(self.chroma.url, timeout=60), self.home)
        self.knowledge.start()
        assert self.knowledge.publisher.writing.wait(1200)
        with ledger.write() as connection:
            bases.put(connection, ME, "kb", None)
            shown = select(func.count()).select_from(schema.editions).where(schema.editions.c.last.is_(None))
            self.documents = max(0, connection.execute(shown).scalar_one() - 1)  # the notice is one of them
            self.edition = tenants.get(connection, ME).head
        self.publish_one()  # what is loaded once is loaded now

    def push(self, changes: Sequence[Change]) -> int:
        published = self.knowledge.publisher.push(Push(ME, changes, "benchmark")).result()
        assert published.snapshot is not None
        return published.snapshot

    def fill(self, first: int, count: int, edition: int = 0) -> None:
        for start in range(first, first + count, TOGETHER):
            self.push([change(n, edition) for n in range(start, min(start + TOGETHER, first + count))])
        self.documents = max(self.documents, first + count)
        print(f"{count} documents in", file=sys.stderr, flush=True)

    def until_whole(self, patience: float) -> bool:
        """Waits until Chroma finds all but a few of the vectors, at most `patience` seconds: the others are searched
        exactly. Whether it does."""
        began, few = time.monotonic(), max(FEW, self.documents * PIECES // 200)
        while True:
            with self.knowledge.ledger.read() as connection:
                name = embeddings.collection_of(connection, ME, self.embedder.fingerprint) or ""
                if len(embeddings.unplaced(connection, ME, self.embedder.fingerprint, name, few)) < few:
                    return True
            if time.monotonic() > began + patience:
                return False
            time.sleep(1)

    def placed(self) -> int:
        """How many vectors Chroma is known to find."""
        with self.knowledge.ledger.read() as connection:
            name = embeddings.collection_of(connection, ME, self.embedder.fingerprint) or ""
            return embeddings.count_placed(connection, ME, self.embedder.fingerprint, name)

    def publish_one(self) -> tuple[float, int]:
        """Seconds until a change of one chunk was published, and its snapshot."""
        self.edition += 1
        began = time.perf_counter()
        snapshot = self.push([notice(self.edition)])
        took = time.perf_counter() - began
        found = self.knowledge.search.search(ME, ["kb"], "When does the counter open?", top_k=5)
        assert found.snapshot == snapshot
        return took, snapshot

    def vectors_held(self) -> int:
        """How many there are, with those of the past that restores and changes left."""
        with self.knowledge.ledger.read() as connection:
            return connection.execute(select(func.count()).select_from(schema.embeddings)).scalar_one()

    def grown(self, before: dict[str, int]) -> dict[str, int]:
        """Bytes by which this process is larger than `before`, and those of Chroma."""
        now = resident(os.getpid())
        mine = {"own": now["RssAnon"] - before["RssAnon"], "mapped": now["RssFile"] - before["RssFile"]}
        return mine | {"vectors": sum(resident(self.chroma.pid).values())}

    def close(self) -> None:
        self.knowledge.close()
        self.chroma.kill()


def measure(corpus: Corpus, small: Corpus, before: dict[str, int], options: argparse.Namespace) -> Iterator[Measured]:
    """`corpus` grows from size to size; each change is made in `small` too, which does not grow, a moment later."""
    small.fill(small.documents, SMALL // PIECES - small.documents)
    small.until_whole(options.patience)
    home, embedder = corpus.home, corpus.embedder
    parts = {"ledger": home / "ledger.db", "terms": home / "terms", "matrix": home / "matrix",
             "vectors": corpus.chroma.path}  # fmt: skip
    for size in sorted(options.sizes):
        found, more = Measured(size), size // PIECES - corpus.documents
        embedder.seconds, began = 0.0, time.perf_counter()
        if more > 0:
            corpus.fill(corpus.documents, more)
            found.overhead = (time.perf_counter() - began - embedder.seconds) / (more * PIECES)
        whole = corpus.until_whole(options.patience)
        if whole and more > 0:
            found.whole = (time.perf_counter() - began) / (more * PIECES)
        corpus.knowledge.search.search(ME, ["kb"], "The fee of service 7-7", top_k=5)
        found.memory, found.held, found.placed = corpus.grown(before), corpus.vectors_held(), corpus.placed()
        found.disk = {name: size_of(path) for name, path in parts.items()}
        snapshot = 0
        for _ in range(options.changes):
            took, snapshot = corpus.publish_one()
            found.changes.append(took)
            found.small.append(small.publish_one()[0])
        found.restored = min(options.restored, size)
        corpus.fill(0, found.restored // PIECES, corpus.edition)  # as no earlier run had them
        corpus.until_whole(options.patience)
        embedder.embedded = 0
        began = time.perf_counter()
        corpus.knowledge.publisher.restore(ME, snapshot, None).result()
        found.restore = time.perf_counter() - began
        again = min(corpus.documents, options.again // PIECES)
        began = time.perf_counter()
        corpus.fill(0, again)
        found.again = (time.perf_counter() - began) / (again * PIECES)
        if size <= options.rebuilt_up_to:
            began = time.perf_counter()
            corpus.knowledge.publisher.rebuild(ME).result()
            found.rebuilt = time.perf_counter() - began
        assert embedder.embedded == 0
        yield found


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return median([large for large, _ in pairs]) / median([small for _, small in pairs])


def cost(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.2f}"


def report(all_found: Sequence[Measured]) -> str:
    columns = (
        "chunks", "publish one change, p50 ms", f"times that at {SMALL:,}", "slowest, ms", "restore, s",
        "ingestion without embedding, ms a chunk",
        "until Chroma holds all, ms a chunk", "re-ingest unchanged, ms a chunk", "rebuild of both indexes, s",
    )  # fmt: skip
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for found in all_found:
        milliseconds = [1000 * value for value in found.changes]
        rebuilt = "not measured" if found.rebuilt is None else f"{found.rebuilt:.1f}"
        rows.append(
            f"| {found.chunks:,} | {bootstrap(milliseconds, median, 500).text(0)} | "
            f"{bootstrap(list(zip(found.changes, found.small, strict=True)), ratio, 500).text(2)} | "
            f"{max(milliseconds):.0f} | "
            f"{found.restore:.2f} for {found.restored:,} | {cost(found.overhead)} | "
            f"{cost(found.whole)} | "
            f"{1000 * found.again:.2f} | {rebuilt} |"
        )
    rows += [
        "",
        "| chunks | vectors, of them in Chroma | ledger | terms | matrix | Chroma | memory of its own "
        "| mapped files in memory | Chroma's memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for found in all_found:
        share = 1e6 / found.held / 2**30
        disk = " | ".join(f"{found.disk[name] * share:.2f}" for name in ("ledger", "terms", "matrix", "vectors"))
        memory = " | ".join(f"{found.memory[name] * share:.2f}" for name in ("own", "mapped", "vectors"))
        rows.append(f"| {found.chunks:,} | {found.held:,}, {found.placed:,} | {disk} | {memory} |")
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
            "The second table is GiB for a million chunks, in proportion, after the filling: first on disk, then what "
            "the process and Chroma grew by meanwhile. Mapped files are the system's to take back.",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="chunks of the growing corpus")
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--restored", type=int, default=10_000, help="chunks that change and are restored")
    parser.add_argument("--folder", type=Path, help="where the corpus is kept, to go on with it another time")
    parser.add_argument("--patience", type=float, default=4 * 3600, help="seconds for Chroma to catch up")
    parser.add_argument("--again", type=int, default=100_000, help="chunks that are sent again unchanged, at most")
    parser.add_argument("--rebuilt-up-to", type=int, default=10_000, help="a rebuild takes as long as an ingestion")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    all_found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="groundtone-knowledge-") as folder:
        before, kept = resident(os.getpid()), options.folder or Path(folder)
        growing, small = (Corpus(kept / name) for name in ("growing", "small"))
        try:
            for found in measure(growing, small, before, options):
                all_found.append(found)
                publish("knowledge", report(all_found) + "\n", options.write)
        finally:
            for corpus in (growing, small):
                corpus.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
