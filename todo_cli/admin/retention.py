"""Keeps tables small: archives old completed tasks, deletes old trash and old events of a history.

Each goes through a table once, in small steps. A step is a transaction that skips locked tasks
(FOR UPDATE SKIP LOCKED), so that it neither waits nor makes others wait. A later run does the tasks
that an interrupted run left or skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from todo_cli.admin.tables import FORCED, sql_list
from todo_cli.errors import InvalidInput, Refused

TASKS_A_STEP = 200
"""A step takes 4 ms including the disk: 51,000 tasks a second, and people's slowest commands take
1.3 times as long meanwhile. Steps of 1,000 with asynchronous commit reach 75,000 a second, but
adding a task takes up to four times as long."""
TASKS_AIMED_AT = 175
"""Slightly fewer than a full step, since the pages of a full step are read again."""
FIRST_PAGES, MAX_PAGES = 4, 4_096
"""How many pages of the table a step reads. The number adapts: parts of an old table have nothing
left to archive, and a distant server makes each step expensive."""

_AGE = re.compile(r"(\d{1,6})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
HISTORY_AGE = timedelta(days=90)
"""How long events of the history are kept."""
EVENT_PAGES_A_STEP = 64
"""Some 1,500 events."""

MAX_DAYS = 365_000
"""A thousand years. PostgreSQL has no instants before 4713 BC."""


def parse_age(text: str) -> timedelta:
    """An age such as `30d`, `8w` or `1y` (of 365 days).

    Raises:
        InvalidInput: the text is not an age.
    """
    found = _AGE.fullmatch(text)
    days = int(found[1]) * _DAYS[found[2]] if found else None
    if days is None or days > MAX_DAYS:
        raise InvalidInput(f"{text!r} is not an age.", hint="For example: 30d, 8w, 1y")
    return timedelta(days=days)


def archive(connection: Connection, older_than: timedelta, *, progress: Progress) -> int:
    """Archive completed tasks that have not changed for so long. Returns how many.

    A task stays if rows of another table refer to it. The connection must be in autocommit mode.

    Raises:
        Refused: row-level security hides rows that refer to tasks; nothing was moved.
        TodoError: the database refused; the steps before were committed.
    """
    moved = first = 0
    width = FIRST_PAGES
    notice_interruptions(connection)
    with maintaining(connection):  # refuses roles that do not see every task
        pages = int(one(connection, _PAGES))
        tasks = _Tasks.read(connection)
    while first < pages:
        values = {"first": f"({first},0)", "last": f"({first + width},0)"}
        with _step(connection):
            choice = connection.execute(
                tasks.fill(_CHOOSE), {**values, "step": TASKS_A_STEP, "age": older_than}
            )
            move = connection.execute(tasks.fill(_MOVE), {})
        found, _ = choice.fetchone() or (0, None)
        (moved_now,) = move.fetchone() or (0,)
        moved += moved_now
        if found < TASKS_A_STEP or not moved_now:
            first += width  # a full step may have left tasks in these pages
        width = max(1, min(2 * width, MAX_PAGES, width * TASKS_AIMED_AT // max(1, found)))
        progress(moved, None, f"Archiving, page {min(first, pages):,} of {pages:,}")
    return moved


def purge(connection: Connection, older_than: timedelta, *, progress: Progress) -> int:
    """Delete tasks for good that have been in the trash for so long. Returns how many.

    Their events in the history are deleted with them, so that nothing of their texts stays.

    The connection must be in autocommit mode.

    Raises:
        TodoError: the database refused; the steps before were committed.
    """
    purged = 0
    after: tuple[UUID, int] | None = (UUID(int=0), -1)
    notice_interruptions(connection)
    with maintaining(connection):
        pass  # refuses roles that do not see every task
    while after is not None:
        values = {"user": after[0], "number": after[1], "step": TASKS_A_STEP}
        with _step(connection, **_BY_INDEX):
            cursor = connection.execute(_PURGE, {**values, "age": older_than})
        row = cursor.fetchone()
        assert row is not None
        after = None if row[1] is None else (row[1], row[2])
        purged += row[0]
        progress(purged, None, "Purging")
    return purged


def forget_events(connection: Connection, *, progress: Progress) -> int:
    """Delete the events of the history that are older than `HISTORY_AGE`. Returns how many.

    The connection must be in autocommit mode.

    Raises:
        TodoError: the database refused; the steps before were committed.
    """
    forgotten = 0
    notice_interruptions(connection)
    with maintaining(connection):  # refuses roles that do not see every event
        pages = int(one(connection, _EVENT_PAGES))
    for first in range(0, pages, EVENT_PAGES_A_STEP):
        values = {"first": f"({first},0)", "last": f"({first + EVENT_PAGES_A_STEP},0)"}
        with _step(connection):
            cursor = connection.execute(_FORGET, {**values, "age": HISTORY_AGE})
        forgotten += cursor.rowcount
        progress(forgotten, None, f"Forgetting the history, page {first:,} of {pages:,}")
    return forgotten


def count_forgettable(connection: Connection) -> int:
    with maintaining(connection):
        return int(one(connection, _FORGETTABLE, HISTORY_AGE))


def count_archivable(connection: Connection, older_than: timedelta) -> int:
    with maintaining(connection):
        tasks = _Tasks.read(connection)
        row = connection.execute(tasks.fill(_ARCHIVABLE), {"age": older_than}).fetchone()
    return 0 if row is None else int(row[0])


def count_purgeable(connection: Connection, older_than: timedelta) -> int:
    with maintaining(connection):
        return int(one(connection, _PURGEABLE, older_than))


@dataclass(frozen=True)
class _Tasks:
    """SQL about the table of tasks, made from the catalog.

    `columns` lists all columns, so that a task is moved whole. If the archive lacks one, the server
    refuses the statement. `is_referred_to` is true for tasks to which rows of other tables refer: a
    foreign key could delete those rows with the task, or set their reference to NULL.
    """

    columns: str
    is_referred_to: str

    @classmethod
    def read(cls, connection: Connection) -> _Tasks:
        columns, referring, hidden = one(connection, _CATALOG)
        if hidden:
            raise Refused(
                f"Row-level security hides rows of {', '.join(hidden)}, which refer to tasks.",
                hint="Give the tables' owner a policy on it, as tasks_maintenance on tasks, and "
                "connect as the owner.",
            )
        return cls(", ".join(columns), " or ".join(referring) or "false")

    def fill(self, statement: str) -> bytes:
        filled = statement
        for name, sql in (("columns", self.columns), ("is_referred_to", self.is_referred_to)):
            filled = filled.replace(f"{{{name}}}", sql.replace("%", "%%"))
        return filled.encode()


@contextmanager
def _step(connection: Connection, **settings: str) -> Iterator[None]:
    """An implicit transaction in one round trip, after a check that the role sees every task."""
    with connection.pipeline():
        connection.set_locally(**MAINTENANCE, **settings)
        yield


_PAGES: LiteralString = """
select pg_relation_size('public.tasks') / current_setting('block_size')::int
"""
_CATALOG: LiteralString = f"""
with key as (
    select conrelid, (
        select string_agg(format('referring.%I = tasks.%I', c.attname, p.attname), ' and ')
        from unnest(conkey, confkey) as pair (child, parent)
        join pg_catalog.pg_attribute as c on c.attrelid = conrelid and c.attnum = child
        join pg_catalog.pg_attribute as p on p.attrelid = confrelid and p.attnum = parent
    ) as condition
    from pg_catalog.pg_constraint
    where confrelid = 'public.tasks'::regclass and contype = 'f' and conparentid = 0
)
select jsonb_build_array(
    (
        select jsonb_agg(quote_ident(attname) order by attnum) from pg_catalog.pg_attribute
        where attrelid = 'public.tasks'::regclass and attnum > 0 and not attisdropped
            and attgenerated = ''
    ),
    (
        select coalesce(jsonb_agg(format(
            'exists (select from %s as referring where %s)', conrelid::regclass, condition
        )), '[]')
        from key
    ),
    (
        select coalesce(jsonb_agg(distinct conrelid::regclass::text), '[]') from key
        where row_security_active(conrelid)
            and conrelid <> all (array[{sql_list(FORCED)}]::regclass[])
    )
)
"""  # noqa: S608  # constants
_ARCHIVABLE: LiteralString = """
select count(*) from tasks
where completed and deleted_at is null and greatest(completed_at, updated_at) < now() - %(age)s
    and not ({is_referred_to})
