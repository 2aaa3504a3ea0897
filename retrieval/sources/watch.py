"""Watches a folder and publishes what changes in it.

One thread listens to the file system, another does the work: what was touched at once, then the backlog of a scan in
small groups. It waits for each publication, so that two versions of a file are never on their way together. A scan
every few seconds finds what the listener missed.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from common.errors import GroundtoneError
from common.settings import FolderSource
from retrieval.ledger import bases, feeds
from retrieval.ledger.database import Ledger
from retrieval.ledger.feeds import File
from retrieval.ledger.services import DEFAULT_TENANT, service
from retrieval.ledger.staging import Change
from retrieval.publish import Publisher, Push
from retrieval.sources.folder import Seen, expand, look, scan

_log = logging.getLogger(__name__)
_AT_ONCE = 8  # files of a backlog that are published together
_SCAN_EVERY = 5.0
_GRACE = 0.2  # editors that save by renaming leave a moment without the file
_NEVER_HELD = 5  # so few removals at once are an editor's; more than half of a folder may be a lost volume


class Status(StrEnum):
    STARTING = "starting"
    SYNCING = "syncing"
    WATCHING = "watching"
    PAUSED = "paused"
    HELD = "held"
    FAILING = "failing"


class FolderWatch:
    """One folder source. `settled` is set once its first sync is through, failing files included."""

    def __init__(self, source: FolderSource, ledger: Ledger, publisher: Publisher) -> None:
        self.source = source
        self.settled = threading.Event()
        self.done = self.total = 0
        self.principal = service(DEFAULT_TENANT, f"source:{source.name}")
        self._root = source.path.absolute()
        self._ledger, self._publisher = ledger, publisher
        self._touched: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._known: dict[str, File] = {}
        self._backlog: list[str] = []
        self._waiting_since: float | None = None
        self._scan_due = 0.0
        self._begun = self._paused = self._released = False
        self._held: str | None = None
        self._status, self._error = Status.STARTING, None
        self._threads = [
            threading.Thread(target=self._work, name=f"source {source.name}"),
            threading.Thread(target=self._listen, name=f"listener {source.name}"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self._touched.put(None)
        for thread in self._threads:
            thread.join()

    @property
    def lag(self) -> float:
        """Seconds since the oldest change that was seen and is not published yet, 0 where there is none."""
        return 0.0 if self._waiting_since is None else time.time() - self._waiting_since

    def pause(self, paused: bool) -> None:
        """Stops or starts publishing; what changes meanwhile is published afterwards."""
        with self._ledger.write() as connection:
            feeds.update(connection, self.principal, self.source.name, paused=paused)
        self._paused = paused
        self._scan_due = 0.0
        self._touched.put(None)

    def sync(self) -> None:
        """Reads every file again, whatever was published of it. What is unchanged makes no snapshot."""
        with self._ledger.write() as connection:
            feeds.forget_contents(connection, self.principal, self.source.name)
        self._begun = False
        self._scan_due = 0.0
        self._touched.put(None)

    def release(self) -> None:
        """An operator's word that the files that are gone are meant to be gone."""
        self._released = True
        self._scan_due = 0.0
        self._touched.put(None)

    def _listen(self) -> None:
        from watchfiles import watch

        while not self._stop.is_set():
            with contextlib.suppress(OSError):  # the folder is not there, or not any more; the worker says so
                for changes in watch(
                    self._root, watch_filter=None, debounce=100, step=20, stop_event=self._stop, rust_timeout=500
                ):
                    for _, path in changes:
                        self._touched.put(Path(path))
            self._stop.wait(1.0)

    def _work(self) -> None:
        while not self._stop.is_set():
            if not self._publisher.writing.wait(0.5):
                continue  # another process writes
            try:
                self._step()
            except Exception as error:
                if not self._stop.is_set():
                    self._fail(error)
                    self._stop.wait(1.0)

    def _step(self) -> None:
        """One thing: what was touched, else a part of the backlog, else a scan when it is due."""
        touched = self._take_touched()
        if self._stop.is_set():
            return
        if not self._begun:
            self._begin()
        if self._paused:
            self._note(Status.PAUSED)
            self.settled.set()
        elif touched:
            self._publish(expand(self._root, touched, self._known), bulk=False)
        elif self._backlog:
            some, self._backlog = self._backlog[:_AT_ONCE], self._backlog[_AT_ONCE:]
            self._publish(some, bulk=True)
            self.done += len(some)
            _log.info("source %s: %d of %d files", self.source.name, self.done, self.total)
        elif time.monotonic() >= self._scan_due:
            self._scan()

    def _take_touched(self) -> list[Path]:
        """What was touched. Waits for something only where there is nothing else to do."""
        touched: list[Path] = []
        wait = 0.0 if self._backlog else max(0.0, min(1.0, self._scan_due - time.monotonic()))
        with contextlib.suppress(queue.Empty):
            if (path := self._touched.get(timeout=wait) if wait else self._touched.get_nowait()) is not None:
                touched.append(path)
            while True:
                if (path := self._touched.get_nowait()) is not None:
                    touched.append(path)
        return touched

    def _begin(self) -> None:
        with self._ledger.write() as connection:
            name = self.source.name
            if all(base.name != self.source.knowledge for base in bases.every(connection, self.principal)):
                bases.put(connection, self.principal, self.source.knowledge, None)
            feeds.update(connection, self.principal, name)
            self._paused = feeds.get(connection, self.principal, name).paused
            self._known = feeds.files(connection, self.principal, name)
        self._begun = True

    def _scan(self) -> None:
        """Compares the folder with what was seen of it, and makes a backlog of the differences."""
        if not self._root.is_dir():
            self.settled.set()
            raise FileNotFoundError("The folder of this source is not there.")
        began = time.monotonic()
        found = {path: (status.st_size, status.st_mtime_ns) for path, status in scan(self._root)}
        changed = [path for path, state in found.items() if not self._same(path, state)]
        gone = [path for path in self._known if path not in found]
        self._backlog = changed + gone
        self._scan_due = time.monotonic() + max(_SCAN_EVERY, 50 * (time.monotonic() - began))
        self.done, self.total = 0, len(self._backlog)
        if not gone:
            self._held, self._released = None, False
        self._note(Status.SYNCING if self._backlog else Status.WATCHING)
        if not self._backlog:
            self.settled.set()

    def _same(self, path: str, state: tuple[int, int]) -> bool:
        known = self._known.get(path)
        return known is not None and (known.size, known.modified) == state

    def _publish(self, paths: Sequence[str], *, bulk: bool) -> None:
        """Publishes what these files are now, and waits until it is found."""
        self._waiting_since = self._waiting_since or time.time()
        seen: list[Seen] = []
        gone: list[str] = []
        for path in paths:
            try:
                if (one := look(self._root, path, self._known.get(path))) is not None:
                    seen.append(one)
            except OSError:
                gone.append(path)
        gone = self._really_gone(gone)
        changes = [self._change(one.file.path, one) for one in seen if one.content is not None]
        changes += [self._change(path, None) for path in gone]
        if changes:
            push = Push(self.principal, changes, f"{self.source.name}: {_listed([c.document for c in changes])}")
            for outcome in self._publisher.push(push, bulk=bulk).result().outcomes:
                if outcome.error is not None and outcome.change.content is not None:
                    raise outcome.error
        with self._ledger.write() as connection:
            for one in seen:
                if one.file.error:
                    _log.warning("source %s: %s: %s", self.source.name, one.file.path, one.file.error)
                feeds.saw(connection, self.principal, self.source.name, one.file)
                self._known[one.file.path] = one.file
            for path in gone:
                feeds.forget(connection, self.principal, self.source.name, path)
                self._known.pop(path, None)
        self._waiting_since = None
        if not self._backlog:
            self._note(Status.WATCHING)
            self.settled.set()

    def _change(self, path: str, seen: Seen | None) -> Change:
        labels = self.source.labels or None
        content = seen.content if seen else None
        return Change(self.source.knowledge, path, content, labels=labels, source=self.source.name)

    def _really_gone(self, paths: Sequence[str]) -> list[str]:
        """Of these paths, the known files that stay away; held back where they are most of the folder."""
        known = [path for path in paths if path in self._known]
        if not known:
            return []
        self._stop.wait(_GRACE)
        gone = [path for path in known if not (self._root / path).exists()]
        for path in set(known) - set(gone):
            self._touched.put(self._root / path)
        missing = sum(not (self._root / path).exists() for path in self._known)
        if missing > max(_NEVER_HELD, len(self._known) // 2) and not self._released:
            self._held = f"{missing} of {len(self._known)} files are gone; release the source if that is meant."
            return []
        self._held = None
        return gone

    def _note(self, status: Status, error: str | None = None) -> None:
        """Writes the status down where it changed."""
        if self._held:
            status, error = Status.HELD, self._held
        if (status, error) != (self._status, self._error):
            self._status, self._error = status, error
            values = {"status": status, "error": error, "lag": self.lag, "synced": time.time()}
            with self._ledger.write() as connection:
                feeds.update(connection, self.principal, self.source.name, **values)

    def _fail(self, error: Exception) -> None:
        """Notes what stopped the source; it goes on trying."""
        self._scan_due = time.monotonic() + 1.0
        self._backlog = []
        told = str(error) if isinstance(error, GroundtoneError | FileNotFoundError) else "It failed; see the log."
        _log.warning("source %s: %s", self.source.name, told, exc_info=not isinstance(error, GroundtoneError | OSError))
        with contextlib.suppress(Exception):
            self._note(Status.FAILING, told)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
