"""Tenants: who owns what, how far its history goes, and the counters that tell readers what to load."""

import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from common.principal import Principal
from retrieval.ledger.database import insert_missing
from retrieval.ledger.schema import tenants


@dataclass(frozen=True, slots=True)
class Tenant:
    """`head` is the newest snapshot, 0 before the first. `access` and `epoch`: see `retrieval.ledger.schema`."""

    name: str
    head: int
    oldest: int
    access: int
    epoch: int
    secret: bytes


def ensure(connection: Connection, principal: Principal) -> None:
    """Makes the principal's tenant exist. Its secret is drawn once and never leaves the ledger but as fences."""
    row = {"name": principal.tenant, "head": 0, "oldest": 0, "access": 0, "epoch": 0}
    insert_missing(connection, tenants, [row | {"secret": secrets.token_bytes(32), "created": time.time()}])


def get(connection: Connection, principal: Principal) -> Tenant:
    """The principal's tenant; one that holds nothing yet is empty, not an error."""
    found = connection.execute(
        select(*(tenants.c[name] for name in Tenant.__slots__)).where(tenants.c.name == principal.tenant)
    ).first()
    return Tenant(*found) if found else Tenant(principal.tenant, 0, 0, 0, 0, b"")


def names(connection: Connection) -> list[str]:
    """All tenants, for the writer's own rounds. Not for an answer to anybody."""
    return list(connection.execute(select(tenants.c.name).order_by(tenants.c.name)).scalars())


def next_access(connection: Connection, principal: Principal) -> int:
    """Counts a change of labels and returns its number. Holds the tenant's row until the transaction ends."""
    statement = update(tenants).where(tenants.c.name == principal.tenant)
    return connection.execute(statement.values(access=tenants.c.access + 1).returning(tenants.c.access)).scalar_one()
