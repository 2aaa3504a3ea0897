"""Publication: the one transaction that makes staged changes, or an earlier state, the newest snapshot.

Each call is one transaction of the caller's, fenced by the writer's lease: all of it is there afterwards, or nothing.
A snapshot's digest covers what it changed and the digest before it, so that each one commits to the whole history.
"""

import time
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, and_, func, insert, select, update

from common.canonical import digest_of
from common.errors import Conflict
from common.principal import Principal
from retrieval.ledger import snapshots, staging, tenants
from retrieval.ledger.bases import Base
from retrieval.ledger.database import batches
from retrieval.ledger.schema import chunks, documents, editions, staged, visibility
from retrieval.ledger.schema import tenants as tenants_table


def publish(connection: Connection, principal: Principal, ids: Sequence[int], message: str) -> int | None:
    """Publishes staged changes as one snapshot and returns its number, or None where nothing was left to publish."""
    mine = (staged.c.tenant == principal.tenant) & staged.c.id.in_(ids)
    rows = connection.execute(select(staged).where(mine).order_by(staged.c.id)).all()
    if not rows:
        return None
    number = tenants.get(connection, principal).head + 1
    shown: set[int] = set()
    hidden: set[int] = set()
    for row in rows:
        chunk_of = and_(chunks.c.tenant == principal.tenant, chunks.c.document == row.document)
        query = select(visibility.c.chunk).join(chunks, chunks.c.seq == visibility.c.chunk)
        visible = set(connection.execute(query.where(chunk_of, visibility.c.last.is_(None))).scalars())
        hidden |= visible - set(row.chunks)
        shown |= set(row.chunks) - visible
        staging.relabel(connection, principal, row.document, row.labels, row.source)
    current = {row.document: row.revision for row in rows}
    staging.discard(connection, principal, [row.id for row in rows])
    return _move(connection, principal, number, shown, hidden, current, message)


def restore(connection: Connection, principal: Principal, number: int, bases: Sequence[Base], message: str) -> int:
    """Makes the state of snapshot `number` the newest one again, in these knowledge bases; costs what differs."""
    shown, hidden = _differing_chunks(connection, principal, number, bases)
    current = _differing_documents(connection, principal, number, bases)
    head = tenants.get(connection, principal).head
    if not (shown or hidden or current):
        return head
    return _move(connection, principal, head + 1, shown, hidden, current, message)


def chunks_to_show(connection: Connection, principal: Principal, number: int, bases: Sequence[Base]) -> list[int]:
    """The chunks that `restore` would show."""
    return sorted(_differing_chunks(connection, principal, number, bases)[0])


def _differing_chunks(
    connection: Connection, principal: Principal, number: int, bases: Sequence[Base]
) -> tuple[set[int], set[int]]:
    """The chunks visible in `number` and not now, and the other way round: only intervals begun or ended since."""
    query = (
        select(visibility.c.chunk)
        .join(chunks, chunks.c.seq == visibility.c.chunk)
        .join(documents, documents.c.id == chunks.c.document)
        .where(visibility.c.tenant == principal.tenant, documents.c.knowledge.in_([base.id for base in bases]))
    )
    since = set(connection.execute(query.where(visibility.c.first > number, visibility.c.last.is_(None))).scalars())
    ended = (visibility.c.last >= number) & (visibility.c.first <= number)
    then = set(connection.execute(query.where(ended)).scalars())
    return then - since, since - then


def _differing_documents(
    connection: Connection, principal: Principal, number: int, bases: Sequence[Base]
) -> dict[int, int | None]:
    query = (
        select(editions.c.document, editions.c.revision)
        .join(documents, documents.c.id == editions.c.document)
        .where(editions.c.tenant == principal.tenant, documents.c.knowledge.in_([base.id for base in bases]))
    )
    since = connection.execute(query.where(editions.c.first > number, editions.c.last.is_(None))).all()
    then = connection.execute(query.where(editions.c.first <= number, editions.c.last >= number)).all()
    now: dict[int, int | None] = {row.document: row.revision for row in since}
    wanted: dict[int, int | None] = {row.document: row.revision for row in then}
    return {d: r for d, r in (dict.fromkeys(now) | wanted).items() if r is None or now.get(d) != r}


def _move(
    connection: Connection,
    principal: Principal,
    number: int,
    shown: Iterable[int],
    hidden: Iterable[int],
    current: dict[int, int | None],
    message: str,
) -> int:
    """Writes snapshot `number` and moves the head to it."""
    shown, hidden = sorted(shown), sorted(hidden)
    ending = {"last": number - 1}
    for some in batches(hidden):
        open_ = (visibility.c.tenant == principal.tenant) & visibility.c.chunk.in_(some) & visibility.c.last.is_(None)
        connection.execute(update(visibility).where(open_).values(ending))
    if shown:
        rows = [{"tenant": principal.tenant, "chunk": seq, "first": number} for seq in shown]
        connection.execute(insert(visibility), rows)
    for some in batches(sorted(current)):
        open_ = (editions.c.tenant == principal.tenant) & editions.c.document.in_(some) & editions.c.last.is_(None)
        connection.execute(update(editions).where(open_).values(ending))
    present = [
        {"tenant": principal.tenant, "document": document, "revision": revision, "first": number}
        for document, revision in sorted(current.items())
        if revision is not None
    ]
    if present:
        connection.execute(insert(editions), present)
    content = {
        "tenant": principal.tenant,
        "number": number,
        "before": snapshots.digest_at(connection, principal, number - 1),
        "shown": _ids(connection, principal, shown),
        "hidden": _ids(connection, principal, hidden),
        "editions": sorted([document, revision or 0] for document, revision in current.items()),
    }
    snapshots.add(connection, principal, number, message, time.time(), digest_of(content))
    ours = (tenants_table.c.name == principal.tenant) & (tenants_table.c.head == number - 1)
    moved = connection.execute(update(tenants_table).where(ours).values(head=number))
    if moved.rowcount != 1:
        raise Conflict("Another writer published in the meantime.", "Send the change again.")
    return number


def _ids(connection: Connection, principal: Principal, seqs: Sequence[int]) -> list[str]:
    """The ids of chunks in order. An id is a digest of all that the chunk says and applies to."""
    ids: list[str] = []
    for some in batches(seqs):
        mine = (chunks.c.tenant == principal.tenant) & chunks.c.seq.in_(some)
        ids += connection.execute(select(chunks.c.id).where(mine)).scalars()
    return sorted(ids)


def count_visible(connection: Connection, principal: Principal) -> int:
    mine = (visibility.c.tenant == principal.tenant) & visibility.c.last.is_(None)
    return connection.execute(select(func.count()).select_from(visibility).where(mine)).scalar_one()
