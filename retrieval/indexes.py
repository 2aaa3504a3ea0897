"""The indexes beside the ledger: vectors in Chroma, terms in tantivy. Both are derived, and made whole again from it.

Whatever Chroma is not known to find by a vector itself is searched exactly instead, so that no publication waits for
Chroma, and none is refused while it is away: `repair` adds the rest once it is back.
"""

import logging
import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from common.canonical import digest
from common.errors import Draining
from common.principal import Principal
from retrieval.catalogs import Catalogs
from retrieval.cut import Piece, embedded_text
from retrieval.embed import Embedder
from retrieval.ledger import chunks, embeddings, tenants
from retrieval.ledger.chunks import Chunk
from retrieval.ledger.database import Ledger
from retrieval.ledger.services import service
from retrieval.lexical import IndexLost, Lexical
from retrieval.vectors import Vectors, VectorsUnavailable

_log = logging.getLogger(__name__)
_EMBEDDED_AT_ONCE = 16  # a batch is durable before the next begins
_PLACED_AT_ONCE = 512
_PROBES = 16


class Indexes:
    """Embeds, adds and checks. Called by the writer alone; everything it does can be done twice."""

    def __init__(
        self, ledger: Ledger, embedder: Embedder, vectors: Vectors, terms: Lexical, catalogs: Catalogs
    ) -> None:
        self.ledger, self.embedder, self.vectors, self.terms = ledger, embedder, vectors, terms
        self._catalogs = catalogs
        self.reachable = True  # as far as was seen: Chroma
        self.terms_lost = threading.Event()
        self.stopping = threading.Event()
        self.progress = (0, 0)  # texts embedded, of how many

    def embed(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Gives each of these chunks a vector in the ledger; a text that has one is not embedded again.

        Raises Draining between two batches when the service stops; what was embedded until then is kept.
        """
        fingerprint = self.embedder.fingerprint
        with self.ledger.read() as connection:
            missing = embeddings.missing(connection, principal, fingerprint, seqs)
            texts = chunks.load(connection, principal, sorted(missing.values()))
        todo = sorted(missing.items(), key=lambda item: item[1])
        self.progress = (0, len(todo))
        for start in range(0, len(todo), _EMBEDDED_AT_ONCE):
            if self.stopping.is_set():
                raise Draining("The service is stopping.", "Send the change again in a moment.")
            some = todo[start : start + _EMBEDDED_AT_ONCE]
            made = self.embedder.passages([embedded_text_of(texts[seq]) for _, seq in some])
            with self.ledger.write() as connection:
                embeddings.add(
                    connection, principal, fingerprint, {key: v for (key, _), v in zip(some, made, strict=True)}
                )
            self.progress = (start + len(some), len(todo))
            if len(todo) > _EMBEDDED_AT_ONCE:
                _log.info("%d of %d texts embedded", *self.progress)

    def embed_all(self, principal: Principal) -> None:
        """Gives every visible chunk a vector of this embedder: there is something to do after another one served."""
        with self.ledger.read() as connection:
            seqs = chunks.without_vector(connection, principal, self.embedder.fingerprint)
        if seqs:
            _log.info("%d chunks have no vector of this embedder yet", len(seqs))
            self.embed(principal, seqs)
            self.place(principal, seqs)
            self._catalogs.forget(principal)

    def place(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Adds the vectors of these chunks to Chroma and notes those that it finds. Without Chroma, does nothing."""
        with self.ledger.write() as connection:
            collection = self._collection(principal)
            embeddings.set_collection(connection, principal, self.embedder.fingerprint, collection)
            collection = self._pointer(connection, principal)
            wanted = embeddings.unplaced_of(connection, principal, self.embedder.fingerprint, collection, seqs)
        if 0 < len(wanted) <= _PLACED_AT_ONCE:
            self._place(principal, collection, wanted)

    def add_terms(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Makes the terms of these chunks found. Raises OSError or IndexLost when the disk doesn't let it."""
        for again in (False, True):
            try:
                self._add_terms(principal, seqs)
                return
            except IndexLost:
                if again:
                    raise
                _log.warning("the lexical index was lost; it is built again from the ledger")
                self.repair_terms()

    def repair_terms(self) -> None:
        """Adds to the lexical index every chunk that was ever visible and that it lacks."""
        self.terms_lost.clear()
        with self.ledger.read() as connection:
            known = [service(name, "indexes") for name in tenants.names(connection)]
        for principal in known:
            with self.ledger.read() as connection:
                seqs = chunks.all_seqs(connection, principal)
            self._add_terms(principal, seqs)

    def repair_vectors(self, principal: Principal, *, thorough: bool = False) -> None:
        """Compares Chroma with what the ledger says it holds, and adds what it lacks. Notes when it is away."""
        fingerprint = self.embedder.fingerprint
        with self.ledger.read() as connection:
            collection = self._pointer(connection, principal)
            count = embeddings.count_placed(connection, principal, fingerprint, collection)
        if not collection:
            return
        try:
            if self.vectors.count(collection) < count or (thorough and not self._probe(principal, collection)):
                self._note_lost(principal, collection)
            while True:
                with self.ledger.read() as connection:
                    wanted = embeddings.unplaced(connection, principal, fingerprint, collection, _PLACED_AT_ONCE)
                if not wanted or not self._place(principal, collection, wanted):
                    break
            self.reachable = True
        except VectorsUnavailable:
            self.reachable = False

    def _add_terms(self, principal: Principal, seqs: Sequence[int]) -> None:
        with self.ledger.read() as connection:
            names = chunks.names(connection, principal, seqs)
            lacking = names.keys() - self.terms.holds(names)
            found = chunks.load(connection, principal, sorted(names[name] for name in lacking))
        self.terms.add((c.id, principal.tenant, c.knowledge, embedded_text_of(c)) for c in found.values())
        self.terms.commit()
        if lost := lacking - self.terms.holds(lacking):
            raise OSError(f"the lexical index did not keep {len(lost)} chunks")

    def _place(self, principal: Principal, collection: str, wanted: Mapping[str, NDArray[np.float32]]) -> bool:
        """Adds vectors and notes those that are found. Returns whether any was."""
        try:
            self.vectors.add(collection, wanted)
            found = self.vectors.found(collection, wanted)
        except VectorsUnavailable:
            self.reachable = False
            return False
        self.reachable = True
        self._note(principal, sorted(found), collection)
        return bool(found)

    def _note(self, principal: Principal, keys: Sequence[str], collection: str | None) -> None:
        with self.ledger.write() as connection:
            embeddings.place(connection, principal, self.embedder.fingerprint, keys, collection)
        self._catalogs.mark(principal, keys, collection is not None)

    def _note_lost(self, principal: Principal, collection: str) -> None:
        """Notes what Chroma has lost; where it lost nothing and yet doesn't find, everything is asked for again."""
        with self.ledger.read() as connection:
            placed = embeddings.placed(connection, principal, self.embedder.fingerprint, collection)
        lost = sorted(set(placed) - self.vectors.present(collection, placed))
        _log.warning("the vector index lost %d of %d vectors; they are added again", len(lost), len(placed))
        self._note(principal, lost or placed, None)

    def _probe(self, principal: Principal, collection: str) -> bool:
        """Whether a few vectors that Chroma should know are found by themselves."""
        with self.ledger.read() as connection:
            probes = embeddings.sample(connection, principal, self.embedder.fingerprint, collection, _PROBES)
        return self.vectors.found(collection, probes) == probes.keys()

    def _pointer(self, connection: Connection, principal: Principal) -> str:
        return embeddings.collection_of(connection, principal, self.embedder.fingerprint) or ""

    def _collection(self, principal: Principal) -> str:
        """A tenant's first collection for this embedder: Chroma allows few characters and learns no names."""
        name = digest(f"{principal.tenant}\n{self.embedder.fingerprint}".encode()).partition(":")[2]
        return f"groundtone-{name[:40]}-1"


def embedded_text_of(chunk: Chunk) -> str:
    """What is embedded and indexed for a chunk, as it was when it was cut."""
    return embedded_text(chunk.title, Piece(chunk.start, chunk.end, chunk.text, chunk.heading, chunk.page))
