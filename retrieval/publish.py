"""The publisher: the one writer of a ledger, and the only way that knowledge changes.

    prepare → stage → embed → vectors │ terms → check → one transaction moves the head

Each step can be done twice, and only the last is seen. A writer that dies before it leaves staged changes, which the
next one publishes; one that dies after it has published. A writer that merely believes it holds the lease is stopped
in that transaction.

Every document is cut as its knowledge base wants it, whoever sent it.

Changes that wait together are published together, in one transaction, each as a snapshot of its own: a hundred PUTs
cost about one. Bulk work (a folder's first sync) goes in small groups and lets others pass. A large push is made ready
aside, however long it takes; only changes of its own documents wait for it.
"""

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from common.errors import Draining, GroundtoneError, KnowledgeUnavailable
from common.principal import Principal
from common.settings import Retention
from retrieval.choices import Choices
from retrieval.ledger import bases, leases, operations, publication, snapshots, staging, tenants
from retrieval.ledger.services import service
from retrieval.press import AT_ONCE, Press
from retrieval.push import Outcome, Published, Push
from retrieval.switch import Serving
from retrieval.upkeep import Upkeep

__all__ = ["Outcome", "Published", "Publisher", "Push"]

_log = logging.getLogger(__name__)
_URGENT, _BULK = 0, 1
_GROUP = {_URGENT: AT_ONCE, _BULK: AT_ONCE // 4}  # chunks that are published together, about
_RETAIN_EVERY = 86_400.0
_RENEW_EVERY, _REPAIR_EVERY = 1.0, 2.0


@dataclass(slots=True)
class Task:
    """Anything else that only the writer may do, such as a restore."""

    run: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future[Any])


