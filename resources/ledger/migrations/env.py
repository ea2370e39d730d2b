"""How Alembic runs the ledger's migrations: on the connection that the ledger already has."""

from alembic import context

from resources.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
