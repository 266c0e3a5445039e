"""The commands on accounts, as typed: exit code, stdout and stderr."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keyring
import psycopg
import pytest

from tests.conftest import Cli, Postgres, Result
from tests.support import keyrings
from tests.support.proxy import UnixUpstream, WireProxy
from todo_cli.admin import migrate

PASSWORD = "correct horse"
FIELDS = [
    "user_id",
    "email",
    "name",
    "database",
    "database_source",
    "credential_source",
    "expires_at",
]
Visitor = Callable[..., Result]


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: the tests put doubles in its place for keyrings."""
    return cli_here


@pytest.fixture
def visitor(cli: Cli, database_url: str, empty_home: Path) -> Visitor:
    """Run a command line as nobody yet, without a session token in the environment."""

    def call(*words: str, environ: dict[str, str] | None = None, **streams: object) -> Result:
        mine = {"TODO_SESSION_TOKEN": "", "TODO_DATA_DIR": str(empty_home / "data")}
        result: Result = cli(*words, environ={**mine, **(environ or {})}, **streams)
        assert PASSWORD not in result.stdout + result.stderr
        return result

    return call


@pytest.fixture
def ada(visitor: Visitor, working_keyring: keyrings.WorkingKeyring) -> Visitor:
    """Ada, who has registered here and is logged in by the keyring."""
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    result = visitor("register", *words, stdin=f"{PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Logged in as ada@example.org on ")
    return visitor


def token_of(backend: keyrings.WorkingKeyring) -> str:
    (entry,) = backend.held.values()
    return str(json.loads(entry)["token"])


def test_whoever_registers_is_logged_in(ada: Visitor) -> None:
    who = json.loads(ada("whoami", "--json").stdout)
    assert list(who) == FIELDS
    assert (who["email"], who["name"]) == ("ada@example.org", "Ada")
    assert (who["database_source"], who["credential_source"]) == ("TODO_DATABASE_URL", "keyring")
    assert ada("add", "-q", "Buy milk").stdout == "1\n"


def test_whoami_is_lines_on_a_pipe_and_a_table_on_a_terminal(ada: Visitor) -> None:
    piped = ada("whoami").stdout.splitlines()
    assert [line.split("\t")[0] for line in piped] == FIELDS
    shown = ada("whoami", columns=80).stdout
    assert "ada@example.org" in shown and "credential source" in shown


def test_log_out_and_in_again(ada: Visitor, working_keyring: keyrings.WorkingKeyring) -> None:
    token = token_of(working_keyring)
    assert ada("logout").exit_code == 0
    assert working_keyring.held == {}
    nobody = ada("list")
    assert (nobody.exit_code, nobody.stdout) == (4, "")
    assert nobody.stderr == "Error: Nobody is logged in.\nhint: Log in with: todo login\n"
    # The session is ended in the database, not only forgotten.
    assert ada("list", environ={"TODO_SESSION_TOKEN": token}).exit_code == 4

    wrong = ada("login", "--email", "ada@example.org", "--password-stdin", stdin="wrong one")
    unknown = ada("login", "--email", "eve@example.org", "--password-stdin", stdin="wrong one")
    assert wrong == unknown
    assert (wrong.exit_code, wrong.stdout) == (4, "")
    assert wrong.stderr.startswith("Error: Wrong e-mail or password.\n")
    right = ada("login", "--email", "ADA@example.org", "--password-stdin", "--json", stdin=PASSWORD)
    assert list(json.loads(right.stdout)) == FIELDS
    assert ada("list").exit_code == 0


def test_json_errors(ada: Visitor) -> None:
    result = ada("login", "--email", "ada@example.org", "--password-stdin", "--json", stdin="no no")
    assert (result.exit_code, result.stdout) == (4, "")
    assert json.loads(result.stderr)["error"]["code"] == "wrong_password"


def test_a_database_that_was_logged_in_to_becomes_the_default(
    visitor: Visitor, working_keyring: keyrings.WorkingKeyring, database_url: str
) -> None:
    bare = {"TODO_DATABASE_URL": ""}
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    registered = visitor(
        "register", *words, "--database-url", database_url, stdin=PASSWORD, environ=bare
    )
    assert registered.exit_code == 0
    who = json.loads(visitor("whoami", "--json", environ=bare).stdout)
    assert (who["database_source"], who["credential_source"]) == ("login", "keyring")
    assert visitor("add", "Buy milk", environ=bare).exit_code == 0
    assert visitor("logout", environ=bare).exit_code == 0
    assert working_keyring.held == {}


