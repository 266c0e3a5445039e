"""Backup and restore: what comes back is what was there, and what is not whole is refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.admin.test_migrate import REPOSITORY, catalog
from tests.admin.test_seed import fingerprint_as_owner, rows
from tests.conftest import Cli, Postgres
from tests.support.maintenance import seed
from tests.support.people import Person
from tests.support.waiting import wait_until
from todo_cli.admin import backup as backups
from todo_cli.admin import client_programs, health, migrate, unfinished
from todo_cli.admin import dump as dumps
from todo_cli.admin import restore as restores
from todo_cli.admin.connect import Connection
from todo_cli.admin.dump import Manifest
from todo_cli.errors import InvalidInput, Refused, RuleViolated


def back_up(url: str, file: Path) -> Manifest:
    return backups.backup(url, file, environ=os.environ, progress=lambda *_: None)


def bring_back(url: str, file: Path) -> Manifest:
    return restores.restore(url, file, environ=os.environ, progress=lambda *_: None)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return tmp_path / "a dump.pg"


def test_what_was_there_comes_back(
    cli: Cli, database_url: str, empty_database_url: str, alice: Person, dump: Path
) -> None:
    cli("add", "Höhle\\. \\N", "-d", "Two\nlines\tand a tab")
    cli("db", "seed", "--users", "5", "--tasks", "2000")
    cli("db", "archive")
    made = cli("db", "backup", str(dump), "--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["users"] == 6
    environ = {"TODO_DATABASE_URL": empty_database_url}
    restored = cli("db", "restore", str(dump), "--json", environ=environ)
    assert restored.exit_code == 0, restored.stderr
    assert json.loads(restored.stdout) == json.loads(made.stdout)
    assert fingerprint_as_owner(empty_database_url) == fingerprint_as_owner(database_url)
    assert catalog(empty_database_url) == catalog(database_url)
    assert "everybody has to log in again" in restored.stderr
    assert cli("list", environ=environ).exit_code == 4
    log_in(empty_database_url, alice)
    assert cli("list", "--json", environ=environ).stdout == cli("list", "--json").stdout
    assert cli("add", "Next", "-q", environ=environ).stdout == "2\n"
    assert cli("db", "restore", str(dump), environ=environ).exit_code == 1


def log_in(url: str, person: Person) -> None:
    """Give a person the session again that a restore left out."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into sessions (user_id, token, expires_at) values (%s, %s, now() + '7 days')",
            (person.id, person.token),
        )


def test_an_owner_whom_the_policies_bind_backs_up_and_restores(
    owned_url: str, empty_owned_url: str, empty_database_url: str, dump: Path
) -> None:
    seed(owned_url, users=4, tasks=500)
    assert back_up(owned_url, dump).tables["public.tasks"] == 500
    for url in (empty_owned_url, empty_database_url):
        bring_back(url, dump)
        assert fingerprint_as_owner(url) == fingerprint_as_owner(owned_url)
        found = {one.name: one for one in health.examine(url, now=now).checks}
        for name in ("migrations", "policies", "row_security", "functions", "people_role"):
            assert found[name].status is health.CheckStatus.OK, found[name]
    assert rows(empty_owned_url, "select from tasks") == []


def now() -> datetime:
    return datetime.now(UTC)


def test_a_backup_is_of_one_moment(
    database_url: str, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url, users=2, tasks=100)
    count = backups._count_rows

    def count_and_disturb(connection: Connection) -> dict[str, int]:
        counted = count(connection)
        rows(database_url, "delete from tasks returning 1")
        return counted

    monkeypatch.setattr(backups, "_count_rows", count_and_disturb)
    assert back_up(database_url, dump).tables["public.tasks"] == 100


def test_only_its_owner_can_read_a_backup_and_it_names_no_secret(
    database_url: str, dump: Path
) -> None:
    back_up(database_url, dump)
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    assert sorted(path.name for path in dump.parent.glob("*dump*")) == [
        dump.name,
        dump.name + dumps.SUFFIX,
    ]
    with pytest.raises(Refused, match="already"):
        back_up(database_url, dump)


