"""Indexes that are built while people go on working; used by the migrations of large tables.

`create index concurrently` holds no lock that a writer would wait for, but it cannot run in a
transaction, and when it is interrupted it leaves an index that is kept up to date and never used.
So each build has a transaction of its own and bears repeating: what is there and valid stays, what
is invalid is dropped and built anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_IS_VALID = sa.text(
    "select indisvalid from pg_catalog.pg_index where indexrelid = to_regclass(:name)"
)


def create_index(name: str, table: str, definition: str) -> None:
    """Build an index if it is missing or invalid. `definition` is what follows the table's name."""
    context = op.get_context()
    with context.autocommit_block():
        if not context.as_sql and _is_invalid(name):
            op.execute(f"drop index concurrently public.{name}")
        op.execute(f"create index concurrently if not exists {name} on {table} {definition}")


def drop_index(name: str) -> None:
    """Drop an index if it is there, without a lock that a reader or writer would wait for."""
    with op.get_context().autocommit_block():
        op.execute(f"drop index concurrently if exists public.{name}")


def _is_invalid(name: str) -> bool:
    found = op.get_bind().execute(_IS_VALID, {"name": f"public.{name}"}).scalar()
    return found is False
