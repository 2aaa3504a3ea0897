"""Knowledge bases: named sets of documents of one tenant, with the labels that their documents inherit."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from common.errors import InvalidRequest, NotFound
from common.principal import Principal
from retrieval.ledger import tenants
from retrieval.ledger.labels import clean
from retrieval.ledger.schema import knowledge_bases

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEFAULT_LABELS = ("public",)


@dataclass(frozen=True, slots=True)
class Base:
    id: int
    name: str
    labels: tuple[str, ...]
    created: float


def put(connection: Connection, principal: Principal, name: str, labels: Sequence[str] | None) -> tuple[Base, bool]:
    """Makes the knowledge base exist with `labels`, where they are given. Returns it and whether it is new.

    One that was removed and is made again keeps the labels that it had: its past is not opened by the way.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "The knowledge base's name is not usable.",
            "Use 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first.",
            param="knowledge",
        )
    tenants.ensure(connection, principal)
    tenants.next_access(connection, principal)
    mine = (knowledge_bases.c.tenant == principal.tenant) & (knowledge_bases.c.name == name)
    found = connection.execute(select(knowledge_bases).where(mine)).first()
    if found is None:
        row = {"tenant": principal.tenant, "name": name, "labels": _labels(labels), "deleted": False}
        connection.execute(insert(knowledge_bases).values(**row, created=time.time()))
    elif labels is not None or found.deleted:
        wanted = found.labels if labels is None else _labels(labels)
        connection.execute(update(knowledge_bases).where(mine).values(deleted=False, labels=wanted))
    return get(connection, principal, name), found is None or found.deleted


def get(connection: Connection, principal: Principal, name: str) -> Base:
    found = next((base for base in every(connection, principal) if base.name == name), None)
    if found is None:
        raise NotFound(
            f"There is no knowledge base {name!r}.",
            "Create it with PUT /v1/knowledge/{name}, or list those there are with GET /v1/knowledge.",
            param="knowledge",
        )
    return found


def every(connection: Connection, principal: Principal) -> list[Base]:
    columns = (knowledge_bases.c.id, knowledge_bases.c.name, knowledge_bases.c.labels, knowledge_bases.c.created)
    mine = (knowledge_bases.c.tenant == principal.tenant) & ~knowledge_bases.c.deleted
    rows = connection.execute(select(*columns).where(mine).order_by(knowledge_bases.c.name))
    return [Base(row.id, row.name, tuple(row.labels), row.created) for row in rows]


def remove(connection: Connection, principal: Principal, name: str) -> None:
    """Takes the knowledge base away. Its documents must have been removed before: see `Publisher.drop`."""
    base = get(connection, principal, name)
    tenants.next_access(connection, principal)
    mine = (knowledge_bases.c.tenant == principal.tenant) & (knowledge_bases.c.id == base.id)
    connection.execute(update(knowledge_bases).where(mine).values(deleted=True))


def _labels(labels: Sequence[str] | None) -> list[str]:
    return list(clean(DEFAULT_LABELS if labels is None else labels))
