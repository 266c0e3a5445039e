"""`todo db explain` and `inspect`: for an owner, and for an ordinary role, which sees less."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Cli, Postgres
from tests.support.maintenance import seed
from tests.support.people import Person
from todo_cli.admin.explain import TARGETS
from todo_cli.admin.inspect import Section
from todo_cli.admin.plan import Plan

ORDINARY = "plain_reader"


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


@pytest.fixture
def ordinary_url(postgres: Postgres, database_url: str) -> Iterator[str]:
    postgres.execute(f"create role {ORDINARY} login in role todo_app")
    yield database_url.replace(f"{postgres.user}@", f"{ORDINARY}@")
    postgres.execute(f"drop role {ORDINARY}")


@pytest.fixture
def busy(database_url: str, alice: Person) -> Person:
    """Alice with 20,000 tasks, among others."""
    seed(database_url, users=3, tasks=20_000)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "insert into tasks (user_id, title, number) "
            "select %s, 'Task ' || n, n from generate_series(1, 20000) as n",
            (alice.id,),
        )
        connection.execute("insert into todo_auth.task_counters values (%s, 20000)", (alice.id,))
        connection.execute("analyze tasks")
    return alice


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("as_ordinary", [False, True])
def test_the_patterns_are_explained_as_the_user_runs_them(
    cli: Cli, database_url: str, ordinary_url: str, as_ordinary: bool
) -> None:
    url = ordinary_url if as_ordinary else database_url
    result = cli("db", "explain", "--json", environ={"TODO_DATABASE_URL": url})
    assert result.exit_code == 0, result.stderr
    patterns = json.loads(result.stdout)
    assert [one["pattern"] for one in patterns] == list(TARGETS)
    for one in patterns:
        assert set(one) == {
            "pattern", "indexes", "milliseconds", "rows", "target_milliseconds", "ok",
        }  # fmt: skip
        assert one["indexes"], one
        assert one["milliseconds"] > 0
    assert [one["rows"] for one in patterns[:3]] == [50, 50, 50]


@pytest.mark.usefixtures("busy")
def test_explaining_changes_nothing(cli: Cli, database_url: str) -> None:
    def state() -> list[tuple[object, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "select count(*), max(number), max(updated_at), "
                "(select max(last_number) from todo_auth.task_counters) from tasks"
            ).fetchall()

    before = state()
    outlined = cli("db", "explain", "--plans")
    assert "Index Scan" in outlined.stdout
    assert state() == before


def test_explaining_is_for_somebody(cli: Cli) -> None:
    assert cli("db", "explain", environ={"TODO_SESSION_TOKEN": "nobody's"}).exit_code == 4


def test_a_large_sequential_scan_is_a_fault() -> None:
    def plan(**node: object) -> Plan:
        return Plan.of([{"Plan": {"Node Type": "Seq Scan", "Relation Name": "tasks", **node}}])

    assert plan(**{"Plan Rows": 10, "Actual Rows": 5, "Rows Removed by Filter": 20_000}).large_scans
    assert not plan(**{"Plan Rows": 10}).large_scans


def test_every_section_is_shown(cli: Cli) -> None:
    cli("add", "Milk")
    found = json.loads(cli("db", "inspect", "--json").stdout)
    assert list(found) == [str(section) for section in Section]
    tables = {row["table"]: row for row in found["tables"]}
    assert tables["tasks"]["total_bytes"] > 0
    assert all(row["valid"] for row in found["indexes"])
    assert "# " not in cli("db", "inspect").stdout
    on_terminal = cli("db", "inspect", "tables", columns=160)
    assert "total bytes" in on_terminal.stdout
    alone = json.loads(cli("db", "inspect", "indexes", "--json").stdout)
    assert "pk_tasks" in {row["index"] for row in alone}
    refused = cli("db", "inspect", "nonsense")
    assert refused.exit_code == 2
    assert "long-running" in refused.stderr


def test_who_waits_for_whom_is_shown(cli: Cli, database_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def wait() -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute("set lock_timeout = '20s'")
            connection.execute("lock table tasks")

    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("lock table tasks")
        waiting = pool.submit(wait)
        rows: list[dict[str, object]] = []
        while not rows and not waiting.done():
            rows = json.loads(cli("db", "inspect", "locks", "--json").stdout)
        assert rows[0]["blocking_pid"] == holder.info.backend_pid
        holder.rollback()
        waiting.result()


def test_an_ordinary_role_is_told_that_it_sees_less(cli: Cli, ordinary_url: str) -> None:
    environ = {"TODO_DATABASE_URL": ordinary_url}
    less = cli("db", "inspect", "connections", environ=environ)
    assert less.exit_code == 0
    assert "pg_read_all_stats" in less.stderr
    assert "pg_read_all_stats" not in cli("db", "inspect", "connections").stderr


SORTED = {
    "cache": lambda row: -(row["hits"] + row["reads"]),
    "connections": lambda row: -row["connections"],
    "long-running": lambda row: -row["seconds"],
    "locks": lambda row: -row["seconds"],
    "tables": lambda row: -row["total_bytes"],
    "indexes": lambda row: (row["valid"], -row["bytes"]),
    "statements": lambda row: -row["total_milliseconds"],
}


def test_every_section_begins_with_what_counts_most(cli: Cli, busy: Person) -> None:
    found = json.loads(cli("db", "inspect", "--json").stdout)
    assert set(found) == set(SORTED)
    for section, rows in found.items():
        assert rows == sorted(rows, key=SORTED[section]), section
    assert len({row["hits"] for row in found["cache"]}) > 2


@pytest.mark.parametrize("columns", [40, 60, 80, 160])
def test_a_name_is_whole_on_a_terminal_of_any_width(cli: Cli, columns: int) -> None:
    cli("add", "Milk")
    for section in ("tables", "indexes", "cache", "connections"):
        (name,) = {"table", "index", "application"} & {
            *(found := json.loads(cli("db", "inspect", section, "--json").stdout))[0]
        } - ({"table"} if section == "indexes" else set())
        shown = cli("db", "inspect", section, columns=columns, environ={"NO_COLOR": "1"}).stdout
        words = shown.split()
        for row in found:
            if len(row[name]) < columns - 20 and row[name]:
                assert set(row[name].split()) <= set(words), (section, row[name])
        assert max(map(len, shown.splitlines())) <= columns
