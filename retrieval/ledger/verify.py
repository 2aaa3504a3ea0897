"""Whether the past is what was published: each snapshot's digest, derived again from what the ledger holds."""

from sqlalchemy import Connection, select

from common.canonical import digest_of
from common.principal import Principal
from retrieval.ledger import tenants
from retrieval.ledger.publication import content
from retrieval.ledger.schema import snapshots


def broken(connection: Connection, principal: Principal) -> tuple[int, list[int]]:
    """How many snapshots of the tenant can be derived again, and the numbers of those that are not what they say.

    Those up to the oldest that retention keeps can't: what they changed was dropped.
    """
    mine = (snapshots.c.tenant == principal.tenant) & (snapshots.c.number > tenants.get(connection, principal).oldest)
    found = connection.execute(select(snapshots.c.number, snapshots.c.digest).where(mine)).all()
    wrong = [number for number, digest in found if digest_of(content(connection, principal, number)) != digest]
    return len(found), sorted(wrong)
