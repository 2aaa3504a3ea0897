"""The press: from pushes to snapshots.

    cut → prepare, a little at a time → stage → vectors │ terms → publish

No transaction is open while anything is read, cut or embedded. What is prepared is invisible, so it is written in short
transactions that let others in between, however large the push; what makes it visible is one short transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import Connection

from common.errors import GroundtoneError
from common.principal import Principal
from retrieval.choices import Choices
from retrieval.ledger import bases, documents, publication, staging, tenants
from retrieval.ledger.services import service
from retrieval.ledger.staging import Change, Prepared
from retrieval.pieces import cut_by
from retrieval.push import Outcome, Published, Push, weight
from retrieval.suspicion import check
from retrieval.switch import Serving

AT_ONCE = 64
"""Chunks that are prepared in one transaction, or published together, about: more would keep others waiting."""

Fence = Callable[[Connection], None]
InTurn = Callable[[Callable[[], list[int]]], Future[list[int]]]


class Press:
    """Called by the writer alone. `fence` raises where this process is not the writer any more."""

    def __init__(self, serving: Serving, choices: Choices, fence: Fence) -> None:
        self._serving, self._choices, self._fence = serving, choices, fence
        self._ledger = serving.now.ledger
        self._terms = ThreadPoolExecutor(1, "terms")
        self.hold: float | None = None  # from this suspicion on nothing is published before it was reviewed

    def close(self) -> None:
        self._terms.shutdown()

    def print(self, group: Sequence[Push], in_turn: InTurn | None = None) -> None:
        """Publishes pushes of one tenant, each as a snapshot of its own, and tells those who wait for them.

        With `in_turn` all but the last step is done in the caller's thread, beside other publications. Raises what the
        embedder or a disk raises; nothing of the group is visible or staged then.
        """
        principal = service(group[0].principal.tenant, "writer")
        outcomes = self._stage(group)
        ids = [[o.staged.id for o in some if o.staged and o.staged.id is not None] for some in outcomes]
        publishing = [(p.principal, some, p.message) for p, some in zip(group, ids, strict=True) if p.publish]
        beforehand = [id_ for p, some in zip(group, ids, strict=True) if in_turn or not p.publish for id_ in some]

        def last() -> list[int]:
            self._check_matches(group)
            return self.publish(principal, publishing)

        try:
            if beforehand:
                self.make_staged_findable(principal, beforehand)
            numbers = iter(in_turn(last).result() if in_turn else self.publish(principal, publishing))
        except BaseException:
            with self._ledger.write() as connection:
                staging.discard(connection, principal, [id_ for some in ids for id_ in some])
            raise
        for push, some in zip(group, outcomes, strict=True):
            push.future.set_result(Published(some, next(numbers) if push.publish else None))

    def publish(self, principal: Principal, publishing: Sequence[tuple[Principal, list[int], str]]) -> list[int]:
        """Publishes staged changes, each entry as a snapshot of its own. Returns the snapshot that holds each."""
        self.make_staged_findable(principal, [id_ for _, some, _ in publishing for id_ in some])
        numbers: list[int] = []
        with self._ledger.write() as connection:
            self._fence(connection)
            head = tenants.get(connection, principal).head
            for author, some, message in publishing:
                numbers.append(publication.publish(connection, author, some, message) or (numbers or [head])[-1])
        return numbers

    def make_staged_findable(self, principal: Principal, ids: Sequence[int]) -> None:
        with self._ledger.read() as connection:
            seqs = staging.chunks_of(connection, principal, ids)
        self.make_findable(principal, seqs)

    def make_findable(self, principal: Principal, seqs: Sequence[int]) -> None:
        """Gives chunks vectors and terms. Terms are committed while the embedder works."""
        if not seqs:
            return
        indexes = self._serving.now
        terms = self._terms.submit(indexes.add_terms, principal, seqs)
        try:
            indexes.embed(principal, seqs)
            indexes.place(principal, seqs)
        finally:
            terms.exception()
        terms.result()

    def _stage(self, group: Sequence[Push]) -> list[list[Outcome]]:
        work = [(n, self._cut(push, change)) for n, push in enumerate(group) for change in push.changes]
        done: list[list[Prepared | Outcome]] = [[] for _ in group]
        slices = list(_slices(work))
        for some in slices[:-1]:
            with self._ledger.write() as connection:
                self._fence(connection)
                self._prepare(connection, group, some, done)
        with self._ledger.write() as connection:
            self._fence(connection)
            self._prepare(connection, group, slices[-1], done)
            return [_staged(connection, push, some) for push, some in zip(group, done, strict=True)]

    def _prepare(
        self,
        connection: Connection,
        group: Sequence[Push],
        some: Sequence[tuple[int, Change]],
        done: list[list[Prepared | Outcome]],
    ) -> None:
        for n, change in some:
            try:
                if group[n].publish and change.content is not None:
                    check(change.content.metadata, self.hold)
                prepared = staging.prepare(connection, group[n].principal, change)
                done[n].append(prepared if isinstance(prepared, Prepared) else Outcome(change, prepared, None))
            except GroundtoneError as error:
                done[n].append(Outcome(change, None, error))

    def _cut(self, push: Push, change: Change) -> Change:
        if change.content is None:
            return change
        strategy = self._choices.strategy(push.principal, change.knowledge)
        return replace(change, content=cut_by(strategy, change.content))

    def _check_matches(self, group: Sequence[Push]) -> None:
        """Once more: since it was prepared a restore may have moved the document. Raises Conflict."""
        with self._ledger.read() as connection:
            for push in group:
                for change in push.changes:
                    if change.if_match is not None:
                        base = bases.get(connection, push.principal, change.knowledge)
                        now = documents.find(connection, push.principal, base, change.document)
                        staging.check_match(change, now.revision if now else None)


def _staged(connection: Connection, push: Push, done: Sequence[Prepared | Outcome]) -> list[Outcome]:
    prepared = [one for one in done if isinstance(one, Prepared)]
    staged = iter(staging.stage(connection, push.principal, prepared, automatic=push.publish))
    return [one if isinstance(one, Outcome) else Outcome(one.change, next(staged), None) for one in done]


def _slices(work: Sequence[tuple[int, Change]]) -> Iterator[list[tuple[int, Change]]]:
    """`work` in portions of about AT_ONCE chunks; one at least, though it be empty."""
    some: list[tuple[int, Change]] = []
    held = 0
    for entry in work:
        if some and held + weight(entry[1]) > AT_ONCE:
            yield some
            some, held = [], 0
        some.append(entry)
        held += weight(entry[1])
    yield some
