"""The lexical index: terms and where they occur, derived from the ledger and never its equal.

tantivy finds candidates; what they score is computed here. BM25's two parameters are set for chunks, which are cut to
like lengths: how often a term is repeated counts for little, and how long the chunk is for nothing.

A small set of allowed chunks is scored exactly, from that set alone: nothing outside it, and no dead version of a
chunk inside it, has any influence. Above that size the candidates and the weights of terms come from the whole index.
"""

import logging
import math
import shutil
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import tantivy
from tantivy import Occur, Query

from retrieval import analysis
from retrieval.bags import Bag, bag_of, score

_log = logging.getLogger(__name__)

EXACT_UP_TO = 4_000
"""Allowed chunks that are scored exactly, in a few milliseconds."""
_VERSION_FILE = "groundtone.version"
_HEAP = 32 * 1024 * 1024
_MOST_TERMS = 256
_REMEMBERED = 50_000


class IndexLost(Exception):
    """The index was unreadable and is empty now: add every live chunk again. Nothing but time is lost."""


class Lexical:
    """One directory, one writer; searches run beside it and see what was last committed. Safe to call from threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._pending: set[str] = set()
        self._writer: Any = None
        self._bags: OrderedDict[tuple[str, str], Bag] = OrderedDict()  # by scope and chunk
        try:
            self._index = self._open()
        except Exception:
            # tantivy raises whatever its parsers meet in a damaged file; it is derived data, so it is made anew
            _log.warning("the lexical index was unreadable and begins empty")
            self._wipe()
            self._index = self._open()

    def add(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Adds `(chunk id, tenant, knowledge, text)`; a chunk that is there already is left as it is."""
        with self._lock:
            searcher = self._index.searcher()
            for chunk, tenant, knowledge, text in rows:
                if chunk in self._pending or searcher.doc_freq("chunk", chunk):
                    continue
                document = tantivy.Document()
                document.add_text("chunk", chunk)
                document.add_text("scope", _scope(tenant, knowledge))
                document.add_text("terms", " ".join(analysis.terms(text)))
                self._writing().add_document(document)
                self._pending.add(chunk)

    def commit(self) -> None:
        """Makes what was added durable and found by the next search.

        Raises OSError when the disk does not take it: what was added since the last commit is gone then, the rest is
        as it was. Raises IndexLost when that is unreadable too.
        """
        with self._lock:
            if not self._pending:
                return
            try:
                self._writing().commit()
                self._index.reload()
            except Exception as error:
                self._abandon_writer()
                self._check(error)
                raise OSError("the lexical index could not be committed") from error
            self._pending.clear()

    def search(
        self,
        tenant: str,
        knowledge: Sequence[str],
        question: str,
        limit: int,
        allowed: Collection[str] | None = None,
    ) -> list[tuple[str, float]]:
        """The best `limit` chunks of these knowledge bases, best first. Raises IndexLost.

        With `allowed`, chunk ids, only those; up to EXACT_UP_TO of them are scored exactly.
        """
        wanted = list(dict.fromkeys(analysis.terms(question)))[:_MOST_TERMS]
        if not wanted or not knowledge or limit < 1 or (allowed is not None and not allowed):
            return []
        scopes = [_scope(tenant, name) for name in knowledge]
        try:
            if allowed is not None and len(allowed) <= EXACT_UP_TO:
                bags = self._known(scopes, allowed)
                found = score(wanted, bags)
            else:
                searcher = self._index.searcher()
                bags = self._candidates(searcher, scopes, wanted, limit if allowed is None else 8 * limit)
                weights = [_weight(searcher.doc_freq("terms", term), searcher.num_docs) for term in wanted]
                found = score(wanted, bags, weights)
        except Exception as error:
            with self._lock:
                self._check(error)
            raise
        kept = None if allowed is None else frozenset(allowed)
        best = sorted(zip(bags, found.tolist(), strict=True), key=lambda entry: -entry[1])
        return [(chunk, got) for chunk, got in best if got > 0 and (kept is None or chunk in kept)][:limit]

    def count(self) -> int:
        """How many chunks are committed."""
        return int(self._index.searcher().num_docs)

    def holds(self, chunks: Collection[str]) -> set[str]:
        """Those of `chunks` that are committed."""
        searcher = self._index.searcher()
        return {chunk for chunk in chunks if searcher.doc_freq("chunk", chunk)}

    def clear(self) -> None:
        """Empties the index, on disk too."""
        with self._lock:
            self._renew()

    def beside(self) -> "Lexical":
        """An empty index in a folder beside this one's."""
        other = Lexical(self._directory.with_name(f"{self._directory.name}-fresh"))
        other.clear()
        return other

    def become(self, other: "Lexical") -> None:
        """Takes the place of `other`'s files in its own. Searches that run meanwhile see the old index or the new."""
        with self._lock:
            other.close()
            self._abandon_writer()
            self._bags.clear()
            self._wipe()
            other._directory.rename(self._directory)
            self._index = self._open()

    def close(self) -> None:
        """Gives the writer's lock back. What was not committed is lost."""
        with self._lock:
            self._abandon_writer()

    def _candidates(self, searcher: Any, scopes: list[str], wanted: list[str], limit: int) -> dict[str, Bag]:
        schema = self._index.schema
        words = Query.boolean_query([(Occur.Should, Query.term_query(schema, "terms", term)) for term in wanted])
        return self._fetch(
            searcher, Query.boolean_query([(Occur.Must, self._within(scopes)), (Occur.Must, words)]), limit
        )

    def _known(self, scopes: list[str], chunks: Collection[str]) -> dict[str, Bag]:
        """The bags of `chunks` within `scopes`; those that were used before come from memory."""
        known = {
            chunk: bag for scope in scopes for chunk in chunks if (bag := self._bags.get((scope, chunk))) is not None
        }
        if missing := [chunk for chunk in chunks if chunk not in known]:
            ids = Query.const_score_query(Query.term_set_query(self._index.schema, "chunk", missing), 0.0)
            query = Query.boolean_query([(Occur.Must, self._within(scopes)), (Occur.Must, ids)])
            known |= self._fetch(self._index.searcher(), query, len(missing))
        return known

    def _within(self, scopes: list[str]) -> Any:
        return Query.const_score_query(Query.term_set_query(self._index.schema, "scope", scopes), 0.0)

    def _fetch(self, searcher: Any, query: Any, limit: int) -> dict[str, Bag]:
        bags: dict[tuple[str, str], Bag] = {}
        for _, address in searcher.search(query, limit, count=False).hits:
            document = searcher.doc(address)
            key = document["scope"][0], document["chunk"][0]
            bag = self._bags.get(key)
            bags[key] = bag if bag is not None else bag_of(document["terms"][0].split())
        with self._lock:
            self._bags.update(bags)
            while len(self._bags) > _REMEMBERED:
                self._bags.popitem(last=False)
        return {chunk: bag for (_, chunk), bag in bags.items()}

    def _writing(self) -> Any:
        if self._writer is None:
            self._writer = self._index.writer(_HEAP, 1)
        return self._writer

    def _abandon_writer(self) -> None:
        writer, self._writer = self._writer, None
        self._pending.clear()
        try:
            if writer is not None:
                writer.rollback()
                writer.wait_merging_threads()
        except Exception:
            _log.warning("the lexical index's writer could not be closed", exc_info=True)

    def _check(self, error: Exception) -> None:
        """Raises IndexLost, and begins anew, when the index can't be opened any more.

        tantivy has no errors of its own in Python; whether the index still opens tells a loss from anything else.
        """
        try:
            self._index = self._open()
        except Exception:
            self._renew()
            raise IndexLost from error

    def _renew(self) -> None:
        self._abandon_writer()
        self._bags.clear()
        self._wipe()
        self._index = self._open()

    def _wipe(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _open(self) -> Any:
        version = self._directory / _VERSION_FILE
        if self._directory.exists() and (not version.exists() or version.read_text() != str(analysis.VERSION)):
            self._wipe()
        self._directory.mkdir(parents=True, exist_ok=True)
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("chunk", stored=True, tokenizer_name="raw", index_option="basic")
        builder.add_text_field("scope", stored=True, tokenizer_name="raw", index_option="basic")
        builder.add_text_field("terms", stored=True, tokenizer_name="words", index_option="freq")
        index = tantivy.Index(builder.build(), path=str(self._directory))
        index.register_tokenizer("words", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
        index.config_reader("manual", 1)
        index.searcher().search(Query.all_query(), 1)
        version.write_text(str(analysis.VERSION))
        return index


def _scope(tenant: str, knowledge: str) -> str:
    """Ids hold no control characters, so a tenant's name can't reach into another's scope."""
    return f"{tenant}\x1f{knowledge}"


def _weight(holding: int, of: int) -> float:
    return math.log(1 + (of - holding + 0.5) / (holding + 0.5))
