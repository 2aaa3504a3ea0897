"""Documents and their revisions, as a principal may see them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, select

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
    row = connection.execute(query.where(wanted)).mappings().first()
    if row is None or not principal.reads((found := _revision(row, base)).labels):
        raise not_found(name)
    return found


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
        rows = connection.execute(query.order_by(documents.c.name).limit(limit + 1)).mappings().all()
        for revision in (_revision(row, base) for row in rows):
            if principal.reads(revision.labels):
                if len(found) == limit:
                    return found, found[-1].document
                found.append(revision)
        if len(rows) <= limit:
            return found, None
        after = rows[-1]["document"]


def _revisions(principal: Principal, base: Base) -> Select[Any]:
    """Published revisions of a knowledge base that is the principal's own."""
    kept = ("title", "lang", "media_type", "metadata", "effective_from", "effective_until")
    return (
        select(
            documents.c.name.label("document"),
            documents.c.labels,
            documents.c.source,
            revisions.c.number.label("revision"),
            *(revisions.c[name] for name in (*kept, "digest", "identity", "strategy", "author", "created")),
        )
        .join(editions, editions.c.document == documents.c.id)
        .join(revisions, revisions.c.id == editions.c.revision)
        .where(documents.c.tenant == principal.tenant, documents.c.knowledge == base.id)
    )


def _revision(row: RowMapping, base: Base) -> Revision:
    labels = base.labels if row["labels"] is None else tuple(row["labels"])
    fields: dict[str, Any] = {**row, "labels": labels}
    return Revision(**fields)
