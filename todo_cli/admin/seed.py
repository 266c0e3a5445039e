"""Demonstration data, generated inside the server: only words and a rota cross the network.

Tasks are made in the order of time, as people would have made them: one user's rows lie all over
the table, which is what reading them costs in a real one. A rota says whose each task is. The same
random seed in the same state of a database gives the same people and tasks; dates count back from
today.

Into an empty table everything is one transaction, with triggers, indexes and foreign key away
until the end: it is all there, or nothing is, and no kill can leave a table without its indexes.
Otherwise each batch is a transaction of its own that any user's could stand beside.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from todo_cli.admin import rota, vocabulary
from todo_cli.admin.bulk import Progress, unindexed
from todo_cli.admin.connect import (
    Connection,
    maintaining,
    notice_interruptions,
    one,
    telling_if_interrupted,
    tidy,
)

DOMAIN = ".seed.example.com"
"""`example.com` is reserved (RFC 2606): no real person's address ends so."""

MAX_BATCH = 500_000
LIVE_BATCH = 5_000
"""Beside people at work, a batch of 5,000 holds nobody up for more than about 50 ms."""


@dataclass(frozen=True)
class Seeded:
    """What was made, and how long it took in all."""

    users: int
    tasks: int
    seconds: float

    @property
    def tasks_per_second(self) -> float:
        return self.tasks / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Removed:
    users: int
    tasks: int


def seed(
    connection: Connection, *, users: int, tasks: int, random_seed: int = 1, progress: Progress
) -> Seeded:
    """Make people and tasks of theirs, over a connection in autocommit mode.

    Raises:
        TodoError: the database refused. Into an empty table nothing was made then; otherwise
            what was made is whole, and `cleanup` finds it.
    """
    started = time.perf_counter()
    connection.local_settings["statement_timeout"] = "0"
    notice_interruptions(connection)
    with maintaining(connection):
        # Locked before it is looked at, so that nobody's first task is in between.
        is_fast = _may_rebuild(connection) and _is_empty(connection)
        if is_fast:
            _forget_empty_file(connection)
            with (
                telling_if_interrupted(lambda: "Nothing was made."),
                unindexed(connection, ["public.tasks"], progress),
            ):
                people = _make_people(connection, users, random_seed)
                for done in _batches(connection, tasks, people, MAX_BATCH):
                    progress(done, tasks, "Tasks")
            _keep_counters(connection, people)
    if not is_fast:
        _seed_beside_people(connection, users, tasks, random_seed, progress)
    tidy(connection, "users", "tasks", "todo_auth.task_counters")
    return Seeded(users, tasks, time.perf_counter() - started)


def count(connection: Connection) -> Removed:
    """What `cleanup` would remove."""
    with maintaining(connection):
        users = int(one(connection, _COUNT_USERS))
        return Removed(users, int(one(connection, _COUNT_TASKS)))


def cleanup(connection: Connection, *, progress: Progress) -> Removed:
    """Delete seeded people and all that is theirs, in short transactions; nobody else's."""
    removed_users = removed_tasks = 0
    total = _count_seeded_tasks(connection)
    last = UUID(int=0)
    while ids := _some_seeded_users(connection, last):
        last = ids[-1]
        for statement in (_DELETE_TASKS, _DELETE_ARCHIVED):
            while deleted := _delete_some(connection, statement, ids):
                removed_tasks += deleted
                progress(removed_tasks, total, "Deleting")
        with maintaining(connection):
            removed_users += connection.execute(_DELETE_USERS, (ids,)).rowcount
    if removed_users:
        tidy(connection, "users", "tasks", "tasks_archive")
    return Removed(removed_users, removed_tasks)


def _some_seeded_users(connection: Connection, after: UUID) -> list[UUID]:
    with connection.transaction():
        return [id_ for (id_,) in connection.execute(_SOME_SEEDED, (after,)).fetchall()]


def _count_seeded_tasks(connection: Connection) -> int:
    with maintaining(connection):
        return int(one(connection, _COUNT_TASKS))


def _delete_some(connection: Connection, statement: LiteralString, ids: list[UUID]) -> int:
    with maintaining(connection):
        return connection.execute(statement, (ids, LIVE_BATCH)).rowcount


_NEXT_ORDINAL: LiteralString = """
select coalesce(max(substring(email from '@r([0-9]{1,18})[.]seed[.]example[.]com$')::bigint) + 1, 0)
from users where right(email, 17) = '.seed.example.com'
"""
_SOME_SEEDED: LiteralString = """
select id from users where right(email, 17) = '.seed.example.com' and id > %s
order by id limit 500
"""
"""So many users at once; their tasks are gone before they are."""
_DELETE_USERS: LiteralString = """
delete from users where id = any (%s) and right(email, 17) = '.seed.example.com'
"""
_DELETE_TASKS: LiteralString = """
delete from tasks where ctid = any (array(
    select ctid from tasks where user_id = any (%s) limit %s
))
"""
_DELETE_ARCHIVED: LiteralString = """
delete from tasks_archive where ctid = any (array(
    select ctid from tasks_archive where user_id = any (%s) limit %s
))
"""
_COUNT_USERS: LiteralString = """
select count(*) from users where right(email, 17) = '.seed.example.com'
"""
_COUNT_TASKS: LiteralString = """
with seeded as (select id from users where right(email, 17) = '.seed.example.com')
select (select count(*) from tasks where user_id in (select id from seeded))
    + (select count(*) from tasks_archive where user_id in (select id from seeded))
"""


