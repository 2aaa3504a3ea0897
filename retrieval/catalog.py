"""The catalog: a tenant's intervals of visibility in memory, so that a question is filtered in microseconds.

One row per interval. Rows are appended and never move; an interval that ends gets its `last` written in place, which
no reader can mistake: whoever is pinned to an earlier snapshot still finds it open there. `catch_up` reads from the
ledger only what a newer head or newer labels brought.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection

from common.canonical import digest
from common.errors import InvalidRequest
from common.language import family_of
from common.principal import Principal
from retrieval.ledger import bases, chunks, embeddings, tenants
from retrieval.matrix import Matrix

OPEN = np.iinfo(np.int64).max
_COLUMNS: dict[str, Any] = {
    "id": np.int64,
    "chunk": np.int64,
    "first": np.int64,
    "last": np.int64,
    "document": np.int64,
    "vector": np.int64,
    "lang": np.int32,
    "metadata": np.int32,
    "effective_from": np.float64,
    "effective_until": np.float64,
}
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as filters see it."""

    name: str
    source: str


@dataclass(slots=True)
class Values:
    """Distinct values by number: a column of numbers stands for a column of texts."""

    numbers: dict[str, int] = field(default_factory=dict[str, int])
    texts: list[str] = field(default_factory=list[str])

    def number(self, text: str) -> int:
        found = self.numbers.get(text)
        if found is None:
            found = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return found


