"""Upkeep: what the writer does for its indexes beside publishing. All of it can be done twice, or be broken off."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection

from common.errors import Draining, GroundtoneError
from common.principal import Principal
from common.settings import Retention
from retrieval.ledger import retention
from retrieval.switch import Serving

_log = logging.getLogger(__name__)
_TRIED_AGAIN = 60.0  # seconds after a compaction that failed


class Upkeep:
    """Repairs in the caller's thread, builds in one of its own. `in_turn` runs something between two publications."""

    def __init__(
        self,
        serving: Serving,
        fence: Callable[[Connection], None],
        in_turn: Callable[[Callable[[], Any]], Future[Any]],
    ) -> None:
        self._serving, self._fence, self._in_turn = serving, fence, in_turn
        self._builder = ThreadPoolExecutor(1, "builder")
        self._compacting: Future[None] | None = None
        self._not_before = 0.0
        self._embedder = ThreadPoolExecutor(1, "second")
        self._embedding: Future[None] | None = None

    def close(self) -> None:
        self._builder.shutdown()
        self._embedder.shutdown()

    def round(self, principals: Sequence[Principal]) -> None:
        """Makes whole what was lost, and has collections built anew that are mostly dead."""
        if self._serving.now.terms_lost.is_set():
            self._serving.now.repair_terms()
        for principal in principals:
            self._serving.now.repair_vectors(principal)
            idle = self._compacting is None or self._compacting.done()
            if idle and time.monotonic() > self._not_before and self._serving.now.crowded(principal):
                self._compacting = self._builder.submit(self._compact, principal)
        self._serving.now.drop_left_behind()
        if self._embedding is None or self._embedding.done():
            self._embedding = self._embedder.submit(self._embed, list(principals))

    def rebuild(self, principal: Principal) -> Future[dict[str, int]]:
        """Builds both indexes anew from the ledger, beside those that serve; embeds nothing.

        Questions and publications go on. The future holds how many vectors and chunks they have then.
        """

        def run() -> dict[str, int]:
            vectors = self._serving.now.rebuild_vectors(principal, self._fence)
            return {"vectors": vectors, "terms": self._in_turn_terms()}

        return self._builder.submit(run)

    def _embed(self, principals: Sequence[Principal]) -> None:
        try:
            for principal in principals:
                self._serving.make_whole(principal)
        except Draining:
            return
        except Exception as error:
            expected = isinstance(error, GroundtoneError)
            _log.warning("the other embedder's index is not whole: %s", error, exc_info=not expected)

    def retain(self, principal: Principal, keep: Retention, idle: Callable[[], bool]) -> Future[int]:
        """Drops what `keep` no longer keeps, from the ledger, the vectors and the terms.

        Between publications, some documents at a time, and only while `idle`; what is left then waits for the next
        time. The future holds how many documents lost a part of their past.
        """

        def some() -> int:
            if not idle():
                return 0
            with self._serving.now.ledger.write() as connection:
                self._fence(connection)
                return retention.drop_some(connection, principal)

        def run() -> int:
            with self._serving.now.ledger.write() as connection:
                self._fence(connection)
                oldest = retention.oldest_kept(connection, principal, keep, time.time())
                retention.move_oldest(connection, principal, oldest)
            count = 0
            while found := self._in_turn(some).result():
                count += found
            if count:
                with self._serving.now.ledger.write() as connection:
                    self._fence(connection)
                    retention.rewritten(connection, principal)
                for indexes in self._serving.each:
                    indexes.rebuild_vectors(principal, self._fence)
                self._in_turn_terms()
                _log.info("%d documents lost what they were before snapshot %d", count, oldest)
            return count

        return self._builder.submit(run)

    def _in_turn_terms(self) -> int:
        fresh = self._serving.now.rebuild_terms()
        return self._in_turn(lambda: self._serving.now.take_terms(fresh)).result()

    def _compact(self, principal: Principal) -> None:
        began = time.monotonic()
        try:
            count = self._serving.now.rebuild_vectors(principal, self._fence)
        except Draining:
            return
        except Exception:
            self._not_before = time.monotonic() + _TRIED_AGAIN
            _log.exception("a collection could not be compacted; the old one goes on serving")
            return
        _log.info("a collection was compacted to %d vectors in %.1f s", count, time.monotonic() - began)
