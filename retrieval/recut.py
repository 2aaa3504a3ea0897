"""Cutting again: a knowledge base whose strategy was changed, without its sources.

A revision keeps its text and structure in the ledger, so its document can be cut anew at any time. That makes a
revision with the same text and other chunks, published like any change; until then the old chunks answer. What was
embedded before is not embedded again.
"""

import logging
import threading
from collections.abc import Sequence

from common.errors import Conflict, Draining, GroundtoneError, NotFound
from common.principal import Principal
from retrieval.choices import Choices
from retrieval.ledger import bases, documents
from retrieval.ledger.database import Ledger
from retrieval.ledger.documents import Revision
from retrieval.ledger.services import DEFAULT_TENANT, service
from retrieval.ledger.staging import Change, Content
from retrieval.publish import Publisher, Push
from retrieval.text import Block, BlockKind

_log = logging.getLogger(__name__)
_AT_ONCE = 4  # documents a snapshot
_ENDS_WITHIN = 5.0


class Recut:
    """One thread, once a start: it compares how documents were cut with how they are to be cut."""

    def __init__(self, ledger: Ledger, publisher: Publisher, choices: Choices) -> None:
        self._ledger, self._publisher, self._choices = ledger, publisher, choices
        self._stop = threading.Event()
        self.left = 0  # documents that wait to be cut again
        self.settled = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recut", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends it; call it after the publisher is closed. What is left is cut again after the next start."""
        self._stop.set()
        self._thread.join(_ENDS_WITHIN)

    def _work(self) -> None:
        while not self._publisher.writing.wait(0.2):
            if self._stop.is_set():
                return
        principal = service(DEFAULT_TENANT, "recut")
        try:
            with self._ledger.read() as connection:
                every = bases.every(connection, principal)
            for base in every:
                self._cut(principal, base)
        except Draining:
            return
        except Exception as error:
            # The old chunks go on answering; the next start tries again
            _log.warning("documents could not be cut again: %s", error, exc_info=not isinstance(error, GroundtoneError))
        self.left = 0
        self.settled.set()

    def _cut(self, principal: Principal, base: bases.Base) -> None:
        label = self._choices.strategy(principal, base.name).label
        with self._ledger.read() as connection:
            found = documents.cut_otherwise(connection, principal, base, label)
        names = [name for name, kept in found if kept]
        if lost := len(found) - len(names):
            _log.warning("%s: %d documents are not cut by %s yet: send them again", base.name, lost, label)
        self.left = len(names)
        for start in range(0, len(names), _AT_ONCE):
            if self._stop.is_set():
                return
            self._publish(principal, base, names[start : start + _AT_ONCE], label)
            self.left = max(0, len(names) - start - _AT_ONCE)
            _log.info("%s: %d documents are left to be cut by %s", base.name, self.left, label)

    def _publish(self, principal: Principal, base: bases.Base, names: Sequence[str], label: str) -> None:
        """Publishes these documents as they are: the publisher cuts every document as its knowledge base wants it."""
        changes: list[Change] = []
        with self._ledger.read() as connection:
            for name in names:
                try:
                    now = documents.get(connection, principal, base, name)
                except NotFound:
                    continue  # removed meanwhile
                changes.append(
                    Change(base.name, name, _content(now), source=now.source, if_match=now.revision, yields=True)
                )
        push = Push(principal, changes, f"Cut again by {label}")
        for outcome in self._publisher.push(push, bulk=True).result().outcomes:
            if outcome.error is not None and not isinstance(outcome.error, Conflict | NotFound):
                raise outcome.error


def _content(revision: Revision) -> Content:
    return Content(
        title=revision.title,
        lang=revision.lang,
        media_type=revision.media_type,
        text=revision.text or "",
        digest=revision.digest,
        identity=revision.identity,
        blocks=[Block(BlockKind(kind), *place) for kind, *place in revision.blocks or ()],
        metadata=revision.metadata,
        effective_from=revision.effective_from,
        effective_until=revision.effective_until,
    )
