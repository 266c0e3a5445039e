"""Log-in roles for people: `todo db grant`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import Cli, Postgres, Result
from tests.support.keyrings import WorkingKeyring
from todo_cli.admin import grants, migrate
from todo_cli.errors import InvalidInput, RoleRefused, SchemaBehind, TodoError

ROLE = "ada_for_test"


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: the tests put doubles in its place for keyrings."""
    return cli_here


@pytest.fixture
def only_by_password(postgres: Postgres) -> Iterator[None]:
    """The server asks these roles for their password; it trusts everybody else."""
    rules = postgres.socket_dir.parent / "postgres" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {ROLE} scram-sha-256\n{before}")
    postgres.execute("select pg_reload_conf()")
    yield
    rules.write_text(before)
    postgres.execute("select pg_reload_conf()")


@pytest.fixture
def removed(postgres: Postgres) -> Iterator[None]:
    """The role belongs to the server, and would outlive the test's database."""
    yield
    postgres.execute(f"drop role if exists {ROLE}")


@pytest.fixture
def granted(database_url: str, only_by_password: None, removed: None) -> Iterator[str]:
    yield grants.grant(database_url, ROLE)
    grants.revoke(database_url, ROLE)


@pytest.fixture
def todo(
    cli: Cli, granted: str, working_keyring: WorkingKeyring, tmp_path: Path
) -> Callable[..., Result]:
    """todo on a person's machine, who was given the role's URL."""
    environ = {
        "TODO_SESSION_TOKEN": "",
        "TODO_DATABASE_URL": granted,
        "TODO_DATA_DIR": str(tmp_path / "data"),
    }
    return lambda *words, stdin="": cli(*words, stdin=stdin, environ=environ)


def test_the_url_alone_is_enough_for_all_personal_commands(todo: Callable[..., Result]) -> None:
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    assert todo("register", *words, stdin="correct horse").exit_code == 0
    for command in (
        ["add", "one"],
        ["add", "two"],
        ["list"],
        ["show", "1"],
        ["edit", "1", "--title", "changed"],
        ["done", "1"],
        ["reopen", "1"],
        ["toggle", "1"],
        ["rm", "1"],
        ["restore", "1"],
        ["rm", "--permanent", "--yes", "2"],
        ["stats"],
        ["whoami"],
        ["sessions"],
    ):
        result = todo(*command)
        assert (result.exit_code, result.stderr) == (0, ""), command
    assert todo("passwd", "--password-stdin", stdin="correct horse\nbattery staple").exit_code == 0
    assert todo("logout").exit_code == 0
    login = ["login", "--email", "ada@example.org", "--password-stdin"]
    assert todo(*login, stdin="battery staple").exit_code == 0


def test_who_was_thrown_out_can_log_out(
    todo: Callable[..., Result], database_url: str, granted: str
) -> None:
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    assert todo("register", *words, stdin="correct horse").exit_code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"revoke todo_app from {ROLE}".encode())
        assert todo("list").exit_code == 1
        assert todo("logout", "--all").exit_code == 1
        result = todo("logout")
        connection.execute(f"grant todo_app to {ROLE}".encode())
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: The database does not allow that to this role. ")
    assert todo("list").exit_code == 4


