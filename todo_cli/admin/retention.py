"""Keeping tables small: old completed tasks go to the archive, old trash goes for good.

Both walk a table once, a little at a time; each step is a transaction of its own that waits for no
task (`for update skip locked`) and holds nobody up. A step is done as a whole or not at all, also
where it is interrupted, and another run takes up what is left. What somebody else has locked is
left for that run too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

from todo_cli.admin.bulk import Progress
from todo_cli.admin.connect import (
    MAINTENANCE,
    Connection,
    maintaining,
    notice_interruptions,
    one,
)
from todo_cli.errors import InvalidInput

TASKS_A_STEP = 200
"""4 ms with the disk's part: 51,000 tasks a second, and the slowest of people's commands meanwhile
take 1.3 times as long. Steps of 1,000 that leave it to others to wait for the disk make 75,000, and
whoever adds a task waits for all that they wrote: up to four times as long."""
TASKS_AIMED_AT = 175
"""A little less, since pages where a step found its fill have to be looked at again."""
FIRST_PAGES, MOST_PAGES = 4, 4_096
"""How much of the table a step looks through. It adapts: an old table has stretches where all is
archived already, and a distant server makes each step expensive."""

_AGE = re.compile(r"(\d{1,6})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
MOST_DAYS = 365_000
"""A thousand years; an instant before 4713 BC is none for PostgreSQL."""


def parse_age(text: str) -> timedelta:
    """An age such as `30d`, `8w` or `1y` (of 365 days).

    Raises:
        InvalidInput: it is not one.
    """
    found = _AGE.fullmatch(text)
    days = int(found[1]) * _DAYS[found[2]] if found else None
    if days is None or days > MOST_DAYS:
        raise InvalidInput(f"{text!r} is not an age.", hint="For example: 30d, 8w, 1y")
    return timedelta(days=days)


def archive(connection: Connection, older_than: timedelta, *, progress: Progress) -> int:
    """Move completed tasks to the archive that nobody touched for so long; answer how many.

    The connection is in autocommit mode.

    Raises:
        TodoError: the database refused; what was moved so far is whole.
    """
    moved = first = 0
    width = FIRST_PAGES
    notice_interruptions(connection)
    with maintaining(connection):  # whoever may not see every task is refused here
        pages = int(one(connection, _PAGES))
    while first < pages:
        values = {"first": f"({first},0)", "last": f"({first + width},0)"}
        with _step(connection):
            cursor = connection.execute(
                _ARCHIVE, {**values, "step": TASKS_A_STEP, "age": older_than}
            )
        found, moved_now = cursor.fetchone() or (0, 0)
        moved += moved_now
        if found < TASKS_A_STEP or not moved_now:
            first += width  # else there may be more of them here
        width = max(1, min(2 * width, MOST_PAGES, width * TASKS_AIMED_AT // max(1, found)))
        progress(moved, None, f"Archiving, page {min(first, pages):,} of {pages:,}")
    return moved


def purge(connection: Connection, older_than: timedelta, *, progress: Progress) -> int:
    """Delete for good what lies in the trash for so long; answer how many tasks that was.

    The connection is in autocommit mode.

    Raises:
        TodoError: the database refused; what is not deleted yet is as it was.
    """
    purged = 0
    after: tuple[UUID, int] | None = (UUID(int=0), -1)
    notice_interruptions(connection)
    with maintaining(connection):
        pass  # whoever may not see every task is refused here
    while after is not None:
        values = {"user": after[0], "number": after[1], "step": TASKS_A_STEP}
        with _step(connection):
            cursor = connection.execute(_PURGE, {**values, "age": older_than})
        row = cursor.fetchone()
        assert row is not None
        after = None if row[1] is None else (row[1], row[2])
        purged += row[0]
        progress(purged, None, "Purging")
    return purged


def count_archivable(connection: Connection, older_than: timedelta) -> int:
    return _count(connection, _ARCHIVABLE, older_than)


def count_purgeable(connection: Connection, older_than: timedelta) -> int:
    return _count(connection, _PURGEABLE, older_than)


def _count(connection: Connection, statement: LiteralString, older_than: timedelta) -> int:
    with maintaining(connection):
        return int(one(connection, statement, older_than))


@contextmanager
def _step(connection: Connection) -> Iterator[None]:
    """An implicit transaction in one round trip, for an owner who was found to see every task."""
    with connection.pipeline():
        connection.set_locally(**MAINTENANCE)
        yield


_PAGES: LiteralString = """
select pg_relation_size('public.tasks') / current_setting('block_size')::int
"""
_ARCHIVABLE: LiteralString = """
select count(*) from tasks
where completed and deleted_at is null and greatest(completed_at, updated_at) < now() - %s
"""
_PURGEABLE: LiteralString = "select count(*) from tasks where deleted_at < now() - %s"

_ARCHIVE: LiteralString = """
with old as (
    select ctid from tasks
    where ctid >= %(first)s::tid and ctid < %(last)s::tid
        and completed and deleted_at is null
        and greatest(completed_at, updated_at) < now() - %(age)s
    limit %(step)s
    for update skip locked
),
gone as (
    delete from tasks where ctid = any (array(select ctid from old)) returning *
),
moved as (
    insert into tasks_archive (
        id, user_id, title, description, completed, created_at, updated_at, number, completed_at,
        deleted_at
    )
    select id, user_id, title, description, completed, created_at, updated_at, number,
        completed_at, deleted_at
    from gone
    returning id
)
select (select count(*) from old), (select count(*) from moved)
"""
"""By physical position, since no index leads to old completed tasks, and none is worth its cost."""
_PURGE: LiteralString = """
with trash as (
    select user_id, number, id, deleted_at from tasks
    where deleted_at is not null and (user_id, number) > (%(user)s, %(number)s)
    order by user_id, number limit %(step)s
),
old as (
    select id from tasks
    where id in (select id from trash where deleted_at < now() - %(age)s)
        and deleted_at < now() - %(age)s
    for update skip locked
),
gone as (
    delete from tasks using old where tasks.id = old.id returning tasks.id
),
last as (
    select user_id, number from trash order by user_id desc, number desc limit 1
)
select (select count(*) from gone), (select user_id from last), (select number from last)
"""
"""The walk goes on behind the last task that was looked at, old or not."""