def _may_rebuild(connection: Connection) -> bool:
    return bool(
        one(
            connection,
            "select pg_has_role(current_user, relowner, 'usage') "
            # What refers to a task would lose the key that it refers to.
            "and not exists (select from pg_constraint where confrelid = c.oid) "
            "from pg_class as c where oid = 'public.tasks'::regclass",
        )
    )


def _is_empty(connection: Connection) -> bool:
    if one(connection, "select exists (select from tasks)"):
        return False
    connection.execute("lock table tasks in access exclusive mode")
    return not one(connection, "select exists (select from tasks)")


def _forget_empty_file(connection: Connection) -> None:
    """Have the load go to a new file, in the transaction that has locked the table.

    A file made in this transaction need not be logged row by row where nobody replicates
    (wal_level = minimal, as the embedded server has it). Of no byte, it can hold no row.
    """
    if one(connection, "select pg_relation_size('public.tasks')") == 0:
        connection.execute("truncate tasks")


def _seed_beside_people(
    connection: Connection, users: int, tasks: int, random_seed: int, progress: Progress
) -> None:
    with maintaining(connection):
        people = _make_people(connection, users, random_seed)
    batches = _batches(connection, tasks, people, LIVE_BATCH)
    made = 0
    with telling_if_interrupted(lambda: f"{made:,} tasks were made and stay."):
        while made < tasks:
            with maintaining(connection):
                done = next(batches, tasks)
            made = done
            progress(made, tasks, "Tasks")


@dataclass(frozen=True)
class _People:
    """Seeded people, who are known by their ordinals. `first` is one that nobody had before."""

    first: int
    count: int
    random_seed: int

    @property
    def tasks_seed(self) -> int:
        """The seed of their tasks: other people's tasks of the same random seed are other ones."""
        return (self.random_seed * 4_294_967_311 + self.first) % 2**62


def _make_people(connection: Connection, users: int, random_seed: int) -> _People:
    people = _People(int(one(connection, _NEXT_ORDINAL)), users, random_seed)
    connection.execute(
        _PEOPLE,
        {
            "users": users,
            "first_ordinal": people.first,
            "seed": random_seed,
            "first_names": vocabulary.FIRST_NAMES.split(),
            "last_names": vocabulary.LAST_NAMES.split(),
        },
    )
    return people


_PEOPLE: LiteralString = """
with drawn as (
    select ordinal,
        %(first_names)s::text[] as first_names, %(last_names)s::text[] as last_names,
        hashint8extended(ordinal, %(seed)s) & 1048575 as h,
        md5(format('%%s/%%s', %(seed)s::bigint, ordinal))::uuid as id
    from generate_series(
        %(first_ordinal)s::bigint, %(first_ordinal)s::bigint + %(users)s - 1
    ) as ordinal
),
named as (
    select ordinal, id,
        first_names[1 + h %% cardinality(first_names)] as first_name,
        last_names[1 + (h >> 8) %% cardinality(last_names)] as last_name
    from drawn
)
insert into users (id, email, email_verified, name, created_at, updated_at)
select id,
    format('%%s.%%s@r%%s.seed.example.com', lower(first_name), lower(last_name), ordinal),
    true, first_name || ' ' || last_name,
    current_date - 730, current_date - 730
from named
"""


