"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

GUARD_SECONDS = 60
"""A test that waits longer than this has found a hang."""


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + GUARD_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it never came"
        time.sleep(0.01)


def count_blocked(connection: psycopg.Connection[tuple[int]]) -> int:
    """How many sessions of this database wait for a lock now."""
    row = connection.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
        "and datname = current_database()"
    ).fetchone()
    assert row is not None
    connection.execute("select pg_stat_clear_snapshot()")
    return row[0]