def spoil_end(dump: Path, manifest: Path) -> None:
    dump.write_bytes(dump.read_bytes()[:-100])


def spoil_middle(dump: Path, manifest: Path) -> None:
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)


def spoil_counts(dump: Path, manifest: Path) -> None:
    document = json.loads(manifest.read_text())
    document["tables"]["public.tasks"] += 1
    manifest.write_text(json.dumps(document))


def lose_manifest(dump: Path, manifest: Path) -> None:
    manifest.unlink()


def make_foreign(dump: Path, manifest: Path) -> None:
    manifest.write_text('{"format": "other"}')


def make_something_else(dump: Path, manifest: Path) -> None:
    """Not a dump at all, with a manifest that fits it."""
    dump.write_bytes(b"drop table tasks;")
    document = json.loads(manifest.read_text())
    document |= {
        "bytes": dump.stat().st_size,
        "sha256": hashlib.sha256(dump.read_bytes()).hexdigest(),
    }
    manifest.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "spoil",
    [spoil_end, spoil_middle, spoil_counts, lose_manifest, make_foreign, make_something_else],
)
def test_what_is_not_a_whole_backup_is_refused_before_anything_is_changed(
    database_url: str, empty_database_url: str, dump: Path, spoil: Callable[[Path, Path], None]
) -> None:
    seed(database_url, users=2, tasks=100)
    back_up(database_url, dump)
    spoil(dump, dump.with_name(dump.name + dumps.SUFFIX))
    before = catalog(empty_database_url)
    with pytest.raises(Refused):
        bring_back(empty_database_url, dump)
    assert catalog(empty_database_url) == before


def test_rows_that_did_not_arrive_are_noticed_before_the_commit(
    database_url: str, empty_database_url: str, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url, users=2, tasks=100)
    back_up(database_url, dump)
    spoil_counts(dump, dump.with_name(dump.name + dumps.SUFFIX))
    monkeypatch.setattr(dumps, "require_whole", lambda *_: None)
    before = catalog(empty_database_url)
    with pytest.raises(Refused, match=r"public\.tasks should have 101 rows"):
        bring_back(empty_database_url, dump)
    assert catalog(empty_database_url) == before


@pytest.mark.parametrize(
    "field",
    [{"tables": {}}, {"tables": "x"}, {"roles": [3]}, {"roles": None}, {"revision": "0001"}],
    ids=str,
)
def test_a_manifest_that_says_something_else_is_refused(
    database_url: str, empty_database_url: str, dump: Path, field: dict[str, object]
) -> None:
    back_up(database_url, dump)
    manifest = dump.with_name(dump.name + dumps.SUFFIX)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | field))
    before = catalog(empty_database_url)
    with pytest.raises(Refused, match="manifest"):
        bring_back(empty_database_url, dump)
    assert catalog(empty_database_url) == before


@pytest.mark.parametrize("power", ["bypassrls", "login"])
def test_a_role_for_people_that_no_policy_binds_is_refused(
    database_url: str, empty_database_url: str, postgres: Postgres, dump: Path, power: str
) -> None:
    back_up(database_url, dump)
    before = catalog(empty_database_url)
    postgres.execute(f"alter role todo_app {power}")
    try:
        with pytest.raises(Refused, match="todo_app"):
            bring_back(empty_database_url, dump)
    finally:
        postgres.execute(f"alter role todo_app no{power}")
    assert catalog(empty_database_url) == before


