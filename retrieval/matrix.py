"""The vectors of one tenant as a matrix on disk: what exact search multiplies with, and nothing but a copy.

Two files that only grow: `<name>.f32`, a row per embedding in the order of the ledger, and `<name>.seq`, the ledger's
number for each. Whatever looks wrong at the opening (a torn row, a number the ledger lacks) is thrown away and read
from the ledger again. Rows never move: a reader may keep an old view while the writer appends.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
_GROWTH = 4096


class Matrix:
    """Rows of `dimension` float32. One writer at a time; any number of readers."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._paths = path.with_suffix(".f32"), path.with_suffix(".seq")
        self._dimension = dimension
        path.parent.mkdir(parents=True, exist_ok=True)
        self._map(min(self._capacity(0, 4 * dimension), self._capacity(1, 8)))
        self.rows = int(np.count_nonzero(self._seqs))
        if not self._sound():
            self.clear()

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All rows, shape `(rows, dimension)`, L2-normalised."""
        return self._vectors[: self.rows]

    @property
    def last(self) -> int:
        """The ledger's number of the last row, 0 where there is none."""
        return int(self._seqs[self.rows - 1]) if self.rows else 0

    def rows_of(self, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each of the ledger's numbers, -1 where it has none."""
        known = self._seqs[: self.rows]
        rows = np.searchsorted(known, seqs).astype(np.int64)
        if not self.rows:
            return np.full(len(seqs), -1, dtype=np.int64)
        rows[known[np.minimum(rows, self.rows - 1)] != seqs] = -1
        return rows

    def holds(self, row: int, seq: int, vector: Vector) -> bool:
        """Whether row `row` is the ledger's number `seq` with this very vector."""
        return int(self._seqs[row]) == seq and np.array_equal(self._vectors[row], vector)

    def append(self, numbered: Iterable[tuple[int, Vector]]) -> None:
        """Adds rows in the order of their numbers, all above `last`."""
        for seq, vector in numbered:
            if self.rows == len(self._seqs):
                self._map(self.rows + max(_GROWTH, self.rows // 4))
            self._vectors[self.rows] = vector
            self._seqs[self.rows] = seq
            self.rows += 1

    def clear(self) -> None:
        """Forgets all rows."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._map(0)
        self.rows = 0

    def _capacity(self, which: int, width: int) -> int:
        path = self._paths[which]
        return path.stat().st_size // width if path.exists() else 0

    def _map(self, capacity: int) -> None:
        capacity = max(capacity, _GROWTH)
        for path, width in zip(self._paths, (4 * self._dimension, 8), strict=True):
            with path.open("ab") as file:
                file.truncate(capacity * width)
        shape = (capacity, self._dimension)
        self._vectors: Any = np.memmap(self._paths[0], dtype="<f4", mode="r+", shape=shape)
        self._seqs: Any = np.memmap(self._paths[1], dtype="<i8", mode="r+", shape=(capacity,))

    def _sound(self) -> bool:
        """Whether the rows stand together, in order, and each is a vector of length one: lost pages are zeros."""
        seqs = self._seqs[: self.rows]
        if self.rows and (not np.all(seqs > 0) or not np.all(np.diff(seqs) > 0)):
            return False
        lengths = np.einsum("ij,ij->i", self.vectors, self.vectors)
        return bool(np.all(np.abs(lengths - 1) < 1e-3))
