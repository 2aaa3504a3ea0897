"""Which embedder's index serves. The ledger says so, and one transaction changes it.

Each embedder has vectors, a matrix and a collection of its own, all under its fingerprint, so nothing of two is ever
mixed. A second one is built beside the first while that serves, and whichever does not serve is kept up to date: going
there, and coming back, embeds next to nothing.
"""

import logging
from typing import Any

from sqlalchemy import Connection

from common.errors import Conflict, KnowledgeUnavailable
from common.principal import Principal
from retrieval.indexes import Indexes
from retrieval.ledger import chunks, embeddings, tenants
from retrieval.ledger.services import service

_log = logging.getLogger(__name__)
_LEFT_AT_MOST = 256  # chunks that a switch may still embed, with publications waiting


class Serving:
    """The indexes of the embedders that are configured: one, or two."""

    def __init__(self, first: Indexes, second: Indexes | None = None) -> None:
        self._each = {one.embedder.fingerprint: one for one in (first, second) if one is not None}
        self._first, self.now = first, first
        self.stopping = first.stopping
        self.follows = False  # another process writes
        self._whole: dict[tuple[str, str], int] = {}  # the head up to which all is embedded

    @property
    def each(self) -> list[Indexes]:
        return list(self._each.values())

    @property
    def other(self) -> Indexes | None:
        """The index that is built, or kept, beside the one that serves."""
        return next((one for one in self._each.values() if one is not self.now), None)

    def current(self, connection: Connection) -> Indexes:
        """The index that serves. Raises KnowledgeUnavailable where this process lacks its embedder."""
        fingerprint = embeddings.current(connection)
        if fingerprint is not None and fingerprint != self.now.embedder.fingerprint:
            if fingerprint not in self._each:
                raise KnowledgeUnavailable(
                    "The embedder that serves is not one of this process.", "Give every process the same [embedder]."
                )
            self.now = self._each[fingerprint]
        return self.now

    def begin(self, connection: Connection) -> None:
        """Called by a new writer: an embedder that is configured no longer does not serve, and nobody else may."""
        if embeddings.current(connection) not in self._each:
            self.now = self._first
        else:
            self.current(connection)

    def serve(self, connection: Connection, indexes: Indexes) -> None:
        """Makes this index serve, once the caller's transaction is done."""
        embeddings.register_embedder(connection, indexes.embedder.fingerprint, indexes.embedder.dimension)

    def lacking(self, connection: Connection, indexes: Indexes, *, past: bool = False) -> int:
        """How many visible chunks, or with `past` chunks of any time, have no vector of this embedder."""
        every = [service(name, "embedder") for name in tenants.names(connection)]
        fingerprint = indexes.embedder.fingerprint
        return sum(len(chunks.without_vector(connection, one, fingerprint, past=past)) for one in every)

    def make_whole(self, principal: Principal) -> None:
        """Embeds with the other embedder what has come since the last time; and with both what belongs to the past."""
        for indexes in (self.other, self.now):
            if indexes is None:
                continue
            key = principal.tenant, indexes.embedder.fingerprint
            with indexes.ledger.read() as connection:
                head = tenants.get(connection, principal).head
            if (whole := self._whole.get(key, -1)) == head:
                continue
            indexes.embed_all(principal, past=True, after=whole)
            if indexes is not self.now:
                indexes.repair_vectors(principal)
            self._whole[key] = head

    def to_other(self, fence: Any) -> str:
        """Switches, between two publications, and returns the fingerprint that serves then.

        Raises Conflict where no second embedder is configured or its index is not whole yet.
        """
        other = self.other
        if other is None:
            raise Conflict("There is no second embedder.", "Set [embedder.next], and start the service again.")
        with other.ledger.read() as connection:
            lacking = self.lacking(connection, other)
            every = [service(name, "embedder") for name in tenants.names(connection)]
        if lacking > _LEFT_AT_MOST:
            raise Conflict(f"{lacking:,} chunks have no vector of it yet.", "Wait: GET /v1/embedders says how many.")
        for principal in every:
            other.embed_all(principal)
            with other.ledger.read() as connection:
                other.catalogs.caught_up(connection, principal)  # so that no question waits for its matrix
        with other.ledger.write() as connection:
            fence(connection)
            self.serve(connection, other)
        self.now = other
        _log.info("the embedder that serves is now %s", other.embedder.fingerprint)
        return other.embedder.fingerprint
