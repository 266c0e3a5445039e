"""Upgrade, downgrade, status: alone, two at once, and taken up again after an interruption."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from tests.conftest import Cli
from tests.support.server import wheel_programs
from todo_cli.admin import migrate
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskDraft, TaskRef

REPOSITORY = Path(__file__).parents[2]
NEWEST = "ix_tasks_user_id_number_pending"


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


def scalar(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def is_valid(url: str, index: str) -> object:
    return scalar(
        url,
        "select bool_and(indisvalid) from pg_index "
        f"where indexrelid = to_regclass('public.{index}')",
    )


def catalog(url: str) -> str:
    """The schema as pg_dump writes it, without its random session key."""
    command = [str(wheel_programs() / "pg_dump"), "--schema-only", url]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in dump.splitlines() if "restrict" not in line)


UPGRADE = "import sys; from todo_cli.admin import migrate; migrate.upgrade(sys.argv[1])"


def test_two_upgrades_at_once_both_succeed(empty_database_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty_database_url]
    both = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(2)]
    assert [upgrading.wait(60) for upgrading in both] == [0, 0]
    assert migrate.status(empty_database_url).pending == []


def test_each_revision_goes_up_down_and_up_again(empty_owned_url: str) -> None:
    before = None
    for revision in [one.revision for one in migrate.pending(None)]:
        migrate.upgrade(empty_owned_url, revision)
        made = catalog(empty_owned_url)
        migrate.downgrade(empty_owned_url, before or "base")
        migrate.upgrade(empty_owned_url, revision)
        assert catalog(empty_owned_url) == made
        before = revision
    migrate.downgrade(empty_owned_url, "base")
    assert migrate.status(empty_owned_url).current is None


def test_an_invalid_index_is_found_and_rebuilt(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0004")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"create index {NEWEST} on tasks (title)".encode())
        connection.execute(
            "update pg_index set indisvalid = false "
            f"where indexrelid = '{NEWEST}'::regclass".encode()
        )
    migrate.upgrade(empty_database_url, "0005")
    assert is_valid(empty_database_url, NEWEST) is True
    definition = scalar(empty_database_url, f"select pg_get_indexdef('{NEWEST}'::regclass)")
    assert "(user_id, number)" in str(definition)


def test_an_upgrade_that_was_killed_in_an_index_build_is_taken_up_again(
    empty_database_url: str,
) -> None:
    migrate.upgrade(empty_database_url, "0004")
    with psycopg.connect(empty_database_url) as reader, ThreadPoolExecutor(1) as pool:
        # The build waits for every older snapshot, so it is certainly under way when it is killed.
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from tasks")
        upgrading = pool.submit(migrate.upgrade, empty_database_url, timeout_seconds=0)
        kill_the_index_build(empty_database_url)
        assert upgrading.exception() is not None
    assert migrate.status(empty_database_url).current == "0004"
    assert is_valid(empty_database_url, NEWEST) is False
    migrate.upgrade(empty_database_url)
    assert migrate.status(empty_database_url).pending == []
    assert is_valid(empty_database_url, NEWEST) is True


def kill_the_index_build(url: str) -> None:
    deadline = time.monotonic() + 20
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            killed = connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_progress_create_index "
                "where phase like 'waiting%'"
            ).fetchone()
            if killed is not None:
                return
            time.sleep(0.02)
    raise AssertionError("the index build was never seen")


def test_a_long_index_build_is_told_of(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0004")
    seen = threading.Event()
    applied = []

    class Looker:
        def applied(self, revision: migrate.Revision, *, is_upgrade: bool) -> None:
            applied.append((revision.revision, is_upgrade))

        def repaired(self, what: str) -> None:
            raise AssertionError(what)

        def building(self, progress: migrate.IndexProgress) -> None:
            assert progress.phase
            seen.set()

    with psycopg.connect(empty_database_url) as reader, ThreadPoolExecutor(1) as pool:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from tasks")
        upgrading = pool.submit(migrate.upgrade, empty_database_url, "0005", watcher=Looker())
        assert seen.wait(20)
        reader.rollback()
        upgrading.result()
    assert applied == [("0005", True)]


def test_the_printed_statements_make_the_same_schema(
    empty_database_url: str, database_url: str
) -> None:
    psql = [str(wheel_programs() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1"]
    subprocess.run(
        [*psql, empty_database_url], input=migrate.upgrade_sql(), check=True, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert migrate.status(empty_database_url).pending == []
    assert catalog(empty_database_url) == catalog(database_url)


class TestASchemaThatIsNewerThanTheProgram:
    @pytest.fixture(autouse=True)
    def newer(self, database_url: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("update alembic_version set version_num = '9999'")

    @pytest.mark.parametrize("words", [["upgrade"], ["downgrade", "0004", "--yes"]])
    def test_is_not_changed(self, cli: Cli, database_url: str, words: list[str]) -> None:
        before = catalog(database_url)
        result = cli("db", *words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "schema (revision 9999) is newer than this program" in result.stderr
        assert "hint: Upgrade this program" in result.stderr
        assert catalog(database_url) == before

    @pytest.mark.parametrize("words", [["status"], ["status", "--check"]])
    def test_is_told_by_status(self, cli: Cli, words: list[str]) -> None:
        result = cli("db", *words, "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout) == {
            "current": "9999",
            "head": migrate.head(),
            "pending": [],
            "newer": True,
        }
        assert "Upgrade the program" in result.stderr


class TestAnotherProgramsDatabase:
    def test_tables_of_the_same_name(self, cli: Cli, empty_database_url: str) -> None:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute("create table tasks (id int)")
        environ = {"TODO_DATABASE_URL": empty_database_url}
        result = cli("db", "upgrade", environ=environ)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[1:] == [
            "Error: The database has a table named tasks that another program made.",
            "hint: Give todo a database of its own, and name it with --database-url",
        ]
        tables = "select count(*) from pg_class where relname = 'users'"
        assert scalar(empty_database_url, tables) == 0

    @pytest.mark.parametrize("words", [["upgrade"], ["status"], ["downgrade", "base", "--yes"]])
    def test_revisions_of_another_program(
        self, cli: Cli, empty_database_url: str, words: list[str]
    ) -> None:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute(
                "create table alembic_version (version_num varchar(32));"
                "insert into alembic_version values ('8a3f00c1d2e4')"
            )
        result = cli("db", *words, environ={"TODO_DATABASE_URL": empty_database_url})
        assert result.exit_code == 1
        assert "belongs to another program" in result.stderr


class TestWhatADowngradeTakesAway:
    @pytest.fixture(autouse=True)
    def some_tasks(self, tasks: TaskRepository) -> None:
        tasks.add([TaskDraft(title) for title in ("One", "Two", "Three")])
        tasks.trash([TaskRef.parse("2"), TaskRef.parse("3")])

    def test_each_revision_says_what_it_loses(self) -> None:
        scripts = ScriptDirectory.from_config(migrate._config()).walk_revisions()
        assert all(isinstance(script.module.LOSSES, dict) for script in scripts)

    def test_is_counted(self, database_url: str) -> None:
        found = {
            (loss.revision, loss.what): loss.count for loss in migrate.losses(database_url, "base")
        }
        assert found["0004", "tasks in the trash"] == 2
        assert found["0001", "tasks"] == 3
        assert found["0001", "users, with all that they have"] == 1
        assert "0007" not in {revision for revision, _ in found}  # nothing was archived

    def test_counts_only_the_steps_that_are_taken(self, database_url: str) -> None:
        assert migrate.losses(database_url, migrate.head()) == []
        lost = {loss.revision for loss in migrate.losses(database_url, "0003")}
        assert lost == {"0004", "0015"}  # what lies in the trash, and the history

    def test_is_told_before_anything_is_done(self, cli: Cli, database_url: str) -> None:
        before = catalog(database_url)
        answer = cli("db", "downgrade", "0003", stdin="\nn\n", columns=80)
        assert answer.exit_code == 1
        assert "Lost with 0004: 2 tasks in the trash" in answer.stderr
        assert "File for a backup" in answer.stderr
        assert catalog(database_url) == before

    def test_an_owner_without_bypassrls_is_told_the_truth(
        self, empty_owned_url: str, empty_database_url: str
    ) -> None:
        migrate.upgrade(empty_owned_url, "0005")
        found = {loss.what: loss.count for loss in migrate.losses(empty_owned_url, "0003")}
        assert found["tasks in the trash"] is None

    def test_a_backup_is_written_first(
        self, cli: Cli, database_url: str, empty_database_url: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "before.dump"
        answer = cli("db", "downgrade", "0003", stdin=f"{file}\ny\n", columns=80)
        assert answer.exit_code == 0, answer.stderr
        assert migrate.status(database_url).current == "0003"
        back = cli("db", "restore", str(file), "--database-url", empty_database_url)
        assert back.exit_code == 0, back.stderr
        in_trash = "select count(*) from tasks where deleted_at is not null"
        assert scalar(empty_database_url, in_trash) == 2


def test_alembics_own_check_finds_no_difference(database_url: str) -> None:
    migrate._run(database_url, lambda connection: command.check(migrate._config(connection)), 30)


def test_status_names_what_is_pending(cli: Cli, database_url: str) -> None:
    assert cli("db", "status", "--check").exit_code == 0
    migrate.downgrade(database_url, "0004")
    checked = cli("db", "status", "--check", "--json")
    assert checked.exit_code == 1
    found = json.loads(checked.stdout)
    assert (found["current"], found["head"]) == ("0004", migrate.head())
    assert found["pending"][0]["revision"] == "0005"
    assert checked.stderr.startswith("Target: ")
    assert "0005 Indexes" in cli("db", "status").stdout


def test_upgrade_and_downgrade_say_what_they_do(cli: Cli) -> None:
    refused = cli("db", "downgrade", "0004")
    assert refused.exit_code == 2
    assert "hint: Pass --yes to confirm." in refused.stderr
    down = cli("db", "downgrade", "0004", "--yes")
    assert "Reverted 0005" in down.stderr
    up = cli("db", "upgrade")
    assert up.exit_code == 0
    assert up.stderr.splitlines()[0].startswith("Target: ")
    assert "Applied 0005" in up.stderr
    assert cli("db", "upgrade", "-q").stderr == ""
    assert cli("db", "upgrade", "nonsense").exit_code == 1


def test_the_schema_of_a_database_that_is_not_ours_is_never_made_by_itself(
    cli: Cli, empty_database_url: str
) -> None:
    environ = {"TODO_DATABASE_URL": empty_database_url}
    for words in (["list"], ["add", "Milk"], ["db", "status"]):
        cli(*words, environ=environ)
    assert cli("list", environ=environ).exit_code == 5
    tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    assert scalar(empty_database_url, tables) == 0


def test_a_locked_table_is_waited_for_no_longer_than_the_timeout(
    cli_here: Cli, database_url: str
) -> None:
    words = ("db", "downgrade", "0006", "--yes")
    with psycopg.connect(database_url) as somebody:
        somebody.execute("lock table tasks in access share mode")
        refused = cli_here(*words, environ={"TODO_TIMEOUT": "3"})
        assert refused.exit_code == 1, refused.stderr
        assert "Somebody holds a lock" in refused.stderr
        assert "todo db inspect locks" in refused.stderr
    assert cli_here(*words).exit_code == 0
    assert cli_here("db", "upgrade").exit_code == 0
