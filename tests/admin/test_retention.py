"""Archive and purge: what is old goes, what is not stays, and every owner keeps their own."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest

from tests.admin.test_seed import rows
from tests.conftest import Cli, Postgres
from tests.support import maintenance
from tests.support.maintenance import seed
from tests.support.people import Person
from tests.support.proxy import UnixUpstream, WireProxy, through
from todo_cli.admin import retention
from todo_cli.admin.connect import connected, maintaining
from todo_cli.errors import InvalidInput

YEAR = timedelta(days=365)
MONTH = timedelta(days=30)
AGE = """
alter table tasks disable trigger tasks_stamp;
update tasks set updated_at = now() - interval '{days} days',
    completed_at = case when completed then now() - interval '{days} days' end,
    deleted_at = case when deleted_at is not null then now() - interval '{days} days' end
where number in ({numbers});
alter table tasks enable trigger tasks_stamp;
"""


def make_old(url: str, days: int, *numbers: int) -> None:
    """Have tasks completed, removed and touched for the last time so long ago."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            AGE.format(days=days, numbers=", ".join(str(one) for one in numbers)).encode()
        )


def titles(cli: Cli, *words: str, person: Person | None = None) -> list[str]:
    return [
        task["title"] for task in json.loads(cli("list", "--json", *words, person=person).stdout)
    ]


@pytest.fixture
def old(cli: Cli, database_url: str) -> None:
    """Tasks 1 to 4, an old completed one, an old open one, a young completed one, old trash."""
    for title in ("Old and done", "Old and open", "Young and done", "Old trash"):
        cli("add", title)
    cli("done", "1", "3", "4")
    cli("rm", "4")
    make_old(database_url, 400, 1, 2, 4)


@pytest.mark.usefixtures("old")
def test_what_is_old_and_done_goes_to_the_archive_and_comes_back(cli: Cli, bob: Person) -> None:
    before = json.loads(cli("show", "1", "--json").stdout)
    assert json.loads(cli("db", "archive", "--dry-run", "--json").stdout)["tasks"] == 1
    assert titles(cli, "--archived") == []
    moved = json.loads(cli("db", "archive", "--json").stdout)
    assert moved["tasks"] == 1
    assert set(moved) == {"tasks", "seconds", "tasks_per_second"}
    assert titles(cli, "--all") == ["Young and done", "Old and open"]
    assert json.loads(cli("list", "--archived", "--json").stdout) == [before]
    assert cli("list", "--archived", columns=80).stdout.count("Old and done") == 1
    assert titles(cli, "--archived", "--search", "OLD", "--sort", "title") == ["Old and done"]
    assert titles(cli, "--archived", "--after", "1") == []
    assert cli("list", "--archived", "--after", "2").exit_code == 1
    assert titles(cli, "--archived", person=bob) == []
    assert cli("restore", "1").exit_code == 1
    assert cli("restore", "--archived", "1", "2").exit_code == 1
    stolen = cli("restore", "--archived", before["id"], person=bob)
    assert (stolen.exit_code, stolen.stdout) == (1, "")
    (restored,) = json.loads(cli("restore", "--archived", before["id"][:10], "--json").stdout)
    assert {**restored, "updated_at": ""} == {**before, "updated_at": ""}
    assert restored["updated_at"] > before["updated_at"]
    assert titles(cli, "--archived") == []
    assert json.loads(cli("db", "archive", "--json").stdout)["tasks"] == 0


@pytest.mark.usefixtures("old")
def test_numbers_stay_used_after_archive_and_purge(cli: Cli) -> None:
    assert json.loads(cli("db", "purge", "--dry-run", "--json").stdout)["tasks"] == 1
    assert cli("db", "purge").exit_code == 2
    assert json.loads(cli("db", "purge", "--yes", "--json").stdout)["tasks"] == 1
    assert titles(cli, "--trash") == []
    cli("db", "archive")
    assert cli("add", "Next", "-q").stdout == "5\n"
    assert cli("db", "archive", "--older-than", "soon").exit_code == 2


def test_young_trash_stays(cli: Cli, database_url: str) -> None:
    for title in ("Young", "Old"):
        cli("add", title)
    cli("rm", "1", "2")
    make_old(database_url, 31, 2)
    assert maintenance.purge(database_url, MONTH) == 1
    assert titles(cli, "--trash") == ["Young"]


