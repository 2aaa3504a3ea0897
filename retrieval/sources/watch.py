"""Watches a folder and publishes what changes in it.

One thread listens to the file system, another does the work: what was touched at once, then the backlog of a scan in
small groups. A scan every few seconds finds what the listener missed.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import NotFound
from common.settings import FolderSource
from retrieval.ledger.database import Ledger
from retrieval.ledger.feeds import File
from retrieval.publish import Publisher
from retrieval.sources.folder import Seen, expand, is_gone, look, scan, shown
from retrieval.sources.watcher import Status, Watcher

_log = logging.getLogger(__name__)
_AT_ONCE = 8  # files of a backlog that are published together
_SCAN_EVERY = 5.0
_GRACE = 0.2  # editors that save by renaming leave a moment without the file


class FolderWatch(Watcher):
    """One folder source."""

    def __init__(self, source: FolderSource, ledger: Ledger, publisher: Publisher) -> None:
        super().__init__(source, ledger, publisher)
        self._root = source.path.absolute()
        self._touched: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._backlog: list[str] = []
        self._scan_due = 0.0
        self._threads.append(threading.Thread(target=self._listen, name=f"listener {source.name}", daemon=True))

    def _wake(self) -> None:
        self._touched.put(None)

    def _look_again(self) -> None:
        self._scan_due = 0.0
        self._wake()

    def _listen(self) -> None:
        from watchfiles import watch

        while not self._stop.is_set():
            try:
                for changes in watch(
                    self._root, watch_filter=None, debounce=100, step=20, stop_event=self._stop, rust_timeout=500
                ):
                    for _, path in changes:
                        self._touched.put(Path(path))
            except OSError:
                pass  # the folder is not there, or not any more; the worker says so
            except Exception:
                # such as for a name that is not UTF-8: a scan finds it, and listening goes on
                _log.warning("source %s: a notice of the file system was lost", self.source.name, exc_info=True)
            self._stop.wait(1.0)

    def _step(self) -> None:
        """One thing: what was touched, else a part of the backlog, else a scan when it is due."""
        touched = self._take_touched()
        if self._stop.is_set() or not self._begun:
            return
        if self._paused:
            self._rest_paused()
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
        wait = 1.0 if self._paused else wait
        with contextlib.suppress(queue.Empty):
            if (path := self._touched.get(timeout=wait) if wait else self._touched.get_nowait()) is not None:
                touched.append(path)
            while True:
                if (path := self._touched.get_nowait()) is not None:
                    touched.append(path)
        return touched

    def _scan(self) -> None:
        """Compares the folder with what was seen of it, and makes a backlog of the differences."""
        self._check_root()
        began = time.monotonic()
        found = {path: (status.st_size, status.st_mtime_ns) for path, status in scan(self._root)}
        changed = [path for path, state in found.items() if not self._same(shown(path), state)]
        gone = sorted(self._known.keys() - map(shown, found))
        self._backlog = changed + gone
        self._scan_due = time.monotonic() + max(_SCAN_EVERY, 50 * (time.monotonic() - began))
        self.done, self.total = 0, len(self._backlog)
        if not gone:
            self._held, self._released = None, False
        if self._backlog:
            self._behind()
            self._note(Status.SYNCING)
        else:
            self._in_step()

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise NotFound("The folder of this source is not there.", "Bring it back, or correct its path.")

    def _same(self, path: str, state: tuple[int, int]) -> bool:
        known = self._known.get(path)
        return known is not None and (known.size, known.modified) == state

    def _publish(self, paths: Sequence[str], *, bulk: bool) -> None:
        """Publishes what these files are now, and waits until it is found."""
        self._behind()
        seen: list[Seen] = []
        gone: list[str] = []
        for path in paths:
            try:
                if (one := look(self._root, path, self._known.get(path))) is not None:
                    seen.append(one)
            except OSError:
                gone.append(path)
        gone = self._really_gone(gone)
        labels = self.source.labels or None
        changes = [self._change(one.file.path, one.content, labels) for one in seen if one.content is not None]
        changes += [self._change(path, None, labels) for path in gone]
        failed = self._push(changes, bulk=bulk) if changes else {}
        files = [one.file for one in seen]
        self._saw([self._unpublished(f, failed[f.path]) if f.path in failed else f for f in files], gone)
        if not self._backlog:
            self._in_step()

    def _unpublished(self, file: File, error: str) -> File:
        """A file that was read and could not be published: the next scan tries it again."""
        known = self._known.get(file.path)
        return File(file.path, -1, -1, known.digest if known else None, error)

    def _really_gone(self, paths: Sequence[str]) -> list[str]:
        """Of these paths, the known files that stay away; none where too much of the folder is gone."""
        known = [path for path in paths if path in self._known]
        if not known:
            return []
        self._stop.wait(_GRACE)
        self._check_root()
        gone = [path for path in known if is_gone(self._root, path)]
        for path in set(known) - set(gone):
            self._touched.put(self._root / path)
        missing = sum(is_gone(self._root, path) for path in self._known)
        left = sum(1 for _ in scan(self._root))
        return [] if self._is_held(missing, len(self._known), left) else gone
