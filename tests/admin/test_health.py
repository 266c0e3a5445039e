"""`todo db health`: each check is seen to find the one thing that a test breaks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import Cli, Postgres
from tests.support.catalog import catalog_of
from tests.support.maintenance import in_silence, seed
from tests.support.people import Person, sign_up
from tests.support.proxy import UnixUpstream, WireProxy, through
from tests.support.waiting import wait_until
from todo_cli.admin import expected, grants, health
from todo_cli.admin.backup import backup
from todo_cli.admin.explain import RUNS
from todo_cli.admin.health import CheckStatus, Limits
from todo_cli.admin.health.connection import connection_checks
from todo_cli.admin.restore import restore
from todo_cli.tasks.statements import pattern_statements

PATIENT = Limits(connect_milliseconds=60_000, query_milliseconds=60_000, connections_ratio=1)
"""For a machine that does other things as well: nothing here depends on the time it takes."""
FASTEST = dict.fromkeys(Limits().targets, 60_000.0)


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


def troubles(url: str, *, data_dir: Path | None = None, **limits: Any) -> dict[str, str]:
    """The checks that are not ok, and how they stand."""
    held = replace(PATIENT, targets=FASTEST)
    found = health.examine(
        url,
        now=lambda: datetime.now(UTC),
        limits=replace(held, **limits),
        data_dir=data_dir,
    )
    return {one.name: str(one.status) for one in found.checks if one.status is not CheckStatus.OK}


def first_trouble(url: str, **limits: Any) -> dict[str, str]:
    """The checks that are not ok, as soon as there is one."""
    while not (found := troubles(url, **limits)):
        pass
    return found


def break_it(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def in_use(database_url: str, alice: Person) -> str:
    """A healthy database with a person and a task."""
    close(database_url)
    break_it(database_url, f"insert into tasks (user_id, title) values ('{alice.id}', 'Milk')")
    return database_url


def close(url: str) -> None:
    """As migration 0006 does: a clone of a database does not have the privileges on it."""
    break_it(url, f"revoke temporary on database {urlsplit(url).path[1:]} from public")


def test_a_database_in_use_is_healthy(in_use: str, owned_url: str, tmp_path: Path) -> None:
    assert troubles(in_use, data_dir=tmp_path, disk_free_ratio=0) == {}
    sign_up(owned_url, "carol")
    assert set(troubles(owned_url)) == {"sight"}


BREAKS = {
    "migrations": ["update alembic_version set version_num = '0004'"],
    "models": ["alter table tasks alter column description type varchar(30000)"],
    "row_security": ["alter table tasks no force row level security"],
    "row_security ": ["alter table tasks_archive disable row level security"],
    "row_security  ": ["alter table sessions disable row level security"],
    "policies": ["create policy more on tasks using (true)"],
    "policies ": ["alter policy tasks_own on tasks using (user_id is not null)"],
    "policies  ": ["drop policy tasks_archive_own on tasks_archive"],
    "policies   ": ["alter policy tasks_maintenance on tasks to public"],
    "policies    ": ["alter policy tasks_maintenance on tasks using (true)"],
    "policies     ": ["drop policy tasks_own on tasks",
        "create policy tasks_own on tasks as restrictive "
        "using (user_id = (select todo_auth.current_user_id()))"],
    "policies      ": ["create policy more on users for select to todo_app using (true)"],
    "policies       ": ["alter policy users_own on users using (true)"],
    "policies        ": ["drop policy users_own on users"],
    "policies         ": ["alter policy users_own on users to todo_app"],
    "planner_statistics": ["alter table tasks alter column title set statistics 1"],
    "planner_statistics ": ["alter table users add column phone text"],
    "planner_statistics  ": ["alter table tasks alter column user_id set statistics 2"],
    "planner_statistics   ": ["create statistics about on user_id, title from tasks"],
    "planner_statistics    ": ["create index evil on users (upper(name))"],
    "planner_statistics     ": [
        "alter table users alter column email set statistics 1",
        "analyze users",
        "alter table users alter column email set statistics 0",
    ],
    "planner_statistics      ": [
        "create table notes (body text)",
        "grant select on notes to todo_app",
    ],
    "missing_privileges": ["revoke update (title) on tasks from todo_app"],
    "missing_privileges ": ["revoke select (name) on users from todo_app"],
    "missing_privileges  ": ["revoke usage on schema todo_auth from todo_app"],
    "missing_privileges   ": ["revoke all on function todo_auth.own_account() from todo_app"],
    "people_objects": ["set role todo_app", "select lo_create(0)"],
    "people_objects ": [
        "set role todo_app",
        "alter default privileges revoke all on types from public",
    ],
    **{
        f"policies on {table}": [f"create policy more on {table} using (true)"]
        for table in ("sessions", "accounts", "verifications")
    },
    **{
        f"people_role and {table}": [f"grant select on todo_auth.{table} to todo_app"]
        for table in ("secrets", "sign_in_attempts", "task_counters")
    },
    "temporary_objects": ["do $$ begin execute format("
        "'grant temporary on database %I to public', current_database()); end $$"],
    "people_role": ["grant select (token) on sessions to todo_app"],
    "people_privileges": ["grant truncate on tasks to public"],
    "people_privileges ": ["grant insert on users to todo_app"],
    "people_privileges  ": ["grant delete on tasks_archive to todo_app"],
    "people_privileges   ": ["grant select (email) on users to todo_app"],
    "people_privileges    ": ["create index evil on tasks (title)"],
    "functions": ["alter function todo_auth.current_user_id() reset search_path"],
    "functions ": ["grant execute on function todo_auth.resume_session() to public"],
    "functions  ": ["alter function todo_auth.resume_session() owner to pg_read_all_data"],
    "indexes": ["drop index ix_tasks_user_id_number_trash"],
    "indexes ": ["update pg_index set indisvalid = false "
        "where indexrelid = 'ix_users_created_at'::regclass"],
    "constraints": ["alter table tasks drop constraint ck_tasks_title_length"],
    "constraint_validity": ["update pg_constraint set convalidated = false "
        "where conname = 'ck_tasks_title_length'"],
    "triggers": ["alter table tasks disable trigger tasks_stamp"],
    "triggers ": ["drop trigger tasks_admit_writer on tasks"],
    "seeded_data": ["insert into users (email, name) values ('a@r1.seed.example.com', 'A')"],
    "dead_rows_tasks": ["alter table tasks set (autovacuum_enabled = off)",
        "set todo.maintenance = 'on'",
        "insert into tasks (user_id, title) select user_id, 'More' "
        "from tasks, generate_series(1, 50)", "delete from tasks where title = 'More'",
        "select pg_stat_force_next_flush()", "select 1"],
    "dead_rows_task_events": ["alter table task_events set (autovacuum_enabled = off)",
        "insert into task_events (id, user_id, batch_id, command)"
        " select gen_random_uuid(), id, id, 'x' from users, generate_series(1, 5000)",
        "delete from task_events where command = 'x'",
        "select pg_stat_force_next_flush()", "select 1"],
    "dead_rows_tasks_archive": ["alter table tasks_archive set (autovacuum_enabled = off)",
        "insert into tasks_archive (id, user_id, title, completed, created_at, updated_at, number)"
        " select id, user_id, title, completed, created_at, updated_at, number from tasks",
        "delete from tasks_archive",
        "select pg_stat_force_next_flush()", "select 1"],
}  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_found_and_nothing_else(in_use: str, broken: str) -> None:
    break_it(in_use, *BREAKS[broken])
    check = broken.split()[0]
    status = "warn" if check in WARNINGS else "fail"
    assert troubles(in_use, dead_rows=1) == {check: status, **FOLLOWS.get(broken, {})}


FOLLOWS = {
    **{
        broken: {"patterns": "fail"}
        for broken in ("policies     ", "missing_privileges", "missing_privileges  ")
    },
    **{
        broken: {"people_privileges": "fail"}
        for broken in ("planner_statistics    ", "people_role")
    },
}
"""With a restrictive policy alone, or without such a privilege, people's statements fail. An index
on what people may read lets `explain analyze` count everybody's values."""
WARNINGS = (
    "people_objects",
    "constraint_validity",
    "seeded_data",
    "dead_rows_tasks",
    "dead_rows_task_events",
    "dead_rows_tasks_archive",
)


