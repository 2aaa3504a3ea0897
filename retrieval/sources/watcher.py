"""What every source is: a thread that looks, publishes what differs, and listens to an operator's words.

A source waits for each of its publications, so that two versions of a document are never on their way together. What
fails is told in its status and tried again; it never removes what was there, and never stops another source.
"""

import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import Connection

from common.errors import Draining, GroundtoneError, NotFound
from common.settings import FolderSource, SqlSource
from retrieval.ledger import bases, documents, feeds
from retrieval.ledger.database import Ledger
from retrieval.ledger.feeds import File
from retrieval.ledger.services import DEFAULT_TENANT, service
from retrieval.ledger.staging import Change, Content
from retrieval.publish import Publisher, Push

_log = logging.getLogger(__name__)
_NEVER_HELD = 5  # so few removals at once are an editor's, unless nothing is left
_LONGEST_BACK_OFF = 5.0
_ENDS_WITHIN = 5.0  # a thread that still waits for a database that hangs is left behind


class Status(StrEnum):
    STARTING = "starting"
    SYNCING = "syncing"
    WATCHING = "watching"
    PAUSED = "paused"
    HELD = "held"
    FAILING = "failing"


class Watcher(ABC):
    """One source. `settled` is set once its first sync is through, failing documents included."""

    def __init__(self, source: FolderSource | SqlSource, ledger: Ledger, publisher: Publisher) -> None:
        self.source = source
        self.settled = threading.Event()
        self.done = self.total = 0
        self.principal = service(DEFAULT_TENANT, f"source:{source.name}")
        self._ledger, self._publisher = ledger, publisher
        self._stop = threading.Event()
        self._known: dict[str, File] = {}
        self._behind_since: float | None = None
        self._failures = 0
        self._begun = self._paused = self._released = False
        self._held: str | None = None
        self._status, self._error = Status.STARTING, None
        self._threads = [threading.Thread(target=self._work, name=f"source {source.name}", daemon=True)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self._wake()
        for thread in self._threads:
            thread.join(_ENDS_WITHIN)

    @property
    def lag(self) -> float:
        """Seconds since the source was last known to be in step with what is published, 0 while it is."""
        since = self._behind_since
        return 0.0 if since is None else max(0.0, time.time() - since)

    def pause(self, paused: bool) -> None:
        """Stops or starts publishing; what changes meanwhile is published afterwards."""
        with self._ledger.write() as connection:
            feeds.update(connection, self.principal, self.source.name, paused=paused)
        self._paused = paused
        self._look_again()

    def sync(self) -> None:
        """Reads everything again, whatever was published of it. What is unchanged makes no snapshot.

        What a restore brought back and the source no longer has is gone then.
        """
        name = self.source.name
        with self._ledger.write() as connection:
            feeds.forget_contents(connection, self.principal, name)
            known = feeds.files(connection, self.principal, name)
            base = self._base(connection)
            for document in documents.of_source(connection, self.principal, base, name) if base else ():
                if document not in known:
                    feeds.saw(connection, self.principal, name, File(document, -1, -1, "", None))
        self._begun = False
        self._look_again()

    def release(self) -> None:
        """An operator's word that what is gone is meant to be gone."""
        self._released = True
        self._look_again()

    @abstractmethod
    def _step(self) -> None:
        """One thing to do; waits where there is nothing. Called again and again, `_begin` before the first."""

    @abstractmethod
    def _wake(self) -> None:
        """Ends the waiting of a step."""

    @abstractmethod
    def _look_again(self) -> None:
        """Makes the next step look at the source afresh."""

    def _work(self) -> None:
        while not self._stop.is_set():
            if not self._publisher.writing.wait(0.5):
                continue  # another process writes
            try:
                if not self._begun:
                    self._begin()
                self._step()
            except Exception as error:
                if not self._stop.is_set():
                    self._fail(error)

    def _begin(self) -> None:
        name = self.source.name
        with self._ledger.write() as connection:
            feeds.update(connection, self.principal, name)
            if self._base(connection) is None:
                bases.put(connection, self.principal, self.source.knowledge, None)
                feeds.forget_contents(connection, self.principal, name)  # one that was removed comes back whole
            self._paused = feeds.get(connection, self.principal, name).paused
            self._known = feeds.files(connection, self.principal, name)
        self._begun = True

    def _base(self, connection: Connection) -> bases.Base | None:
        every = bases.every(connection, self.principal)
        return next((base for base in every if base.name == self.source.knowledge), None)

    def _change(self, name: str, content: Content | None, labels: tuple[str, ...] | None) -> Change:
        return Change(self.source.knowledge, name, content, labels=labels, source=self.source.name)

    def _saw(self, files: Sequence[File], gone: Sequence[str] = ()) -> None:
        """Writes down what was published, or why it was not, and forgets what is gone."""
        with self._ledger.write() as connection:
            for file in files:
                known = self._known.get(file.path)
                if file.error and (known is None or known.error != file.error):
                    _log.warning("source %s: %s: %s", self.source.name, file.path, file.error)
                feeds.saw(connection, self.principal, self.source.name, file)
                self._known[file.path] = file
            for path in gone:
                feeds.forget(connection, self.principal, self.source.name, path)
                self._known.pop(path, None)

    def _push(self, changes: Sequence[Change], *, bulk: bool) -> dict[str, str]:
        """Publishes changes as one snapshot and waits until questions find them.

        Where that fails they are sent one by one, so that one that can't be published doesn't hold up the others:
        returns those and why. Raises what happened where nothing can be published at all.
        """
        try:
            return self._sent(changes, bulk)
        except Draining:
            raise
        except Exception as error:
            if len(changes) == 1:
                raise
            last = error
        failed: dict[str, str] = {}
        for change in changes:
            try:
                failed |= self._sent([change], bulk)
            except Draining:
                raise
            except Exception as error:
                failed[change.document], last = told(error), error
        if len(failed) == len(changes):
            raise last
        return failed

    def _sent(self, changes: Sequence[Change], bulk: bool) -> dict[str, str]:
        names = [change.document for change in changes]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        push = Push(self.principal, changes, f"{self.source.name}: {', '.join(names[:3])}{more}")
        outcomes = self._publisher.push(push, bulk=bulk).result().outcomes
        failed = {o.change.document: o.error for o in outcomes if o.error is not None and o.change.content is not None}
        for error in failed.values():
            if isinstance(error, NotFound):  # the knowledge base: the next try makes it again
                self._begun = False
                raise error
        return {name: told(error) for name, error in failed.items()}

    def _is_held(self, gone: int, known: int, left: int) -> bool:
        """Whether `gone` of `known` documents are too many to go without an operator's word; `left` is what is there.

        A source that turns empty has lost its volume or its table more often than its meaning.
        """
        shrunk = left < known * (1 - self.source.max_shrink)
        empty = not left and known > 1
        if self._released or not gone or not (empty or (shrunk and gone > _NEVER_HELD)):
            self._held = None
            return False
        self._held = f"{gone} of {known} documents are gone, {left} are there; release the source if that is meant."
        self._behind()
        return True

    def _behind(self) -> None:
        """Something is not published that may have changed."""
        self._behind_since = self._behind_since or time.time()

    def _in_step(self) -> None:
        """All that was seen is published."""
        self._failures = 0
        if not self._held:
            self._behind_since = None
        self._note(Status.WATCHING)
        self.settled.set()

    def _rest_paused(self) -> None:
        self._behind()
        self._note(Status.PAUSED)
        self.settled.set()

    def _note(self, status: Status, error: str | None = None) -> None:
        """Writes the status down where it changed."""
        if self._held and status is not Status.FAILING:
            status, error = Status.HELD, self._held
        if (status, error) != (self._status, self._error):
            self._status, self._error = status, error
            values = {"status": status, "error": error, "synced": time.time()}
            with self._ledger.write() as connection:
                feeds.update(connection, self.principal, self.source.name, **values)

    def _fail(self, error: Exception) -> None:
        """Notes what stopped the source, once, and goes on trying, ever more seldom."""
        self._behind()
        self._failures += 1
        self.settled.set()
        message = told(error)
        if message != self._error:
            _log.warning("source %s: %s", self.source.name, message, exc_info=not isinstance(error, GroundtoneError))
        with contextlib.suppress(Exception):
            self._note(Status.FAILING, message)
        self._look_again()
        self._stop.wait(min(_LONGEST_BACK_OFF, 2.0 ** (min(self._failures, 4) - 2)))


def told(error: Exception) -> str:
    """What may be told of an error: no path, no address, no SQL."""
    return str(error) if isinstance(error, GroundtoneError) else "It failed; see the log."
