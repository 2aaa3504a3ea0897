"""Retention: what no snapshot within it needs is dropped from the ledger, but for what a legal hold covers.

A snapshot's own row stays (number, author, time, message, digest), and so does the name of each chunk that is dropped:
whoever asks for either is told that it is gone, not that it never was. So does the number of a document's last
revision, without its text, because a revision's number never means anything else.
"""

from sqlalchemy import Connection, delete, exists, func, null, select, update

from common.principal import Principal
from common.settings import Retention
from retrieval.ledger import holds, tenants
from retrieval.ledger.database import batches, insert_missing
from retrieval.ledger.schema import (
    chunks,
    dropped,
    editions,
    embedders,
    embeddings,
    revisions,
    snapshots,
    staged,
    visibility,
)
from retrieval.ledger.schema import tenants as tenants_table

_DAY = 86_400.0
_AT_ONCE = 50  # documents of one transaction


def oldest_kept(connection: Connection, principal: Principal, keep: Retention, now: float) -> int:
    """The oldest snapshot that `keep` asks for at the time `now`: with days and snapshots both, whichever is older."""
    tenant = tenants.get(connection, principal)
    wanted: list[int] = []
    if keep.days is not None:
        then = (snapshots.c.tenant == principal.tenant) & (snapshots.c.created <= now - keep.days * _DAY)
        wanted.append(connection.execute(select(func.max(snapshots.c.number)).where(then)).scalar() or 0)
    if keep.snapshots is not None:
        wanted.append(tenant.head - keep.snapshots + 1)
    return max(tenant.oldest, min(wanted)) if wanted else tenant.oldest


def move_oldest(connection: Connection, principal: Principal, oldest: int) -> None:
    """From here on no question is answered from a snapshot before `oldest`."""
    mine = (tenants_table.c.name == principal.tenant) & (tenants_table.c.oldest < oldest)
    connection.execute(update(tenants_table).where(mine).values(oldest=oldest))


def drop_some(connection: Connection, principal: Principal) -> int:
    """Drops what some documents were before the oldest snapshot; returns how many, 0 where nothing is left to drop.

    To be called where nothing is being prepared: a chunk that is about to be shown again must not go.
    """
    oldest = tenants.get(connection, principal).oldest
    past = (editions.c.tenant == principal.tenant) & (editions.c.last < oldest)
    query = select(editions.c.document).where(past, ~holds.covers(editions.c.document)).distinct().limit(_AT_ONCE)
    found = list(connection.execute(query).scalars())
    if found:
        own = select(chunks.c.seq).where(chunks.c.document.in_(found))
        connection.execute(delete(visibility).where(visibility.c.chunk.in_(own), visibility.c.last < oldest))
        connection.execute(delete(editions).where(past, editions.c.document.in_(found)))
        _drop_chunks(connection, principal, found)
        _drop_revisions(connection, found)
    return len(found)


def rewritten(connection: Connection, principal: Principal) -> None:
    """Tells every reader that the past is another, so that it loads anew what it holds in memory."""
    mine = tenants_table.c.name == principal.tenant
    connection.execute(update(tenants_table).where(mine).values(epoch=tenants_table.c.epoch + 1))


def _drop_chunks(connection: Connection, principal: Principal, of: list[int]) -> None:
    """Chunks that no snapshot shows and that don't wait to be published, with the vectors of their texts."""
    waiting = connection.execute(select(staged.c.chunks).where(staged.c.document.in_(of))).scalars()
    kept = {seq for row in waiting for seq in row}
    shown = exists().where(visibility.c.chunk == chunks.c.seq)
    query = select(chunks.c.seq, chunks.c.id, chunks.c.document, chunks.c.embedded)
    gone = [row for row in connection.execute(query.where(chunks.c.document.in_(of), ~shown)) if row.seq not in kept]
    names = [{"chunk": row.id, "tenant": principal.tenant, "document": row.document} for row in gone]
    insert_missing(connection, dropped, names)
    for some in batches([row.seq for row in gone]):
        connection.execute(delete(chunks).where(chunks.c.seq.in_(some)))
    said = exists().where(chunks.c.tenant == embeddings.c.tenant, chunks.c.embedded == embeddings.c.digest)
    for some in batches(sorted({row.embedded for row in gone})):
        mine = (embeddings.c.tenant == principal.tenant) & embeddings.c.fingerprint.in_(select(embedders.c.fingerprint))
        connection.execute(delete(embeddings).where(mine, embeddings.c.digest.in_(some), ~said))


def _drop_revisions(connection: Connection, of: list[int]) -> None:
    """Revisions without an edition; one that a chunk names as its place, or the last one, loses but its text."""
    used = exists().where(editions.c.revision == revisions.c.id)
    waits = exists().where(staged.c.revision == revisions.c.id)
    named = exists().where(chunks.c.revision == revisions.c.id)
    later = revisions.alias("later")
    followed = exists().where(later.c.document == revisions.c.document, later.c.number > revisions.c.number)
    past = revisions.c.document.in_(of) & ~used & ~waits
    connection.execute(delete(revisions).where(past, ~named, followed))
    connection.execute(update(revisions).where(past).values(text="", blocks=null(), title="", metadata={}))