def test_who_logs_out_of_a_database_that_is_gone_is_out(
    visitor: Visitor, working_keyring: keyrings.WorkingKeyring, postgres: Postgres, template: str
) -> None:
    gone = {"TODO_DATABASE_URL": ""}
    url = postgres.url("gone")
    postgres.execute(f"create database gone template {template}")
    words = ["register", "--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    assert visitor(*words, "--database-url", url, stdin=PASSWORD, environ=gone).exit_code == 0
    postgres.execute("drop database gone with (force)")
    everywhere = visitor("logout", "--all", environ=gone)
    assert (everywhere.exit_code, everywhere.stdout) == (3, "")
    assert list(working_keyring.held) != []
    result = visitor("logout", environ=gone)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Warning: The server has no such user or database. ")
    assert working_keyring.held == {}


def test_a_variable_does_not_become_the_default_database(ada: Visitor, empty_home: Path) -> None:
    index = json.loads((empty_home / "data" / "logins.json").read_text())
    assert index["default"] is None and list(index["stores"].values()) == ["keyring"]


def test_the_variable_wins_and_then_log_in_and_out_refuse(
    ada: Visitor, working_keyring: keyrings.WorkingKeyring
) -> None:
    environ = {"TODO_SESSION_TOKEN": token_of(working_keyring)}
    who = json.loads(ada("whoami", "--json", environ=environ).stdout)
    assert who["credential_source"] == "TODO_SESSION_TOKEN"
    login = ["login", "--email", "ada@example.org", "--password-stdin"]
    register = ["register", "--email", "b@example.org", "--name", "B", "--password-stdin"]
    for words in (login, register, ["logout"], ["logout", "--all"]):
        result = ada(*words, stdin=PASSWORD, environ=environ)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "TODO_SESSION_TOKEN is set" in result.stderr
        assert "hint: Unset TODO_SESSION_TOKEN first." in result.stderr
    assert ada("whoami").exit_code == 0


def test_sessions_are_listed_and_revoked(
    ada: Visitor, working_keyring: keyrings.WorkingKeyring
) -> None:
    first = token_of(working_keyring)
    ada("login", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD)
    listed = ada("sessions", "--json")
    documents = json.loads(listed.stdout)
    assert [one["current"] for one in documents] == [True, False]
    assert first not in listed.stdout and token_of(working_keyring) not in listed.stdout
    assert "* " in ada("sessions", columns=80, environ={"NO_COLOR": "1"}).stdout
    assert len(ada("sessions").stdout.splitlines()) == 2

    mine, other = documents[0]["id"], documents[1]["id"]
    refused = ada("sessions", "--revoke", mine)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "hint: End it with: todo logout" in refused.stderr
    revoked = ada("sessions", "--revoke", other[:8], "--json")
    assert json.loads(revoked.stdout) == {"id": other, "revoked": True}
    again = ada("sessions", "--revoke", other[:8])
    assert again.exit_code == 1 and "See them with: todo sessions" in again.stderr
    assert ada("list", environ={"TODO_SESSION_TOKEN": first}).exit_code == 4


def test_log_out_of_every_session(ada: Visitor, working_keyring: keyrings.WorkingKeyring) -> None:
    first = token_of(working_keyring)
    ada("login", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD)
    result = ada("logout", "--all", "--json")
    assert json.loads(result.stdout)["sessions_ended"] == 2
    assert ada("list", environ={"TODO_SESSION_TOKEN": first}).exit_code == 4


def test_logging_out_of_a_session_that_has_ended_forgets_it(
    ada: Visitor, working_keyring: keyrings.WorkingKeyring, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from sessions")
    assert ada("list").exit_code == 4
    assert ada("logout").exit_code == 0
    assert working_keyring.held == {}


def test_the_password_is_changed(ada: Visitor) -> None:
    result = ada("passwd", "--password-stdin", stdin=f"{PASSWORD}\nbattery staple\n")
    assert (result.exit_code, result.stdout) == (0, "")
    wrong = ada("passwd", "--password-stdin", stdin=f"{PASSWORD}\nanother one\n")
    assert (wrong.exit_code, wrong.stdout) == (4, "")
    assert "The current password is wrong." in wrong.stderr
    short = ada("passwd", "--password-stdin", stdin="battery staple\nshort\n")
    assert short.exit_code == 2 and "8 to 128 characters" in short.stderr
    assert ada("passwd", "--password-stdin", stdin="one line\n").exit_code == 2


def test_unlock_says_what_it_did(ada: Visitor, database_url: str) -> None:
    unlock = ["db", "unlock", "ada@example.org"]
    quiet = ada(*unlock)
    assert (quiet.exit_code, quiet.stdout) == (0, "")
    assert quiet.stderr.endswith("\nada@example.org was not locked. Failures forgotten: 0.\n")
    assert quiet.stderr.startswith("Target: ")
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number in range(10):
            token = f"{number}" * 43
            connection.execute(
                "select todo_auth.attempt_sign_in('ada@example.org', 'wrong', %s)", (token,)
            )
    locked = ada("login", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD)
    assert locked.exit_code == 4
    assert "todo db unlock E-MAIL" in locked.stderr
    done = ada(*unlock, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "email": "ada@example.org",
        "has_account": True,
        "was_locked": True,
        "failures": 10,
    }
    assert "ada@example.org was locked and can log in again." in done.stderr
    again = ada("login", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD)
    assert again.exit_code == 0
    missing = ada("db", "unlock", "eve@example.org")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "No account has the address eve@example.org; nothing was locked.\n" in missing.stderr
    assert ada("db", "unlock", "not an address").exit_code == 2


@pytest.mark.parametrize(
    "damage",
    [
        ["drop policy users_own on users"],
        ["revoke all on users from todo_app"],
        [
            "create or replace function todo_auth.own_account() returns table (user_id uuid,"
            " email text, name text, expires_at timestamptz) language sql as"
            " 'select null::uuid, null::text, null::text, null::timestamptz where false'"
        ],
    ],
    ids=["policy", "privilege", "function"],
)
def test_a_damaged_database_ends_no_command_in_a_traceback(
    ada: Visitor, database_url: str, damage: list[str]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in damage:
            connection.execute(statement.encode())
    for words, stdin in (
        (["whoami"], ""),
        (["sessions"], ""),
        (["passwd", "--password-stdin"], f"{PASSWORD}\nbattery staple\n"),
        (["logout", "--all"], ""),
    ):
        result = ada(*words, stdin=stdin)
        assert "Traceback" not in result.stderr
        assert result.exit_code == 0 or "hint: " in result.stderr.lower(), words


def test_a_token_is_checked_before_it_is_kept(
    ada: Visitor, working_keyring: keyrings.WorkingKeyring
) -> None:
    token = token_of(working_keyring)
    refused = ada("login", "--with-token", stdin="x" * 43)
    assert refused.exit_code == 4
    assert token_of(working_keyring) == token
    working_keyring.held.clear()
    assert ada("login", "--with-token", stdin=f"{token}\n").exit_code == 0
    assert token_of(working_keyring) == token
    assert ada("login", "--with-token", "--password-stdin", stdin=token).exit_code == 2


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["register"], "--email"),
        (["register", "--email", "a@example.org"], "--name"),
        (["register", "--email", "a@example.org", "--name", "A"], "--password-stdin"),
        (["login"], "--email"),
        (["login", "--email", "a@example.org"], "--password-stdin"),
        (["passwd"], "--password-stdin"),
    ],
)
def test_without_a_terminal_nothing_is_asked(
    visitor: Visitor, working_keyring: keyrings.WorkingKeyring, words: list[str], option: str
) -> None:
    result = visitor(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"Error: Cannot ask: standard input is not a terminal.\nhint: Pass {option}.\n"
    )


