"""The first schema: where older ledgers begin. A new one is made from `retrieval/ledger/schema.py` as it stands."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    pass
