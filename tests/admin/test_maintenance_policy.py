"""The owner's way past row-level security, and that it is nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Postgres
from tests.support.maintenance import seed
from todo_cli.admin.connect import connected, maintaining
from todo_cli.errors import RuleViolated, SchemaBehind

ATTACKER = "plain_attacker"
TABLES = ("tasks", "tasks_archive")


@pytest.fixture
def seeded_url(owned_url: str) -> str:
    seed(owned_url, users=3, tasks=50)
    with connected(owned_url) as connection, maintaining(connection):
        columns = "id, user_id, title, completed, created_at, updated_at, number"
        archive = f"insert into tasks_archive ({columns}) select {columns} from tasks limit 10"
        connection.execute(archive.encode())
    return owned_url


@pytest.fixture
def attacker_url(postgres: Postgres, seeded_url: str) -> Iterator[str]:
    """The URL of somebody who may do what people's commands do, and no more."""
    postgres.execute(f"create role {ATTACKER} login in role todo_app")
    yield seeded_url.replace("plain_owner@", f"{ATTACKER}@")
    postgres.execute(f"drop role {ATTACKER}")


def count(connection: psycopg.Connection[tuple[int]], table: str) -> int:
    row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return row[0]


def maintain(connection: psycopg.Connection[tuple[int]]) -> None:
    connection.execute("select set_config('todo.maintenance', 'on', false)")


def test_the_owner_sees_everything_only_where_the_transaction_says_so(seeded_url: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        assert [count(connection, table) for table in TABLES] == [0, 0]
    with connected(seeded_url) as admin:
        with maintaining(admin):
            assert admin.execute("select count(*) from tasks").fetchone() == (50,)
        assert admin.execute("select count(*) from tasks").fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
def test_the_role_of_people_gains_nothing_by_the_setting(seeded_url: str, table: str) -> None:
    with psycopg.connect(seeded_url) as connection:
        connection.execute("set local role todo_app")
        maintain(connection)
        assert count(connection, table) == 0


@pytest.mark.parametrize("table", TABLES)
def test_somebody_with_a_role_of_their_own_gains_nothing(attacker_url: str, table: str) -> None:
    with psycopg.connect(attacker_url, autocommit=True) as connection:
        maintain(connection)
        assert count(connection, table) == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("set role plain_owner")


def test_a_function_that_runs_as_the_owner_lends_nothing(
    seeded_url: str, attacker_url: str
) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(
            "create function leak() returns bigint language sql security definer "
            "as 'select count(*) from public.tasks'"
        )
        maintain(connection)
        assert connection.execute("select leak()").fetchone() == (50,)
    with psycopg.connect(attacker_url, autocommit=True) as connection:
        maintain(connection)
        assert connection.execute("select leak()").fetchone() == (0,)


def test_the_policy_is_no_part_of_a_persons_plan(seeded_url: str) -> None:
    with psycopg.connect(seeded_url) as connection:
        connection.execute("set local role todo_app")
        plan = str(connection.execute("explain (verbose) select * from tasks").fetchall())
    assert "current_user_id" in plan
    assert "maintenance" not in plan


def test_who_would_see_too_little_is_refused(attacker_url: str, empty_database_url: str) -> None:
    with (
        pytest.raises(RuleViolated, match="does not own"),
        connected(attacker_url) as connection,
        maintaining(connection),
    ):
        pass
    with (
        pytest.raises(SchemaBehind),
        connected(empty_database_url) as connection,
        maintaining(connection),
    ):
        pass
