"""The record's tables. Its rows are only ever added: an outcome does not change its intent."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

writers = Table(
    "writers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("seen", DateTime(timezone=True), nullable=False),
    comment="Gateway processes. One that was not seen for a while is dead, and its open answers crashed.",
)

intents = Table(
    "intents",
    metadata,
    Column("receipt", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("key", String(64), nullable=False),
    Column("writer", String(32), nullable=False),
    Column("opened", DateTime(timezone=True), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("digest", String(80), nullable=False),
    Index("intents_by_tenant", "tenant", "receipt"),
    comment="What was asked and what it was going to be answered with, before any byte left.",
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("receipt", String(40), ForeignKey("intents.receipt"), primary_key=True),
    Column("closed", DateTime(timezone=True), nullable=False),
    Column("ended", String(16), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("digest", String(80), nullable=False),
    comment="How it ended. The digest covers the intent's digest too, so that the two can't be exchanged.",
)

repeats = Table(
    "repeats",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("writer", String(32), nullable=False),
    Column("claimed", DateTime(timezone=True), nullable=False, index=True),
    Column("media", String(64)),
    Column("headers", LargeBinary),
    Column("body", LargeBinary),
    comment="Answers by the Idempotency-Key of their request, for a day; without a body one that is being made.",
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("receipt", String(40), ForeignKey("intents.receipt"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("given", DateTime(timezone=True), nullable=False),
    Column("rating", String(8), nullable=False),
    Index("feedback_by_receipt", "receipt", "id"),
    comment="What people thought of an answer. The last word counts; the earlier ones stay.",
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("name", String(256), nullable=False),
    Column("secret_digest", String(80), nullable=False, unique=True),
    Column("labels", LargeBinary, nullable=False),
    Column("scopes", LargeBinary, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("revoked", DateTime(timezone=True)),
    comment="API keys. Only digests of the secrets are kept.",
)
