"""Chunks: what they say, for evidence, and the few columns of each that a catalog holds in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, exists, select, type_coerce

from common.errors import Gone, NotFound
from common.principal import Principal
from retrieval.ledger.database import batches
from retrieval.ledger.embeddings import of_chunk
from retrieval.ledger.schema import chunks, documents, dropped, embeddings, knowledge_bases, revisions, visibility


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as it first stood: `start`, `end`, `page` and `position` belong to `revision`."""

    seq: int
    id: str
    digest: str
    embedded: str
    knowledge: str
    document: str
    revision: int
    title: str
    heading: tuple[str, ...]
    text: str
    start: int
    end: int
    page: int | None
    lang: str
    position: int


def load(connection: Connection, principal: Principal, seqs: Sequence[int]) -> dict[int, Chunk]:
    """The chunks with these numbers, as far as they are the tenant's."""
    found: dict[int, Chunk] = {}
    columns = (chunks.c[n] for n in ("seq", "id", "digest", "embedded"))
    place = (chunks.c[n] for n in ("title", "heading", "text", "start", "end", "page", "lang", "position"))
    query = (
        select(*columns, knowledge_bases.c.name.label("knowledge"), *place)
        .add_columns(documents.c.name.label("document"), revisions.c.number.label("revision"))
        .join(documents, documents.c.id == chunks.c.document)
        .join(knowledge_bases, knowledge_bases.c.id == documents.c.knowledge)
        .join(revisions, revisions.c.id == chunks.c.revision)
        .where(chunks.c.tenant == principal.tenant)
    )
    for some in batches(seqs):
        for row in connection.execute(query.where(chunks.c.seq.in_(some))).mappings():
            fields: dict[str, Any] = {**row, "heading": tuple(row["heading"])}
            found[row["seq"]] = Chunk(**fields)
    return found


def cited(connection: Connection, principal: Principal, id: str) -> Chunk:
    """The chunk with this id as it stood, also when its document has changed or gone since.

    Raises NotFound for one that was never published, and for one whose document the principal may not read now; Gone
    for one that retention dropped.
    """
    query = (
        select(chunks.c.seq, documents.c.labels, knowledge_bases.c.labels.label("inherited"))
        .join(documents, documents.c.id == chunks.c.document)
        .join(knowledge_bases, knowledge_bases.c.id == documents.c.knowledge)
        .where(chunks.c.tenant == principal.tenant, chunks.c.id == id)
        .where(exists().where(visibility.c.chunk == chunks.c.seq))
    )
    row = connection.execute(query).first()
    if row is None and _was_dropped(connection, principal, id):
        raise Gone("The text of this citation is no longer kept.", "The receipt of the answer quotes what it cited.")
    if row is None or not principal.reads(row.inherited if row.labels is None else row.labels):
        raise NotFound("There is no such citation.", "Take the chunk's id from an answer of your tenant.")
    return load(connection, principal, [row.seq])[row.seq]


def _was_dropped(connection: Connection, principal: Principal, id: str) -> bool:
    """Whether retention dropped this chunk, whose document the principal may read now."""
    query = (
        select(documents.c.labels, knowledge_bases.c.labels.label("inherited"))
        .join(dropped, dropped.c.document == documents.c.id)
        .join(knowledge_bases, knowledge_bases.c.id == documents.c.knowledge)
        .where(dropped.c.tenant == principal.tenant, dropped.c.chunk == id)
    )
    row = connection.execute(query).first()
    return row is not None and principal.reads(row.inherited if row.labels is None else row.labels)


def without_vector(
    connection: Connection, principal: Principal, fingerprint: str, *, past: bool = False, after: int = -1
) -> list[int]:
    """The chunks that are visible now, or with `past` ever were, and have no vector of this embedder.

    With `after` only what a later snapshot than that one showed: where no more came, it costs no more.
    """
    query = (
        select(chunks.c.seq)
        .join(visibility, visibility.c.chunk == chunks.c.seq)
        .outerjoin(embeddings, of_chunk(fingerprint))
        .where(visibility.c.tenant == principal.tenant, embeddings.c.seq.is_(None))
        .where(visibility.c.first > after, visibility.c.last.is_(None) | past)
    )
    return list(connection.execute(query.distinct().order_by(chunks.c.seq)).scalars())


def names(connection: Connection, principal: Principal, seqs: Sequence[int]) -> dict[str, int]:
    """The ids of the chunks with these numbers."""
    found: dict[str, int] = {}
    for some in batches(seqs):
        query = select(chunks.c.id, chunks.c.seq).where(chunks.c.tenant == principal.tenant, chunks.c.seq.in_(some))
        found |= {row.id: row.seq for row in connection.execute(query)}
    return found


def all_seqs(connection: Connection, principal: Principal, after: int = -1) -> list[int]:
    """Every chunk that was visible in a snapshot, or that one after `after` showed: the lexical index must hold it."""
    query = select(visibility.c.chunk).where(visibility.c.tenant == principal.tenant).distinct()
    query = query.where(visibility.c.first > after)
    return sorted(connection.execute(query).scalars())


def intervals(connection: Connection, principal: Principal, fingerprint: str, after: int, until: int) -> Iterator[Any]:
    """Intervals begun in snapshots after `after` and up to `until`, in order, with what a catalog holds of them."""
    query = (
        select(
            visibility.c.id,
            visibility.c.chunk,
            visibility.c.first,
            visibility.c.last,
            chunks.c.id.label("name"),
            chunks.c.document,
            chunks.c.lang,
            type_coerce(chunks.c.metadata, Text).label("metadata"),
            chunks.c.effective_from,
            chunks.c.effective_until,
            embeddings.c.seq.label("embedding"),
        )
        .join(chunks, chunks.c.seq == visibility.c.chunk)
        .outerjoin(embeddings, of_chunk(fingerprint))
        .where(visibility.c.tenant == principal.tenant)
        .where(visibility.c.first > after, visibility.c.first <= until)
        .order_by(visibility.c.id)
    )
    return iter(connection.execute(query))


def endings(connection: Connection, principal: Principal, after: int, until: int) -> list[tuple[int, int]]:
    """Intervals begun up to snapshot `after` and ended by snapshots after it, up to `until`: their ids and last."""
    query = select(visibility.c.id, visibility.c.last).where(
        visibility.c.tenant == principal.tenant,
        visibility.c.last >= after,
        visibility.c.last < until,
        visibility.c.first <= after,
    )
    return [(row.id, row.last) for row in connection.execute(query)]


def readers(connection: Connection, principal: Principal, access: int) -> list[Any]:
    """Documents that are new, or whose labels changed, since the tenant's access counter stood at `access`."""
    query = select(
        documents.c.id, documents.c.knowledge, documents.c.name, documents.c.labels, documents.c.source
    ).where(documents.c.tenant == principal.tenant, documents.c.access > access)
    return list(connection.execute(query.order_by(documents.c.id)))
