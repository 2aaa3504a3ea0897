"""Staging: a change of one document made durable before anybody can see it.

What is staged is complete (revision, chunks, labels to be), so a writer that dies is taken over without asking again.
One change waits per document; a later one takes its place.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from common.canonical import canonical, digest, digest_of
from common.errors import Conflict, ErrorCode
from common.principal import Principal
from retrieval.ledger import bases, documents, tenants
from retrieval.ledger.database import batches, insert_missing
from retrieval.ledger.schema import chunks, revisions, staged
from retrieval.ledger.schema import documents as documents_table
from retrieval.text import Block

PUSHED = "push"
"""The source of what came over HTTP."""


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk to be: a piece of the text, and the digest of what is embedded for it."""

    start: int
    end: int
    text: str
    heading: tuple[str, ...]
    page: int | None
    embedded: str


@dataclass(frozen=True, slots=True)
class Content:
    """A document read, and cut where it has a `strategy`. `digest` is of its bytes, `identity` of all that was sent."""

    title: str
    lang: str
    media_type: str
    text: str
    digest: str
    identity: str
    strategy: str = ""
    parts: Sequence[Part] = ()
    blocks: Sequence[Block] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    effective_from: float | None = None
    effective_until: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What one document shall become. Without `content` it is removed; without `labels` it keeps those it has.

    One that `yields` gives way to another that waits for the same document, instead of taking its place.
    """

    knowledge: str
    document: str
    content: Content | None
    labels: tuple[str, ...] | None = None
    source: str = PUSHED
    if_match: int | None = None
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change whose revision and chunks are in the ledger, where nobody can see them.

    `revision` is None for a removal. Where the document is `as_wanted` already there is nothing to stage.
    """

    change: Change
    document: int
    revision: int | None
    number: int
    chunks: list[int]
    created: bool
    as_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """What a change came to. `id` is None where nothing was left to publish: the document is as wanted already."""

    document: str
    revision: int
    created: bool
    id: int | None


def prepare(connection: Connection, principal: Principal, change: Change) -> Prepared | Staged:
    """Writes down what a change shall show; or tells what came of it where it yields to another that waits.

    Labels wait with their content, so that new labels never open old content; labels alone change at once.
    Raises NotFound for an unknown knowledge base or document, Conflict where `if_match` is not the current revision.
    """
    base = bases.get(connection, principal, change.knowledge)
    found = documents.find(connection, principal, base, change.document)
    current = found.revision if found else None
    check_match(change, current)
    if change.content is None and current is None:
        if found is None or not _waits(connection, principal, found.id):
            raise documents.not_found(change.document)
        return Prepared(change, found.id, None, 0, [], False, as_wanted=True)  # what waits is taken back
    if found and change.yields and _waits(connection, principal, found.id):
        return Staged(change.document, current or 0, False, None)
    if found and current and change.content and found.same(change.content.identity, change.content.strategy):
        relabel(connection, principal, found.id, change.labels, change.source)
        return Prepared(change, found.id, None, current, [], False, as_wanted=True)
    document = found.id if found else _new_document(connection, principal, base, change)
    revision, number, seqs = None, current or 0, list[int]()
    if change.content is not None:
        revision, number = _new_revision(connection, principal, document, change.content)
        seqs = _chunks(connection, principal, document, revision, change.content)
    return Prepared(change, document, revision, number, seqs, current is None)


def stage(
    connection: Connection, principal: Principal, prepared: Sequence[Prepared], *, automatic: bool
) -> list[Staged]:
    """Stages what was prepared, in place of what waits for the same documents.

    `automatic` ones are published by the writer, after a restart too; others wait to be asked for.
    """
    last = {one.document: one for one in prepared}  # of two changes of one document the later counts
    for some in batches(list(last)):
        connection.execute(delete(staged).where(staged.c.tenant == principal.tenant, staged.c.document.in_(some)))
    shared = {"tenant": principal.tenant, "automatic": automatic, "author": principal.key, "created": time.time()}
    rows = [
        {"document": one.document, "revision": one.revision, "chunks": one.chunks}
        | {"labels": one.change.labels, "source": one.change.source, **shared}
        for one in last.values()
        if not one.as_wanted
    ]
    ids: dict[int, int] = {}
    if rows:
        returned = insert(staged).returning(staged.c.document, staged.c.id)
        ids = {row.document: row.id for row in connection.execute(returned, rows)}
    return [Staged(one.change.document, one.number, one.created, ids.get(one.document)) for one in prepared]


def check_match(change: Change, current: int | None) -> None:
    """Raises Conflict where the change was made for another revision than the current one."""
    if change.if_match is not None and change.if_match != (current or 0):
        raise Conflict(
            f"The document is at revision {current or 'none'}, not {change.if_match}.",
            "Read it again, apply your change to what it says now, and send that with its revision.",
            code=ErrorCode.REVISION_MISMATCH,
            param="If-Match",
        )


