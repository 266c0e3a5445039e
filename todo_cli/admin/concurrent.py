"""Indexes that are built while people go on working; used by the migrations of large tables.

`create index concurrently` holds no lock that a writer would wait for, but it cannot run in a
transaction, and when it is interrupted it leaves an index that is kept up to date and never used.
So each build has a transaction of its own and bears repeating: what is there and valid stays, what
is invalid is dropped and built anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

_IS_VALID = sa.text(
    "select indisvalid from pg_catalog.pg_index where indexrelid = to_regclass(:name)"
)


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


def create_index(name: str, table: str, definition: str, *, is_unique: bool = False) -> None:
    """Build an index if it is missing or invalid. `definition` is what follows the table's name."""
    kind = "unique index" if is_unique else "index"
    with autocommit():
        if not op.get_context().as_sql and _is_invalid(name):
            op.execute(f"drop index concurrently public.{name}")
        op.execute(f"create {kind} concurrently if not exists {name} on {table} {definition}")


def drop_index(name: str) -> None:
    """Drop an index if it is there, without a lock that a reader or writer would wait for."""
    with autocommit():
        op.execute(f"drop index concurrently if exists public.{name}")


def _is_invalid(name: str) -> bool:
    found = op.get_bind().execute(_IS_VALID, {"name": f"public.{name}"}).scalar()
    return found is False
