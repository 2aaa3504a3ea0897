"""Polls a database and publishes the rows that changed in it.

Two looks. The quick one reads the rows whose cursor is at the highest one seen or above it, and finds a changed price
at once: a SQLite file is looked at as soon as it is written to, others at every interval. The whole one compares every
row: it finds what is gone, and what a long transaction committed below the cursor. It takes its share of the time:
often where it is quick, seldom where the table is large.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from common.errors import GroundtoneError
from common.settings import SqlSource
from retrieval.ledger.database import Ledger
from retrieval.ledger.feeds import File
from retrieval.ledger.staging import Change
from retrieval.publish import Publisher
from retrieval.sources.table import Fact, Table
from retrieval.sources.watcher import Status, Watcher

_log = logging.getLogger(__name__)
_TOGETHER = 64  # what one look found becomes one snapshot, up to so many rows
_AT_ONCE = 16  # of more, so many at a time: others are published between them
_SHARE = 50  # a whole look costs at most a fiftieth of the time
_TRIED_AGAIN = 30.0  # seconds, for a row that could not be published
_GLANCE = 0.05  # seconds, after which a file's time of change is looked at again
_RARELY = 10  # times as long as a look took nothing is looked at, however often the file is written to
_PATIENCE = 15.0  # seconds, after which a database that has not answered yet keeps nobody from starting


def _highest(cursors: Sequence[Any]) -> Any:
    """The highest of them; None, which calls for a whole look, where they can't be compared."""
    try:
        return max(cursors, default=None)
    except TypeError:
        return None