def _waits(connection: Connection, principal: Principal, document: int) -> bool:
    mine = (staged.c.tenant == principal.tenant) & (staged.c.document == document)
    return connection.execute(select(staged.c.id).where(mine)).first() is not None


def waiting(connection: Connection, principal: Principal, base: bases.Base | None, *, automatic: bool) -> list[int]:
    """The staged changes of a knowledge base, or of the whole tenant, oldest first."""
    query = select(staged.c.id).join(documents_table, documents_table.c.id == staged.c.document)
    query = query.where(staged.c.tenant == principal.tenant, staged.c.automatic == automatic).order_by(staged.c.id)
    if base is not None:
        query = query.where(documents_table.c.knowledge == base.id)
    return list(connection.execute(query).scalars())


def chunks_of(connection: Connection, principal: Principal, ids: Sequence[int]) -> list[int]:
    """The chunks that publishing these staged changes would show."""
    query = select(staged.c.chunks).where(staged.c.tenant == principal.tenant)
    found = (row for some in batches(ids) for row in connection.execute(query.where(staged.c.id.in_(some))).scalars())
    return [seq for row in found for seq in row]


def discard(connection: Connection, principal: Principal, ids: Sequence[int]) -> None:
    """Forgets staged changes. What they would have shown was never visible and never will be."""
    for some in batches(ids):
        connection.execute(delete(staged).where(staged.c.tenant == principal.tenant, staged.c.id.in_(some)))


def relabel(
    connection: Connection, principal: Principal, document: int, labels: Sequence[str] | None, source: str
) -> None:
    """Gives a document its labels, where there are any to give, and its source."""
    mine = (documents_table.c.tenant == principal.tenant) & (documents_table.c.id == document)
    row = connection.execute(select(documents_table.c.labels, documents_table.c.source).where(mine)).one()
    wanted = row.labels if labels is None else sorted(set(labels))
    if (wanted, source) != (row.labels, row.source):
        access = tenants.next_access(connection, principal)
        connection.execute(update(documents_table).where(mine).values(labels=wanted, source=source, access=access))


def _new_document(connection: Connection, principal: Principal, base: bases.Base, change: Change) -> int:
    row = {
        "tenant": principal.tenant,
        "knowledge": base.id,
        "name": change.document,
        "labels": None if change.labels is None else sorted(set(change.labels)),
        "source": change.source,
        "access": tenants.next_access(connection, principal),
        "created": time.time(),
    }
    return connection.execute(insert(documents_table).values(row).returning(documents_table.c.id)).scalar_one()


def _new_revision(connection: Connection, principal: Principal, document: int, content: Content) -> tuple[int, int]:
    number = documents.last_number(connection, principal, document) + 1
    row = {
        "tenant": principal.tenant,
        "document": document,
        "number": number,
        "blocks": [[b.kind, b.start, b.end, b.level, b.page] for b in content.blocks] or None,
        "author": principal.key,
        "created": time.time(),
        **{name: getattr(content, name) for name in Content.__slots__ if name not in ("parts", "blocks")},
    }
    return connection.execute(insert(revisions).values(row).returning(revisions.c.id)).scalar_one(), number


def _chunks(connection: Connection, principal: Principal, document: int, revision: int, content: Content) -> list[int]:
    """The chunks of a revision in order: those that say what an earlier one said are that very chunk."""
    shared = {
        "document": document,
        "title": content.title,
        "lang": content.lang,
        "metadata": content.metadata,
        "effective_from": content.effective_from,
        "effective_until": content.effective_until,
    }
    rows: dict[str, dict[str, Any]] = {}
    for position, part in enumerate(content.parts):
        seen = {"title": content.title, "heading": part.heading, "text": part.text, "page": part.page}
        seen_digest = digest_of(seen | {"lang": content.lang})
        identity = {**shared, "digest": seen_digest, "embedded": part.embedded, "tenant": principal.tenant}
        times = 0  # a piece that stands there twice is two chunks
        while (id_ := _chunk_id(identity | {"times": times})) in rows:
            times += 1
        rows[id_] = {
            **shared,
            "id": id_,
            "tenant": principal.tenant,
            "revision": revision,
            "position": position,
            "start": part.start,
            "end": part.end,
            "page": part.page,
            "heading": part.heading,
            "text": part.text,
            "digest": seen_digest,
            "embedded": part.embedded,
        }
    insert_missing(connection, chunks, list(rows.values()))
    found: dict[str, int] = {}
    for some in batches(list(rows)):
        query = select(chunks.c.id, chunks.c.seq).where(chunks.c.tenant == principal.tenant, chunks.c.id.in_(some))
        found |= {row.id: row.seq for row in connection.execute(query)}
    return [found[id_] for id_ in rows]


def _chunk_id(identity: dict[str, Any]) -> str:
    return "c_" + digest(canonical(identity)).partition(":")[2][:32]
