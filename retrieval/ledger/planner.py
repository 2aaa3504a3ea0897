"""What SQLite's planner is told about the ledger: how a large one looks, from the first document on.

Untold, it takes whatever is compared for equality to be rare, and looks for fifty chunks among all of their tenant's.
Measured statistics (ANALYZE) come too late in a ledger that grows, and take the average for NULL, which marks what
holds now. So the table sqlite_stat1 is written by hand, which SQLite allows
(https://www.sqlite.org/lang_analyze.html, "Fixed Results Of ANALYZE").
"""

from sqlalchemy import Connection

_ROWS, _MANY, _FEW = 1_000_000, 50_000, 20
LARGE = ("documents", "revisions", "editions", "chunks", "visibility", "embeddings", "snapshots")
_COMMON = frozenset({"tenant", "fingerprint", "collection", "last", "access"})
"""Columns of which many rows of a table have one value; of any other few do. Most do, but then no range within them
would be looked up."""


def tell(connection: Connection) -> bool:
    """Writes down the statistics where they are other ones; whether it did. Connections that are open don't see it."""
    wanted = {(table, index, stat) for table in LARGE for index, stat in _statistics(connection, table)}
    if not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").all():
        connection.exec_driver_sql("ANALYZE alembic_version")  # makes the table; this one has a row
    if wanted == {tuple(row) for row in connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1")}:
        return False
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", sorted(wanted))
    return True


def _statistics(connection: Connection, table: str) -> list[tuple[str, str]]:
    """Of each index its rows, then how many have the same first column, the same first two, and so on."""
    found: list[tuple[str, str]] = []
    for _, index, unique, *_ in connection.exec_driver_sql(f"PRAGMA index_list({table})").all():
        columns = [row[2] for row in connection.exec_driver_sql(f"PRAGMA index_info({index})").all()]
        same = [_MANY if _COMMON.issuperset(columns[:some]) else _FEW for some in range(1, len(columns) + 1)]
        counts = [_ROWS, *same[:-1], 1 if unique else same[-1]]
        found.append((index, " ".join(map(str, counts))))
    return found
