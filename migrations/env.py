"""How Alembic reaches the database.

`todo db upgrade` and the embedded database hand an open connection in `config.attributes`; the
`alembic` command itself, which a contributor uses for a new revision, reads the environment.
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
    """Whether `alembic check` compares it: the tables that the models describe, no others.

    Better Auth's tables and the library's own are made by the migrations alone.
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
        # Without it no BEGIN and no COMMIT is printed, as a restore needs it.
        transactional_ddl=not context.config.attributes.get("in_one_transaction", False),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Run the pending revisions, each in a transaction: a revision is there, or it is not.

    Indexes of large tables are built outside of it, which is why it is not one for all.
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
    """Hold a lock of the session. `migrate.connected` refuses a pooler, which would keep it.

    Asked for again and again, not waited for: a waiting statement holds a snapshot, and an index
    that is built concurrently waits for every older snapshot. The two would wait for each other.
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
