"""Intervals are found by what differs between two snapshots; what retention dropped is remembered by name; holds"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table in ("visibility", "editions"):
        op.drop_index(f"ix_{table}_tenant_last", table)
        op.create_index(f"ix_{table}_tenant_last_first", table, ["tenant", "last", "first"])
    op.create_table(
        "dropped",
        sa.Column("chunk", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["document"], ["documents.id"], name="fk_dropped_document"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_dropped_tenant"),
        sa.PrimaryKeyConstraint("chunk", name="pk_dropped"),
    )
    op.create_table(
        "holds",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("knowledge", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["document"], ["documents.id"], name="fk_holds_document"),
        sa.ForeignKeyConstraint(["knowledge"], ["knowledge_bases.id"], name="fk_holds_knowledge"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_holds_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sqlite_autoincrement=True,
    )
