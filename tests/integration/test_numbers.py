"""A user's tasks are numbered without a gap, whoever writes them and however many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.conftest import Postgres
from tests.support.people import Person

Connection = psycopg.Connection[Any]

MANY = "insert into tasks (user_id, title) select %s, 'task ' || n from generate_series(1, %s) as n"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Another program's: it knows version 1.0.0 only, and row-level security does not bind it."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def numbers(connection: Connection, person: Person) -> list[int]:
    """In the order of the titles `task 1`, `task 2`, …"""
    rows = connection.execute(
        "select number from tasks where user_id = %s order by substring(title from '[0-9]+')::int",
        (person.id,),
    )
    return [number for (number,) in rows]


def last_number(connection: Connection, person: Person) -> int:
    row = connection.execute(
        "select last_number from todo_auth.task_counters where user_id = %s", (person.id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def _copy(connection: Connection, person: Person) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("copy tasks (user_id, title) from stdin") as copy,
    ):
        for n in range(1, 101):
            copy.write_row((person.id, f"task {n}"))


def _values(connection: Connection, person: Person) -> None:
    rows = ", ".join(f"('{person.id}', 'task {n}')" for n in range(1, 101))
    connection.execute(f"insert into tasks (user_id, title) values {rows}".encode())


def _select(connection: Connection, person: Person) -> None:
    connection.execute(MANY, (person.id, 100))


def _one_by_one(connection: Connection, person: Person) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into tasks (user_id, title) values (%s, %s)",
            [(person.id, f"task {n}") for n in range(1, 101)],
        )


def _two_inserts_in_one(connection: Connection, person: Person) -> None:
    connection.execute(
        "with a as (insert into tasks (user_id, title) select %(id)s, 'task ' || n"
        " from generate_series(1, 50) as n returning 1),"
        " b as (insert into tasks (user_id, title) select %(id)s, 'task ' || n"
        " from generate_series(51, 100) as n where (select count(*) from a) = 50 returning 1)"
        " select count(*) from b",
        {"id": person.id},
    )


def _merge(connection: Connection, person: Person) -> None:
    connection.execute(
        "merge into tasks as t using (select n, gen_random_uuid() as id"
        " from generate_series(1, 100) as n) as s on t.id = s.id"
        " when not matched then insert (id, user_id, title) values (s.id, %s, 'task ' || s.n)",
        (person.id,),
    )


WRITERS = [_copy, _values, _select, _one_by_one, _two_inserts_in_one]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.strip("_"))
def test_every_way_to_write_numbers_in_the_order_of_the_rows(
    connection: Connection, alice: Person, write: Callable[[Connection, Person], None]
) -> None:
    connection.execute("insert into tasks (user_id, title) values (%s, 'task 0')", (alice.id,))
    write(connection, alice)
    assert numbers(connection, alice) == list(range(1, 102))
    assert last_number(connection, alice) == 101


def test_a_merge_numbers_in_the_order_of_its_join(connection: Connection, alice: Person) -> None:
    _merge(connection, alice)
    assert sorted(numbers(connection, alice)) == list(range(1, 101))


@pytest.mark.parametrize("rows", [1, 100, 10_000])
def test_a_statement_updates_the_counter_once(
    connection: Connection, alice: Person, rows: int
) -> None:
    updated = "select pg_stat_get_xact_tuples_updated('todo_auth.task_counters'::regclass)"
    with connection.transaction():
        connection.execute(MANY, (alice.id, rows))
        assert connection.execute(updated).fetchone() == (1,)
    assert numbers(connection, alice) == list(range(1, rows + 1))


def test_a_row_costs_the_same_however_many_come_before_it(
    connection: Connection, alice: Person, bob: Person
) -> None:
    """Counted in pages read. The plan is made while the table is empty, and must not be kept to
    reading all of it."""

    def pages_a_row(person: Person, rows: int) -> float:
        statement = f"explain (analyze, buffers, format json) {MANY}"
        row = connection.execute(statement.encode(), (person.id, rows)).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]) / rows

    few = pages_a_row(alice, 500)
    assert pages_a_row(bob, 20_000) < 1.5 * few


def test_a_statement_for_several_users_counts_each_of_them(
    connection: Connection, alice: Person, bob: Person
) -> None:
    connection.execute(
        "insert into tasks (user_id, title)"
        " select case when n %% 3 = 0 then %s::uuid else %s::uuid end, 'task ' || n"
        " from generate_series(1, 30) as n",
        (bob.id, alice.id),
    )
    assert numbers(connection, alice) == list(range(1, 21))
    assert numbers(connection, bob) == list(range(1, 11))


def test_what_is_already_there_takes_no_number(connection: Connection, alice: Person) -> None:
    insert = (
        "insert into tasks (id, user_id, title)"
        " select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, %s, 'task ' || n"
        " from generate_series(1, %s) as n on conflict (id) do nothing"
    )
    connection.execute(insert, (alice.id, 10))
    connection.execute(insert, (alice.id, 20))
    assert numbers(connection, alice) == list(range(1, 21))
    assert last_number(connection, alice) == 20


def test_a_number_that_is_given_is_kept_and_counted(connection: Connection, alice: Person) -> None:
    """As in a dump, an import by the owner, or what comes back from the archive."""
    connection.execute(
        "insert into tasks (user_id, title, number) values (%(id)s, 'task 1', 7),"
        " (%(id)s, 'task 2', null), (%(id)s, 'task 3', 3), (%(id)s, 'task 4', null)",
        {"id": alice.id},
    )
    assert numbers(connection, alice) == [7, 8, 3, 9]
    assert last_number(connection, alice) == 9


def test_a_number_is_not_used_again_in_the_same_transaction(
    connection: Connection, alice: Person
) -> None:
    with connection.transaction():
        connection.execute(MANY, (alice.id, 3))
        connection.execute("delete from tasks where number = 3")
        connection.execute(MANY, (alice.id, 1))
    rows = connection.execute("select number from tasks order by number").fetchall()
    assert rows == [(1,), (2,), (4,)]


def test_what_is_rolled_back_leaves_no_gap(connection: Connection, alice: Person) -> None:
    with connection.transaction():
        connection.execute(MANY, (alice.id, 3))
        with connection.transaction() as inner:
            connection.execute(MANY, (alice.id, 50))
            raise psycopg.Rollback(inner)
    connection.execute("insert into tasks (user_id, title) values (%s, 'task 4')", (alice.id,))
    assert numbers(connection, alice) == [1, 2, 3, 4]


def test_writers_side_by_side_share_no_number(
    connection: Connection, database_url: str, alice: Person
) -> None:
    def write(_: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            for _ in range(20):
                own.execute(MANY, (alice.id, 5))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(4)))
    rows = connection.execute("select number from tasks order by number").fetchall()
    assert [number for (number,) in rows] == list(range(1, 401))


def test_a_writer_whose_rows_the_owner_does_not_see_numbers_as_well(
    postgres: Postgres, connection: Connection, database_url: str, alice: Person
) -> None:
    """An owner bound by row-level security; a writer who passes it, in nobody's session."""
    name = connection.info.dbname
    owner = f"bound_owner_of_{name}"
    postgres.execute(f"create role {owner}")
    try:
        for statement in (
            f"grant usage on schema public, todo_auth to {owner}",
            f"grant all on users to {owner}",
            f"grant execute on function todo_auth.current_user_id() to {owner}",
            f"alter table tasks owner to {owner}",
            f"alter table todo_auth.task_counters owner to {owner}",
            f"alter function todo_auth.assign_task_number() owner to {owner}",
            f"alter function todo_auth.count_task_numbers() owner to {owner}",
        ):
            connection.execute(statement.encode())
        _copy(connection, alice)
        _two_inserts_in_one(connection, alice)
        assert sorted(numbers(connection, alice)) == list(range(1, 201))
        assert last_number(connection, alice) == 200
    finally:
        connection.execute(f"drop owned by {owner} cascade".encode())
        postgres.execute(f"drop role {owner}")
