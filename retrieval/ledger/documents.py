"""Documents and their revisions, as a principal may see them."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select

from common.errors import NotFound
from common.principal import Principal
from retrieval.ledger.bases import Base
from retrieval.ledger.schema import MOST, documents, editions, revisions


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is now. `revision` is the number of its current revision, None where it was removed."""

    id: int
    revision: int | None
    identity: str | None
    strategy: str | None

    def same(self, identity: str, strategy: str) -> bool:
        """Whether its current revision is of these bytes, said the same of, and cut the same way."""
        return (self.identity, self.strategy) == (identity, strategy)


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision says of itself; `text` and `blocks`, as the schema has them, only where they were asked for."""

    document: str
    revision: int
    title: str
    lang: str
    media_type: str
    labels: tuple[str, ...]
    source: str
    metadata: dict[str, Any]
    effective_from: float | None
    effective_until: float | None
    digest: str
    identity: str
    strategy: str
    author: str
    created: float
    text: str | None = None
    blocks: list[list[Any]] | None = None


def not_found(name: str) -> NotFound:
    return NotFound(
        f"There is no document {name!r} in this knowledge base.",
        "List the documents with GET /v1/knowledge/{name}/documents.",
        param="document",
    )


def find(connection: Connection, principal: Principal, base: Base, name: str) -> Document | None:
    """The document, present or removed, or None where there never was one. What may not be read is not found."""
    row = connection.execute(
        select(documents.c.id, documents.c.labels, revisions.c.number, revisions.c.identity, revisions.c.strategy)
        .outerjoin(editions, and_(editions.c.document == documents.c.id, editions.c.last.is_(None)))
        .outerjoin(revisions, revisions.c.id == editions.c.revision)
        .where(documents.c.tenant == principal.tenant, documents.c.knowledge == base.id, documents.c.name == name)
    ).first()
    if row is None:
        return None
    if not principal.reads(base.labels if row.labels is None else row.labels):
        raise not_found(name)
    return Document(row.id, row.number, row.identity, row.strategy)


def last_number(connection: Connection, principal: Principal, document: int) -> int:
    """The highest revision number that was ever given out for a document, 0 before the first."""
    mine = (revisions.c.tenant == principal.tenant) & (revisions.c.document == document)
    return connection.execute(select(func.max(revisions.c.number)).where(mine)).scalar() or 0


def get(connection: Connection, principal: Principal, base: Base, name: str, number: int | None = None) -> Revision:
    """A revision with its text: the current one, or the one numbered `number`, which may be long past."""
    query = (
        _revisions(principal, base).add_columns(revisions.c.text, revisions.c.blocks).where(documents.c.name == name)
    )
    wanted = editions.c.last.is_(None) if number is None else revisions.c.number == min(number, MOST)
    row = connection.execute(query.where(wanted)).first()
    if row is None or not principal.reads(base.labels if row.labels is None else row.labels):
        raise not_found(name)
    return replace(_revision(row, base), text=row.text, blocks=row.blocks)


def cut_otherwise(connection: Connection, principal: Principal, base: Base, strategy: str) -> list[tuple[str, bool]]:
    """The present documents that another strategy cut: their names, and whether their structure was kept."""
    query = (
        select(documents.c.name, revisions.c.blocks.is_not(None).label("kept"))
        .join(editions, editions.c.document == documents.c.id)
        .join(revisions, revisions.c.id == editions.c.revision)
        .where(documents.c.tenant == principal.tenant, documents.c.knowledge == base.id)
        .where(editions.c.last.is_(None), revisions.c.strategy != strategy)
    )
    return [(row.name, row.kept) for row in connection.execute(query.order_by(documents.c.name))]


def of_source(connection: Connection, principal: Principal, base: Base, source: str) -> list[str]:
    """The names of the present documents of a knowledge base that a source brought."""
    query = select(documents.c.name).join(editions, editions.c.document == documents.c.id)
    mine = (documents.c.tenant == principal.tenant) & (documents.c.knowledge == base.id)
    return list(
        connection.execute(query.where(mine, documents.c.source == source, editions.c.last.is_(None))).scalars()
    )


def page(
    connection: Connection, principal: Principal, base: Base, after: str, limit: int
) -> tuple[list[Revision], str | None]:
    """Up to `limit` present documents in order of their names, from after `after` on, and where to go on."""
    found: list[Revision] = []
    while True:
        query = _revisions(principal, base).where(editions.c.last.is_(None), documents.c.name > after)
        rows = connection.execute(query.order_by(documents.c.name).limit(limit + 1)).all()
        for row in rows:
            if principal.reads(base.labels if row.labels is None else row.labels):
                if len(found) == limit:
                    return found, found[-1].document
                found.append(_revision(row, base))
        if len(rows) <= limit:
            return found, None
        after = rows[-1].name


def _revisions(principal: Principal, base: Base) -> Select[Any]:
    """Published revisions of a knowledge base that is the principal's own."""
    kept = ("number", "title", "lang", "media_type", "metadata", "effective_from", "effective_until")
    return (
        select(
            documents.c.name,
            documents.c.labels,
            documents.c.source,
            *(revisions.c[name] for name in (*kept, "digest", "identity", "strategy", "author", "created")),
        )
        .join(editions, editions.c.document == documents.c.id)
        .join(revisions, revisions.c.id == editions.c.revision)
        .where(documents.c.tenant == principal.tenant, documents.c.knowledge == base.id)
    )


def _revision(row: Row[Any], base: Base) -> Revision:
    labels = base.labels if row.labels is None else tuple(row.labels)
    return Revision(
        row.name, row.number, row.title, row.lang, row.media_type, labels, row.source, row.metadata,
        row.effective_from, row.effective_until, row.digest, row.identity, row.strategy, row.author, row.created,
    )  # fmt: skip