"""
_EVENT_PAGES: LiteralString = """
select pg_relation_size('public.task_events') / current_setting('block_size')::int
"""
_FORGET: LiteralString = """
delete from task_events
where ctid >= %(first)s::tid and ctid < %(last)s::tid and at < now() - %(age)s
"""
_FORGETTABLE: LiteralString = "select count(*) from task_events where at < now() - %s"
_PURGEABLE: LiteralString = "select count(*) from tasks where deleted_at < now() - %s"

_CHOOSE: LiteralString = """
select count(*), set_config('todo.archiving', coalesce(array_agg(ctid), '{}')::text, true)
from (
    select ctid from tasks
    where ctid >= %(first)s::tid and ctid < %(last)s::tid
        and completed and deleted_at is null
        and greatest(completed_at, updated_at) < now() - %(age)s
        and not ({is_referred_to})
    limit %(step)s
    for update skip locked
) as old
"""
"""By physical position: an index on old completed tasks would not be worth its cost."""
_MOVE: LiteralString = """
with gone as (
    delete from tasks
    where ctid = any (current_setting('todo.archiving')::tid[]) and not ({is_referred_to})
    returning *
),
moved as (
    insert into tasks_archive ({columns}) select {columns} from gone returning id
)
select count(*) from moved
"""
"""A separate statement, so that it sees the rows that were committed before the tasks were locked.
New rows that refer to one of these tasks wait for the lock."""
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
    delete from tasks using old where tasks.id = old.id returning tasks.user_id, tasks.id
),
forgotten as (
    delete from task_events as e using gone where e.user_id = gone.user_id and e.task_id = gone.id
),
last as (
    select user_id, number from trash order by user_id desc, number desc limit 1
)
select (select count(*) from gone), (select user_id from last), (select number from last)
"""
"""The next step begins after the last task that this one read, old or not."""
_BY_INDEX = {"enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Settings for `_PURGE`: without statistics, the planner might read the events of everybody."""
