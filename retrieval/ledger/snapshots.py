"""Snapshots: every publication has a number, and a question is pinned to one of them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select

from common.errors import Gone, InvalidRequest, NotFound
from common.principal import Principal
from retrieval.ledger import tenants
from retrieval.ledger.schema import documents, editions, knowledge_bases, revisions, snapshots

LONGEST_NUMBER = 18
"""Digits of a number that a caller sends as text: more fit into no column."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    number: int
    author: str
    message: str
    created: float
    digest: str


@dataclass(frozen=True, slots=True)
class Pin:
    """The snapshot that a request is answered from, and the time at which effective dates are read."""

    number: int
    clock: float
    head: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that two snapshots hold differently: the revision in each, None where it is not there."""

    knowledge: str
    document: str
    before: int | None
    after: int | None


def add(connection: Connection, principal: Principal, number: int, message: str, created: float, digest: str) -> None:
    row = {"tenant": principal.tenant, "number": number, "author": principal.key, "message": message}
    connection.execute(insert(snapshots).values(**row, created=created, digest=digest))


def digest_at(connection: Connection, principal: Principal, number: int) -> str | None:
    mine = (snapshots.c.tenant == principal.tenant) & (snapshots.c.number == number)
    return connection.execute(select(snapshots.c.digest).where(mine)).scalar()


def newest(connection: Connection, principal: Principal, before: int | None, limit: int) -> list[Snapshot]:
    """Up to `limit` snapshots, the newest first, from below number `before` on."""
    columns = (snapshots.c[name] for name in Snapshot.__slots__)
    query = select(*columns).where(snapshots.c.tenant == principal.tenant)
    if before is not None:
        query = query.where(snapshots.c.number < before)
    return [Snapshot(*row) for row in connection.execute(query.order_by(snapshots.c.number.desc()).limit(limit))]


def pin(connection: Connection, principal: Principal, as_of: int | str | None, now: float | None = None) -> Pin:
    """The snapshot for `as_of`: the head, a number, or the newest one at an RFC 3339 time.

    A time moves the clock too, so that effective dates are read as they were then; a number doesn't.
    Raises NotFound for a number never reached, Gone for one that retention dropped, InvalidRequest for no time at all.
    """
    tenant = tenants.get(connection, principal)
    clock = time.time() if now is None else now
    if as_of is None:
        return Pin(tenant.head, clock, tenant.head)
    if isinstance(as_of, str) and as_of.isdecimal() and len(as_of) <= LONGEST_NUMBER:
        as_of = int(as_of)
    if isinstance(as_of, int):
        number = as_of
    else:
        clock = moment(as_of, "as_of")
        before = (snapshots.c.tenant == principal.tenant) & (snapshots.c.created <= clock)
        number = connection.execute(select(func.max(snapshots.c.number)).where(before)).scalar() or 0
    if number > tenant.head or number < 0:
        raise NotFound(
            f"Snapshot {number} does not exist.", f"Name one from 0 to {tenant.head}, the newest.", param="as_of"
        )
    if number < tenant.oldest:
        raise Gone(
            f"Snapshot {number} is no longer kept.", f"Name one from {tenant.oldest} to {tenant.head}.", param="as_of"
        )
    return Pin(number, clock, tenant.head)


def diff(connection: Connection, principal: Principal, a: int, b: int) -> list[Difference]:
    """The documents that differ between snapshots `a` and `b`, as far as the principal may read them."""
    states: list[dict[int, Any]] = []
    for number in (pin(connection, principal, n).number for n in (a, b)):
        query = (
            select(
                documents.c.id,
                documents.c.name,
                knowledge_bases.c.name.label("knowledge"),
                revisions.c.number,
                func.coalesce(documents.c.labels, knowledge_bases.c.labels, type_=documents.c.labels.type).label(
                    "labels"
                ),
            )
            .join(editions, editions.c.document == documents.c.id)
            .join(revisions, revisions.c.id == editions.c.revision)
            .join(knowledge_bases, knowledge_bases.c.id == documents.c.knowledge)
            .where(documents.c.tenant == principal.tenant, ~knowledge_bases.c.deleted)
            .where(editions.c.first <= number, or_(editions.c.last.is_(None), editions.c.last >= number))
            .where(_changed_between(min(a, b), max(a, b)))
        )
        states.append({row.id: row for row in connection.execute(query) if principal.reads(row.labels)})
    before, after = states
    found: list[Difference] = []
    for id_ in before.keys() | after.keys():
        row = after.get(id_) or before[id_]
        numbers = [state[id_].number if id_ in state else None for state in states]
        if numbers[0] != numbers[1]:
            found.append(Difference(row.knowledge, row.name, numbers[0], numbers[1]))
    return sorted(found, key=lambda difference: (difference.knowledge, difference.document))


def _changed_between(a: int, b: int) -> Any:
    """Editions that hold in one of two snapshots only: begun after the earlier, or ended before the later."""
    return or_(editions.c.first > a, editions.c.last < b)


def moment(value: str | float, param: str) -> float:
    """An RFC 3339 time or date as seconds since 1970, which a number says already, in the years from 1 to 9999.

    Without an offset it is UTC; a date is its midnight.
    """
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            f"{param} is not a time.", "Send RFC 3339, such as 2027-04-01 or 2027-04-01T09:00:00+09:00.", param=param
        ) from None


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
