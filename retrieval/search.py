"""Search: one question, one snapshot, the best evidence that the asker may see.

    pin → who may see what (exact, in memory) → neighbours and terms → fuse → confidence → merge → rerank? → evidence

What may not be read is left out before anything is scored, counted or ranked.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Conflict, InvalidRequest
from common.evidence import WEAK_BELOW, Evidence, Findings
from common.language import family_of, language_of
from common.principal import Principal
from common.prompt import fence
from retrieval.bags import coverage
from retrieval.catalog import Catalog, Mask, check_filters
from retrieval.choices import Choices
from retrieval.embed import Embedder
from retrieval.fuse import BEST, confidence, fuse_apart, merge
from retrieval.indexes import Indexes
from retrieval.ledger import bases, chunks, embeddings, snapshots, tenants
from retrieval.ledger.chunks import Chunk
from retrieval.lexical import EXACT_UP_TO as EXACT_UP_TO_TERMS
from retrieval.lexical import IndexLost
from retrieval.neighbours import EXACT_UP_TO, Neighbours, Rows, exact
from retrieval.pieces import embedded_text_of
from retrieval.rerank import Reranker, rerank
from retrieval.scope import Scopes
from retrieval.switch import Serving

_log = logging.getLogger(__name__)
MOST_RESULTS = 50
_REMEMBERED = 1024
_LONGEST_QUESTION = 8_000
_LONGEST_SCOPE = 4_000


class Search:
    """Answers questions from the ledger and its indexes. Blocking and thread-safe."""

    def __init__(
        self,
        indexes: Indexes,
        exact_up_to: int = EXACT_UP_TO,
        reranker: Reranker | None = None,
        choices: Choices | None = None,
        serving: Serving | None = None,
    ) -> None:
        self._serving, self._reranker = serving or Serving(indexes), reranker
        self._ledger = indexes.ledger
        self._choices = choices or Choices()
        self._neighbours = Neighbours(indexes.vectors, exact_up_to)
        self._scopes = Scopes()
        self._questions: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
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
        scope: Sequence[str] = (),
        other_embedder: bool = False,
    ) -> Findings:
        """The best `top_k` chunks for `question`, best first, all from the snapshot that `as_of` names.

        `scope` is what the asker's assistant is about, in words: the findings say whether the question is outside it.
        With `other_embedder` by the index that does not serve, to compare it with the one that does.

        Raises NotFound for an unknown knowledge base or snapshot, Gone for a dropped one, InvalidRequest.
        """
        _check(question, top_k, scope)
        checked = check_filters(filters)
        indexes = self._chosen(other_embedder)
        asked = self._embed(indexes.embedder, question)
        with self._ledger.read() as connection:
            if not other_embedder and (current := self._serving.current(connection)) is not indexes:
                indexes, asked = current, self._embed(current.embedder, question)
            for name in knowledge:
                bases.get(connection, principal, name)
            pin = snapshots.pin(connection, principal, as_of)
            tenant = tenants.get(connection, principal)
            catalog = indexes.catalogs.caught_up(connection, principal)
            if self._serving.follows:
                indexes.follow_terms(principal, tenant.head)
            collection = embeddings.collection_of(connection, principal, indexes.embedder.fingerprint)
        allowed = catalog.allowed(principal, knowledge, pin.number, pin.clock, checked)
        rows = np.flatnonzero(allowed)
        if not len(rows):
            outside = self._scopes.outside(indexes.embedder, asked, scope, 0.0)
            return Findings(pin.number, True, (), outside=outside)
        dense = self._near(catalog, asked, rows, collection if pin.number == pin.head else None)
        lexical = self._terms(catalog, principal, knowledge, question, allowed)
        weights = self._choices.weights(principal, knowledge)
        langs = {row: catalog.lang(row) for row in {*dense, *lexical}}
        depth = max(top_k, self._reranker.candidates if self._reranker else 0)
        rankings = [ranked[:depth] for ranked in fuse_apart(question, dense, lexical, langs, weights)]
        loaded = self._loaded(principal, catalog, [row for ranked in rankings for row in ranked])
        trust = self._trust(catalog, question, asked, loaded)
        found, reranked = [(row, loaded[row]) for row in merge(question, rankings, langs, trust)[:depth]], None
        if self._reranker and len(found) > 1:
            found, reranked = rerank(self._reranker, question, found, lambda one: embedded_text_of(one[1]))
        evidence = [_evidence(chunk, trust[row], tenant.secret) for row, chunk in found[:top_k]]
        best = max((one.score for one in evidence), default=0.0)
        weak = best < (WEAK_BELOW if min_evidence is None else min_evidence)
        outside = self._scopes.outside(indexes.embedder, asked, scope, best)
        return Findings(pin.number, weak, tuple(evidence), reranked, outside)

    def prepare(self, scopes: Iterable[Sequence[str]]) -> None:
        """Embeds what questions with these scopes are compared with, so that none of them waits for it."""
        for scope in scopes:
            self._scopes.known(self._serving.now.embedder, scope)

    def _chosen(self, other: bool) -> Indexes:
        chosen = self._serving.other if other else self._serving.now
        if chosen is None:
            raise Conflict("There is no second embedder.", "Set [embedder.next], and start the service again.")
        return chosen

    def _embed(self, embedder: Embedder, question: str) -> NDArray[np.float32]:
        """The question's vector; the last ones are remembered."""
        key = embedder.fingerprint, question
        with self._lock:
            if (known := self._questions.get(key)) is not None:
                self._questions.move_to_end(key)
                return known
        vector = embedder.questions([question])[0]
        with self._lock:
            self._questions[key] = vector
            while len(self._questions) > _REMEMBERED:
                self._questions.popitem(last=False)
        return vector

    def _near(
        self, catalog: Catalog, asked: NDArray[np.float32], rows: Rows, collection: str | None
    ) -> dict[int, float]:
        """The nearest rows of each language: those of the asker's own would crowd out all others."""
        near: dict[int, float] = {}
        for written in catalog.by_family(rows):
            near |= self._neighbours.near(catalog, asked, written, BEST, collection)
        return near

    def _terms(
        self, catalog: Catalog, principal: Principal, knowledge: Sequence[str], question: str, allowed: Mask
    ) -> dict[int, float]:
        """The allowed rows with the best terms: of few rows exactly, of many among all that the index finds."""
        rows = np.flatnonzero(allowed)
        only = [catalog.names[row] for row in rows] if len(rows) <= EXACT_UP_TO_TERMS else None
        limit = 2 * BEST
        while True:
            try:
                found = self._serving.now.terms.search(principal.tenant, knowledge, question, limit, only)
            except IndexLost:
                _log.warning("the lexical index was lost; questions are answered by vectors until it is built again")
                self._serving.now.terms_lost.set()
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

    def _loaded(self, principal: Principal, catalog: Catalog, rows: Sequence[int]) -> dict[int, Chunk]:
        seq_of = {row: int(catalog.column("chunk")[row]) for row in rows}
        with self._ledger.read() as connection:
            loaded = chunks.load(connection, principal, list(seq_of.values()))
        return {row: loaded[seq] for row, seq in seq_of.items() if seq in loaded}

    def _trust(
        self, catalog: Catalog, question: str, asked: NDArray[np.float32], found: Mapping[int, Chunk]
    ) -> dict[int, float]:
        """How likely each of `found` is to answer, by its row."""
        cosines = exact(catalog, asked, np.array(list(found), dtype=np.int64), len(found))
        shares = coverage(question, [embedded_text_of(chunk) for chunk in found.values()])
        asked_in = language_of(question)
        rivalled = family_of(asked_in) in {family_of(chunk.lang) for chunk in found.values()}
        return {
            row: confidence(cosines.get(row, 0.0), float(share), asked=asked_in, written=chunk.lang, rivalled=rivalled)
            for (row, chunk), share in zip(found.items(), shares, strict=True)
        }


def _evidence(chunk: Chunk, score: float, secret: bytes) -> Evidence:
    return Evidence(
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
        score=round(score, 4),
        fence=fence(secret, chunk.digest),
    )


def _check(question: str, top_k: int, scope: Sequence[str]) -> None:
    if not question.strip():
        raise InvalidRequest("The question is empty.", "Send some text to search for.", param="question")
    if len(question) > _LONGEST_QUESTION:
        do = f"Send at most {_LONGEST_QUESTION:,} characters."
        raise InvalidRequest("The question is too long to search with.", do, param="question")
    if not 1 <= top_k <= MOST_RESULTS:
        raise InvalidRequest("top_k is out of range.", f"Use 1 to {MOST_RESULTS}.", param="top_k")
    if sum(map(len, scope)) > _LONGEST_SCOPE:
        # Each scope is embedded, so an unbounded one would hold up the questions of others.
        do = f"Send at most {_LONGEST_SCOPE:,} characters in all."
        raise InvalidRequest("The scope is too long to compare with.", do, param="scope")