def _batches(connection: Connection, tasks: int, people: _People, size: int) -> Iterator[int]:
    """Make the tasks, batch after batch; yields how many there are."""
    turns = rota.draw_up(max(1, people.count), people.random_seed)
    values = {
        "seed": people.tasks_seed,
        "people_seed": people.random_seed,
        "first_ordinal": people.first,
        "tasks": tasks,
        "places": rota.SEATS,
        "first": turns.first,
        "people": turns.people,
        "seats": turns.seats,
        "seat": turns.seat,
        "verbs": vocabulary.VERBS.split(),
        "objects": list(vocabulary.OBJECTS),
        "details": list(vocabulary.DETAILS),
        "notes": list(vocabulary.NOTES),
        "days": list(vocabulary.DAYS_UNTIL_DUE),
        "times": list(vocabulary.TIMES),
        "zones": list(vocabulary.ZONES),
        "priorities": list(vocabulary.PRIORITIES),
        "tags": vocabulary.TAGS,
        "projects": vocabulary.PROJECTS,
    }
    if people.count == 0:
        return
    size = min(size, max(1_000, tasks // 20))
    for start in range(0, tasks, size):
        last = min(start + size, tasks) - 1
        connection.execute(_TASKS.encode(), {**values, "start": start, "last": last})
        yield last + 1


_COLUMNS: dict[str, str] = {
    # A key like those of `ids`: milliseconds (11 digits until 2527), version 7, random bits.
    "id": """(
        '0' || to_hex((date_part('epoch', created_at) * 1000)::bigint)
        || to_hex(28672 + ((h >> 40) & 4095))
        || to_hex((g & 4611686018427387903) | (1::bigint << 63))
    )::uuid""",
    "user_id": "user_id",
    "title": """(%(verbs)s::text[])[1 + ((h >> 18) & 31)] || ' '
        || (%(objects)s::text[])[1 + ((h >> 23) & 31)]
        || (%(details)s::text[])[1 + ((h >> 28) & 15)]""",
    "description": "case when (h >> 32) & 3 = 0 then (%(notes)s::text[])[1 + ((h >> 34) & 7)] end",
    "completed": "completed",
    "created_at": "created_at",
    "updated_at": "coalesce(completed_at, created_at)",
    "number": "number",
    "completed_at": "completed_at",
    "deleted_at": "case when (h >> 52) & 127 = 0 then coalesce(completed_at, created_at) end",
    "due_on": "due_on",
    "due_time": "due_time",
    # A person stays in one time zone.
    "due_zone": """case when due_time is not null
        then (%(zones)s::text[])[1 + (get_byte(uuid_send(user_id), 0) & 7)] end""",
    "wait_on": """case
        when completed or (g >> 12) & 15 > 0 then null
        when (g >> 16) & 7 = 0 then date '9999-12-31'
        else coalesce(due_on - 7, current_date + ((g >> 19) & 31)::int)
    end""",
    "priority": "(%(priorities)s::smallint[])[1 + ((g >> 24) & 15)]",
    "tags": "string_to_array((%(tags)s::text[])[1 + ((g >> 28) & 255)], ',')",
    "project": "(%(projects)s::text[])[1 + ((h >> 56) & 255)]",
}
"""The columns that are filled, each with an expression. The others have their defaults."""

_TASKS = f"""
with drawn as (
    select n, hashint8extended(n, %(seed)s) as h, hashint8extended(n, %(seed)s + 1) as g,
        n / %(places)s::int as round, (1 + n %% %(places)s::int)::int as place
    from generate_series(%(start)s::bigint, %(last)s::bigint) as n
),
seated as (
    select n, h, g,
        round * (%(seats)s::int[])[place] + (%(seat)s::int[])[place] as turn,
        (%(first)s::int[])[place] as first,
        (%(people)s::int[])[place] as people
    from drawn
    offset 0  -- else what is calculated here would be again wherever it is used below
),
placed as (
    select h, g,
        -- The user's key, as it was made from the ordinal. Who shares a seat begins each time with
        -- somebody else.
        md5(format('%%s/%%s', %(people_seed)s::bigint, %(first_ordinal)s::bigint + first
            + (turn + (hashint8extended(turn / people, first) & 1048575)) %% people
        ))::uuid as user_id,
        turn / people + 1 as number,
        -- Seconds, not days: a day is reckoned in the session's time zone, row by row.
        current_date::timestamptz - interval '1 second' * (
            63072000 * (1 - (n + (h & 255) / 256.0::float8) / %(tasks)s::float8)
        ) as created_at,
        (h >> 8) & 1023 < 614 as completed
    from seated
    offset 0
),
finished as (
    select *, case when completed then least(
        created_at
            + interval '1 second' * (-259200 * ln((1 + ((g >> 40) & 1023)) / 1024.0::float8)),
        current_date::timestamptz
    ) end as completed_at
    from placed
    offset 0
),
dated as (
    select *, case when g & 1 = 0 then coalesce(completed_at::date, current_date)
        + (%(days)s::int[])[1 + ((g >> 1) & 127)] end as due_on
    from finished
    offset 0
),
timed as (
    select *, case when due_on is not null
        then (%(times)s::time[])[1 + ((g >> 8) & 15)] end as due_time
    from dated
    offset 0
)
insert into tasks ({", ".join(_COLUMNS)})
select {", ".join(_COLUMNS.values())}
from timed
"""  # noqa: S608  # constants of this module
"""60 % are completed, after three days in the mean; one in 128 lies in the trash. 63,072,000 s are
two years. Of the open ones half have a day, a tenth of these in the past."""


def _keep_counters(connection: Connection, people: _People) -> None:
    """Say which numbers are used, as the trigger would have done row by row."""
    connection.execute(
        """
        insert into todo_auth.task_counters as c (user_id, last_number)
        select person, number
        from (
            select md5(format('%%s/%%s', %(seed)s::bigint, ordinal))::uuid as person
            from generate_series(%(first)s::bigint, %(last)s::bigint) as ordinal
        ) as people,
            lateral (
                select number from tasks where user_id = person order by number desc limit 1
            ) as newest
        on conflict (user_id) do update
        set last_number = greatest(c.last_number, excluded.last_number)
        """,
        {
            "seed": people.random_seed,
            "first": people.first,
            "last": people.first + people.count - 1,
        },
    )
