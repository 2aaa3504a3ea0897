"""The knowledge service without its HTTP: everything opened from the settings, started and stopped in order."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.errors import KnowledgeUnavailable, NotFound
from common.principal import Principal
from common.settings import Base, FolderSource, Settings, SqlSource
from retrieval.catalogs import Catalogs
from retrieval.choices import Choices
from retrieval.embed import Embedder, open_embedder
from retrieval.indexes import Indexes
from retrieval.ledger import embeddings
from retrieval.ledger.database import Ledger
from retrieval.ledger.services import DEFAULT_TENANT
from retrieval.lexical import Lexical
from retrieval.publish import Publisher
from retrieval.recut import Recut
from retrieval.rerank import Reranker, open_reranker
from retrieval.search import Search
from retrieval.sources.sql import SqlWatch
from retrieval.sources.watch import FolderWatch
from retrieval.sources.watcher import Watcher
from retrieval.switch import Serving
from retrieval.vectors import Vectors

_log = logging.getLogger(__name__)
_NO_VECTORS = "http://127.0.0.1:9"  # nobody listens there: every search is exact


class Knowledge:
    """One process's knowledge over a migrated ledger. `close` leaves nothing running."""

    def __init__(
        self,
        ledger: Ledger,
        embedder: Embedder,
        vectors: Vectors,
        home: Path,
        sources: Sequence[FolderSource | SqlSource] = (),
        reranker: Reranker | None = None,
        chosen: Sequence[Base] = (),
        second: Embedder | None = None,
    ) -> None:
        self.ledger, self.vectors, self.reranker = ledger, vectors, reranker
        self.terms = Lexical(home / "terms")
        stopping = threading.Event()

        def indexes(embedder: Embedder) -> Indexes:
            catalogs = Catalogs(home / "matrix", embedder.fingerprint, embedder.dimension)
            return Indexes(ledger, embedder, vectors, self.terms, catalogs, stopping)

        self.serving = Serving(indexes(embedder), indexes(second) if second else None)
        choices = Choices(chosen)
        self.publisher = Publisher(self.serving, choices)
        self.recut = Recut(ledger, self.publisher, choices)
        self.search = Search(self.indexes, reranker=reranker, choices=choices, serving=self.serving)
        self.sources: list[Watcher] = [
            FolderWatch(source, ledger, self.publisher)
            if isinstance(source, FolderSource)
            else SqlWatch(source, ledger, self.publisher)
            for source in sources
        ]
        self.scopes: Sequence[Sequence[str]] = ()
        self.searching = ThreadPoolExecutor(8, "search")
        self.reading = ThreadPoolExecutor(2, "intake")
        self.reading_slow = ThreadPoolExecutor(2, "slow intake")  # so that no two PDFs hold up every other document
        self.stopping = threading.Event()

    @classmethod
    def open(cls, settings: Settings) -> "Knowledge":
        """Opens what the settings name. Takes seconds: the embedder is loaded."""
        if settings.vectors.url is None:
            _log.warning("no vector index is configured; every search is exact")
        vectors = Vectors(settings.vectors.url or _NO_VECTORS)
        ledger = Ledger(settings.ledger_url)
        ledger.migrate()
        with ledger.read() as connection:
            known = embeddings.fingerprints(connection)
            current = embeddings.current(connection)
        embedder = open_embedder(settings.embedder, known)
        second: Embedder | None = None
        if settings.embedder.next is not None:
            try:
                second = open_embedder(settings.embedder.next, known)
            except KnowledgeUnavailable as error:
                if current not in (None, embedder.fingerprint):
                    raise  # it may be the one that serves
                _log.warning("the second embedder is left alone until the next start: %s", error)
        reranker = open_reranker(settings.reranker)
        home = settings.home.absolute()
        opened = cls(ledger, embedder, vectors, home, settings.sources, reranker, settings.bases, second)
        opened.publisher.keep = settings.retention
        opened.publisher.press.hold = settings.knowledge.hold_suspicious
        opened.scopes = [assistant.scope for assistant in settings.assistants if assistant.scope]
        return opened

    @property
    def indexes(self) -> Indexes:
        """Those of the embedder that serves."""
        return self.serving.now

    @property
    def catalogs(self) -> Catalogs:
        return self.serving.now.catalogs

    def start(self) -> None:
        # Nobody waits for it: where it fails, the first question with a scope tries again.
        self.searching.submit(self.search.prepare, self.scopes)
        self.publisher.start()
        self.recut.start()
        for source in self.sources:
            source.start()

    def close(self) -> None:
        self.stopping.set()
        for source in self.sources:
            source.close()
        self.publisher.close()
        self.recut.close()
        self.searching.shutdown()
        self.reading.shutdown()
        self.reading_slow.shutdown()
        self.terms.close()
        self.vectors.close()
        if self.reranker:
            self.reranker.close()
        self.ledger.close()

    @property
    def writes(self) -> bool:
        """Whether changes may be sent here."""
        return self.publisher.writing.is_set() and not self.stopping.is_set()

    def missing(self) -> list[str]:
        """Why questions should not be sent here yet; nothing where they may."""
        if self.stopping.is_set():
            return ["the service is stopping"]
        if not self.publisher.ready.is_set():
            return ["the ledger, the vectors and the terms are being compared"]
        texts = "{} of {} texts of the next are embedded".format(*self.indexes.progress)
        return [
            f"source {watch.source.name}: {watch.done} of {watch.total} documents are in, {texts}"
            for watch in self.sources
            if self.publisher.writing.is_set() and not self.publisher.followed and not watch.settled.is_set()
        ]

    def degraded(self) -> list[str]:
        """What is not as it should be while questions are answered all the same."""
        reasons: list[str] = []
        if not self.indexes.reachable:
            reasons.append("the vector index does not answer: every search is exact")
        if self.recut.left:
            reasons.append(f"{self.recut.left} documents are being cut again; their old chunks answer meanwhile")
        return reasons

    def source(self, principal: Principal, name: str) -> Watcher:
        for watch in self.sources_of(principal):
            if watch.source.name == name:
                return watch
        raise NotFound(f"There is no source {name!r}.", "List the sources with GET /v1/sources.", param="source")

    def sources_of(self, principal: Principal) -> list[Watcher]:
        """The sources that feed the principal's tenant: those of the settings belong to the default one."""
        return self.sources if principal.tenant == DEFAULT_TENANT else []