def test_on_a_terminal_it_is_asked(
    visitor: Visitor, working_keyring: keyrings.WorkingKeyring
) -> None:
    answers = f"ada@example.org\nAda\n{PASSWORD}\n{PASSWORD}\n"
    result = visitor("register", stdin=answers, columns=80)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("E-mail: Name: New password: \nAgain: \nLogged in as ada@")
    differing = visitor("register", stdin=f"b@example.org\nB\n{PASSWORD}\nother\n", columns=80)
    assert differing.exit_code == 2 and "The two passwords differ." in differing.stderr
    silent = visitor("register", stdin="", columns=80)
    assert silent.exit_code == 2 and "hint: Pass --email." in silent.stderr


@pytest.mark.parametrize("words", [["list"], ["whoami"], ["sessions"], ["logout", "--all"]])
def test_nobody_is_told_so(visitor: Visitor, words: list[str]) -> None:
    result = visitor(*words)
    if words[0] == "logout":  # what is closed is closed
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.startswith("Nobody was logged in on ")
        return
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == "Error: Nobody is logged in.\nhint: Log in with: todo login\n"


def test_a_database_without_the_schema_is_no_account_of_nobody(
    visitor: Visitor, empty_database_url: str
) -> None:
    words = ["login", "--email", "ada@example.org", "--password-stdin", "--credential-store=file"]
    result = visitor(*words, stdin=PASSWORD, environ={"TODO_DATABASE_URL": empty_database_url})
    assert (result.exit_code, result.stdout) == (5, "")
    assert "hint: Run: todo db upgrade" in result.stderr


