"""What a client left behind in the server connections that a pooler shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

LEFT_BEHIND = """
select pg_backend_pid(), jsonb_build_object(
    'user', current_user,
    'role', current_setting('role'),
    'settings', (
        select coalesce(jsonb_object_agg(name, setting), '{}') from pg_settings
        where source = 'session' and name <> all (%s)
    ),
    'identity', coalesce(current_setting('todo.session_token', true), ''),
    'maintenance', coalesce(current_setting('todo.maintenance', true), ''),
    'advisory locks', (select count(*) from pg_locks where locktype = 'advisory'),
    'temporary', (
        select count(*) from pg_class where relnamespace = pg_my_temp_schema()
            or relpersistence = 't'
    ),
    'prepared', (select count(*) from pg_prepared_statements),
    'cursors', (select count(*) from pg_cursors where name <> ''),
    'channels', (select count(*) from pg_listening_channels())
)
"""
POOLERS_OWN = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "standard_conforming_strings",
]
"""What PgBouncer sets for each client anew."""


def left_behind(url: str) -> tuple[int, dict[str, object]]:
    """Process id and state of the server connection that the pooler gives."""
    with _transaction(url) as connection:
        row = connection.execute(LEFT_BEHIND, (POOLERS_OWN,)).fetchone()
    assert row is not None
    return row


def left_behind_in_all(url: str, count: int) -> dict[int, dict[str, object]]:
    """The same of a pool's `count` connections, each held until all were looked at."""
    with ExitStack() as stack:
        opened = [stack.enter_context(_transaction(url)) for _ in range(count)]
        rows = [one.execute(LEFT_BEHIND, (POOLERS_OWN,)).fetchone() for one in opened]
    return {row[0]: row[1] for row in rows if row is not None}


@contextmanager
def _transaction(url: str) -> Iterator[psycopg.Connection[tuple[int, dict[str, object]]]]:
    with psycopg.connect(url) as connection:
        connection.execute("select")
        yield connection
