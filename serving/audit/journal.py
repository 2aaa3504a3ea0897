"""One thread that makes rows durable, many at a time: while one commit syncs, the next ones gather."""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Table, insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

log = logging.getLogger("groundtone.audit")

MAX_BATCH = 256
MAX_UNWRITTEN = 10_000
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    table: Table
    row: dict[str, Any]
    keep: bool
    done: Future[None] = field(default_factory=Future[None])

    def resolve(self, error: Exception | None) -> None:
        if self.done.done():
            return  # a row that was kept is written now
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Journal:
    """Appends rows. `append` returns a future that is done when the row is on disk (group commit)."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._unwritten: deque[_Job] = deque(maxlen=MAX_UNWRITTEN)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def append(self, table: Table, row: dict[str, Any], *, keep: bool) -> "asyncio.Future[None]":
        """`keep` rows are tried again until they are written: an outcome, which has happened, is not forgotten
        because the disk was full for a moment. An intent fails at once, and nothing is answered."""
        job = _Job(table, row, keep)
        job.done.set_running_or_notify_cancel()  # whoever waits for it may leave, and can't take it back
        waiting = asyncio.wrap_future(job.done)
        # A future whose waiter left must not be reported as an exception never retrieved.
        waiting.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._jobs.put(job)
        return waiting

    def close(self) -> None:
        """Writes what is left, and ends the thread."""
        self._jobs.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            batch, last = self._gather()
            if batch or self._unwritten:
                self._write(batch)
            if last:
                return

    def _gather(self) -> tuple[list[_Job], bool]:
        batch: list[_Job] = []
        try:
            job = self._jobs.get(timeout=RETRY_SECONDS if self._unwritten else None)
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_BATCH:
                    return batch, False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _write(self, batch: Sequence[_Job]) -> None:
        jobs = [*self._unwritten, *batch]
        self._unwritten.clear()
        try:
            with self._database.begin() as connection:
                for job in jobs:
                    connection.execute(insert(job.table), job.row)
        except IntegrityError:
            self._write_singly(jobs)
        except SQLAlchemyError as error:
            log.error("the record can't be written: %s", type(error).__name__)
            self._put_back(jobs, error)
        else:
            for job in jobs:
                job.resolve(None)

    def _write_singly(self, jobs: Sequence[_Job]) -> None:
        """One row that can't be written must not take the others of its batch along."""
        for job in jobs:
            try:
                with self._database.begin() as connection:
                    connection.execute(insert(job.table), job.row)
            except IntegrityError as error:
                log.error("a row of the record was refused: %s", type(error.orig).__name__)
                job.resolve(error)
            except SQLAlchemyError as error:
                self._put_back([job], error)
            else:
                job.resolve(None)

    def _put_back(self, jobs: Sequence[_Job], error: Exception) -> None:
        for job in jobs:
            if job.keep:
                self._unwritten.append(job)
            job.resolve(error)
