"""Search: one question, one snapshot, the best evidence that the asker may see.

    pin → who may see what (exact, in memory) → neighbours and terms → fuse → confidence → evidence

Exact search over the allowed vectors is the reference, and is what small sets, the past and an absent Chroma get.
Chroma only speeds up large open sets, and only as long as enough of what it finds is visible.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InvalidRequest
from common.evidence import Evidence, Findings
from common.language import language_of
from common.principal import Principal
from common.prompt import fence
from retrieval.catalog import Catalog, Mask, check_filters
from retrieval.catalogs import Catalogs
from retrieval.fuse import BEST, WEAK_BELOW, confidence, fuse
from retrieval.indexes import Indexes, embedded_text_of
from retrieval.ledger import bases, chunks, embeddings, snapshots, tenants
from retrieval.lexical import EXACT_UP_TO as EXACT_UP_TO_TERMS
from retrieval.lexical import IndexLost
from retrieval.vectors import VectorsUnavailable

_log = logging.getLogger(__name__)
EXACT_UP_TO = 20_000  # allowed rows: below, multiplying them all takes less time than asking Chroma
MOST_RESULTS = 50
_REMEMBERED = 1024
_LONGEST_QUESTION = 8_000


class Search:
    """Answers questions from the ledger and its indexes. Blocking and thread-safe."""

    def __init__(self, indexes: Indexes, catalogs: Catalogs, exact_up_to: int = EXACT_UP_TO) -> None:
        self._indexes, self._catalogs = indexes, catalogs
        self._ledger, self._embedder = indexes.ledger, indexes.embedder
        self._exact_up_to = exact_up_to
        self._questions: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self,
        principal: Principal,
        knowledge: Sequence[str],
        question: str,
        *,
        as_of: int | str | None = None,
        top_k: int = 5,
        filters: Mapping[str, Any] | None = None,
        min_evidence: float | None = None,
    ) -> Findings:
        """The best `top_k` chunks for `question`, best first, all from the snapshot that `as_of` names.

        Raises NotFound for an unknown knowledge base or snapshot, Gone for a dropped one, InvalidRequest.
        """
        _check(question, top_k)
        checked = check_filters(filters)
        asked = self._embed(question)
        with self._ledger.read() as connection:
            for name in knowledge:
                bases.get(connection, principal, name)
            pin = snapshots.pin(connection, principal, as_of)
            tenant = tenants.get(connection, principal)
            catalog = self._catalogs.caught_up(connection, principal)
            collection = embeddings.collection_of(connection, principal, self._embedder.fingerprint)
        allowed = catalog.allowed(principal, knowledge, pin.number, pin.clock, checked)
        rows = np.flatnonzero(allowed)
        if not len(rows):
            return Findings(pin.number, True, ())
        exact = len(rows) <= self._exact_up_to or pin.number != pin.head or not collection
        dense = {} if exact else self._neighbours(catalog, str(collection), asked, rows)
        if len(dense) < BEST:
            dense = _exact(catalog, asked, rows)
        lexical = self._terms(catalog, principal, knowledge, question, allowed)
        langs = {row: catalog.lang(row) for row in {*dense, *lexical}}
        ranked = [row for row, _ in fuse(question, dense, lexical, langs)][:top_k]
        evidence = self._evidence(principal, catalog, tenant.secret, question, asked, ranked)
        best = max((found.score for found in evidence), default=0.0)
        return Findings(pin.number, best < (WEAK_BELOW if min_evidence is None else min_evidence), tuple(evidence))

    def _embed(self, question: str) -> NDArray[np.float32]:
        """The question's vector; the last ones are remembered."""
        with self._lock:
            if (known := self._questions.get(question)) is not None:
                self._questions.move_to_end(question)
                return known
        vector = self._embedder.questions([question])[0]
        with self._lock:
            self._questions[question] = vector
            while len(self._questions) > _REMEMBERED:
                self._questions.popitem(last=False)
        return vector

    def _neighbours(
        self, catalog: Catalog, collection: str, asked: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> dict[int, float]:
        """Allowed rows near the question: Chroma's, and exactly those that Chroma is not known to find."""
        try:
            answer = self._indexes.vectors.query(collection, [asked], 4 * BEST)[0]
        except VectorsUnavailable:
            return {}
        vector_of = catalog.column("vector")[rows]
        near = np.array([catalog.keys[key] for key, _ in answer if key in catalog.keys], dtype=np.int64)
        tail = np.flatnonzero(~catalog.placed)
        return _exact(catalog, asked, rows[np.isin(vector_of, np.concatenate([near, tail]))])

    def _terms(
        self, catalog: Catalog, principal: Principal, knowledge: Sequence[str], question: str, allowed: Mask
    ) -> dict[int, float]:
        """The allowed rows with the best terms: of few rows exactly, of many among all that the index finds."""
        rows = np.flatnonzero(allowed)
        only = [catalog.names[row] for row in rows] if len(rows) <= EXACT_UP_TO_TERMS else None
        limit = 2 * BEST
        while True:
            try:
                found = self._indexes.terms.search(principal.tenant, knowledge, question, limit, only)
            except IndexLost:
                _log.warning("the lexical index was lost; questions are answered by vectors until it is built again")
                self._indexes.terms_lost.set()
                return {}
            by_row = {
                row: score
                for id_, score in found
                for row in catalog.rows_of(id_)
                if row < len(allowed) and allowed[row]
            }
            if len(by_row) >= BEST or len(found) < limit or limit >= 64 * BEST:
                return dict(list(by_row.items())[:BEST])
            limit *= 8

    def _evidence(
        self,
        principal: Principal,
        catalog: Catalog,
        secret: bytes,
        question: str,
        asked: NDArray[np.float32],
        ranked: Sequence[int],
    ) -> list[Evidence]:
        seq_of = {row: int(catalog.column("chunk")[row]) for row in ranked}
        with self._ledger.read() as connection:
            loaded = chunks.load(connection, principal, list(seq_of.values()))
        cosines = _exact(catalog, asked, np.array(ranked, dtype=np.int64), count=len(ranked))
        found = [(row, loaded[seq_of[row]]) for row in ranked if seq_of[row] in loaded]
        covered = self._indexes.terms.coverage(question, [embedded_text_of(chunk) for _, chunk in found])
        asked_in = language_of(question)
        return [
            Evidence(
                chunk=chunk.id,
                digest=chunk.digest,
                knowledge=chunk.knowledge,
                document=chunk.document,
                revision=chunk.revision,
                title=chunk.title,
                heading=(chunk.title, *(h for h in chunk.heading if h != chunk.title)),
                text=chunk.text,
                span=(chunk.start, chunk.end),
                page=chunk.page,
                lang=chunk.lang,
                position=chunk.position,
                score=round(confidence(cosines.get(row, 0.0), float(share), asked=asked_in, written=chunk.lang), 4),
                fence=fence(secret, chunk.digest),
            )
            for (row, chunk), share in zip(found, covered, strict=True)
        ]


def _exact(
    catalog: Catalog, asked: NDArray[np.float32], rows: NDArray[np.int64], count: int = BEST
) -> dict[int, float]:
    """The `count` rows nearest to `asked` by cosine, computed for every one of `rows`. Shape of `asked`: `(d,)`."""
    vector_of = catalog.column("vector")[rows]
    rows, vector_of = rows[vector_of >= 0], vector_of[vector_of >= 0]
    vectors = catalog.matrix.vectors
    few = 2 * len(rows) < len(vectors)  # gathering most rows costs more than multiplying all
    cosines = vectors[vector_of] @ asked if few else (vectors @ asked)[vector_of]
    best = np.argsort(-cosines, kind="stable")[:count] if len(rows) <= 4 * count else _top(cosines, count)
    return {int(rows[i]): float(cosines[i]) for i in best}


def _top(cosines: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    some = np.argpartition(-cosines, count)[:count]
    return some[np.argsort(-cosines[some], kind="stable")]


def _check(question: str, top_k: int) -> None:
    if not question.strip():
        raise InvalidRequest("The question is empty.", "Send some text to search for.", param="question")
    if len(question) > _LONGEST_QUESTION:
        do = f"Send at most {_LONGEST_QUESTION:,} characters."
        raise InvalidRequest("The question is too long to search with.", do, param="question")
    if not 1 <= top_k <= MOST_RESULTS:
        raise InvalidRequest("top_k is out of range.", f"Use 1 to {MOST_RESULTS}.", param="top_k")