@pytest.mark.parametrize("broken", [name for name in BREAKS if name.startswith("planner")])
def test_the_hint_for_readable_statistics_removes_them(in_use: str, broken: str) -> None:
    break_it(in_use, *BREAKS[broken], "analyze")
    found = health.examine(in_use, now=lambda: datetime.now(UTC), limits=PATIENT)
    (check,) = (one for one in found.checks if one.name == "planner_statistics")
    assert check.hint is not None
    break_it(in_use, check.hint, "analyze")
    assert troubles(in_use) == {}


def test_an_upgrade_brings_back_what_people_need(in_use: str, cli: Cli) -> None:
    """Also after the owner did what takes away the most."""
    with psycopg.connect(in_use, autocommit=True) as connection:
        before = catalog_of(connection)
        privileges = f"select {expected.FOUND_PRIVILEGES}".encode()
        granted = connection.execute(privileges).fetchone()
        for statement in (
            "drop owned by todo_app",
            "drop policy tasks_own on tasks",
            "drop policy tasks_archive_maintenance on tasks_archive",
            "alter policy users_own on users using (true)",
        ):
            connection.execute(statement.encode())
        assert set(troubles(in_use)) == {"policies", "missing_privileges", "patterns"}
        result = cli("db", "upgrade")
        assert result.exit_code == 0
        assert "Repaired: policy users_own\n" in result.stderr
        assert "Repaired: todo_app on table tasks: update (title)\n" in result.stderr
        assert troubles(in_use) == {}
        assert sorted(catalog_of(connection)["policies"]) == sorted(before["policies"])
        assert connection.execute(privileges).fetchone() == granted
        assert "Repaired" not in cli("db", "upgrade").stderr