@pytest.mark.parametrize("words", [["register"], ["login"], ["login", "--with-token"]])
def test_nothing_is_asked_before_the_schema_is_seen_to_be_there(
    visitor: Visitor,
    working_keyring: keyrings.WorkingKeyring,
    empty_database_url: str,
    words: list[str],
) -> None:
    environ = {"TODO_DATABASE_URL": empty_database_url, "NO_COLOR": "1"}
    answers = f"ada@example.org\nAda\n{PASSWORD}\n{PASSWORD}\n"
    result = visitor(*words, stdin=answers, columns=80, environ=environ)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.splitlines() == [
        "Error: The database's schema is missing or behind.",
        "hint: Run: todo db upgrade",
    ]


def test_nothing_is_asked_about_an_older_schema(
    visitor: Visitor, working_keyring: keyrings.WorkingKeyring, empty_database_url: str
) -> None:
    migrate.upgrade(empty_database_url, "0005")
    environ = {"TODO_DATABASE_URL": empty_database_url}
    result = visitor("register", columns=80, environ=environ)
    assert (result.exit_code, "E-mail" in result.stderr) == (5, False)


def test_a_password_is_not_asked_of_nobody(
    visitor: Visitor, ada: Visitor, database_url: str
) -> None:
    visitor("logout")
    result = visitor("passwd", columns=80, environ={"NO_COLOR": "1"})
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == "Error: Nobody is logged in.\nhint: Log in with: todo login\n"


LOGINS = [["login"], ["login", "--email", "ada@example.org"], ["login", "--with-token"]]


@pytest.mark.parametrize("words", [*LOGINS, [*LOGINS[1], "--password-stdin"]])
def test_a_log_in_without_a_database_makes_none(
    visitor: Visitor, empty_home: Path, words: list[str]
) -> None:
    result = visitor(*words, stdin=f"{PASSWORD}\n", environ={"TODO_DATABASE_URL": ""})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "hint: Name it with: todo login --database-url postgresql://" in result.stderr
    assert not (empty_home / "data").exists()


@pytest.mark.parametrize("words", LOGINS)
def test_on_a_terminal_a_log_in_without_a_database_asks_for_it(
    ada: Visitor,
    working_keyring: keyrings.WorkingKeyring,
    empty_home: Path,
    database_url: str,
    words: list[str],
) -> None:
    bare = {"TODO_DATABASE_URL": ""}
    answers = [database_url]
    if words == LOGINS[0]:
        answers.append("ada@example.org")
    answers.append(token_of(working_keyring) if "--with-token" in words else PASSWORD)
    result = ada(*words, stdin="\n".join([*answers, ""]), columns=80, environ=bare)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Database URL: \n")
    assert json.loads(ada("whoami", "--json", environ=bare).stdout)["database_source"] == "login"
    nothing = ada("logout", environ=bare)
    assert nothing.exit_code == 0
    nothing = ada(*words, stdin="\n", columns=80, environ=bare)
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert not (empty_home / "data" / "postgres").exists()