class Catalog:
    """One tenant's catalog and matrix for one embedder. Thread-safe."""

    def __init__(self, directory: Path, principal: Principal, fingerprint: str, dimension: int) -> None:
        self._principal = principal
        self._fingerprint = fingerprint
        name = digest(f"{principal.tenant}\n{fingerprint}".encode()).partition(":")[2][:32]
        self.matrix = Matrix(directory / name, dimension)
        self._lock = threading.Lock()
        self._checked = self._retired = False
        self.head = self._access = self._epoch = -1
        self.count = 0
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(0, dtype) for name, dtype in _COLUMNS.items()}
        self.names: list[str] = []  # chunk ids by row
        self._rows: dict[str, int | tuple[int, ...]] = {}  # by chunk id; more than one where it went and came back
        self.keys: dict[str, int] = {}  # matrix row by digest of the embedded text
        self.placed = np.zeros(0, dtype=np.bool_)  # by matrix row: whether Chroma finds it
        self.collection: str | None = None  # of Chroma, that `placed` is about; None before the first question
        self.crowded_out = 0  # questions since its building to which it gave mostly dead neighbours
        self._langs, self._metadata, self._labels = Values(), Values(), Values()
        self._documents: dict[int, Entry] = {}
        self._base_of = np.zeros(0, dtype=np.int64)  # by document
        self._labels_of = np.zeros(0, dtype=np.int64)  # by document; -1 where its knowledge base's labels apply
        self._bases: dict[int, bases.Base] = {}

    def column(self, name: str) -> NDArray[Any]:
        return self._columns[name][: self.count]

    def lang(self, row: int) -> str:
        return self._langs.texts[self._columns["lang"][row]]

    def by_family(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """`rows` parted by the language family that they are written in."""
        names = [family_of(text) for text in self._langs.texts]
        numbers = np.array([names.index(name) for name in names])[self._columns["lang"][rows]]
        return [rows[numbers == number] for number in np.flatnonzero(np.bincount(numbers))]

    def rows_of(self, chunk: str) -> tuple[int, ...]:
        """The rows of a chunk id, oldest first."""
        rows = self._rows.get(chunk, ())
        return rows if isinstance(rows, tuple) else (rows,)

    def catch_up(self, connection: Connection) -> bool:
        """Loads what the ledger has and the catalog lacks: one short query where that is nothing.

        False where the past was rewritten: rows never move, so another catalog must take the place of this one, which
        only those who ask it now may still use.
        """
        tenant = tenants.get(connection, self._principal)
        if (tenant.head, tenant.access, tenant.epoch) == (self.head, self._access, self._epoch):
            return True
        with self._lock:
            if self._epoch != -1 and tenant.epoch > self._epoch:
                self._retired = True
            if self._retired:
                return False
            if tenant.access > self._access:
                self._load_access(connection)
            if tenant.head > self.head:
                self._load_vectors(connection)
                self._load_intervals(connection, tenant.head)
            self.head = max(self.head, tenant.head)
            self._access, self._epoch = max(self._access, tenant.access), max(self._epoch, tenant.epoch)
            return True

    def mark(self, keys: Iterable[str], placed: bool) -> None:
        """Notes whether Chroma finds these vectors by themselves; the others are searched exactly."""
        with self._lock:
            for key in keys:
                if (row := self.keys.get(key)) is not None:
                    self.placed[row] = placed

    def mark_only(self, keys: Iterable[str], collection: str | None) -> None:
        """Notes that `collection` serves, and finds these vectors by themselves, and no others."""
        with self._lock:
            placed = np.zeros_like(self.placed)
            placed[[row for key in keys if (row := self.keys.get(key)) is not None]] = True
            self.placed, self.collection, self.crowded_out = placed, collection, 0

    def follow_collection(self, connection: Connection) -> None:
        """Learns what Chroma finds where another collection serves than before: another process has built it."""
        name = embeddings.collection_of(connection, self._principal, self._fingerprint)
        if self.collection is None:
            self.collection = name
        elif name is not None and name != self.collection:
            self.mark_only(embeddings.placed(connection, self._principal, self._fingerprint, name), name)

    def allowed(
        self, principal: Principal, knowledge: Collection[str], snapshot: int, clock: float, filters: Mapping[str, Any]
    ) -> Mask:
        """Which rows a question may see: in the snapshot, in force, readable, and passing every filter."""
        assert principal.tenant == self._principal.tenant
        count = self.count
        first, last, document = (self._columns[name][:count] for name in ("first", "last", "document"))
        ok = (first <= snapshot) & (snapshot <= last)
        ok &= self._columns["effective_from"][:count] <= clock
        ok &= clock < self._columns["effective_until"][:count]
        ok &= self._readable(principal, knowledge, filters)[document]
        for name, values in filters.items():
            if name == "lang":
                ok &= self._among("lang", self._langs, lambda text, values=values: text in values)
            elif name.startswith("metadata."):
                ok &= self._among("metadata", self._metadata, _holds(name.removeprefix("metadata."), values))
        return ok

    def _among(self, column: str, values: Values, test: Callable[[str], bool]) -> Mask:
        passing = np.fromiter((test(text) for text in values.texts), dtype=np.bool_, count=len(values.texts))
        return passing[self._columns[column][: self.count]]

    def _readable(self, principal: Principal, knowledge: Collection[str], filters: Mapping[str, Any]) -> Mask:
        """By document: whether it stands in one of these knowledge bases, and the principal may read it now."""
        bases_ = [base for base in self._bases.values() if base.name in knowledge]
        room = max(self._bases, default=0) + 1
        wanted, inherited = np.zeros(room, dtype=np.bool_), np.zeros(room, dtype=np.bool_)
        wanted[[base.id for base in bases_]] = True
        inherited[[base.id for base in bases_ if principal.reads(base.labels)]] = True
        own = np.array([*(principal.reads(orjson.loads(text)) for text in self._labels.texts), False], dtype=np.bool_)
        base_of, labels_of = self._base_of, self._labels_of
        ok = wanted[base_of] & np.where(labels_of < 0, inherited[base_of], own[labels_of])
        if tests := _document_tests(filters):
            for id_ in np.flatnonzero(ok):
                ok[id_] = all(test(self._documents[int(id_)]) for test in tests)
        return ok

    def _load_access(self, connection: Connection) -> None:
        rows = chunks.readers(connection, self._principal, self._access)
        room = max([len(self._base_of), *(row.id + 1 for row in rows)])
        base_of, labels_of = np.zeros(room, dtype=np.int64), np.full(room, -1, dtype=np.int64)
        base_of[: len(self._base_of)], labels_of[: len(self._labels_of)] = self._base_of, self._labels_of
        for row in rows:
            self._documents[row.id] = Entry(row.name, row.source)
            base_of[row.id] = row.knowledge
            labels_of[row.id] = -1 if row.labels is None else self._labels.number(orjson.dumps(row.labels).decode())
        self._bases = {base.id: base for base in bases.every(connection, self._principal)}
        base_of[~np.isin(base_of, list(self._bases))] = 0  # of a knowledge base that is gone
        self._base_of, self._labels_of = base_of, labels_of

    def _load_vectors(self, connection: Connection) -> None:
        if not self._checked:
            self._check_matrix(connection)
        placed: list[bool] = []
        fresh = embeddings.since(connection, self._principal, self._fingerprint, self.matrix.last)

        def numbered() -> Any:
            for seq, key, is_placed, vector in fresh:
                self.keys[key] = self.matrix.rows
                placed.append(is_placed)
                yield seq, vector

        self.matrix.append(numbered())
        self.placed = np.concatenate([self.placed, np.array(placed, dtype=np.bool_)])

    def _check_matrix(self, connection: Connection) -> None:
        """Compares the files with the ledger, once, row by row; what is wrong is read again by who called."""
        count, keys, placed = 0, dict[str, int](), list[bool]()
        for seq, key, is_placed, vector in embeddings.since(connection, self._principal, self._fingerprint, 0):
            if count == self.matrix.rows:
                break
            if not self.matrix.holds(count, seq, vector):
                break
            keys[key] = count
            placed.append(is_placed)
            count += 1
        if count != self.matrix.rows:
            self.matrix.clear()
            keys, placed = {}, []
        self.keys, self.placed = keys, np.array(placed, dtype=np.bool_)
        self._checked = True

    def _load_intervals(self, connection: Connection, head: int) -> None:
        if ended := chunks.endings(connection, self._principal, self.head, head):
            ids, lasts = np.array(ended, dtype=np.int64).T
            self._columns["last"][np.searchsorted(self.column("id"), ids)] = lasts
        loaded = list(chunks.intervals(connection, self._principal, self._fingerprint, self.head, head))
        if not loaded:
            return
        seqs = np.array([row.embedding or 0 for row in loaded], dtype=np.int64)
        fresh: dict[str, Any] = {
            "id": [row.id for row in loaded],
            "chunk": [row.chunk for row in loaded],
            "first": [row.first for row in loaded],
            "last": [OPEN if row.last is None else row.last for row in loaded],
            "document": [row.document for row in loaded],
            "vector": self.matrix.rows_of(seqs),
            "lang": [self._langs.number(row.lang) for row in loaded],
            "metadata": [self._metadata.number(row.metadata) for row in loaded],
            "effective_from": [-np.inf if row.effective_from is None else row.effective_from for row in loaded],
            "effective_until": [np.inf if row.effective_until is None else row.effective_until for row in loaded],
        }
        end = self.count + len(loaded)
        if end > len(self._columns["id"]):
            room = end + max(1024, end // 4)
            self._columns = {
                n: np.concatenate([c[: self.count], np.zeros(room - self.count, c.dtype)])
                for n, c in self._columns.items()
            }
        for name, values in fresh.items():
            self._columns[name][self.count : end] = values
        for row, interval in enumerate(loaded, self.count):
            self.names.append(interval.name)
            self._rows[interval.name] = (*earlier, row) if (earlier := self.rows_of(interval.name)) else row
        self.count = end


def check_filters(filters: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """Filters with every value as a list. Raises InvalidRequest for a name that is none."""
    checked: dict[str, list[Any]] = {}
    for name, value in (filters or {}).items():
        values: list[Any] = value if isinstance(value, list) else [value]
        if name not in ("document", "source", "lang") and not (
            name.startswith("metadata.") and len(name) > len("metadata.")
        ):
            raise InvalidRequest(
                f"There is no filter {name!r}.", "Use document, source, lang or metadata.<key>.", param="filters"
            )
        if any(isinstance(v, dict | list) or v is None for v in values):
            raise InvalidRequest(
                f"The filter {name!r} is not usable.", "Give it a text, a number, true or false, or a list of these.",
                param="filters",
            )  # fmt: skip
        checked[name] = values
    return checked


def _document_tests(filters: Mapping[str, list[Any]]) -> list[Callable[[Entry], bool]]:
    tests: list[Callable[[Entry], bool]] = []
    if "document" in filters:
        tests.append(lambda entry: entry.name in filters["document"])
    if "source" in filters:
        tests.append(lambda entry: entry.source in filters["source"])
    return tests


def _holds(key: str, values: list[Any]) -> Callable[[str], bool]:
    """Whether metadata, as JSON, has one of `values` under `key`, alone or in a list. `1` is not `true`."""
    wanted = {orjson.dumps(value) for value in values}

    def test(text: str) -> bool:
        found = orjson.loads(text).get(key)
        return any(orjson.dumps(one) in wanted for one in (found if isinstance(found, list) else [found]))

    return test
