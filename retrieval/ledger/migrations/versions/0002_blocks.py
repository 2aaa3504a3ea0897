"""A revision keeps its structure, so that it can be cut anew; a strategy's label names its size"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("revisions", sa.Column("blocks", sa.Text(), nullable=True))
    op.execute("UPDATE revisions SET strategy = 'facts/1:640' WHERE strategy = 'facts/1'")
