"""What a document was at a snapshot, and what names a revision that goes, is found without a look at all others."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("ix_editions_document", "editions", ["document"])
    op.create_index("ix_editions_revision", "editions", ["revision"])
    op.create_index("ix_chunks_revision", "chunks", ["revision"])
