"""The indexes beside the ledger: vectors in Chroma, terms in tantivy. Both are derived, and made whole again from it.

Whatever Chroma is not known to find by a vector itself is searched exactly instead, so that no publication waits for
Chroma, and none is refused while it is away: `repair` adds the rest once it is back.
"""

import logging
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from common.canonical import digest
from common.errors import Draining, KnowledgeUnavailable
from common.principal import Principal
from retrieval.analysis import terms
from retrieval.catalogs import Catalogs
from retrieval.embed import Embedder
from retrieval.ledger import chunks, embeddings, publication, tenants
from retrieval.ledger.database import Ledger, batches
from retrieval.ledger.services import service
from retrieval.lexical import IndexLost, Lexical
from retrieval.pieces import embedded_text_of
from retrieval.vectors import Vectors, VectorsUnavailable

_log = logging.getLogger(__name__)
_EMBEDDED_AT_ONCE = 16  # a batch is durable before the next begins
_PLACED_AT_ONCE = 512
_TERMS_AT_ONCE = 20_000
_PROBES = 16
_SHARE = 20  # counting takes at most a twentieth of the time
DEAD_AT_LEAST, DEAD_SHARE = 500, 0.5  # dead vectors above both make a collection worth building anew
CROWDED_OUT = 20  # questions whose neighbours were mostly dead, for the same
_STILL_ASKED = 15.0  # seconds for which a question may still be asking a collection that was left behind


