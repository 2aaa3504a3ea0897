"""The schema and its migrations."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from retrieval.ledger.database import Ledger
from retrieval.ledger.schema import metadata


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("database")
    )


def test_the_migrations_make_the_schema_that_the_code_expects(url: str) -> None:
    """Nothing is in one and not in the other; migrating again changes nothing."""
    ledger = Ledger(url)
    for _ in range(2):
        ledger.migrate()
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
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
