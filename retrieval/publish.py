"""The publisher: the one writer of a ledger, and the only way that knowledge changes.

    stage → embed → vectors │ terms → check → one transaction moves the head

Each step can be done twice, and only the last is seen. A writer that dies before it leaves staged changes, which the
next one publishes; one that dies after it has published. A writer that merely believes it holds the lease is stopped
in that transaction.

Every document is cut as its knowledge base wants it, whoever sent it.

Changes that wait together are published together, in one transaction, each as a snapshot of its own: a hundred PUTs
cost about one. Bulk work (a folder's first sync) goes in small groups and lets others pass.
"""

import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from common.errors import Draining, GroundtoneError, KnowledgeUnavailable
from common.principal import Principal
from retrieval.choices import Choices
from retrieval.indexes import Indexes
from retrieval.ledger import bases, leases, operations, publication, snapshots, staging, tenants
from retrieval.ledger.services import service
from retrieval.ledger.staging import Change, Staged
from retrieval.pieces import cut_again
from retrieval.suspicion import check
from retrieval.upkeep import Upkeep

_log = logging.getLogger(__name__)
_URGENT, _BULK = 0, 1
_GROUP = {_URGENT: 64, _BULK: 16}  # chunks that are published together, about: more would keep the others waiting
_REPAIR_EVERY = 2.0  # also renews the lease, in good time


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change: staged as told, or refused."""

    change: Change
    staged: Staged | None
    error: GroundtoneError | None


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a push. `snapshot` holds all of it; None where it was only staged."""

    outcomes: list[Outcome]
    snapshot: int | None


@dataclass(slots=True)
class Push:
    """Changes that one caller sent together: they become one snapshot, or wait where `publish` is false."""

    principal: Principal
    changes: Sequence[Change]
    message: str
    publish: bool = True
    future: Future[Published] = field(default_factory=Future[Published])

    def weight(self) -> int:
        return sum(len(change.content.parts) if change.content else 1 for change in self.changes)

    def documents(self) -> set[tuple[str, str, str]]:
        return {(self.principal.tenant, change.knowledge, change.document) for change in self.changes}


@dataclass(slots=True)
class Task:
    """Anything else that only the writer may do, such as a restore."""

    run: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future[Any])