class Indexes:
    """Embeds, adds and checks. Called by the writer alone; everything it does can be done twice."""

    def __init__(
        self,
        ledger: Ledger,
        embedder: Embedder,
        vectors: Vectors,
        terms: Lexical,
        catalogs: Catalogs,
        stopping: threading.Event,
    ) -> None:
        self.ledger, self.embedder, self.vectors, self.terms = ledger, embedder, vectors, terms
        self.catalogs = catalogs
        self.reachable = True  # as far as was seen: Chroma
        self.terms_lost = threading.Event()
        self.stopping = stopping
        self._building = threading.RLock()  # one round of repairs or rebuilding at a time
        self._noting = threading.Lock()  # what the ledger says of Chroma and what catalogs do are written together
        self._left_behind: deque[tuple[float, str]] = deque()
        # By collection: what was added and is not found, as happens in a graph, is left to the exact search.
        self._in_vain: defaultdict[str, set[str]] = defaultdict(set)
        self._not_before: dict[tuple[str, str], float] = {}
        self._followed: dict[str, int] = {}  # the snapshot up to which a process that does not write has the terms
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
            if made.shape != (len(some), self.embedder.dimension):
                raise KnowledgeUnavailable(
                    "The embedder answers with vectors of another shape than at the start.",
                    "See which model it serves.",
                )
            with self.ledger.write() as connection:
                embeddings.add(
                    connection, principal, fingerprint, {key: v for (key, _), v in zip(some, made, strict=True)}
                )
            self.progress = (start + len(some), len(todo))
            if len(todo) > _EMBEDDED_AT_ONCE:
                _log.info("%d of %d texts embedded", *self.progress)

    def embed_all(self, principal: Principal, *, past: bool = False, after: int = -1) -> None:
        """Gives every visible chunk a vector of this embedder, then with `past` every chunk that ever was.

        With `after` those that a later snapshot than that one showed.

        There is something to do only where another embedder served, or serves.
        """
        for also_past in (False, True)[: 1 + past]:
            with self.ledger.read() as connection:
                seqs = chunks.without_vector(
                    connection, principal, self.embedder.fingerprint, past=also_past, after=after
                )
            if seqs:
                _log.info("%d chunks have no vector of %s yet", len(seqs), self.embedder.fingerprint.split("/")[0])
                self.embed(principal, seqs)
                self.place(principal, seqs)
                self.catalogs.forget(principal)

    def place(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Adds the vectors of these chunks to Chroma and notes those that it finds. Without Chroma, does nothing."""
        with self.ledger.write() as connection:
            collection = self._collection(principal)
            embeddings.set_collection(connection, principal, self.embedder.fingerprint, collection)
            collection = self._pointer(connection, principal)
            wanted = embeddings.unplaced_of(connection, principal, self.embedder.fingerprint, collection, seqs)
        if len(wanted) > _PLACED_AT_ONCE:
            self._note(principal, list(wanted), None)  # the next round of repairs adds them
        elif wanted:
            self._place(principal, collection, wanted)

    def rebuild_vectors(self, principal: Principal, fence: Callable[[Connection], None]) -> int:
        """Builds the tenant's collection anew from the ledger and returns how many vectors it holds.

        Beside the one that serves: every vector that a question can see now is added, then probed by itself, and one
        transaction, which `fence` may refuse, moves the pointer. What is not found stays with the exact search, and so
        does what nobody sees any more, should it come back. Raises VectorsUnavailable and Draining.
        """
        fingerprint = self.embedder.fingerprint
        began = time.monotonic()
        with self._building:
            with self.ledger.write() as connection:
                embeddings.set_collection(connection, principal, fingerprint, self._collection(principal))
                old = self._pointer(connection, principal)
                until = embeddings.newest(connection, principal, fingerprint)
            fresh = _beside(old)
            self._drop_unfinished(old)
            for some in self._live(principal, until):
                self.vectors.add(fresh, some)
            found: list[str] = []
            for some in self._live(principal, until):
                known = self.vectors.found(fresh, some)
                with self.ledger.write() as connection:
                    embeddings.place(connection, principal, fingerprint, sorted(known), fresh)
                    embeddings.place(connection, principal, fingerprint, sorted(some.keys() - known), None)
                found += known
            with self._noting:
                with self.ledger.write() as connection:
                    fence(connection)
                    embeddings.move(connection, principal, fingerprint, old, fresh, until)
                self.catalogs.of(principal).mark_only(found, fresh)
            self._left_behind.append((time.monotonic() + _STILL_ASKED, old))
            self._in_vain.pop(old, None)
        self._took("crowded", principal, began)  # so that a large collection is not built again and again
        return len(found)

    def crowded(self, principal: Principal) -> bool:
        """Whether what is dead crowds out what lives: as questions saw it, or as its share of the collection says."""
        if not self._due("crowded", principal):
            return False
        if self.catalogs.of(principal).crowded_out >= CROWDED_OUT:
            return True
        began = time.monotonic()
        with self.ledger.read() as connection:
            held = embeddings.count_placed(
                connection, principal, self.embedder.fingerprint, self._pointer(connection, principal)
            )
            dead = held - publication.count_visible(connection, principal)
        self._took("crowded", principal, began)
        return dead > max(DEAD_AT_LEAST, DEAD_SHARE * held)

    def drop_left_behind(self) -> None:
        """Removes collections that no question can still be asking."""
        while self._left_behind and self._left_behind[0][0] < time.monotonic():
            self.vectors.clear(self._left_behind.popleft()[1])

    def _drop_unfinished(self, serving: str) -> None:
        """Removes what builds that were broken off have left of this tenant's."""
        kept = {serving, *(name for _, name in self._left_behind)}
        stem = serving.rpartition("-")[0]
        for name in self.vectors.names():
            if name.startswith(f"{stem}-") and name not in kept:
                self.vectors.clear(name)

    def rebuild_terms(self) -> Lexical:
        """A second lexical index beside the one that serves, with every chunk that was ever visible."""
        fresh = self.terms.beside()
        self._fill(fresh)
        return fresh

    def take_terms(self, fresh: Lexical) -> int:
        """Puts a rebuilt lexical index in the place of the one that serves; returns how many chunks it holds.

        Called by the publisher's thread, so that what was published meanwhile is in it too.
        """
        self._fill(fresh)
        self.terms.become(fresh)
        return self.terms.count()

    def check_terms(self) -> None:
        """Asks the lexical index for a few chunks by their own words; where one isn't found, all is built again."""
        with self.ledger.read() as connection:
            known = [service(name, "indexes") for name in tenants.names(connection)]
        for principal in known:
            with self.ledger.read() as connection:
                seqs = chunks.all_seqs(connection, principal)
                probes = chunks.load(connection, principal, [*seqs[: _PROBES // 2], *seqs[-_PROBES // 2 :]])
            for chunk in probes.values():
                text = embedded_text_of(chunk)
                if terms(text) and not self.terms.search(principal.tenant, [chunk.knowledge], text, 1, {chunk.id}):
                    _log.warning("the lexical index does not find what it holds; it is built again from the ledger")
                    self.terms.clear()
                    self.repair_terms()
                    return

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

    def follow_terms(self, principal: Principal, head: int) -> None:
        """Where another process writes: makes the terms found of what it has published up to `head`."""
        if self._followed.get(principal.tenant, -1) >= head and not self.terms_lost.is_set():
            return
        with self._building:
            after = -1 if self.terms_lost.is_set() else self._followed.get(principal.tenant, -1)
            self.terms_lost.clear()
            with self.ledger.read() as connection:
                seqs = chunks.all_seqs(connection, principal, after)
            for some in batches(seqs, _TERMS_AT_ONCE):
                self.add_terms(principal, some)
            self._followed[principal.tenant] = head

    def repair_terms(self) -> None:
        """Adds to the lexical index every chunk that was ever visible and that it lacks."""
        self.terms_lost.clear()
        self._fill(self.terms)

    def repair_vectors(self, principal: Principal, fence: Callable[[Connection], None] | None = None) -> None:
        """Compares Chroma with what the ledger says it holds, and adds what it lacks. Notes when it is away.

        With `fence` thoroughly: where it holds everything and yet doesn't find it, its collection is built anew.
        """
        if self._building.acquire(blocking=False):
            try:
                self._repair_vectors(principal, fence)
            finally:
                self._building.release()

    def _repair_vectors(self, principal: Principal, fence: Callable[[Connection], None] | None) -> None:
        fingerprint = self.embedder.fingerprint
        with self.ledger.read() as connection:
            collection = self._pointer(connection, principal)
        if not collection:
            return
        try:
            if (fence or self._due("lost", principal)) and self._compare(principal, collection, fence):
                return
            if fence:
                self._in_vain.pop(collection, None)
            while not self.stopping.is_set():
                # Newest first, so those that are never found stand before all that are left.
                vain = self._in_vain[collection]
                most = len(vain) + _PLACED_AT_ONCE
                with self.ledger.read() as connection:
                    some = embeddings.unplaced(connection, principal, fingerprint, collection, most)
                wanted = {key: vector for key, vector in some.items() if key not in vain}
                if not wanted or not self._place(principal, collection, wanted):
                    break
        except VectorsUnavailable:
            self.reachable = False

    def _compare(self, principal: Principal, collection: str, fence: Callable[[Connection], None] | None) -> bool:
        """Notes what Chroma has lost. Returns whether its collection was built anew."""
        began = time.monotonic()
        with self.ledger.read() as connection:
            count = embeddings.count_placed(connection, principal, self.embedder.fingerprint, collection)
        short = self.vectors.count(collection) < count
        self._took("lost", principal, began)
        if short or (fence and not self._probe(principal, collection)):
            lost = self._note_lost(principal, collection)
            if fence and not short and not lost:
                self.rebuild_vectors(principal, fence)
                return True
        self.reachable = True
        return False

    def _due(self, what: str, principal: Principal) -> bool:
        """Whether something that counts all there is may be done again: it takes at most a twentieth of the time."""
        return time.monotonic() >= self._not_before.get((what, principal.tenant), 0.0)

    def _took(self, what: str, principal: Principal, began: float) -> None:
        now = time.monotonic()
        self._not_before[what, principal.tenant] = now + _SHARE * (now - began)

    def _live(self, principal: Principal, until: int) -> Iterator[dict[str, NDArray[np.float32]]]:
        """The vectors that a question can see now, some at a time, up to number `until`."""
        after = 0
        while True:
            if self.stopping.is_set():
                raise Draining("The service is stopping.", "Start it again and repeat.")
            with self.ledger.read() as connection:
                some = embeddings.live(connection, principal, self.embedder.fingerprint, after, until, _PLACED_AT_ONCE)
            if not some:
                return
            yield {key: vector for _, key, vector in some}
            after = some[-1][0]

    def _fill(self, index: Lexical) -> None:
        """Adds to a lexical index every chunk that was ever visible and that it lacks."""
        with self.ledger.read() as connection:
            known = [service(name, "indexes") for name in tenants.names(connection)]
        for principal in known:
            with self.ledger.read() as connection:
                seqs = chunks.all_seqs(connection, principal)
            for some in batches(seqs, _TERMS_AT_ONCE):
                self._add_terms(principal, some, index)

    def _add_terms(self, principal: Principal, seqs: Sequence[int], index: Lexical | None = None) -> None:
        index = index or self.terms
        with self.ledger.read() as connection:
            names = chunks.names(connection, principal, seqs)
            lacking = names.keys() - index.holds(names)
            found = chunks.load(connection, principal, sorted(names[name] for name in lacking))
        index.add((c.id, principal.tenant, c.knowledge, embedded_text_of(c)) for c in found.values())
        index.commit()
        if lost := lacking - index.holds(lacking):
            raise OSError(f"the lexical index did not keep {len(lost)} chunks")

    def _place(self, principal: Principal, collection: str, wanted: Mapping[str, NDArray[np.float32]]) -> bool:
        """Adds vectors, and notes those that are found and those that are not. Returns whether Chroma was there."""
        try:
            self.vectors.add(collection, wanted)
            found = self.vectors.found(collection, wanted)
        except VectorsUnavailable:
            self.reachable = False
            return False
        self.reachable = True
        self._note(principal, sorted(found), collection)
        self._in_vain[collection] |= wanted.keys() - found
        return True

    def _note(self, principal: Principal, keys: Sequence[str], collection: str | None) -> None:
        with self._noting:
            with self.ledger.write() as connection:
                if collection != self._pointer(connection, principal):
                    collection = None  # another serves since, and lacks them
                embeddings.place(connection, principal, self.embedder.fingerprint, keys, collection)
            self.catalogs.of(principal).mark(keys, collection is not None)

    def _note_lost(self, principal: Principal, collection: str) -> bool:
        """Notes what Chroma has lost. Returns whether it lost anything: where not, it holds all and doesn't find it."""
        with self.ledger.read() as connection:
            placed = embeddings.placed(connection, principal, self.embedder.fingerprint, collection)
        lost = sorted(set(placed) - self.vectors.present(collection, placed))
        _log.warning("the vector index lost %d of %d vectors", len(lost), len(placed))
        self._in_vain.pop(collection, None)
        self._note(principal, lost, None)
        return bool(lost)

    def _probe(self, principal: Principal, collection: str) -> bool:
        """Whether most of some vectors that Chroma should know are found by themselves.

        A large graph loses its way to one in some hundred: such ones are left to the exact search.
        """
        with self.ledger.read() as connection:
            probes = embeddings.sample(connection, principal, self.embedder.fingerprint, collection, _PROBES)
        unfound = sorted(probes.keys() - self.vectors.found(collection, probes))
        if 2 * len(unfound) > len(probes):
            return False
        self._note(principal, unfound, None)
        return True

    def _pointer(self, connection: Connection, principal: Principal) -> str:
        return embeddings.collection_of(connection, principal, self.embedder.fingerprint) or ""

    def _collection(self, principal: Principal) -> str:
        """A tenant's first collection for this embedder: Chroma allows few characters and learns no names."""
        name = digest(f"{principal.tenant}\n{self.embedder.fingerprint}".encode()).partition(":")[2]
        return f"groundtone-{name[:40]}-1"


def _beside(collection: str) -> str:
    """A name that no other build has, so that a writer that has lost its lease harms nobody's but its own."""
    return f"{collection.rpartition('-')[0]}-{secrets.token_hex(4)}"
