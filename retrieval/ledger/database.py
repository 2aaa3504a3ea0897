"""The ledger's database: connections, transactions, migrations. SQLite by default, PostgreSQL for several hosts."""

import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, event, inspect
from sqlalchemy.dialects import postgresql, sqlite

from common.database import open_database
from retrieval.ledger import planner
from retrieval.ledger.schema import metadata

T = TypeVar("T")

_MIGRATION_LOCK = 0x67726F756E64  # any number of our own: PostgreSQL's advisory locks know no names
_WRITES = "groundtone_writes"
BATCH = 500
"""How many values one statement names: below the parameter limits of both databases."""


class Ledger:
    """Opens transactions on the ledger. Thread-safe; the functions beside it take a connection of `read` or `write`."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url, pool_size=8, max_overflow=24)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._turns = Turns()
        if self.sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A transaction that sees one state of the database from its first query to its last."""
        options: dict[str, Any] = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A transaction that is durable once it is left without an error, and leaves nothing otherwise.

        SQLite has one at a time and lets whoever comes first have it again: here writers of a process take turns, so
        that one with much to write in many transactions keeps nobody waiting for longer than one of them.
        """
        turn = self._turns.mine() if self.sqlite else nullcontext()
        with turn, self.engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Makes the schema, or brings an older one up to date.

        Under a lock: of several processes that start at once, one does the work.
        """
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            if not self.sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config.attributes["connection"] = connection
            if inspect(connection).has_table("alembic_version"):
                command.upgrade(config, "head")
            else:
                metadata.create_all(connection)
                command.stamp(config, "head")
            told = self.sqlite and planner.tell(connection)
        if told:
            self.engine.dispose()  # connections read it when they are opened

    def close(self) -> None:
        self.engine.dispose()


class Turns:
    """A lock that is had in the order of asking."""

    def __init__(self) -> None:
        self._queue: deque[object] = deque()
        self._moved = threading.Condition()

    def __len__(self) -> int:
        """Who has it, and who waits for it."""
        return len(self._queue)

    @contextmanager
    def mine(self) -> Generator[None]:
        ticket = object()
        with self._moved:
            self._queue.append(ticket)
        try:
            with self._moved:
                self._moved.wait_for(lambda: self._queue[0] is ticket)
            yield
        finally:
            with self._moved:
                self._queue.remove(ticket)
                self._moved.notify_all()


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where the driver guesses
    connection.execute("PRAGMA mmap_size=268435456").close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once: one that upgrades later can fail in the middle of its work."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert_missing(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Inserts `rows`, and leaves those alone that are there already."""
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Inserts `row`, or replaces the columns it names where its primary key is there already."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [column.name for column in table.primary_key]
    statement = insert(table).values(row)
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def batches(values: Sequence[T], size: int = BATCH) -> Generator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