def test_an_owner_whom_the_policies_bind_archives_and_purges(owned_url: str) -> None:
    seed(owned_url, users=5, tasks=4_000)
    expected = maintenance.count_archivable(owned_url, YEAR)
    trash = maintenance.count_purgeable(owned_url, MONTH)
    assert expected > 500
    assert trash > 5
    assert maintenance.archive(owned_url, YEAR) == expected
    assert maintenance.purge(owned_url, MONTH) == trash
    with connected(owned_url) as connection, maintaining(connection):
        counted = connection.execute(
            "select (select count(*) from tasks_archive), (select count(*) from tasks)"
        ).fetchone()
    assert counted == (expected, 4_000 - expected - trash)
    assert maintenance.archive(owned_url, YEAR) == 0


def test_purging_walks_past_a_page_of_young_trash(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url, users=3, tasks=2_000)
    trash = maintenance.count_purgeable(database_url, timedelta(days=365))
    monkeypatch.setattr(retention, "TASKS_A_STEP", 2)
    assert maintenance.purge(database_url, timedelta(days=365)) == trash


@pytest.mark.usefixtures("old")
def test_what_somebody_works_on_is_left_for_the_next_run(database_url: str) -> None:
    with psycopg.connect(database_url) as somebody:
        somebody.execute("select from tasks where number in (1, 4) for update")
        assert maintenance.archive(database_url, YEAR) == 0
        assert maintenance.purge(database_url, MONTH) == 0
    assert maintenance.archive(database_url, YEAR) == 1
    assert maintenance.purge(database_url, MONTH) == 1


def test_an_interrupted_run_is_taken_up_where_it_stopped(database_url: str) -> None:
    seed(database_url, users=5, tasks=6_000)
    expected = maintenance.count_archivable(database_url, YEAR)

    def interrupt(done: int, total: int | None, now: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maintenance.archive(database_url, YEAR, interrupt)
    moved = len(rows(database_url, "select from tasks_archive"))
    assert 0 < moved < expected
    assert maintenance.archive(database_url, YEAR) == expected - moved
    both = rows(database_url, "select from tasks join tasks_archive using (id)")
    assert both == []


def test_a_step_is_one_round_trip(postgres: Postgres, database_url: str) -> None:
    """The administrator may be far away. What is archived already is crossed in long strides."""
    seed(database_url, users=5, tasks=40_000)
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        url = through(proxy, database_url)
        moved = maintenance.archive(url, YEAR)
        steps = [sql for sql in proxy.stats.queries if "insert into tasks_archive" in sql]
        assert moved / retention.TASKS_A_STEP <= len(steps) < moved / 60
        beside_steps = proxy.stats.round_trips - len(steps)
        proxy.stats.reset()
        assert maintenance.archive(url, YEAR) == 0
        assert proxy.stats.round_trips < beside_steps + 10
    assert beside_steps < 10


@pytest.mark.usefixtures("old")
def test_a_lock_is_not_waited_for_longer_than_the_timeout(cli: Cli, database_url: str) -> None:
    with psycopg.connect(database_url) as somebody:
        somebody.execute("lock table tasks in access exclusive mode")
        for words in (["archive"], ["purge", "--yes"], ["cleanup", "--yes"], ["seed"]):
            result = cli("db", *words, environ={"TODO_TIMEOUT": "0.2"})
            assert (result.exit_code, result.stdout) == (1, "")
            assert "Error: Somebody holds a lock that this has to wait for." in result.stderr


def test_the_archive_cannot_be_written_by_people(database_url: str, alice: Person) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set role todo_app")
        connection.execute("select set_config('todo.session_token', %s, false)", (alice.token,))
        for statement in (
            "delete from tasks_archive",
            "update tasks_archive set title = 'x'",
            "insert into tasks_archive (id) select id from tasks",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("text", "days"),
    [("30d", 30), ("8w", 56), ("1y", 365), ("", None), ("3", None), ("-1d", None), ("9999y", None)],
)
def test_ages(text: str, days: int | None) -> None:
    if days is None:
        with pytest.raises(InvalidInput):
            retention.parse_age(text)
    else:
        assert retention.parse_age(text) == timedelta(days=days)
