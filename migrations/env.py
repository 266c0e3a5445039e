"""How Alembic reaches the database.

`todo db upgrade` and the embedded database hand an open connection in `config.attributes`; the
`alembic` command itself, which a contributor uses for a new revision, reads the environment.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, create_engine, text

from todo_cli.models import METADATA

UPGRADE_LOCK = 7_307_199_250_321_003_123
"""The key of the advisory lock that lets one migration run at a time: an arbitrary constant."""


def run_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=METADATA,
        output_buffer=context.config.attributes.get("output_buffer"),
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Run all pending revisions in one transaction: the old revision stands, or the new one."""
    context.configure(connection=connection, target_metadata=METADATA)
    with context.begin_transaction():
        # Within the transaction, not the session: behind a pooler a session lock would outlive us.
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        context.run_migrations()


def main() -> None:
    if context.is_offline_mode():
        run_offline()
        return
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run_online(connection)
        return
    url = os.environ["TODO_DATABASE_URL"]
    with create_engine(url.replace("://", "+psycopg://", 1)).connect() as connection:
        run_online(connection)


main()
