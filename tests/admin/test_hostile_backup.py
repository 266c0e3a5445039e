"""A backup that somebody has altered: refused before a statement of it is run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.admin.test_backup import back_up, bring_back
from tests.admin.test_migrate import catalog
from tests.admin.test_seed import rows
from tests.support.maintenance import seed
from tests.support.server import wheel_programs
from todo_cli.admin import client_programs
from todo_cli.admin import dump as dumps
from todo_cli.errors import Refused

EVERYTHING = """
select 'relation', relname from pg_class where relnamespace not in (
    select oid from pg_namespace where nspname like 'pg\\_%' or nspname = 'information_schema')
union all select 'function', proname from pg_proc where pronamespace not in (
    select oid from pg_namespace where nspname like 'pg\\_%' or nspname = 'information_schema')
union all select 'event trigger', evtname from pg_event_trigger
union all select 'schema', nspname from pg_namespace where nspname not like 'pg\\_%'
union all select 'extension', extname from pg_extension
union all select 'acl', coalesce(datacl::text, '') from pg_database
    where datname = current_database()
order by 1, 2
"""

TRICKS = {
    "a trigger that copies sessions": """
        create table public.stolen (token text);
        create function public.steal() returns trigger language plpgsql security definer
            as 'begin insert into public.stolen values (new.token); return new; end';
        create trigger copy_sessions after insert on sessions
            for each row execute function public.steal()
    """,
    "a policy that lets everybody see": "create policy more on tasks using (true)",
    "another policy of the same name": "alter policy tasks_own on tasks using (true)",
    "a function of todo_auth in another's words": """
        create or replace function todo_auth.current_user_id() returns uuid
        language sql stable security definer set search_path = pg_catalog, pg_temp
        as 'select id from public.users limit 1'
    """,
    "an event trigger": """
        create function public.fire() returns event_trigger language plpgsql as 'begin end';
        create event trigger more on ddl_command_end execute function public.fire()
    """,
    "a right for people": "grant select on sessions to todo_app",
    "a rule": "create rule more as on insert to users do also select 1",
    "a default": "alter table users alter column name set default current_setting('x', true)",
    "a function that only a superuser can make": """
        create function public.more() returns void language internal as 'pg_reload_conf'
    """,
}


def altered_as(dump: Path, content: bytes, **fields: object) -> None:
    """Put another dump in the place of a backup's, with a manifest that fits it."""
    dump.write_bytes(content)
    manifest = dumps.manifest_path(dump)
    document = json.loads(manifest.read_text()) | fields
    document |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_text(json.dumps(document))


@pytest.fixture
def dump(database_url: str, tmp_path: Path) -> Path:
    file = tmp_path / "a dump.pg"
    seed(database_url, users=2, tasks=100)
    back_up(database_url, file)
    return file


def pg_dump(url: str, *options: str) -> bytes:
    command = [str(wheel_programs() / "pg_dump"), "--format=custom", *options, f"--dbname={url}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("trick", TRICKS)
def test_a_dump_with_statements_is_refused_and_leaves_nothing(
    database_url: str, empty_database_url: str, dump: Path, trick: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TRICKS[trick].encode())
    altered_as(dump, pg_dump(database_url))
    before = rows(empty_database_url, EVERYTHING)
    with pytest.raises(Refused, match="something other than rows"):
        bring_back(empty_database_url, dump)
    assert rows(empty_database_url, EVERYTHING) == before


def test_statements_in_the_place_of_a_copy_are_not_run(
    database_url: str, empty_database_url: str, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words before the rows are the dump's own, and psql would run what stands there."""
    monkeypatch.chdir(dump.parent)
    plain = pg_dump(database_url, "--data-only", "--table=public.users", "--compress=0")
    copy = b"COPY public.users (id, email, email_verified, name, image, created_at, updated_at) "
    assert plain.count(copy) == 1
    evil = b"\\! touch proof\nCOPY public.users (id) "
    altered_as(dump, plain.replace(copy, evil + b" " * (len(copy) - len(evil))),
        tables={"public.users": 2, "public.tasks": 0})  # fmt: skip
    before = rows(empty_database_url, EVERYTHING)
    with pytest.raises(Refused):
        bring_back(empty_database_url, dump)
    assert rows(empty_database_url, EVERYTHING) == before
    assert not Path("proof").exists()


@pytest.mark.parametrize(
    "table",
    [
        "public.sessions",
        "public.verifications",
        "todo_auth.sign_in_attempts",
        "public.others",
        "pg_catalog.pg_authid",
        'public.x"; drop table tasks; --',
    ],
)
def test_a_manifest_that_names_tables_of_others_is_refused(
    empty_database_url: str, dump: Path, table: str
) -> None:
    tables = dumps.read_manifest(dump).tables | {table: 1}
    altered_as(dump, dump.read_bytes(), tables=tables)
    with pytest.raises(Refused, match="manifest"):
        bring_back(empty_database_url, dump)


def test_live_sessions_in_a_dump_are_refused(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    altered_as(dump, pg_dump(database_url, "--data-only"))
    before = rows(empty_database_url, EVERYTHING)
    with pytest.raises(Refused, match="sessions"):
        bring_back(empty_database_url, dump)
    assert rows(empty_database_url, EVERYTHING) == before


def test_rows_that_break_a_rule_leave_nothing(
    database_url: str, empty_database_url: str, dump: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks drop constraint fk_tasks_user_id_users")
        connection.execute("update tasks set user_id = gen_random_uuid() where number = 1")
    kept = dumps.read_manifest(dump).tables
    tables = [f"--table={name}" for name in kept]
    altered_as(dump, pg_dump(database_url, "--data-only", *tables))
    before = rows(empty_database_url, EVERYTHING)
    with pytest.raises(Refused, match="foreign key"):
        bring_back(empty_database_url, dump)
    assert rows(empty_database_url, EVERYTHING) == before


def test_a_database_that_gives_everybody_rights_by_default_is_refused(
    empty_database_url: str, dump: Path
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("alter default privileges grant select on tables to public")
    before = catalog(empty_database_url)
    with pytest.raises(Refused, match="people_role"):
        bring_back(empty_database_url, dump)
    assert catalog(empty_database_url) == before


def test_every_table_is_in_a_backup_or_known_to_be_left_out(database_url: str, dump: Path) -> None:
    """A new table of the migrations fails this until it is said where it belongs."""
    manifest = dumps.read_manifest(dump)
    assert manifest.left_out == ["public.sessions", "public.verifications"]
    tables = {
        name
        for (name,) in rows(
            database_url,
            "select schemaname || '.' || tablename from pg_tables "
            "where schemaname in ('public', 'todo_auth')",
        )
    }
    assert tables == {*manifest.tables, *dumps.LIVE_SECRETS}


def test_no_live_secret_is_in_a_dump(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    seed(database_url, users=1, tasks=1)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into sessions (user_id, token, expires_at) "
            "select id, 'a-live-token', now() + '1 day' from users"
        )
        connection.execute(
            "insert into verifications (identifier, value, expires_at) "
            "values ('reset', 'a-live-link', now() + '1 day')"
        )
    back_up(database_url, file)
    with (
        file.open("rb") as opened,
        client_programs.program(
            "pg_restore", ["--file=-"], environ=os.environ, stdin=opened
        ) as running,
    ):
        assert running.stdout is not None
        script = running.stdout.read()
    assert b"seed.example.com" in script
    assert b"a-live" not in script
