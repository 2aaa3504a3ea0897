"""Legal holds: what retention must not drop, who said so, and why. A hold that has ended stays on record."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update

from common.errors import Conflict, InvalidRequest, NotFound
from common.principal import Principal
from retrieval.ledger import bases, tenants
from retrieval.ledger import documents as documents_
from retrieval.ledger.schema import documents, holds, knowledge_bases

_LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold of one document, or of a whole knowledge base where `document` is None. It holds until it has `ended`."""

    id: int
    knowledge: str
    document: str | None
    reason: str
    author: str
    created: float
    ended: float | None
    ended_by: str | None
    ended_reason: str | None


def place(connection: Connection, principal: Principal, knowledge: str, document: str | None, reason: str) -> Hold:
    """Holds a document, removed ones too, or a knowledge base. Raises NotFound, InvalidRequest without a reason."""
    tenants.ensure(connection, principal)
    base = bases.get(connection, principal, knowledge)
    found = documents_.find(connection, principal, base, document) if document is not None else None
    if document is not None and found is None:
        raise documents_.not_found(document)
    row = {"tenant": principal.tenant, "knowledge": base.id, "document": found.id if found else None}
    said = {"reason": _said(reason), "author": principal.key, "created": time.time()}
    id_ = connection.execute(insert(holds).values(row | said).returning(holds.c.id)).scalar_one()
    return get(connection, principal, id_)


def end(connection: Connection, principal: Principal, id_: int, reason: str) -> Hold:
    """Ends a hold; what only it kept goes with the next retention. Raises NotFound, Conflict for one that has ended."""
    if get(connection, principal, id_).ended is not None:
        raise Conflict("This hold has ended already.", "List the holds with GET /v1/holds.")
    mine = (holds.c.tenant == principal.tenant) & (holds.c.id == id_)
    told = {"ended": time.time(), "ended_by": principal.key, "ended_reason": _said(reason)}
    connection.execute(update(holds).where(mine).values(told))
    return get(connection, principal, id_)


def get(connection: Connection, principal: Principal, id_: int) -> Hold:
    found = next((hold for hold in every(connection, principal) if hold.id == id_), None)
    if found is None:
        raise NotFound("There is no such hold.", "List the holds with GET /v1/holds.")
    return found


def every(connection: Connection, principal: Principal) -> list[Hold]:
    """All holds, the newest first, as far as the principal may read what they hold."""
    said = (holds.c[name] for name in ("reason", "author", "created", "ended", "ended_by", "ended_reason"))
    query = (
        select(holds.c.id, knowledge_bases.c.name.label("knowledge"), documents.c.name, *said)
        .add_columns(documents.c.labels, knowledge_bases.c.labels.label("inherited"))
        .join(knowledge_bases, knowledge_bases.c.id == holds.c.knowledge)
        .outerjoin(documents, documents.c.id == holds.c.document)
        .where(holds.c.tenant == principal.tenant)
    )
    rows = connection.execute(query.order_by(holds.c.id.desc())).all()
    mine = (row for row in rows if principal.reads(row.inherited if row.labels is None else row.labels))
    return [Hold(*list(row)[:9]) for row in mine]


def covers(document: Any) -> Any:
    """Whether a hold covers a document, given as the column of its number: a condition for a query."""
    of = (holds.c.document == documents.c.id) | holds.c.document.is_(None)
    return exists().where(
        documents.c.id == document, holds.c.knowledge == documents.c.knowledge, of, holds.c.ended.is_(None)
    )


def _said(reason: str) -> str:
    if not reason.strip():
        raise InvalidRequest("A hold needs a reason.", "Say why, for whoever asks later.", param="reason")
    return reason.strip()[:_LONGEST_REASON]
