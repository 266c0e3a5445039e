"""Runs the migrations, for Alembic.

`todo db upgrade` and the embedded database pass an open connection in `config.attributes`. The
`alembic` command, which contributors use for new revisions, connects to `TODO_DATABASE_URL`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, text

from todo_cli.admin import migrate
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database.connecting import Deadline
from todo_cli.models import METADATA

LOCK_POLL_SECONDS = 0.1


def is_ours(name: str | None, kind: str, _: object) -> bool:
    """Whether `alembic check` compares it: of the tables, those that have models.

    The migrations alone describe Better Auth's tables and those of schema `todo_auth`.
    """
    return kind != "table" or name in METADATA.tables


def run_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=METADATA,
        output_buffer=context.config.attributes.get("output_buffer"),
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},  # psycopg's own would double every % sign
        transaction_per_migration=True,
        # Prints no BEGIN and COMMIT for a restore, which runs all in its own transaction.
        transactional_ddl=not context.config.attributes.get("in_one_transaction", False),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Run the pending revisions, each in a transaction of its own.

    One transaction for all is impossible, since the indexes of large tables are built outside.
    """
    with only_one(connection):
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            transaction_per_migration=True,
            include_name=is_ours,
            on_version_apply=context.config.attributes.get("on_version_apply", ()),
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def only_one(connection: Connection) -> Iterator[None]:
    """Hold a session's advisory lock. `migrate.connected` refuses poolers, which would keep it.

    The lock is polled. A statement that waits for it would hold a snapshot, and a concurrent index
    build waits for all older snapshots, so the two could wait for each other.
    """
    key = {"key": migrate.UPGRADE_LOCK}
    while not connection.execute(text("select pg_try_advisory_lock(:key)"), key).scalar():
        connection.rollback()
        time.sleep(LOCK_POLL_SECONDS)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:key)"), key)
        connection.commit()


def main() -> None:
    if context.is_offline_mode():
        run_offline()
        return
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run_online(connection)
        return
    deadline = Deadline(DEFAULT_TIMEOUT_SECONDS)
    with migrate.connected(os.environ["TODO_DATABASE_URL"], deadline) as connection:
        run_online(connection)


main()