class Publisher:
    """One thread that publishes, one that keeps the lease and repairs. `start` returns at once; see `ready`."""

    def __init__(self, indexes: Indexes, choices: Choices) -> None:
        self._indexes, self._choices = indexes, choices
        self._ledger = indexes.ledger
        self._holder = leases.new_holder()
        self._token: int | None = None
        self.hold: float | None = None  # from this suspicion on nothing is published before it was reviewed
        self._queue: queue.PriorityQueue[tuple[int, int, Push | Task | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._stop = threading.Event()
        self.ready = threading.Event()  # it is known who writes
        self.writing = threading.Event()  # it is this process, and its indexes agree with the ledger
        self._terms = ThreadPoolExecutor(1, "terms")
        self._upkeep = Upkeep(indexes, self._fence, self._task)
        self._threads = [
            threading.Thread(target=self._work, name="publisher"),
            threading.Thread(target=self._keep, name="keeper"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends what it is publishing or leaves it for the next start, refuses what waits, gives the lease back."""
        self._stop.set()
        self._indexes.stopping.set()
        self._queue.put((-1, 0, None))
        for thread in self._threads:
            thread.join()
        self._refuse(Draining("The service is stopping.", "Send the change again in a moment."))
        self._terms.shutdown()
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
            self._make_findable(principal, seqs)
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
                seqs = publication.chunks_to_show(connection, principal, pinned, chosen)
            self._make_findable(principal, seqs)
            with self._ledger.write() as connection:
                self._fence(connection)
                return publication.restore(connection, principal, pinned, chosen, f"Restored snapshot {pinned}")

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
                number = publication.restore(connection, principal, 0, [base], f"Removed knowledge base {knowledge}")
                bases.remove(connection, principal, knowledge)
                return number

        return self._task(run)

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
            raise Draining("The service is stopping.", "Send the change again in a moment.")
        if self.ready.is_set() and not self.writing.is_set():
            raise KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
        job.future.set_running_or_notify_cancel()  # whoever waits for it may go, and can't take it back
        self._queue.put((priority, next(self._order), job))

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
        elif job is not None:
            self._publish_group(self._group(job, priority))

    def _take_over(self) -> None:
        """Takes the lease if it is free, finishes what the writer before left staged, and compares the indexes."""
        with self._ledger.write() as connection:
            self._token = leases.acquire(connection, self._holder)
            if self._token is None:
                return
            operations.fail_running(connection)
            every = [service(name, "writer") for name in tenants.names(connection)]
        self._indexes.repair_terms()
        self._indexes.check_terms()
        for principal in every:
            self._finish(principal)
            self._indexes.embed_all(principal)
            self._indexes.repair_vectors(principal, self._fence)
        self.writing.set()

    def _finish(self, principal: Principal) -> None:
        with self._ledger.read() as connection:
            ids = staging.waiting(connection, principal, None, automatic=True)
        if not ids:
            return
        try:
            self._publish_ids(principal, [(principal, ids, "Finished after a restart")])
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
            if not isinstance(job, Push) or entry[0] != priority or taken & job.documents():
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
            self._publish(group)
        except Exception as error:
            if len(group) > 1:  # one of them spoils it: each for itself
                for push in group:
                    self._publish_group([push])
                return
            if not isinstance(error, GroundtoneError):
                _log.exception("a publication failed; nothing of it is visible")
            group[0].future.set_exception(error)

    def _publish(self, group: list[Push]) -> None:
        principal = service(group[0].principal.tenant, "writer")
        cut = [[self._cut(push, change) for change in push.changes] for push in group]
        with self._ledger.write() as connection:
            self._fence(connection)
            outcomes = [
                [_stage(connection, push, change, self.hold) for change in some]
                for push, some in zip(group, cut, strict=True)
            ]
        ids = [[o.staged.id for o in some if o.staged and o.staged.id is not None] for some in outcomes]
        try:
            publishing = [(p.principal, some, p.message) for p, some in zip(group, ids, strict=True) if p.publish]
            staged_only = [id_ for p, some in zip(group, ids, strict=True) if not p.publish for id_ in some]
            if staged_only:
                with self._ledger.read() as connection:
                    seqs = staging.chunks_of(connection, principal, staged_only)
                self._make_findable(principal, seqs)
            numbers = iter(self._publish_ids(principal, publishing))
        except BaseException:
            with self._ledger.write() as connection:
                staging.discard(connection, principal, [id_ for some in ids for id_ in some])
            raise
        for push, some in zip(group, outcomes, strict=True):
            push.future.set_result(Published(some, next(numbers) if push.publish else None))

    def _cut(self, push: Push, change: Change) -> Change:
        if change.content is None:
            return change
        strategy = self._choices.strategy(push.principal, change.knowledge)
        return replace(change, content=cut_again(change.content, strategy))

    def _publish_ids(self, principal: Principal, publishing: Sequence[tuple[Principal, list[int], str]]) -> list[int]:
        """Publishes staged changes, each entry as a snapshot of its own. Returns the snapshot that holds each."""
        ids = [id_ for _, some, _ in publishing for id_ in some]
        with self._ledger.read() as connection:
            head = tenants.get(connection, principal).head
            seqs = staging.chunks_of(connection, principal, ids)
        if not ids:
            return [head for _ in publishing]
        self._make_findable(principal, seqs)
        numbers: list[int] = []
        with self._ledger.write() as connection:
            self._fence(connection)
            for author, some, message in publishing:
                numbers.append(publication.publish(connection, author, some, message) or (numbers or [head])[-1])
        return numbers

    def _make_findable(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Gives chunks vectors and terms. Terms are committed while the embedder works."""
        terms = self._terms.submit(self._indexes.add_terms, principal, seqs)
        try:
            self._indexes.embed(principal, seqs)
            self._indexes.place(principal, seqs)
        finally:
            terms.exception()
        terms.result()

    def _fence(self, connection: Any) -> None:
        if self._token is None:
            raise KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
        try:
            leases.hold(connection, self._token)
        except KnowledgeUnavailable:
            self.writing.clear()
            raise

    def _keep(self) -> None:
        """Renews the lease in time, and looks after the indexes."""
        while not self._stop.wait(_REPAIR_EVERY):
            token = self._token
            if token is None:
                continue
            try:
                with self._ledger.write() as connection:
                    leases.hold(connection, token)
                    every = [service(name, "writer") for name in tenants.names(connection)]
                if not self.writing.is_set():
                    continue
                self._upkeep.round(every)
            except KnowledgeUnavailable:
                self.writing.clear()
            except Exception:
                _log.exception("the round of repairs failed; it is tried again")


def _stage(connection: Any, push: Push, change: Change, hold: float | None) -> Outcome:
    try:
        if push.publish and change.content is not None:
            check(change.content.metadata, hold)
        return Outcome(change, staging.stage(connection, push.principal, change, automatic=push.publish), None)
    except GroundtoneError as error:
        return Outcome(change, None, error)


def _settle(future: Future[Any], run: Callable[[], Any]) -> None:
    try:
        future.set_result(run())
    except Exception as error:
        if not isinstance(error, GroundtoneError):
            _log.exception("the writer's task failed; nothing of it is visible")
        future.set_exception(error)
