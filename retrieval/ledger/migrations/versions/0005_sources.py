"""Columns of a source that nobody reads go."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for name in ("cursor", "lag"):
        op.drop_column("sources", name)
