"""Alembic's environment: runs the migrations on the connection, and in the transaction, that `Ledger.migrate` gives."""

from alembic import context

from retrieval.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