@pytest.mark.parametrize("power", ["bypassrls", "login"])
def test_a_powerful_role_for_people_is_found(in_use: str, power: str) -> None:
    with undone(in_use, f"alter role todo_app {power}", f"alter role todo_app no{power}"):
        assert troubles(in_use) == {"people_role": "fail"}


def test_a_person_who_passes_the_policies_is_found(in_use: str) -> None:
    grants.grant(in_use, "too_mighty")
    try:
        break_it(in_use, "alter role too_mighty bypassrls")
        assert troubles(in_use) == {"people_privileges": "fail"}
    finally:
        grants.revoke(in_use, "too_mighty")


def test_a_table_that_somebody_has_locked_is_told(in_use: str) -> None:
    with psycopg.connect(in_use) as somebody:
        somebody.execute("lock table tasks in access exclusive mode")
        assert troubles(in_use) == {"locked": "fail"}


def test_the_hint_for_a_missing_index_makes_it_again(in_use: str) -> None:
    with psycopg.connect(in_use, autocommit=True) as connection:
        name = "ix_tasks_user_id_number_pending"
        defined = f"select pg_get_indexdef('{name}'::regclass)".encode()
        before = connection.execute(defined).fetchone()
        connection.execute(f"drop index {name}".encode())
        found = health.examine(in_use, now=lambda: datetime.now(UTC), limits=PATIENT)
        (check,) = (one for one in found.checks if one.name == "indexes")
        assert check.hint is not None
        connection.execute(check.hint.encode())
        assert connection.execute(defined).fetchone() == before


@contextmanager
def undone(url: str, statement: str, afterwards: str) -> Iterator[None]:
    break_it(url, statement)
    try:
        yield
    finally:
        break_it(url, afterwards)