def test_nobody_may_make_temporary_objects_in_what_came_back(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    back_up(database_url, dump)
    bring_back(empty_database_url, dump)
    may = "select has_database_privilege('todo_app', current_database(), 'temporary')"
    assert rows(empty_database_url, may) == [(False,)]


def test_a_database_that_holds_something_is_left_alone(database_url: str, dump: Path) -> None:
    seed(database_url, users=2, tasks=100)
    back_up(database_url, dump)
    with pytest.raises(Refused, match="not empty"):
        bring_back(database_url, dump)
    assert len(rows(database_url, "select from tasks")) == 100


def test_an_interrupted_restore_leaves_the_database_empty(
    database_url: str, empty_database_url: str, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url, users=2, tasks=2_000)
    back_up(database_url, dump)
    before = catalog(empty_database_url)
    monkeypatch.setattr(dumps, "CHUNK_BYTES", 1_000)

    def interrupt(done: int, total: int | None, now: str) -> None:
        if done > 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        restores.restore(empty_database_url, dump, environ=os.environ, progress=interrupt)
    (said,) = interrupted.value.__notes__
    assert "still empty" in said
    assert catalog(empty_database_url) == before


def test_what_the_server_refuses_on_the_way_back_is_said(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    seed(database_url, users=2, tasks=2_000)
    back_up(database_url, dump)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create function refuse() returns event_trigger language plpgsql "
            "as 'begin raise exception ''not here''; end'")  # fmt: skip
        connection.execute("create event trigger no on ddl_command_start execute function refuse()")
    with pytest.raises(Refused, match="not here"):
        bring_back(empty_database_url, dump)


def test_a_full_disk_leaves_no_file(database_url: str, dump: Path) -> None:
    seed(database_url, users=5, tasks=20_000)
    words = [sys.executable, "-m", "todo_cli", "db", "backup", str(dump)]
    # No file may grow beyond 64 KiB, which looks to a program as a full disk does.
    limited = ["/bin/sh", "-c", 'ulimit -f 128; exec "$@"', "sh", *words]
    environ = {**os.environ, "TODO_DATABASE_URL": database_url, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(limited, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "pg_dump failed" in done.stderr
    assert list(dump.parent.glob("*dump*")) == []


def test_a_folder_that_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    refused = cli("db", "backup", str(tmp_path / "missing" / "dump"))
    assert refused.exit_code == 1
    assert "cannot be written" in refused.stderr


def test_the_password_stays_out_of_the_command_line() -> None:
    secret, address = client_programs.access("postgresql://ann:s3cret@h:5/d?sslmode=require")
    assert secret["PGPASSWORD"] == "s3cret"
    assert address is not None and "s3cret" not in address
    assert "sslmode=require" in address


def test_a_password_that_only_a_command_line_could_hold_is_refused(dump: Path) -> None:
    url = "postgresql://ann@h/d?sslkey=k&sslpassword=s3cret"
    for run in (lambda: client_programs.access(url), lambda: back_up(url, dump)):
        with pytest.raises(InvalidInput) as caught:
            run()
        assert "sslpassword" in caught.value.message and caught.value.hint
        assert "s3cret" not in str(caught.value)


def test_who_sees_only_a_part_cannot_back_it_up(
    database_url: str, postgres: Postgres, dump: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create role plain_copier login in role todo_app")
    try:
        with pytest.raises(RuleViolated):
            back_up(database_url.replace(f"{postgres.user}@", "plain_copier@"), dump)
    finally:
        postgres.execute("drop role plain_copier")
    assert list(dump.parent.glob("*dump*")) == []


@pytest.mark.parametrize("is_named", [False, True], ids=["no name", "hidden name"])
def test_a_killed_backup_leaves_nothing_that_the_next_one_does_not_clear(
    database_url: str, dump: Path, is_named: bool
) -> None:
    seed(database_url, users=2, tasks=20_000)
    without = "import os; del os.O_TMPFILE; " if is_named else ""
    program = (
        f"{without}import sys; sys.argv[0] = 'todo'; from todo_cli.__main__ import main; main()"
    )
    environ = {**os.environ, "TODO_DATABASE_URL": database_url, "PYTHONPATH": str(REPOSITORY)}
    with psycopg.connect(database_url) as somebody:
        # pg_dump waits for it, so the kill comes in the midst of the work.
        somebody.execute("lock table todo_auth.secrets in access exclusive mode")
        running = subprocess.Popen(
            [sys.executable, "-c", program, "db", "backup", str(dump)],
            env=environ | {"TODO_TIMEOUT": "60"},
            stdin=subprocess.DEVNULL,
        )
        wait_until(lambda: rows(database_url, WAITING) != [])
        running.kill()
        running.wait()
        left = [path.name for path in dump.parent.glob("*dump*")]
        assert left == ([f".{dump.name}.part"] if is_named else [])
    wait_until(lambda: rows(database_url, OTHERS) == [])
    again = subprocess.run([sys.executable, "-c", program, "db", "backup", str(dump)], env=environ,
        check=False, capture_output=True, text=True)  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in dump.parent.iterdir() if "dump" in path.name) == [
        dump.name,
        dump.name + dumps.SUFFIX,
    ]


WAITING = (
    "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
)
OTHERS = (
    "select from pg_stat_activity "
    "where datname = current_database() and backend_type = 'client backend' "
    "and pid <> pg_backend_pid()"
)


def test_two_backups_of_one_name_do_not_write_into_each_other(
    database_url: str, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_WITHOUT_NAME", 0)
    with unfinished.unfinished(dump), pytest.raises(Refused, match="Another run"):
        back_up(database_url, dump)
    back_up(database_url, dump)


def test_columns_and_tables_of_others_are_left_out(
    cli_here: Cli, database_url: str, empty_database_url: str, dump: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table orders (id int); insert into orders values (1)")
        connection.execute("alter table users add column role text default 'admin'")
    made = cli_here("db", "backup", str(dump))
    assert "public.orders" in made.stderr
    manifest = bring_back(empty_database_url, dump)
    found = rows(empty_database_url, "select email from users")
    assert len(found) == manifest.tables["public.users"] == 1


def test_a_backup_of_an_older_schema_comes_back_as_that_schema(
    postgres: Postgres, empty_database_url: str, dump: Path
) -> None:
    postgres.execute("create database older_todo")
    try:
        source = postgres.url("older_todo")
        migrate.upgrade(source, "0007")  # the oldest whose rows an owner can see all of
        rows(source, "insert into users (email, name) values ('a@example.org', 'A') returning id")
        rows(source, "insert into tasks (user_id, title) select id, 'T' from users returning id")
        back_up(source, dump)
        bring_back(empty_database_url, dump)
        assert catalog(empty_database_url) == catalog(source)
        migrate.upgrade(empty_database_url)
        assert rows(empty_database_url, "select title from tasks") == [("T",)]
    finally:
        postgres.execute("drop database older_todo with (force)")


def test_a_backup_of_a_newer_schema_is_refused(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    rows(database_url, "update alembic_version set version_num = '9999' returning 1")
    back_up(database_url, dump)
    with pytest.raises(Refused, match="9999"):
        bring_back(empty_database_url, dump)


def test_plans_and_counts_are_right_at_once(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    """Nothing is left for autovacuum, so `todo db health` finds nothing either."""
    seed(database_url, users=2, tasks=2_000)
    back_up(database_url, dump)
    bring_back(empty_database_url, dump)
    known = (
        "select reltuples::int, (select relallvisible = relpages) from pg_class "
        "where oid = 'tasks'::regclass"
    )
    for url in (database_url, empty_database_url):
        assert rows(url, known) == [(2_000, True)]


def test_a_database_without_a_revision_takes_a_backup(
    cli_here: Cli, database_url: str, dump: Path
) -> None:
    """The embedded database has no other way to become empty."""
    seed(database_url, users=2, tasks=10)
    for words in (["backup", str(dump)], ["downgrade", "base", "--yes"], ["restore", str(dump)]):
        done = cli_here("db", *words)
        assert done.exit_code == 0, done.stderr
    assert len(rows(database_url, "select from tasks")) == 10
