"""What tests of the knowledge service share: one over real Chroma, tantivy and SQLite, with an embedder in memory."""

import hashlib
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from common.evidence import Findings
from common.principal import Principal, Scope
from common.settings import Base, FolderSource
from retrieval.intake import Sent, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases
from retrieval.ledger.database import Ledger
from retrieval.ledger.staging import Change
from retrieval.publish import Published, Push
from retrieval.vectors import Vectors, VectorsUnavailable


class WordEmbedder:
    """A vector of hashed words: close texts are close, and every text that is embedded is counted."""

    dimension = 64

    def __init__(self, name: str) -> None:
        self.fingerprint = f"words/64/{name}"
        self.embedded: list[str] = []
        self.failing = False

    def passages(self, texts: Sequence[str]) -> Any:
        if self.failing:
            raise RuntimeError("the embedder fails, as ordered")
        self.embedded += texts
        return np.array([_vector(text) for text in texts], dtype=np.float32)

    def questions(self, texts: Sequence[str]) -> Any:
        return np.array([_vector(text) for text in texts], dtype=np.float32)


def _vector(text: str) -> Any:
    vector = np.full(64, 1e-3)
    for word in text.lower().replace(".", " ").split():
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:2], "big") % 64] += 1
    return vector / np.linalg.norm(vector)


class Chroma:
    """A `chroma run` of the test's own, which can be killed, emptied and started again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = Path(sys.executable).parent / "chroma"
        command = [str(program), "run", "--path", str(self.path), "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        probe = Vectors(self.url)
        until(lambda: _answers(probe), 120)
        probe.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self, *, empty: bool = False) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        if empty:
            shutil.rmtree(self.path, ignore_errors=True)


def _answers(vectors: Vectors) -> bool:
    try:
        vectors.names()
    except VectorsUnavailable:
        return False
    return True


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    """Waits for something that happens by itself, and fails when it doesn't."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def someone(tenant: str = "default", *labels: str) -> Principal:
    """A caller; without labels named, one with every label."""
    return Principal(tenant, "k_test", frozenset(labels or {"*"}), frozenset(Scope))


class House:
    """One service on one home, to be closed or dropped and opened again; and short words for what tests do."""

    def __init__(self, home: Path, chroma: str, ledger_url: str | None = None, name: str = "") -> None:
        self.home, self.chroma = home, chroma
        self.ledger_url = ledger_url or f"sqlite:///{home / 'ledger.db'}"
        self.embedder = WordEmbedder(name or uuid.uuid4().hex)
        self.sources: list[FolderSource] = []
        self.chosen: list[Base] = []
        self.me = someone()
        self.open_: Knowledge | None = None

    @property
    def knowledge(self) -> Knowledge:
        assert self.open_ is not None
        return self.open_

    def open(self) -> Knowledge:
        ledger = Ledger(self.ledger_url)
        ledger.migrate()
        self.open_ = Knowledge(ledger, self.embedder, Vectors(self.chroma), self.home, self.sources, chosen=self.chosen)
        self.open_.start()
        assert self.open_.publisher.writing.wait(30)
        return self.open_

    def close(self) -> None:
        if self.open_ is not None:
            self.open_.close()
            self.open_ = None

    def reopen(self) -> Knowledge:
        self.close()
        return self.open()

    def base(self, name: str = "kb", labels: Sequence[str] | None = None, me: Principal | None = None) -> None:
        with self.knowledge.ledger.write() as connection:
            bases.put(connection, me or self.me, name, labels)

    def send(
        self,
        name: str,
        text: str | None,
        *,
        me: Principal | None = None,
        kb: str = "kb",
        publish: bool = True,
        labels: tuple[str, ...] | None = None,
        if_match: int | None = None,
        **said: Any,
    ) -> Future[Published]:
        content = None if text is None else take(name, Sent(text.encode(), "text/markdown", **said))
        change = Change(kb, name, content, labels=labels, if_match=if_match)
        return self.knowledge.publisher.push(Push(me or self.me, [change], f"Put {name}", publish))

    def put(self, name: str, text: str | None, **more: Any) -> tuple[int, int | None]:
        """Puts a document, or removes it with None, and returns its revision and the snapshot."""
        published = self.send(name, text, **more).result(30)
        outcome = published.outcomes[0]
        if outcome.staged is None:
            assert outcome.error is not None
            raise outcome.error
        return outcome.staged.revision, published.snapshot

    def search(self, question: str, *, me: Principal | None = None, kb: str = "kb", **more: Any) -> Findings:
        return self.knowledge.search.search(me or self.me, [kb], question, top_k=more.pop("top_k", 20), **more)

    def texts(self, question: str, **more: Any) -> list[str]:
        return [one.text for one in self.search(question, **more).evidence]

    def found(self, question: str, **more: Any) -> set[str]:
        return {one.document for one in self.search(question, **more).evidence}

    @property
    def head(self) -> int:
        return self.search("anything at all").snapshot