def test_the_url_changes_nothing_as_an_administrator(
    todo: Callable[..., Result], granted: str
) -> None:
    for words in (["db", "grant", "eve"], ["db", "grant", ROLE, "--revoke"]):
        result = todo(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: The database does not allow that to this role." in result.stderr
    changes: list[Callable[[], None]] = [
        lambda: migrate.upgrade(granted),
        lambda: migrate.downgrade(granted, "base"),
        lambda: migrate.downgrade(granted, "-1"),
    ]
    for change in changes:
        with pytest.raises(TodoError) as caught:
            change()
        assert caught.value.exit_code == 1
        assert caught.value.message == "The database does not allow that to this role."


def test_the_password_is_long_random_and_needed(granted: str) -> None:
    password = urlsplit(granted).password or ""
    assert len(password) * math.log2(64) > 128
    with psycopg.connect(granted) as connection:
        assert connection.execute("select current_user").fetchone() == (ROLE,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(granted.replace(password, "wrong"))


def test_the_role_can_do_nothing_but_log_in(granted: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select rolcanlogin, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb"
            " or rolreplication, rolpassword ~ '^SCRAM-SHA-256' from pg_authid where rolname = %s",
            (ROLE,),
        ).fetchone()
    assert row == (True, False, True)


def test_neon_is_sent_the_password_itself(database_url: str) -> None:
    """Its proxy has to know it, and it refuses a verifier."""
    with psycopg.connect(database_url) as connection:
        neon = grants._as_sent(
            connection, "postgresql://o@ep-1.eu.aws.neon.tech/db", ROLE, "secret"
        )
        other = grants._as_sent(connection, "postgresql://o@example.org/db", ROLE, "secret")
        url = "postgresql://o@example.org/db?host=ep-1.eu.aws.neon.tech"
        assert grants._as_sent(connection, url, ROLE, "secret") == "secret"
    assert neon == "secret" and "secret" not in other


def test_revoking_ends_the_roles_connections(
    database_url: str, only_by_password: None, removed: None
) -> None:
    url = grants.grant(database_url, ROLE)
    with psycopg.connect(url) as connection:
        grants.revoke(database_url, ROLE)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)
    with pytest.raises(RoleRefused, match="no role"):
        grants.revoke(database_url, ROLE)


def test_who_comes_back_while_a_role_is_revoked_is_not_let_in(
    database_url: str, postgres: Postgres, only_by_password: None, removed: None
) -> None:
    url = grants.grant(database_url, ROLE)
    with (
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        watcher.execute("create table held ()")
        watcher.execute(f"alter table held owner to {ROLE}".encode())
        holder.execute("lock table held")
        revoking = pool.submit(grants.revoke, database_url, ROLE)
        try:
            while not watcher.execute(_WAITS).fetchall():
                assert not revoking.done()
            with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
                psycopg.connect(url)
            # As if the server had been letting this one in all the while.
            postgres.execute(f"alter role {ROLE} login")
            late = psycopg.connect(url)
        finally:
            holder.rollback()
        revoking.result()
        with late, pytest.raises(psycopg.OperationalError):
            late.execute("select 1")


_WAITS = "select from pg_locks where not granted and relation = 'held'::regclass"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d?user=owner&password=s3cret&sslmode=require",
        "postgresql://owner:s3cret@h/d?sslmode=require&p%61ssword=s3cret",
        "postgresql://owner@h/d?passfile=s3cret&sslkey=s3cret&sslcert=s3cret&sslpassword=s3cret"
        "&sslmode=require",
    ],
)
def test_nothing_of_the_owners_is_in_the_url_that_is_handed_out(url: str) -> None:
    given = grants._url_for(url, ROLE, "its/own")
    assert conninfo_to_dict(given) == {
        "user": ROLE,
        "password": "its/own",
        "host": "h",
        "dbname": "d",
        "sslmode": "require",
    }


def test_the_command_prints_the_url_once(cli: Cli, database_url: str, removed: None) -> None:
    made = cli("db", "grant", ROLE)
    assert made.exit_code == 0
    assert made.stdout.startswith(f"postgresql://{ROLE}:") and made.stdout.count("\n") == 1
    password = urlsplit(made.stdout).password or "nothing"
    assert password not in made.stderr and made.stderr.startswith("Target: ")
    again = cli("db", "grant", ROLE, "--json")
    assert (again.exit_code, again.stdout) == (1, "")
    assert json.loads(again.stderr.splitlines()[-1])["error"]["code"] == "role_refused"
    assert json.loads(cli("db", "grant", ROLE, "--revoke", "--json").stdout) == {
        "role": ROLE,
        "revoked": True,
    }
    document = json.loads(cli("db", "grant", ROLE, "--json").stdout)
    assert list(document) == ["role", "url", "database"]


@pytest.mark.parametrize(
    "name", ["", "Ada", "ada-b", "1ada", "pg_ada", "todo_app", "a" * 64, "a b"]
)
def test_a_name_that_cannot_be_is_refused(database_url: str, name: str) -> None:
    for change in (grants.grant, grants.revoke):
        with pytest.raises(InvalidInput):
            change(database_url, name)


def test_a_role_that_was_not_made_here_is_not_taken_away(
    database_url: str, postgres: Postgres, removed: None
) -> None:
    postgres.execute(f"create role {ROLE} login")
    with pytest.raises(RoleRefused):
        grants.revoke(database_url, ROLE)
    with pytest.raises(RoleRefused):
        grants.revoke(database_url, postgres.user)


def test_a_database_without_the_schema_says_so(empty_database_url: str, postgres: Postgres) -> None:
    """The role belongs to the server, and another database may have made it."""
    with pytest.raises(SchemaBehind):
        grants.grant(empty_database_url, ROLE)


def test_an_owner_who_is_no_superuser_can_grant_and_revoke(
    postgres: Postgres, database_url: str, removed: None
) -> None:
    """As on Neon: CREATEROLE, and a member of todo_app with the right to pass it on."""
    owner = "owner_for_test"
    postgres.execute(f"create role {owner} login createrole")
    postgres.execute(f"grant todo_app to {owner} with admin option")
    url = database_url.replace("//todo@", f"//{owner}@")
    try:
        granted = grants.grant(url, ROLE)
        with psycopg.connect(granted) as person:
            _is_let_in(person)
            grants.revoke(url, ROLE)
            with pytest.raises(psycopg.OperationalError):
                person.execute("select 1")
    finally:
        postgres.execute(f"drop role if exists {ROLE}")
        postgres.execute(f"drop owned by {owner}")
        postgres.execute(f"drop role {owner}")


def _is_let_in(person: psycopg.Connection[Any]) -> None:
    assert person.execute("select todo_auth.current_user_id()").fetchone() == (None,)
    person.commit()
