"""Ledger and record, copied while they are written: SQLite by its online backup, PostgreSQL by `pg_dump`.

Each copy is one state of its database. The tenants' secrets are taken out of the ledger's on the way.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any

import orjson
from alembic.util import CommandError
from sqlalchemy import Engine, insert, inspect, make_url, select, update
from sqlalchemy.exc import SQLAlchemyError

from common.database import open_database
from retrieval.ledger.database import Ledger
from retrieval.ledger.schema import leases, tenants
from serving.backup.manifest import Damaged, Refused

_TENANTS = "tenants.json"


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def place(url: str) -> Path:
    """The file of a SQLite database."""
    return Path(make_url(url).database or "")


def save(url: str, name: str, folder: Path) -> None:
    """A copy of the database in `folder`, as `name.db` or `name.dump`. Raises Refused."""
    if is_sqlite(url):
        _copy(place(url), folder / f"{name}.db")
    else:
        _run("pg_dump", url, "--format=custom", f"--file={folder / name}.dump")


def save_ledger(url: str, folder: Path) -> dict[str, bytes]:
    """A copy of the ledger without its tenants' secrets, which are returned."""
    if is_sqlite(url):
        save(url, "ledger", folder)
        with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as copy:
            secrets = dict(copy.execute("SELECT name, secret FROM tenants"))
            copy.execute("PRAGMA secure_delete=ON")  # else its bytes may stay in the page
            copy.execute("UPDATE tenants SET secret = zeroblob(0)")
        return secrets
    with _opened(url) as engine, engine.connect() as connection:
        shared = connection.execution_options(isolation_level="REPEATABLE READ")
        snapshot = shared.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        rows = [{str(name): value for name, value in row.items()} for row in shared.execute(select(tenants)).mappings()]
        secrets = {row["name"]: bytes(row.pop("secret")) for row in rows}
        (folder / _TENANTS).write_bytes(orjson.dumps(rows))
        same = ("--exclude-table-data=tenants", f"--snapshot={snapshot}")
        _run("pg_dump", url, "--format=custom", *same, f"--file={folder / 'ledger.dump'}")
    return secrets


def check_empty(url: str, what: str) -> None:
    """Raises Refused where something is there already."""
    if is_sqlite(url):
        if place(url).exists():
            raise Refused(f"{place(url)} exists. Restore into an empty state folder: GROUNDTONE_HOME names it.")
        return
    try:
        with _opened(url) as engine:
            taken = inspect(engine).get_table_names()
    except SQLAlchemyError:
        raise Refused(f"The {what}'s database does not answer. Make it, with its role, and start it.") from None
    if taken:
        raise Refused(f"The {what}'s database is not empty. Make a new one, and name it in the configuration.")


def load(url: str, name: str, folder: Path) -> None:
    """Puts the copy of a database in its place. Raises Refused."""
    file = kept(url, name, folder)
    if is_sqlite(url):
        place(url).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(file, place(url))
    else:
        _run("pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error", str(file))


def load_ledger(url: str, folder: Path, secrets: dict[str, bytes]) -> None:
    """The same for the ledger, brought to this version, with its tenants' secrets; who has none gets a new one."""
    file = kept(url, "ledger", folder)
    if is_sqlite(url):
        with closing(sqlite3.connect(file)) as copy, copy:
            names = [name for (name,) in copy.execute("SELECT name FROM tenants")]
            new = [(secrets.get(name) or token_bytes(32), name) for name in names]
            copy.executemany("UPDATE tenants SET secret = ? WHERE name = ?", new)
        _migrate(f"sqlite:///{file}")
        load(url, "ledger", folder)
        return
    rows: list[dict[str, Any]] = orjson.loads((folder / _TENANTS).read_bytes())
    how = ("--no-owner", "--no-privileges", "--exit-on-error", str(file))
    _run("pg_restore", url, "--section=pre-data", "--section=data", *how)
    if rows:
        with _opened(url) as engine, engine.begin() as connection:
            told = [row | {"secret": secrets.get(row["name"]) or token_bytes(32)} for row in rows]
            connection.execute(insert(tenants), told)
    _run("pg_restore", url, "--section=post-data", *how)
    _migrate(url)


def _migrate(url: str) -> None:
    ledger = Ledger(url)
    try:
        ledger.migrate()
        with ledger.write() as connection:
            # The writer of then does not write here: nobody needs to wait for its lease to run out.
            connection.execute(update(leases).values(expires=0.0))
    except CommandError:
        raise Refused("The ledger was written by a newer version. Restore it with that one.") from None
    finally:
        ledger.close()


@contextmanager
def _opened(url: str) -> Generator[Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def kept(url: str, name: str, folder: Path) -> Path:
    """The copy of a database in a backup. Raises Refused where it is of another kind than `url` asks for."""
    file = folder / f"{name}.{'db' if is_sqlite(url) else 'dump'}"
    if not file.exists():
        other = "PostgreSQL" if is_sqlite(url) else "SQLite"
        raise Refused(f"The backup's {name} is of {other}. Set `{name}.url` to one of that kind for the restore.")
    return file


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise Refused(f"There is no {source.name} to back up. Start the service once, or set GROUNDTONE_HOME.")
    live = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    with closing(live), closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise Damaged(f"{source.name} is damaged. Restore it from a backup.")


def _run(program: str, url: str, *arguments: str) -> None:
    """One of PostgreSQL's programs on the database. Its password stays out of the command line."""
    at = make_url(url)
    found = shutil.which(program)
    if found is None:
        raise Refused(
            f"`{program}` is not on PATH. Install PostgreSQL's client programs, no older than the server; the image of "
            "gateway and knowledge has them."
        )
    target = at.set(drivername="postgresql", password=None).render_as_string()
    environment = os.environ | ({"PGPASSWORD": at.password} if at.password else {})
    command = [found, "--no-password", f"--dbname={target}", *arguments]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise Refused(f"`{program}` failed: {said}. Correct that, and do it again.")
