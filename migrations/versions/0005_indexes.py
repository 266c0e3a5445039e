"""Indexes for the queries that people make.

Measured with 100,000,000 tasks of 1,000,000 users. For the hundred users with the most tasks, a
list took 69 ms (p99 3.1 s, cold 15.7 s) with the indexes of version 1.0.0, since none has one
user's tasks newest first. With such an index it takes 0.36 ms (p99 3.3 ms). Numbers are assigned in
the order of creation, so the unique index (user_id, number) has that order. It takes two thirds of
the space of (user_id, created_at desc, id desc), and also serves references, pages and the foreign
key.

These indexes are dropped:

- (user_id): the unique index begins with that column.
- (created_at): the planner used it to scan 5.2 million rows for one user without tasks (1.94 s).
- (updated_at): with it, no edit of a title was a heap-only update (0 of 3,000). Without it all are,
  and they write a fifth of the WAL.
- (user_id, completed, created_at desc): the index of pending tasks replaces it.

Counts by status are index-only scans of (user_id, completed): 7 ms at 100,000 tasks, against 133
through the heap.

The table may be large and in use, so each index is built concurrently, in a transaction of its
own. An interrupted upgrade continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

NEW = {
    "ix_tasks_user_id_number_pending": (
        "(user_id, number) where not completed and deleted_at is null"
    ),
    "ix_tasks_user_id_number_trash": "(user_id, number) where deleted_at is not null",
    "ix_tasks_user_id_completed_kept": "(user_id, completed) where deleted_at is null",
}
OLD = {
    "ix_tasks_updated_at": "(updated_at)",
    "ix_tasks_created_at": "(created_at)",
    "ix_tasks_user_id": "(user_id)",
    "ix_tasks_user_id_completed": "(user_id, completed)",
    "ix_tasks_user_id_completed_created_at": "(user_id, completed, created_at desc)",
}


def upgrade() -> None:
    # Leaves room for heap-only updates.
    op.execute("alter table tasks set (fillfactor = 90)")
    replace_indexes(NEW, OLD)


def downgrade() -> None:
    op.execute("alter table tasks reset (fillfactor)")
    replace_indexes(OLD, NEW)


def replace_indexes(new: dict[str, str], old: dict[str, str]) -> None:
    """Build the new indexes before the old ones are dropped, so that every query has one."""
    for name, definition in new.items():
        create_index(name, "tasks", definition)
    for name in old:
        drop_index(name)


@contextmanager
def autocommit() -> Iterator[None]:
    """Commit each statement by itself, like Alembic's `autocommit_block`.

    If the connection is lost inside that block, its final commit fails too, and that error hides
    the first one. Here the first one is raised.
    """
    lost: sa.exc.DBAPIError | None = None
    try:
        with op.get_context().autocommit_block():
            try:
                with _patiently():
                    yield
            except sa.exc.DBAPIError as error:
                lost = error
                raise
    except sa.exc.PendingRollbackError:
        if lost is None:
            raise
        raise lost from None


@contextmanager
def _patiently() -> Iterator[None]:
    """Wait for locks without a limit: no reader or writer waits behind these statements.

    With a limit, a build that waits for an old transaction would have to start again.
    """
    is_online = not op.get_context().as_sql
    if is_online:
        op.execute("set lock_timeout = 0")
    yield
    if is_online:
        op.execute("reset lock_timeout")


_IS_VALID = sa.text(
    "select indisvalid from pg_catalog.pg_index where indexrelid = to_regclass(:name)"
)


# Each build has a transaction of its own and can be repeated: a valid index stays, and an invalid
# one, as an interrupted build leaves it, is dropped and built anew.
def create_index(name: str, table: str, definition: str) -> None:
    """Build an index if it is missing or invalid. `definition` is what follows the table's name."""
    with autocommit():
        if not op.get_context().as_sql and _is_invalid(name):
            op.execute(f"drop index concurrently public.{name}")
        op.execute(f"create index concurrently if not exists {name} on {table} {definition}")


def drop_index(name: str) -> None:
    """Drop an index if it is there, without a lock that a reader or writer would wait for."""
    with autocommit():
        op.execute(f"drop index concurrently if exists public.{name}")


def _is_invalid(name: str) -> bool:
    found = op.get_bind().execute(_IS_VALID, {"name": f"public.{name}"}).scalar()
    return found is False
