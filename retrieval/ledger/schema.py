"""The ledger's tables: the only truth about what exists, since when, and who may see it.

    tenants ── knowledge_bases ── documents ── revisions ── chunks ── visibility
       └────── snapshots             └── editions              └───── embeddings (by digest of the embedded text)

A chunk is visible in snapshot `s` when one of its `visibility` intervals holds `s` (`first <= s <= last`, an open
interval has no `last`), and a revision is its document's current one in `s` when one of its `editions` does. So the
past is never copied, and going back writes what differs. Chunks, revisions and embeddings never change once written.

Access is not history: labels belong to the document, or to its knowledge base, as they are now. `tenants.access`
grows with each change of them and `documents.access` says with which, so that a reader loads only what changed.

Times are seconds since 1970 in UTC.
"""

from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only where the column is a plain INTEGER, which holds 64 bits there. Tables with
`sqlite_autoincrement` never give out a number twice."""

MOST = 2**63 - 1
"""The largest number that a column holds."""


class Json(TypeDecorator[Any]):
    """JSON as text with sorted keys: the same in every database, and equal values are equal text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _tenant() -> Column[str]:
    return Column("tenant", Text, ForeignKey("tenants.name"), nullable=False)


def _interval(table: str, of: str) -> tuple[SchemaItem, ...]:
    """The snapshots from `first` to `last` for which a row of `table` holds; one that is open has no `last`, and of
    `of` there is one such at most."""
    is_open = text("last IS NULL")
    return (
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger),
        Index(None, "tenant", "first"),
        Index(None, "tenant", "last", "first"),  # an open interval begun since, and a closed one: by what differs
        Index(f"uq_{table}_open", of, unique=True, sqlite_where=is_open, postgresql_where=is_open),
    )


tenants = Table(
    "tenants",
    metadata,
    Column("name", Text, primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("oldest", BigInteger, nullable=False),  # retention dropped the snapshots before it
    Column("access", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),  # grows when history itself is rewritten, by erasure or retention
    Column("secret", LargeBinary, nullable=False),  # makes the fences around its chunks
    Column("created", Double, nullable=False),
)

knowledge_bases = Table(
    "knowledge_bases",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("name", Text, nullable=False),
    Column("labels", Json, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("tenant", "name"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("knowledge", BigInteger, ForeignKey("knowledge_bases.id"), nullable=False),
    Column("name", Text, nullable=False),  # what clients call its id: unique in its knowledge base
    Column("labels", Json),  # NULL: those of its knowledge base
    Column("source", Text, nullable=False),
    Column("access", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("knowledge", "name"),
    Index(None, "tenant", "access"),
    sqlite_autoincrement=True,
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("document", BigInteger, ForeignKey("documents.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("lang", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("blocks", Json),  # the text's structure: kind, start, end, level, page each; NULL where it was not kept
    Column("digest", Text, nullable=False),  # of the bytes that were sent
    Column("identity", Text, nullable=False),  # of all that was sent: the same again is no new revision
    Column("metadata", Json, nullable=False),
    Column("effective_from", Double),
    Column("effective_until", Double),
    Column("strategy", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("document", "number"),
    sqlite_autoincrement=True,
)

editions = Table(
    "editions",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("document", BigInteger, ForeignKey("documents.id"), nullable=False),
    Column("revision", BigInteger, ForeignKey("revisions.id"), nullable=False),
    Index(None, "document"),
    Index(None, "revision"),
    *_interval("editions", "document"),
    sqlite_autoincrement=True,
)

chunks = Table(
    "chunks",
    metadata,
    Column("seq", Id, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    _tenant(),
    Column("document", BigInteger, ForeignKey("documents.id"), nullable=False),
    Column("revision", BigInteger, ForeignKey("revisions.id"), nullable=False),  # where it first stood, with its place
    Column("position", BigInteger, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("page", BigInteger),
    Column("title", Text, nullable=False),
    Column("heading", Json, nullable=False),
    Column("text", Text, nullable=False),
    Column("lang", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("effective_from", Double),
    Column("effective_until", Double),
    Column("digest", Text, nullable=False),  # of what a reader sees: title, heading, text, page, language
    Column("embedded", Text, nullable=False),  # digest of what is embedded: the key of its vector
    Index(None, "document"),
    Index(None, "revision"),
    Index(None, "tenant", "embedded"),
    sqlite_autoincrement=True,
)

visibility = Table(
    "visibility",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("chunk", BigInteger, ForeignKey("chunks.seq"), nullable=False),
    Index(None, "chunk"),
    *_interval("visibility", "chunk"),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("seq", Id, primary_key=True),
    _tenant(),  # no vector is shared between tenants: neither timing nor erasure tells one of the other
    Column("fingerprint", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, L2-normalised
    Column("collection", Text),  # where Chroma has found it by itself; NULL and '' (left behind) are searched exactly
    UniqueConstraint("tenant", "fingerprint", "digest"),
    Index(None, "tenant", "fingerprint", "collection"),
    sqlite_autoincrement=True,
)

embedders = Table(
    "embedders",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("dimension", BigInteger, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)

collections = Table(
    "collections",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),  # the pointer that compaction moves
    Column("created", Double, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("author", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("digest", Text, nullable=False),
    Index(None, "tenant", "created"),
)

staged = Table(
    "staged",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("document", BigInteger, ForeignKey("documents.id"), nullable=False, unique=True),
    Column("revision", BigInteger, ForeignKey("revisions.id")),  # NULL removes the document
    Column("chunks", Json, nullable=False),
    Column("labels", Json),  # NULL leaves them
    Column("source", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),  # publishes by itself; the others wait for :publish
    Column("author", Text, nullable=False),
    Column("created", Double, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    _tenant(),
    Column("author", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("result", Json),
    Column("error", Json),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
)

pushes = Table(
    "pushes",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("author", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("response", Json, nullable=False),
    Column("created", Double, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("synced", Double),
)

source_files = Table(
    "source_files",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),  # nanoseconds
    Column("digest", Text),  # of the bytes last published; NULL where none were
    Column("error", Text),
)

dropped = Table(
    "dropped",
    metadata,
    Column("chunk", Text, primary_key=True),  # the id of a chunk that retention dropped: what a citation still names
    _tenant(),
    Column("document", BigInteger, ForeignKey("documents.id"), nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("knowledge", BigInteger, ForeignKey("knowledge_bases.id"), nullable=False),
    Column("document", BigInteger, ForeignKey("documents.id")),  # NULL: every document of the knowledge base
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),  # NULL: it holds
    Column("ended_by", Text),
    Column("ended_reason", Text),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires", Double, nullable=False),
)
