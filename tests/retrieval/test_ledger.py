"""The schema and its migrations."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from retrieval.ledger.database import Ledger
from retrieval.ledger.schema import metadata


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("database")
    )


def as_it_began(connection: Connection) -> None:
    """The schema of revision 0001: today's, with what later revisions brought taken back."""
    metadata.create_all(connection)
    for index in ("ix_editions_document", "ix_editions_revision", "ix_chunks_revision"):
        connection.exec_driver_sql(f"DROP INDEX {index}")
    for table in ("visibility", "editions"):
        connection.exec_driver_sql(f"DROP INDEX ix_{table}_tenant_last_first")
        connection.exec_driver_sql(f"CREATE INDEX ix_{table}_tenant_last ON {table} (tenant, last)")
    for table in ("dropped", "holds"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("ALTER TABLE revisions DROP COLUMN blocks")
    connection.exec_driver_sql("ALTER TABLE sources ADD COLUMN cursor TEXT")
    connection.exec_driver_sql("ALTER TABLE sources ADD COLUMN lag DOUBLE PRECISION")
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_the_ledger_has_the_schema_that_the_code_expects(url: str, older: bool) -> None:
    """A new one, and one of the first revision that was migrated; migrating again changes nothing."""
    ledger = Ledger(url)
    if older:
        with ledger.write() as connection:
            as_it_began(connection)
    for _ in range(2):
        ledger.migrate()
    with ledger.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == "0005"
    ledger.close()


def test_processes_that_start_at_once_migrate_once(url: str) -> None:
    """The others wait for the one that does the work."""
    ledgers = [Ledger(url) for _ in range(4)]
    failed: list[BaseException] = []

    def migrate(ledger: Ledger) -> None:
        try:
            ledger.migrate()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate, args=[ledger]) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for ledger in ledgers:
        ledger.close()