class SqlWatch(Watcher):
    """One SQL source. `table` says what its rows are now, `_known` what was published of them."""

    def __init__(self, source: SqlSource, ledger: Ledger, publisher: Publisher) -> None:
        super().__init__(source, ledger, publisher)
        self._sql = source
        self._table = Table(source)
        self._woken = threading.Event()
        self._backlog: list[Fact | str] = []  # what to publish, and keys of what to remove
        self._cursor: Any = None  # the highest that was seen; not kept over a restart, which looks at every row
        self._whole_due = 0.0
        self._stamp: object = None  # of the file, before the last look
        self._failed: dict[str, tuple[str, float]] = {}  # by key: the digest that failed, and when to try it again
        self._twice: set[str] = set()

    def start(self) -> None:
        super().start()
        self._patience = threading.Timer(_PATIENCE, self._give_way)
        self._patience.daemon = True
        self._patience.start()

    def close(self) -> None:
        self._patience.cancel()
        super().close()
        self._table.close()

    def _give_way(self) -> None:
        if not self.total:
            self.settled.set()

    def _wake(self) -> None:
        self._woken.set()

    def _look_again(self) -> None:
        self._whole_due = 0.0
        self._wake()

    def _step(self) -> None:
        """One thing: a part of the backlog, else a look; then a rest."""
        if self._paused:
            self._backlog = []
            self._rest_paused()
            self._rest(1.0, 1.0)
        elif self._backlog:
            count = len(self._backlog) if len(self._backlog) <= _TOGETHER and not self.done else _AT_ONCE
            some, self._backlog = self._backlog[:count], self._backlog[count:]
            self._publish(some, bulk=count > _AT_ONCE or bool(self._backlog or self.done))
        else:
            began = time.monotonic()
            self._look(whole=self._cursor is None or began >= self._whole_due)
            if not self._backlog:
                self._in_step()
                took = time.monotonic() - began
                self._rest(max(self._sql.interval, took), max(_GLANCE, _RARELY * took))

    def _rest(self, seconds: float, least: float) -> None:
        """Waits `seconds`, after `least` only until the file is written to, and never longer than until woken."""
        end = time.monotonic() + seconds
        wait = min(seconds, least)
        while not self._woken.wait(wait):
            wait = min(end - time.monotonic(), _GLANCE)
            if wait <= 0 or self._table.stamp() != self._stamp:
                break
        self._woken.clear()

    def _look(self, *, whole: bool) -> None:
        """Reads rows and makes a backlog of those that differ from what was published."""
        began = time.monotonic()
        self._stamp = self._table.stamp()
        if whole:
            self._whole_due = math.inf  # until somebody asks for another look meanwhile
        found: dict[str, Fact] = {}
        twice: set[str] = set()
        for fact in self._table.facts(None if whole else self._cursor):
            if fact.key in found:
                twice.add(fact.key)
            found[fact.key] = fact
            if self._stop.is_set():
                return
        self._twice = twice if whole else self._twice | twice
        cursors = [fact.cursor for fact in found.values() if fact.cursor is not None]
        self._cursor = _highest(cursors if whole else [self._cursor, *cursors])
        changed = [fact for fact in found.values() if self._differs(fact)]
        self._backlog = self._taken(changed)
        if whole:
            self._backlog += self._gone(found)
            self._failed = {key: failed for key, failed in self._failed.items() if key in found}
            self._whole_due = min(self._whole_due, began + _SHARE * (time.monotonic() - began))
        self.done, self.total = 0, len(self._backlog)
        if self._backlog:
            self._behind()

    def _differs(self, fact: Fact) -> bool:
        known = self._known.get(fact.key)
        digest, again = self._failed.get(fact.key, ("", 0.0))
        if digest == fact.digest and time.monotonic() < again:
            return False
        return known is None or known.error is not None or known.digest != fact.digest

    def _taken(self, changed: Sequence[Fact]) -> list[Fact | str]:
        """Of the rows that differ, those that can be published; notes why the others can't."""
        errors: dict[str, str] = {}
        usable: list[Fact | str] = []
        for fact in changed:
            error = "The key stands in more than one row; make it unique." if fact.key in self._twice else fact.error
            if error is None:
                usable.append(fact)
            else:
                errors[fact.key] = error
                self._failed[fact.key] = (fact.digest, time.monotonic() + _TRIED_AGAIN)
        self._note_errors(errors)
        return usable

    def _gone(self, found: dict[str, Fact]) -> list[Fact | str]:
        gone: list[Fact | str] = [key for key in self._known if key not in found]
        if not gone:
            self._held, self._released = None, False
        return [] if self._is_held(len(gone), len(self._known), len(found)) else gone

    def _publish(self, some: Sequence[Fact | str], *, bulk: bool) -> None:
        """Publishes these rows as they were read, as one snapshot, and waits until they are found."""
        if bulk:
            self._note(Status.SYNCING)
        errors: dict[str, str] = {}
        changes: list[Change] = []
        gone = [one for one in some if isinstance(one, str)]
        facts = [one for one in some if not isinstance(one, str)]
        for fact in facts:
            try:
                changes.append(self._change(fact.key, fact.content(), fact.labels))
            except GroundtoneError as error:
                errors[fact.key] = str(error)
        changes += [self._change(key, None, None) for key in gone]
        if changes:
            errors |= self._push(changes, bulk=bulk)
        for fact in facts:
            if fact.key in errors:
                self._failed[fact.key] = (fact.digest, time.monotonic() + _TRIED_AGAIN)
            else:
                self._failed.pop(fact.key, None)
        self._note_errors(errors)
        self._saw([File(fact.key, 0, 0, fact.digest, None) for fact in facts if fact.key not in errors], gone)
        self.done += len(some)
        if self.total > _TOGETHER:
            _log.info("source %s: %d of %d rows", self._sql.name, self.done, self.total)

    def _note_errors(self, errors: dict[str, str]) -> None:
        """Writes down why rows are not published; what was published of them stays."""
        known = ((key, self._known.get(key), error) for key, error in errors.items())
        fresh = [(key, file, error) for key, file, error in known if file is None or file.error != error]
        if fresh:
            self._saw([File(key, 0, 0, file.digest if file else None, error) for key, file, error in fresh])
