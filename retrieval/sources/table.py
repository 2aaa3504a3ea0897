"""A database as a source: what a query gives now, row by row, as facts.

Whatever SQLAlchemy speaks to. Rows are only read, in one transaction a look. A row that makes no fact says why and
harms no other.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from string import Formatter
from typing import Any

import orjson
from sqlalchemy import Engine, NullPool, column, create_engine, event, literal_column, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from common.canonical import digest
from common.database import database_url
from common.errors import GroundtoneError, InvalidRequest, KnowledgeUnavailable, NotFound
from common.settings import SqlSource
from retrieval.intake import Sent, check_name, take_row
from retrieval.ledger.labels import clean
from retrieval.ledger.snapshots import moment
from retrieval.ledger.staging import Content
from retrieval.sources.folder import shown

_AT_ONCE = 1000
_CONNECT_WITHIN = 10  # seconds


@dataclass(frozen=True, slots=True)
class Fact:
    """A row: its key, where its cursor stands, and what it says, or why it says nothing.

    `digest` covers all that is published of it, so that a row is changed when its digest is.
    """

    key: str
    cursor: Any
    digest: str
    sent: Sent | None = None
    labels: tuple[str, ...] | None = None
    error: str | None = None

    def content(self) -> Content:
        """Raises InvalidRequest for a row that can't be taken."""
        assert self.sent is not None
        return take_row(self.key, self.sent)


class Table:
    """The rows of one source. Used by one thread."""

    def __init__(self, source: SqlSource) -> None:
        self._source = source
        self._columns = [name for _, name, _, _ in Formatter().parse(source.template) if name]
        self._engine: Engine | None = None

    def facts(self, since: Any = None) -> Iterator[Fact]:
        """The rows, or those whose cursor is at `since` or above: rows with one timestamp are never lost.

        Raises KnowledgeUnavailable where the database doesn't answer or refuses the query, NotFound where a SQLite
        file is not there, InvalidRequest where the query lacks a column.
        """
        inner = self._source.query.strip().rstrip(";").replace(":", "\\:")
        query = select(literal_column("*")).select_from(text(f"({inner}\n) groundtone_rows"))
        if since is not None:
            query = query.where(column(self._source.cursor) >= since)
        try:
            streaming = self._opened().execution_options(stream_results=True, yield_per=_AT_ONCE)
            with streaming.connect() as connection, connection.execute(query) as found:
                self._check(set(found.keys()))
                for row in found.mappings():
                    yield self._fact(row)
        except SQLAlchemyError as error:
            raise KnowledgeUnavailable(
                "The database of this source does not answer, or refuses the query.",
                "Check the source's url and query; the log has the database's own words.",
            ) from error

    def stamp(self) -> object:
        """Of a SQLite file and its log: times of change and sizes, cheap to compare. None for other databases."""
        url = make_url(self._source.url)
        if url.get_backend_name() != "sqlite" or not url.database:
            return None
        return tuple(_stat(f"{url.database}{ending}") for ending in ("", "-wal"))

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = _engine(self._source.url)
        url = self._engine.url
        if url.get_backend_name() == "sqlite" and url.database and not url.query and not Path(url.database).exists():
            raise NotFound("The database file of this source is not there.", "Make it, or correct the source's url.")
        return self._engine

    def _check(self, columns: set[str]) -> None:
        source = self._source
        named = [source.key, source.cursor, source.title, source.labels_column]
        named += [source.effective_from, source.effective_until, *self._columns]
        if missing := sorted({name for name in named if name is not None} - columns):
            raise InvalidRequest(
                f"The query of source {source.name} gives no column {missing[0]!r}.",
                f"It gives {', '.join(sorted(columns))}: correct the query or the setting.",
            )

    def _fact(self, row: Mapping[Any, Any]) -> Fact:
        source = self._source
        key = "" if row[source.key] is None else str(row[source.key])
        cursor = row[source.cursor]
        try:
            check_name(key)
            if nothing := [name for name in self._columns if row[name] is None]:
                raise InvalidRequest(
                    f"The column {nothing[0]!r} is NULL.", "Give it a value, in the query with COALESCE if need be."
                )
            said = source.template.format(**row)
            title = None if source.title is None or row[source.title] is None else str(row[source.title])
            labels = source.labels or None
            if source.labels_column is not None:
                labels = clean(_labels(row[source.labels_column]))
            from_, until = (
                None if name is None else _moment(row[name], name)
                for name in (source.effective_from, source.effective_until)
            )
            published = orjson.dumps([said, title, labels, from_, until])
            sent = Sent(said.encode(), _MEDIA_TYPE, title=title, effective_from=from_, effective_until=until)
            return Fact(key, cursor, digest(published), sent, labels)
        except (GroundtoneError, ValueError, TypeError) as error:
            told = str(error) if isinstance(error, GroundtoneError) else "The row does not fit the template's formats."
            return Fact(shown(key) or "(no key)", cursor, digest(repr(sorted(row.items())).encode()), error=told)


def _stat(file: str) -> tuple[int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


_MEDIA_TYPE = "text/plain; charset=utf-8"


def _engine(url: str) -> Engine:
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        # A connection a look: a file that was replaced by another is seen
        engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _only_read)
        return engine
    waits = {"connect_timeout": _CONNECT_WITHIN} if parsed.get_driver_name() in ("psycopg", "pymysql") else {}
    engine = create_engine(parsed, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True,
                           connect_args={k: v for k, v in waits.items() if k not in parsed.query})  # fmt: skip
    if parsed.get_driver_name() == "psycopg":
        event.listen(engine, "connect", _open_ended)
    return engine


def _only_read(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON").close()
    connection.text_factory = _as_text


def _as_text(data: bytes) -> str:
    """SQLite keeps bytes that are no text: so they are an error of their row, and not of the whole query."""
    return data.decode(errors="surrogateescape")


def _open_ended(connection: Any, _record: Any) -> None:
    """Makes PostgreSQL's `infinity` NULL: no end, or no beginning. To psycopg it is an error of the whole query."""
    from psycopg.errors import DataError
    from psycopg.types import datetime as types

    def reading(loader: Any) -> Any:
        def load(self: Any, data: Any) -> Any:
            try:
                return loader.load(self, data)
            except DataError:
                return None

        return type(loader.__name__, (loader,), {"load": load})

    for name, loader in (
        ("date", types.DateLoader), ("timestamp", types.TimestampLoader), ("timestamptz", types.TimestamptzLoader)
    ):  # fmt: skip
        connection.adapters.register_loader(name, reading(loader))


def _labels(value: Any) -> list[str]:
    """Labels of a row: an array, a JSON list, or text with commas. NULL is none, which opens the row to nobody."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    given = str(value).strip()
    found: Any = json.loads(given) if given.startswith("[") else given.split(",")
    return [str(one) for one in found if str(one).strip()]


def _moment(value: Any, name: str) -> float | None:
    """Seconds since 1970 of a time, a date (its midnight), RFC 3339 text or a number. Without an offset it is UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if value is None:
        return None
    return moment(float(value) if isinstance(value, int | float | Decimal) else str(value), name)