def test_a_missing_schema_is_found(empty_database_url: str) -> None:
    assert troubles(empty_database_url) == {"migrations": "fail"}


@pytest.mark.parametrize(
    ("check", "limits"),
    [
        ("connect", {"connect_milliseconds": -1}),
        ("server_version", {"newest_server": 14}),
        ("connections", {"connections_ratio": 0}),
        ("cache_hit", {"cache_blocks": 0, "cache_hit_ratio": 1.1}),
        ("transaction_age", {"transaction_age": 0}),
    ],
)
def test_what_a_test_cannot_break_is_held_against_a_limit(
    in_use: str, check: str, limits: dict[str, Any]
) -> None:
    assert troubles(in_use, **limits) == {check: "warn"}


def test_an_old_server_fails(in_use: str) -> None:
    assert troubles(in_use, oldest_server=99) == {"server_version": "fail"}


def test_slow_queries_are_found(in_use: str) -> None:
    slow = troubles(in_use, query_milliseconds=-1)
    assert slow == {"first_query": "warn", "second_query": "warn"}


@pytest.mark.parametrize("pattern", Limits().targets)
def test_a_pattern_that_misses_its_target_is_found(in_use: str, pattern: str) -> None:
    name = f"pattern_{pattern.replace(' ', '_')}"
    assert troubles(in_use, targets={**FASTEST, pattern: -1}) == {name: "warn"}


def test_a_full_disk_is_found(in_use: str, tmp_path: Path) -> None:
    assert troubles(in_use, data_dir=tmp_path, disk_free_ratio=1.1) == {"disk_free": "warn"}


def test_storage_that_the_plan_does_not_allow_is_found(in_use: str) -> None:
    name = urlsplit(in_use).path[1:]
    break_it(in_use, f"alter database {name} set neon.max_cluster_size = '1MB'")
    assert troubles(in_use) == {"database_size": "warn"}
    break_it(in_use, f"alter database {name} set neon.max_cluster_size = '3TB'")
    assert troubles(in_use) == {}


def test_a_clock_that_differs_is_found(in_use: str) -> None:
    found = health.examine(
        in_use, now=lambda: datetime.now(UTC) + timedelta(minutes=5), limits=PATIENT
    )
    assert [one.name for one in found.checks if one.status is not CheckStatus.OK] == ["clock"]


def test_long_idle_and_blocked_statements_are_found(in_use: str) -> None:
    at_once: dict[str, Any] = {"long_statement_seconds": 0, "blocked_seconds": 1_000}
    with psycopg.connect(in_use) as idle:
        idle.execute("select 1")
        assert first_trouble(in_use, **at_once) == {"idle_in_transaction": "warn"}
    with beside(in_use, "select pg_sleep(60)"):
        assert first_trouble(in_use, **at_once) == {"long_statement": "warn"}
    with psycopg.connect(in_use) as holder:
        holder.execute("lock table verifications")
        with beside(in_use, "lock table verifications"):
            assert first_trouble(in_use, blocked_seconds=0) == {"blocked_statement": "warn"}
        holder.rollback()


@contextmanager
def beside(url: str, statement: str) -> Iterator[None]:
    """Run a statement on another connection, and cancel it afterwards."""
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as pool:
        running = pool.submit(other.execute, statement.encode())
        try:
            yield
        finally:
            other.cancel_safe()
            assert isinstance(running.exception(), psycopg.errors.QueryCanceled)


def test_a_pooled_host_without_tls_is_found(
    in_use: str, postgres: Postgres, server_socket_dir: Path
) -> None:
    with WireProxy(upstream=UnixUpstream(server_socket_dir)) as proxy:
        host = "ep-red-1-pooler.eu-central-1.aws.neon.tech"
        url = (
            f"postgresql://{postgres.user}@{host}:{proxy.port}{urlsplit(in_use).path}"
            f"?hostaddr={proxy.host}&sslmode=disable&gssencmode=disable"
        )
        # Connected by hand: this program itself would insist on TLS.
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection_checks(
                connection, url, PATIENT, lambda: datetime.now(UTC), connect_seconds=0
            )
            wrong = {one.name: str(one.status) for one in found if one.status is not CheckStatus.OK}
        assert wrong == {"host": "warn", "tls": "fail"}


