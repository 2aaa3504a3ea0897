"""Vectors that tries share: a small database beside the ledger, which nothing but tuning opens.

It holds vectors under the embedder's fingerprint and the digest of the text, and nothing of the text itself. It may be
deleted at any time.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.canonical import digest
from retrieval.embed import Embedder
from retrieval.ledger.embeddings import decode, encode

_AT_ONCE = 32  # a batch is durable before the next begins


class Scratch:
    """An embedder that remembers. `embedded` counts the texts that it had to embed."""

    def __init__(self, file: Path, embedder: Embedder, progress: Callable[[str], None] = lambda _: None) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._embedder, self._progress = embedder, progress
        self._database = sqlite3.connect(file)
        self._database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)")
        self.embedded = 0

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`."""
        return self._vectors("passage", texts, self._embedder.passages)

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`."""
        return self._vectors("question", texts, self._embedder.questions)

    def close(self) -> None:
        self._database.close()

    def _vectors(
        self, kind: str, texts: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        keys = [digest(f"{self._embedder.fingerprint}\n{kind}\n{text}".encode()) for text in texts]
        found = {key: vector for key in set(keys) if (vector := self._known(key)) is not None}
        todo = list({key: text for key, text in zip(keys, texts, strict=True) if key not in found}.items())
        for start in range(0, len(todo), _AT_ONCE):
            some = todo[start : start + _AT_ONCE]
            made = dict(zip((key for key, _ in some), embed([text for _, text in some]), strict=True))
            with self._database:
                rows = [(key, encode(vector)) for key, vector in made.items()]
                self._database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
            found |= made
            self.embedded += len(some)
            self._progress(f"  {start + len(some)} of {len(todo)} new texts embedded")
        return np.array([found[key] for key in keys], dtype=np.float32).reshape(len(keys), self._embedder.dimension)

    def _known(self, key: str) -> NDArray[np.float32] | None:
        row = self._database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else decode(row[0])