def test_a_keyring_that_hangs_does_not_hold_the_process(
    database_url: str, empty_home: Path
) -> None:
    environ = {
        **os.environ,
        "TODO_DATABASE_URL": database_url,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHON_KEYRING_BACKEND": "tests.support.keyrings.HangingKeyring",
    }
    done = subprocess.run(
        [sys.executable, "-m", "todo_cli", "login"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,  # it would hang for sixty
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "The keyring did not answer within 3 seconds." in done.stderr
    assert "--credential-store=file" in done.stderr


def test_without_a_keyring_a_file_has_to_be_asked_for(visitor: Visitor, empty_home: Path) -> None:
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    refused = visitor("register", *words, stdin=PASSWORD)
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert "There is no keyring on this machine." in refused.stderr
    assert "todo register --credential-store=file" in refused.stderr
    assert "todo login --credential-store=file" in visitor("login", *words[:2]).stderr
    kept = visitor("register", *words, "--credential-store=file", stdin=PASSWORD)
    assert kept.exit_code == 0
    again = visitor(
        "login", *words[:2], "--password-stdin", "--credential-store=file", stdin=PASSWORD
    )
    for result in (kept, again):
        assert result.stderr.startswith("Warning: the session is stored in a file under ")
    assert json.loads(visitor("whoami", "--json").stdout)["credential_source"] == "file"
    assert visitor("logout").exit_code == 0
    assert list((empty_home / "data" / "credentials").iterdir()) == []


def test_a_session_that_cannot_be_kept_is_ended(visitor: Visitor, database_url: str) -> None:
    keyring.set_keyring(keyrings.FailsWhenWriting())
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    assert visitor("register", *words, stdin=PASSWORD).exit_code == 4
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from sessions join users on users.id = user_id where email ~ '^ada@'"
        ).fetchone()
    assert row == (0,)


def test_a_wrong_password_of_the_database_is_another_thing(
    ada: Visitor, database_url: str, postgres: Postgres
) -> None:
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        proxy.refuse('password authentication failed for user "todo"', "28P01", times=9)
        url = f"postgresql://todo@{proxy.host}:{proxy.port}/todo"
        words = ["login", "--email", "ada@example.org", "--password-stdin", "--json"]
        result = ada(*words, "--database-url", url, stdin=PASSWORD)
    error = json.loads(result.stderr)["error"]
    assert (result.exit_code, error["code"]) == (4, "database_login_refused")
    assert "not those of your account" in error["message"]


def test_the_embedded_database_keeps_who_logs_in_in_its_own_file(
    visitor: Visitor, empty_home: Path
) -> None:
    from todo_cli.database.embedded import EmbeddedServer

    data_dir = empty_home / "data"
    bare = {"TODO_DATABASE_URL": ""}
    words = ["--email", "ada@example.org", "--name", "Ada", "--password-stdin"]
    try:
        local = json.loads(visitor("whoami", "--json", environ=bare).stdout)
        assert (local["email"], local["database_source"]) == ("local@todo.invalid", "embedded")
        registered = visitor("register", *words, "--json", stdin=PASSWORD, environ=bare)
        assert json.loads(registered.stdout)["credential_source"] == "file"
        assert "Warning" not in registered.stderr
        assert visitor("whoami", environ=bare).stdout.splitlines()[1] == "email\tada@example.org"
        assert "local account" in visitor("logout", environ=bare).stderr
        file = data_dir / "credentials" / "embedded.json"
        file.touch(0o600)
        file.write_text("rubbish")
        assert (
            json.loads(visitor("whoami", "--json", environ=bare).stdout)["email"] == local["email"]
        )
    finally:
        EmbeddedServer(data_dir, {}).stop()


def test_a_real_terminal_does_not_show_the_password(database_url: str, empty_home: Path) -> None:
    master, slave = pty.openpty()
    words = ["register", "--email", "ada@example.org", "--name", "Ada", "--credential-store=file"]
    environ = {
        **os.environ,
        "TODO_DATABASE_URL": database_url,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "todo_cli", *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    for question in (b"New password: ", b"Again: "):
        seen += _read_until(master, question)
        os.write(master, PASSWORD.encode() + b"\n")
    seen += _read_until(master, b"Logged in as ada@example.org")
    assert process.wait(30) == 0
    os.close(master)
    assert PASSWORD.encode() not in seen


def _read_until(descriptor: int, text: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 60
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 1024)
    return seen
