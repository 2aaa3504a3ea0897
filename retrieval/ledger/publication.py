"""Publication: the one transaction that makes staged changes, or an earlier state, the newest snapshot.

Each call is one transaction of the caller's, fenced by the writer's lease: all of it is there afterwards, or nothing.
A snapshot's digest covers what it changed and the digest before it, so that each one commits to the whole history.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, exists, func, insert, literal, select, update

from common.canonical import digest_of
from common.errors import Conflict
from common.principal import Principal
from retrieval.ledger import snapshots, staging, tenants
from retrieval.ledger.bases import Base
from retrieval.ledger.database import batches
from retrieval.ledger.embeddings import NOWHERE, of_chunk
from retrieval.ledger.schema import chunks, documents, editions, embeddings, staged, visibility
from retrieval.ledger.schema import tenants as tenants_table


def publish(connection: Connection, principal: Principal, ids: Sequence[int], message: str) -> int | None:
    """Publishes staged changes as one snapshot and returns its number, or None where nothing was left to publish."""
    rows = [row for some in batches(ids) for row in connection.execute(_staged(principal, some))]
    if not rows:
        return None
    number = tenants.get(connection, principal).head + 1
    visible = set[int]()
    for some in batches([row.document for row in rows]):
        query = select(visibility.c.chunk).join(chunks, chunks.c.seq == visibility.c.chunk)
        of = (chunks.c.tenant == principal.tenant) & chunks.c.document.in_(some)
        visible |= set(connection.execute(query.where(of, visibility.c.last.is_(None))).scalars())
    for row in rows:
        if (row.wanted is not None and row.wanted != row.labels) or row.source != row.came_from:
            staging.relabel(connection, principal, row.document, row.wanted, row.source)
    wanted = {seq for row in rows for seq in row.chunks}
    staging.discard(connection, principal, ids)
    for table, key, going in (
        (visibility, visibility.c.chunk, visible - wanted),
        (editions, editions.c.document, {row.document for row in rows}),
    ):
        for some in batches(sorted(going)):
            open_ = (table.c.tenant == principal.tenant) & key.in_(some) & table.c.last.is_(None)
            connection.execute(update(table).where(open_).values(last=number - 1))
    begun = {"tenant": principal.tenant, "first": number}
    if fresh := sorted(wanted - visible):
        connection.execute(insert(visibility), [begun | {"chunk": seq} for seq in fresh])
    present = sorted((row.document, row.revision) for row in rows if row.revision is not None)
    if present:
        connection.execute(insert(editions), [begun | {"document": d, "revision": r} for d, r in present])
    return _move(connection, principal, number, message)


def _staged(principal: Principal, ids: Sequence[int]) -> Any:
    """Staged changes, each with the labels and the source that its document has now."""
    columns = (staged.c.document, staged.c.revision, staged.c.chunks, staged.c.labels.label("wanted"), staged.c.source)
    query = select(*columns, documents.c.labels, documents.c.source.label("came_from"))
    query = query.join(documents, documents.c.id == staged.c.document)
    return query.where(staged.c.tenant == principal.tenant, staged.c.id.in_(ids)).order_by(staged.c.id)


def restore(
    connection: Connection, principal: Principal, number: int, bases: Sequence[Base], fingerprint: str, message: str
) -> int:
    """Makes the state of snapshot `number` the newest one again, in these knowledge bases; costs what differs."""
    head = tenants.get(connection, principal).head
    moved = 0
    for table, same in ((visibility, ("chunk",)), (editions, ("document", "revision"))):
        then, now = table.alias("then"), table.alias("now")
        kept = exists().where(*(then.c[name] == table.c[name] for name in same), _held(then, number))
        since = (table.c.last.is_(None)) & (table.c.first > number)
        ended = update(table).where(table.c.tenant == principal.tenant, since, _within(table, bases), ~kept)
        moved += connection.execute(ended.values(last=head)).rowcount
        key = same[0]
        there = exists().where(now.c[key] == table.c[key], now.c.last.is_(None))
        again = select(table.c.tenant, *(table.c[name] for name in same), literal(head + 1))
        again = again.where(table.c.tenant == principal.tenant, _held(table, number), _within(table, bases), ~there)
        begun = insert(table).from_select(["tenant", *same, "first"], again)
        moved += connection.execute(begun, execution_options={"preserve_rowcount": True}).rowcount
    if not moved:
        return head
    shown = select(chunks.c.embedded).join(visibility, visibility.c.chunk == chunks.c.seq)
    shown = shown.where(visibility.c.tenant == principal.tenant, visibility.c.first == head + 1)
    left = (embeddings.c.tenant == principal.tenant) & (embeddings.c.fingerprint == fingerprint)
    left &= embeddings.c.digest.in_(shown) & (embeddings.c.collection == NOWHERE)
    connection.execute(update(embeddings).where(left).values(collection=None))  # worth adding to Chroma again
    return _move(connection, principal, head + 1, message)


def without_vector(
    connection: Connection, principal: Principal, number: int, bases: Sequence[Base], fingerprint: str
) -> list[int]:
    """The chunks that `restore` may show and that have no vector of this embedder: none, unless it is a new one."""
    query = select(chunks.c.seq).join(visibility, visibility.c.chunk == chunks.c.seq)
    query = query.where(visibility.c.tenant == principal.tenant, _held(visibility, number))
    return list(
        connection.execute(query.where(_within(visibility, bases), ~exists().where(of_chunk(fingerprint)))).scalars()
    )


def _held(table: FromClause, number: int) -> Any:
    """Whether a closed interval holds `number`. `first` is no column to an index: nearly all are older than that."""
    return (table.c.last >= number) & (table.c.first + 0 <= number)


def _within(table: FromClause, bases: Sequence[Base]) -> Any:
    """Whether an interval belongs to these knowledge bases; looked up for each one that differs, not the other way."""
    of = exists().where(documents.c.knowledge.in_([base.id for base in bases]))
    if table is editions:
        return of.where(documents.c.id == table.c.document)
    return of.where(chunks.c.seq == table.c.chunk, documents.c.id == chunks.c.document)


def content(connection: Connection, principal: Principal, number: int) -> dict[str, Any]:
    """What snapshot `number` changed, as its intervals say, and the digest before it: what its own digest covers."""
    began = {
        table: (table.c.tenant == principal.tenant) & (table.c.first == number) for table in (visibility, editions)
    }
    ended = {table: (table.c.tenant == principal.tenant) & (table.c.last == number - 1) for table in began}
    ids = select(chunks.c.id).join(visibility, visibility.c.chunk == chunks.c.seq)
    current = dict.fromkeys(connection.execute(select(editions.c.document).where(ended[editions])).scalars(), 0)
    here = select(editions.c.document, editions.c.revision).where(began[editions])
    current |= {row.document: row.revision for row in connection.execute(here)}
    return {
        "tenant": principal.tenant,
        "number": number,
        "before": snapshots.digest_at(connection, principal, number - 1),
        "shown": sorted(connection.execute(ids.where(began[visibility])).scalars()),
        "hidden": sorted(connection.execute(ids.where(ended[visibility])).scalars()),
        "editions": sorted([document, revision] for document, revision in current.items()),
    }


def _move(connection: Connection, principal: Principal, number: int, message: str) -> int:
    """Seals snapshot `number`, whose intervals are written, and moves the head to it."""
    sealed = digest_of(content(connection, principal, number))
    snapshots.add(connection, principal, number, message, time.time(), sealed)
    ours = (tenants_table.c.name == principal.tenant) & (tenants_table.c.head == number - 1)
    moved = connection.execute(update(tenants_table).where(ours).values(head=number))
    if moved.rowcount != 1:
        raise Conflict("Another writer published in the meantime.", "Send the change again.")
    return number


def count_visible(connection: Connection, principal: Principal) -> int:
    mine = (visibility.c.tenant == principal.tenant) & visibility.c.last.is_(None)
    return connection.execute(select(func.count()).select_from(visibility).where(mine)).scalar_one()
