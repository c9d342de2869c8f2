"""Run by Alembic for every command; the connection comes from `storage.migrate`."""

from __future__ import annotations

from alembic import context

from orchestrator.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can: what fails halfway leaves nothing behind
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
