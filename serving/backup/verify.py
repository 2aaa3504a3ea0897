"""What a restored record and ledger say of themselves: every digest is derived again from what it covers."""

from sqlalchemy import select

from common.canonical import digest
from common.database import open_database
from common.principal import EVERY_LABEL, Principal
from retrieval.ledger import tenants
from retrieval.ledger.database import Ledger
from retrieval.ledger.verify import broken
from serving.audit.schema import intents, outcomes

_AT_ONCE = 500


def receipts(url: str) -> tuple[int, list[str]]:
    """How many receipts the record has, and those whose digests do not hold."""
    ended = (outcomes.c.body.label("outcome"), outcomes.c.digest.label("outcome_digest"))
    query = select(intents.c.receipt, intents.c.body, intents.c.digest, *ended)
    query = query.join_from(intents, outcomes, isouter=True)
    count, wrong = 0, list[str]()
    database = open_database(url)
    try:
        with database.connect() as connection:
            for row in connection.execution_options(yield_per=_AT_ONCE).execute(query):
                count += 1
                held = digest(row.body) == row.digest and (
                    row.outcome is None or digest(row.outcome) == row.outcome_digest
                )
                wrong += [] if held else [row.receipt]
    finally:
        database.dispose()
    return count, wrong


def snapshots(url: str) -> tuple[int, list[str]]:
    """How many snapshots the ledger has kept whole, and those whose digests do not hold."""
    ledger = Ledger(url)
    count, wrong = 0, list[str]()
    try:
        with ledger.read() as connection:
            for name in tenants.names(connection):
                someone = Principal(name, "restore", frozenset({EVERY_LABEL}), frozenset())
                numbers, bad = broken(connection, someone)
                count += numbers
                wrong += [f"{name}, snapshot {number}" for number in bad]
    finally:
        ledger.close()
    return count, wrong
