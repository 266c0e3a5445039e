"""Indexes for the queries that people make.

Measured with 100,000,000 tasks of 1,000,000 users. The list of the hundred heaviest users took
69 ms (p99 3.1 s, cold 15.7 s) with version 1.0.0's indexes, since none serves "newest first" of
one user; with one that does, 0.36 ms (3.3). Numbers are given in the order of creation, so the
unique index (user_id, number) is that index, in two thirds of the space of (user_id, created_at
desc, id desc), and serves references, pages and the foreign key too.

Dropped, as they serve nothing any more: (user_id) is the beginning of the unique index;
(created_at) tempted the planner into walking 5.2 million rows for one absent user (1.94 s);
(updated_at) kept every edit of a title from staying in its page (none of 3,000 did, all do
without, and write a fifth of the WAL); (user_id, completed, created_at desc) is replaced by the
index of pending tasks. The count per status is index-only on (user_id, completed): 7 ms at
100,000 tasks, 133 through the heap.

The table may be large and in use, so each index is built concurrently, in a transaction of its
own. An upgrade that was interrupted is taken up again where it stopped.
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
    # Room for an edit in the page it was in.
    op.execute("alter table tasks set (fillfactor = 90)")
    replace_indexes(NEW, OLD)


def downgrade() -> None:
    op.execute("alter table tasks reset (fillfactor)")
    replace_indexes(OLD, NEW)


def replace_indexes(new: dict[str, str], old: dict[str, str]) -> None:
    """Build the new ones before the old ones go, so that no query is ever without."""
    for name, definition in new.items():
        create_index(name, "tasks", definition)
    for name in old:
        drop_index(name)


@contextmanager
def autocommit() -> Iterator[None]:
    """Commit each statement by itself, as Alembic's own block does.

    When the connection is lost inside that block, it fails to commit at its end and hides the
    reason. Here the reason is raised.
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
    """Wait for locks as long as it takes: nobody has to wait behind these statements.

    A build that gave up after a second would begin anew, while an old transaction goes on.
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
