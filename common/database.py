"""How groundtone opens a SQL database: SQLite that survives a power cut, or PostgreSQL."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url


def database_url(text: str) -> URL:
    """A database's address; `postgresql` alone means psycopg, the driver that is installed."""
    url = make_url(text)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def open_database(url: str, **options: Any) -> Engine:
    """An engine for `url`, whose errors quote no values; `options` are SQLAlchemy's.

    SQLite: write-ahead log, every commit synced, foreign keys enforced, writers wait 15 s.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True, **options)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    waits = {"check_same_thread": False, "timeout": 15}
    engine = create_engine(parsed, hide_parameters=True, connect_args=waits, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    return engine