def test_a_look_costs_few_round_trips(
    in_use: str, postgres: Postgres, server_socket_dir: Path
) -> None:
    with WireProxy(upstream=UnixUpstream(server_socket_dir)) as proxy:
        url = (
            f"postgresql://{postgres.user}@{proxy.host}:{proxy.port}{urlsplit(in_use).path}"
            "?sslmode=disable&gssencmode=disable"
        )
        assert troubles(url) == {}
        stats = proxy.stats
        assert stats.round_trips + stats.connection_round_trips <= 15


def test_a_database_that_was_just_loaded_is_healthy(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """One user has nearly all tasks: a plan that reads the whole table would fail."""
    close(database_url)
    seed(database_url, users=1, tasks=30_000)
    seed(database_url, users=5, tasks=500, random_seed=2)
    dump = tmp_path / "dump"
    backup(database_url, dump, environ=os.environ, progress=in_silence)
    restore(empty_database_url, dump, environ=os.environ, progress=in_silence)
    for url in (database_url, empty_database_url):
        assert troubles(url) == {}


def test_the_patterns_are_the_statements_of_the_commands(
    in_use: str, postgres: Postgres, alice: Person, server_socket_dir: Path
) -> None:
    with WireProxy(upstream=UnixUpstream(server_socket_dir)) as proxy:
        troubles(through(proxy, in_use))
        measured = [sql for sql in proxy.stats.queries if sql.startswith("explain (analyze")]
    expected = [name for name, _ in pattern_statements(number=1)]
    assert len(measured) == RUNS * len(expected)
    assert sum("INSERT INTO tasks" in sql for sql in measured) == RUNS
    assert sum("UPDATE tasks" in sql for sql in measured) == 3 * RUNS


def test_looking_changes_nothing(in_use: str) -> None:
    before = every_row(in_use)
    assert troubles(in_use) == {}
    assert every_row(in_use) == before


def every_row(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored, with which transaction wrote it where."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("select relid::regclass::text from pg_stat_user_tables")
        return {
            name: connection.execute(
                f"select ctid, xmin::text, t::text from {name} as t order by ctid".encode()
            ).fetchall()
            for (name,) in tables.fetchall()
        }


def test_the_command_answers_by_its_exit_code(cli: Cli, database_url: str) -> None:
    close(database_url)
    healthy = cli("db", "health", "--json")
    assert healthy.exit_code == 0, healthy.stdout
    document = json.loads(healthy.stdout)
    assert set(document) == {"status", "target", "checks"}
    assert set(document["checks"][0]) == {
        "name", "status", "value", "unit", "limit", "message", "hint",
    }  # fmt: skip
    break_it(database_url, "alter table tasks disable row level security")
    ill = cli("db", "health", columns=80)
    assert ill.exit_code == 1
    assert "✗" in ill.stdout and "tasks lack row-level security" in ill.stdout
    nowhere = "postgresql://todo@/nowhere?host=/nonexistent"
    away = cli("db", "health", "--wait", "0.2", environ={"TODO_DATABASE_URL": nowhere})
    assert away.exit_code == 3


def test_a_database_that_is_not_there_yet_is_waited_for(
    cli_here: Cli, postgres: Postgres, template: str
) -> None:
    environ = {"TODO_DATABASE_URL": postgres.url("later_todo")}
    now = cli_here("db", "health", environ=environ)
    assert now.exit_code == 3
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cli_here, "db", "health", "--wait", "60", environ=environ)
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            wait_until(lambda: waiting.running())
            connection.execute(f"create database later_todo template {template}".encode())
        try:
            assert waiting.result().exit_code in (0, 1)
            assert "migrations" in waiting.result().stdout
        finally:
            postgres.execute("drop database later_todo with (force)")
