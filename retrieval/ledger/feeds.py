"""What the ledger knows of sources: whether they run, how they fare, and the files or rows they have seen."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, case, delete, func, select

from common.principal import Principal
from retrieval.ledger import tenants
from retrieval.ledger.database import insert_missing, upsert
from retrieval.ledger.schema import source_files, sources


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was last seen, or a row, whose `path` is its key. `digest` is of what was last published: None where
    nothing was, empty where it was and shall be read again."""

    path: str
    size: int
    modified: int
    digest: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    name: str
    paused: bool
    status: str
    error: str | None
    synced: float | None


def get(connection: Connection, principal: Principal, name: str) -> Feed:
    mine = (sources.c.tenant == principal.tenant) & (sources.c.name == name)
    row = connection.execute(select(*(sources.c[n] for n in Feed.__slots__)).where(mine)).first()
    return Feed(*row) if row else Feed(name, False, "starting", None, None)


def update(connection: Connection, principal: Principal, name: str, **values: Any) -> None:
    tenants.ensure(connection, principal)
    mine = (sources.c.tenant == principal.tenant) & (sources.c.name == name)
    insert_missing(
        connection, sources, [{"tenant": principal.tenant, "name": name, "paused": False, "status": "starting"}]
    )
    if values:
        connection.execute(sqlalchemy.update(sources).where(mine).values(values))


def files(connection: Connection, principal: Principal, source: str) -> dict[str, File]:
    mine = (source_files.c.tenant == principal.tenant) & (source_files.c.source == source)
    rows = connection.execute(select(*(source_files.c[n] for n in File.__slots__)).where(mine))
    return {row.path: File(*row) for row in rows}


def counts(connection: Connection, principal: Principal, source: str, most: int = 100) -> tuple[int, list[File]]:
    """How many documents were published of a source, and up to `most` that can't be, with the reason."""
    mine = (source_files.c.tenant == principal.tenant) & (source_files.c.source == source)
    published = select(func.count()).select_from(source_files).where(mine, source_files.c.digest.is_not(None))
    columns = (source_files.c[n] for n in File.__slots__)
    failed = select(*columns).where(mine, source_files.c.error.is_not(None)).order_by(source_files.c.path).limit(most)
    return connection.execute(published).scalar_one(), [File(*row) for row in connection.execute(failed)]


def saw(connection: Connection, principal: Principal, source: str, file: File) -> None:
    row = {"path": file.path, "size": file.size, "modified": file.modified, "digest": file.digest, "error": file.error}
    upsert(connection, source_files, {"tenant": principal.tenant, "source": source} | row)


def forget(connection: Connection, principal: Principal, source: str, path: str) -> None:
    """Forgets a file: it is gone."""
    mine = (source_files.c.tenant == principal.tenant) & (source_files.c.source == source)
    connection.execute(delete(source_files).where(mine, source_files.c.path == path))


def forget_contents(connection: Connection, principal: Principal, source: str) -> None:
    """Forgets what was published of a source's files, not that it was: each is read again."""
    mine = (source_files.c.tenant == principal.tenant) & (source_files.c.source == source)
    again = case((source_files.c.digest.is_not(None), ""), else_=None)
    connection.execute(sqlalchemy.update(source_files).where(mine).values(size=-1, modified=-1, digest=again))