class Publisher:
    """One thread that publishes, one that keeps the lease, one that repairs. `start` returns at once; see `ready`."""

    def __init__(self, serving: Serving, choices: Choices) -> None:
        self._serving = serving
        self._ledger = serving.now.ledger
        self._holder = leases.new_holder()
        self._token: int | None = None
        self._queue: queue.PriorityQueue[tuple[int, int, Push | Task | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._stop = threading.Event()
        self.ready = threading.Event()  # it is known who writes
        self.writing = threading.Event()  # it is this process, and its indexes agree with the ledger
        self.followed = False  # another one wrote before: what there was is in
        self.press = Press(serving, choices, self._fence)
        self.keep = Retention()
        self._upkeep = Upkeep(serving, self._fence, self._task)
        self._aside = ThreadPoolExecutor(1, "aside")
        self._waiting_aside: list[Push] = []
        self._threads = [
            threading.Thread(target=self._work, name="publisher"),
            threading.Thread(target=self._keep, name="keeper"),
            threading.Thread(target=self._look_after, name="upkeep"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends what it is publishing or leaves it for the next start, refuses what waits, gives the lease back."""
        self._stop.set()
        self._serving.stopping.set()
        self._queue.put((-1, 0, None))
        for thread in self._threads:
            thread.join()
        self._refuse(_stopping())
        self._aside.shutdown()
        self.press.close()
        self._upkeep.close()
        if self._token is not None:
            with self._ledger.write() as connection:
                leases.release(connection, self._token)

    def _refuse(self, error: GroundtoneError) -> None:
        """Tells everybody who waits that it won't be."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (job := self._queue.get_nowait()[2]) is not None:
                    job.future.set_exception(error)

    def push(self, push: Push, *, bulk: bool = False) -> Future[Published]:
        """Publishes changes; the future is done once a question finds them. `bulk` lets others pass."""
        self._submit(push, _BULK if bulk else _URGENT)
        return push.future

    def publish_staged(self, principal: Principal, knowledge: str, message: str) -> Future[int]:
        """Publishes what waits in a knowledge base as one snapshot, whose number the future holds."""

        def run() -> int:
            with self._ledger.read() as connection:
                base = bases.get(connection, principal, knowledge)
                ids = staging.waiting(connection, principal, base, automatic=False)
                seqs = staging.chunks_of(connection, principal, ids)
            self.press.make_findable(principal, seqs)
            with self._ledger.write() as connection:
                self._fence(connection)
                number = publication.publish(connection, principal, ids, message)
                return number if number is not None else tenants.get(connection, principal).head

        return self._task(run)

    def restore(self, principal: Principal, number: int, knowledge: Sequence[str] | None) -> Future[int]:
        """Makes an earlier snapshot the newest one again, in these knowledge bases or in all."""

        def run() -> int:
            with self._ledger.read() as connection:
                pinned = snapshots.pin(connection, principal, number).number
                chosen = bases.every(connection, principal)
                if knowledge is not None:
                    chosen = [bases.get(connection, principal, name) for name in knowledge]
                fingerprint = self._serving.now.embedder.fingerprint
                seqs = publication.without_vector(connection, principal, pinned, chosen, fingerprint)
            self.press.make_findable(principal, seqs)
            with self._ledger.write() as connection:
                self._fence(connection)
                message = f"Restored snapshot {pinned}"
                return publication.restore(connection, principal, pinned, chosen, fingerprint, message)

        return self._task(run)

    def drop(self, principal: Principal, knowledge: str) -> Future[int]:
        """Removes a knowledge base with all its documents; the snapshots before still count them."""

        def run() -> int:
            with self._ledger.write() as connection:
                self._fence(connection)
                base = bases.get(connection, principal, knowledge)
                for automatic in (False, True):
                    waiting = staging.waiting(connection, principal, base, automatic=automatic)
                    staging.discard(connection, principal, waiting)
                fingerprint = self._serving.now.embedder.fingerprint
                message = f"Removed knowledge base {knowledge}"
                number = publication.restore(connection, principal, 0, [base], fingerprint, message)
                bases.remove(connection, principal, knowledge)
                return number

        return self._task(run)

    def switch_embedder(self) -> Future[str]:
        """Makes the second embedder the one that serves; see `Serving.to_other`."""
        return self._task(lambda: self._serving.to_other(self._fence))

    def retain(self, principal: Principal, keep: Retention) -> Future[int]:
        """Drops what is no longer to be kept: see `Upkeep.retain`."""
        return self._upkeep.retain(principal, keep, lambda: not self._waiting_aside)

    def rebuild(self, principal: Principal) -> Future[dict[str, int]]:
        """Builds both indexes of the tenant anew from the ledger: see `Upkeep.rebuild`."""
        if not self.writing.is_set():
            raise KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
        return self._upkeep.rebuild(principal)

    def _task(self, run: Callable[[], Any]) -> Future[Any]:
        task = Task(run)
        self._submit(task, _URGENT)
        return task.future

    def _submit(self, job: Push | Task, priority: int) -> None:
        if self._stop.is_set():
            raise _stopping()
        if self.ready.is_set() and not self.writing.is_set():
            raise KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
        job.future.set_running_or_notify_cancel()  # whoever waits for it may go, and can't take it back
        self._queue.put((priority, next(self._order), job))
        if self._stop.is_set():  # since it was looked at: nobody else may be left to do it
            self._refuse(_stopping())

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.writing.is_set():
                    self._take_over()
                    self.ready.set()
                if self.writing.is_set():
                    self._next()
                else:
                    self._refuse(KnowledgeUnavailable("This process is not the writer.", "Send it again in a moment."))
                    self._stop.wait(1.0)
            except Exception:
                if not self._stop.is_set():
                    _log.exception("the publisher failed; it goes on in a moment")
                    self._stop.wait(1.0)

    def _next(self) -> None:
        priority, _, job = self._queue.get()
        if isinstance(job, Task):
            _settle(job.future, job.run)
        elif job is not None and self._goes_aside(job):
            self._waiting_aside.append(job)
            self._aside.submit(self._publish_aside, job)
        elif job is not None:
            self._publish_group(self._group(job, priority))

    def _publish_aside(self, push: Push) -> None:
        """One at a time and in the order they came, so that of two changes of one document the later is the last."""
        try:
            self.press.print([push], self._task)
        except Exception as error:
            _fail(push, error)
        finally:
            self._waiting_aside.remove(push)

    def _goes_aside(self, push: Push) -> bool:
        """A large push does, and whatever changes a document that such a one does not let go yet."""
        mine = push.documents()
        return push.weight() > AT_ONCE or any(mine & other.documents() for other in list(self._waiting_aside))

    def _take_over(self) -> None:
        """Takes the lease if it is free, finishes what the writer before left staged, and compares the indexes."""
        with self._ledger.write() as connection:
            self._token = leases.acquire(connection, self._holder)
            self._serving.follows = self._token is None
            if self._token is None:
                self.followed = True
                return
            operations.fail_running(connection)
            self._serving.begin(connection)
            every = [service(name, "writer") for name in tenants.names(connection)]
        indexes = self._serving.now
        indexes.repair_terms()
        indexes.check_terms()
        for principal in every:
            self._finish(principal)
            indexes.embed_all(principal)
            indexes.repair_vectors(principal, self._fence)
        with self._ledger.write() as connection:
            self._fence(connection)
            self._serving.serve(connection, indexes)
        self.writing.set()

    def _finish(self, principal: Principal) -> None:
        with self._ledger.read() as connection:
            ids = staging.waiting(connection, principal, None, automatic=True)
        if not ids:
            return
        try:
            self.press.publish(principal, [(principal, ids, "Finished after a restart")])
        except Draining:
            raise
        except Exception:
            _log.exception("staged changes could not be finished; they are dropped and must be sent again")
            with self._ledger.write() as connection:
                staging.discard(connection, principal, ids)

    def _group(self, first: Push, priority: int) -> list[Push]:
        """`first` and what waits behind it and fits: as urgent, of the same tenant, and no document twice."""
        group, taken, weight = [first], first.documents(), first.weight()
        while weight < _GROUP[priority]:
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                break
            job = entry[2]
            if not isinstance(job, Push) or entry[0] != priority or taken & job.documents() or self._goes_aside(job):
                self._queue.put(entry)
                break
            if job.principal.tenant != first.principal.tenant:
                self._queue.put(entry)
                break
            group.append(job)
            taken |= job.documents()
            weight += job.weight()
        return group

    def _publish_group(self, group: list[Push]) -> None:
        try:
            self.press.print(group)
        except Exception as error:
            if len(group) > 1:  # one of them spoils it: each for itself
                for push in group:
                    self._publish_group([push])
                return
            _fail(group[0], error)

    def _fence(self, connection: Any) -> None:
        if self._token is None:
            raise KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
        try:
            leases.hold(connection, self._token)
        except KnowledgeUnavailable:
            self.writing.clear()
            raise

    def _keep(self) -> None:
        """Renews the lease in time, however long anything else takes."""
        while not self._stop.wait(_RENEW_EVERY):
            if (token := self._token) is None:
                continue
            try:
                with self._ledger.write() as connection:
                    leases.hold(connection, token)
            except KnowledgeUnavailable:
                self.writing.clear()
            except Exception:
                _log.exception("the lease could not be renewed; it is tried again")

    def _look_after(self) -> None:
        """Repairs the indexes, and drops once a day what is no longer to be kept."""
        retained = -_RETAIN_EVERY
        while not self._stop.wait(_REPAIR_EVERY):
            if not self.writing.is_set():
                continue
            try:
                with self._ledger.read() as connection:
                    every = [service(name, "writer") for name in tenants.names(connection)]
                self._upkeep.round(every)
                if self.keep != Retention() and time.monotonic() > retained + _RETAIN_EVERY:
                    retained = time.monotonic()
                    for principal in every:
                        self.retain(principal, self.keep).add_done_callback(_retained)
            except Exception:
                _log.exception("the round of repairs failed; it is tried again")


def _stopping() -> Draining:
    return Draining("The service is stopping.", "Send the change again in a moment.")


def _fail(push: Push, error: Exception) -> None:
    if not isinstance(error, GroundtoneError):
        _log.error("a publication failed; nothing of it is visible", exc_info=error)
    push.future.set_exception(error)


def _retained(future: Future[int]) -> None:
    if (error := future.exception()) is not None and not isinstance(error, Draining):
        _log.error("what is no longer kept was not dropped; it is tried again tomorrow", exc_info=error)


def _settle(future: Future[Any], run: Callable[[], Any]) -> None:
    try:
        future.set_result(run())
    except Exception as error:
        if not isinstance(error, GroundtoneError):
            _log.exception("the writer's task failed; nothing of it is visible")
        future.set_exception(error)
