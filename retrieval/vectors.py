"""Chroma's server as a finder of neighbours, and nothing else: the only module that knows it.

It is spoken to over its own HTTP API: the official client costs twice the time a query and 1.4 s to import. A
collection is appended to and never deleted from in place, ids are never given another vector, no `where` is ever sent
and no embedding function exists. So adding is idempotent, and whatever Chroma loses can be added again.

Chroma has no authentication: it must listen on loopback or a private network only.
"""

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from common.errors import KnowledgeUnavailable

Vector = NDArray[np.float32]
_BASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_ADDED_AT_ONCE = 256  # larger batches hold up the queries between them
_ASKED_AT_ONCE = 64
_LEFT_ALONE = 5.0  # seconds for which a server that hung is not asked: each who asks would wait as long
_MOST_NAMES = 10_000
_WRITTEN_AFTER = 5_000
"""Vectors after which Chroma writes its whole graph anew; by default 1,000. At a million that is two gigabytes for each
thousand vectors. Until then they stand in its log, which it reads when it starts, 2,500 a second."""
_FOUND_WITHIN = 8  # a vector's own key stands among its first neighbours, or it counts as lost


class VectorsUnavailable(KnowledgeUnavailable):
    """Chroma does not answer, or answers with an error. Search goes on without it."""

    def __init__(self) -> None:
        super().__init__("The vector index does not answer.", "Try again in a moment.")


class Vectors:
    """A client of one Chroma server. Thread-safe; connections are kept and shared."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        # A proxy of the environment is not asked for what is on a private network.
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._timeout = timeout
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def add(self, collection: str, vectors: Mapping[str, Vector]) -> None:
        """Adds vectors under their keys; those that are there already stay as they are."""
        items = iter(vectors.items())
        while some := dict(islice(items, _ADDED_AT_ONCE)):
            body = {"ids": list(some), "embeddings": [vector.tolist() for vector in some.values()]}
            self._in(collection, "add", body)

    def query(self, collection: str, vectors: Sequence[Vector], count: int) -> list[list[str]]:
        """For each vector the keys of its `count` neighbours, the nearest first."""
        body = {"query_embeddings": [v.tolist() for v in vectors], "n_results": count, "include": []}
        return self._in(collection, "query", body)["ids"]

    def found(self, collection: str, vectors: Mapping[str, Vector]) -> set[str]:
        """Of these vectors, the keys that are found by asking for the vector itself."""
        found: set[str] = set()
        items = iter(vectors.items())
        while some := dict(islice(items, _ASKED_AT_ONCE)):
            answers = self.query(collection, list(some.values()), _FOUND_WITHIN)
            found.update(key for key, answer in zip(some, answers, strict=True) if key in answer)
        return found

    def count(self, collection: str) -> int:
        return int(self._in(collection, "count", None))

    def present(self, collection: str, keys: Sequence[str]) -> set[str]:
        """Of these keys, those that the collection has at all."""
        present: set[str] = set()
        for start in range(0, len(keys), 1000):
            present.update(self._in(collection, "get", {"ids": keys[start : start + 1000], "include": []})["ids"])
        return present

    def names(self) -> list[str]:
        """The collections that there are."""
        return [one["name"] for one in self._call("GET", f"{_BASE}?limit={_MOST_NAMES}")]

    def clear(self, collection: str) -> None:
        """Removes a collection, where there is one."""
        with contextlib.suppress(_UnknownCollection):
            self._call("DELETE", f"{_BASE}/{collection}")
        self._ids.pop(collection, None)

    def close(self) -> None:
        self._http.close()

    def _in(self, collection: str, verb: str, body: Any) -> Any:
        """Calls a collection by its id; when Chroma was emptied and knows that id no longer, by its new one."""
        method = "GET" if body is None else "POST"
        try:
            return self._call(method, f"{_BASE}/{self._id(collection)}/{verb}", body)
        except _UnknownCollection:
            self._ids.pop(collection, None)
            return self._call(method, f"{_BASE}/{self._id(collection)}/{verb}", body)

    def _id(self, collection: str) -> str:
        with self._lock:
            if collection not in self._ids:
                configured = {"hnsw": {"space": "cosine", "sync_threshold": _WRITTEN_AFTER}}
                body = {"name": collection, "get_or_create": True, "configuration": configured}
                self._ids[collection] = self._call("POST", _BASE, body)["id"]
            return self._ids[collection]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        now = time.monotonic()
        if now < self._silent_until:
            raise VectorsUnavailable
        if self._silent_until:
            self._silent_until = now + self._timeout  # one tries, and the others go on without
        data = None if body is None else orjson.dumps(body)
        for _ in range(2):  # an idle connection may have been closed by the other side
            try:
                answer = self._http.request(method, path, content=data, headers={"content-type": "application/json"})
            except httpx.TimeoutException:
                self._silent_until = time.monotonic() + _LEFT_ALONE
                raise VectorsUnavailable from None
            except httpx.TransportError:
                continue
            self._silent_until = 0.0
            if answer.status_code == 404:
                raise _UnknownCollection
            if answer.status_code >= 400:
                raise VectorsUnavailable
            return orjson.loads(answer.content) if answer.content else None
        raise VectorsUnavailable


class _UnknownCollection(VectorsUnavailable):
    pass
