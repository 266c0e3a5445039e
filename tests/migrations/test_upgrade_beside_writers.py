"""Numbering the old tasks of a large table while programs of version 1.0.0 go on writing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from todo_cli.admin import migrate
from todo_cli.errors import TodoError

TASKS_PER_BATCH = 2_000
USERS = 5
TASKS_PER_USER = 1_000

INSERT = (
    "insert into tasks (user_id, title) select id, 'new' from users where email = 'user1@x.org'"
)
EDIT = "update tasks set title = 'edited', completed = true where title = 'task 7'"
DELETE = "delete from tasks where title = 'task 8'"

COUNT_UPDATES = """
create table updates (transaction_id xid8, tasks bigint);
create function count_updates() returns trigger language plpgsql as $$
begin
    insert into updates select pg_current_xact_id(), count(*) from changed;
    {then}
    return null;
end
$$;
create or replace trigger count_updates after update on tasks
referencing new table as changed for each statement execute function count_updates();
"""
FAIL_IN_THE_SECOND_BATCH = """
    if (select sum(tasks) from updates) > 2000 then
        raise exception 'the line is cut';
    end if;
"""
WAITING_BUILD = "select pid from pg_stat_progress_create_index where phase like 'waiting%'"


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of version 1.0.0 with old tasks, and a program of that version."""
    migrate.upgrade(empty_database_url, "0001")
    with psycopg.connect(
        empty_database_url, autocommit=True, options="-c lock_timeout=5s"
    ) as opened:
        opened.execute(
            f"""
            insert into users (email, name)
            select 'user' || n || '@x.org', 'User' from generate_series(1, {USERS}) as n
            """.encode()
        )
        opened.execute(
            f"""
            insert into tasks (user_id, title, completed, created_at, updated_at)
            select id, 'task ' || n, n % 3 = 0, now() - n * interval '1 hour',
                now() - interval '30 minutes'
            from users, generate_series(1, {TASKS_PER_USER}) as n
            """.encode()
        )
        yield opened


def scalar(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def assert_old_tasks_are_in_order(connection: psycopg.Connection[Any]) -> None:
    """Per user: each number once, old tasks by age below the new ones, nothing else touched."""
    assert scalar(connection, "select count(*) from tasks where number is null") == 0
    out_of_order = """
        select count(*) from (
            select number, lag(number) over (partition by user_id order by created_at, id) as before
            from tasks
        ) as pairs where number <= before
    """
    assert scalar(connection, out_of_order) == 0
    above_counter = """
        select count(*) from tasks join todo_auth.task_counters using (user_id)
        where number > last_number
    """
    assert scalar(connection, above_counter) == 0
    assert (
        scalar(
            connection, "select count(*) from tasks where completed <> (completed_at is not null)"
        )
        == 0
    )
    touched = """
        select count(*) from tasks
        where updated_at > now() - interval '20 minutes' and title like 'task %'
    """
    assert scalar(connection, touched) == 0


def test_no_transaction_rewrites_more_than_a_batch(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(COUNT_UPDATES.format(then="").encode())
    migrate.upgrade(empty_database_url, "0004")
    largest, total = connection.execute(
        "select max(tasks), sum(tasks) from (select sum(tasks) as tasks from updates"
        " group by transaction_id) as one"
    ).fetchall()[0]
    assert largest <= TASKS_PER_BATCH
    assert total == USERS * TASKS_PER_USER
    assert_old_tasks_are_in_order(connection)


def test_writers_go_on_while_the_index_is_built(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(empty_database_url) as reader:
        # The build waits for every older snapshot, so it is certainly under way here.
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from pg_class")
        upgrading = pool.submit(migrate.upgrade, empty_database_url, "0004")
        wait_for_the_build(connection)
        assert scalar(connection, "select version_num from alembic_version") == "0003"
        for statement in (INSERT, EDIT, DELETE, INSERT):
            connection.execute(statement.encode())
        reader.rollback()
        upgrading.result()
    assert_old_tasks_are_in_order(connection)
    assert scalar(connection, "select count(*) from tasks where title = 'new'") == 2


def test_an_upgrade_that_failed_in_the_middle_is_taken_up_again(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(COUNT_UPDATES.format(then=FAIL_IN_THE_SECOND_BATCH).encode())
    with pytest.raises(TodoError):
        migrate.upgrade(empty_database_url, "0004")
    assert scalar(connection, "select version_num from alembic_version") == "0003"
    assert scalar(connection, "select count(number) from tasks") == TASKS_PER_BATCH
    connection.execute("drop trigger count_updates on tasks")
    for statement in (INSERT, EDIT, DELETE, INSERT):
        connection.execute(statement.encode())
    migrate.upgrade(empty_database_url, "0004")
    assert_old_tasks_are_in_order(connection)


def test_a_writer_that_comes_before_the_counters_gets_a_number_above_the_old_ones(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    """As in the moment between the first step and the second."""
    migrate.upgrade(empty_database_url, "0003")
    connection.execute(
        "create function fail() returns trigger language plpgsql as $$ begin"
        " raise exception 'the line is cut'; end $$;"
        " create table todo_auth.task_counters (user_id uuid primary key, last_number bigint);"
        " create trigger fail before insert on todo_auth.task_counters"
        " for each row execute function fail()"
    )
    with pytest.raises(TodoError):
        migrate.upgrade(empty_database_url, "0004")
    connection.execute("drop trigger fail on todo_auth.task_counters")
    connection.execute(INSERT.encode())
    assert scalar(connection, "select number from tasks where title = 'new'") == TASKS_PER_USER + 1


def wait_for_the_build(connection: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if connection.execute(WAITING_BUILD).fetchone() is not None:
            return
        time.sleep(0.02)
    raise AssertionError("the index build was never seen")
