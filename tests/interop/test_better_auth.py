"""Accounts are shared with the web application: its own library on one side, todo on the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import Cli, Postgres, Result
from tests.support.keyrings import WorkingKeyring

FOLDER = Path(__file__).parent
PASSWORD = "correct horse ﬁne Å 😀"
ADA = {"email": "Ada@Example.org", "password": PASSWORD, "name": "Ada Lovelace"}
SIGN_IN = {"email": ADA["email"], "password": PASSWORD}


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: the tests put doubles in its place for keyrings."""
    return cli_here


class Web:
    """The web application, spoken to by its server API."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(
        self, method: str, body: dict[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """`{"value": …}` or `{"error": code}`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"method": method, "body": body, "token": token}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def get(
        self, method: str, body: dict[str, Any] | None = None, *, token: str | None = None
    ) -> Any:
        answer = self.ask(method, body, token=token)
        assert "error" not in answer, answer
        return answer["value"]


@pytest.fixture
def web(database_url: str, postgres: Postgres) -> Iterator[Web]:
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "better-auth").is_dir():
        pytest.fail(
            "Node 20 or later and the web application's library are needed: "
            "npm install --prefix tests/interop"
        )
    name = database_url.partition("@/")[2].partition("?")[0]
    command = [node, "web.mjs", str(postgres.socket_dir), postgres.user, name]
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "NODE_ENV": "production"}
    with subprocess.Popen(
        command,
        cwd=FOLDER,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        yield Web(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def todo(cli: Cli, working_keyring: WorkingKeyring, tmp_path: Path) -> Callable[..., Result]:
    """todo on a machine where nobody is logged in yet."""
    environ = {"TODO_SESSION_TOKEN": "", "TODO_DATA_DIR": str(tmp_path / "data")}
    return lambda *words, stdin="": cli(*words, stdin=stdin, environ=environ)


def log_in(todo: Callable[..., Result], password: str = PASSWORD) -> Result:
    return todo("login", "--email", "ada@example.org", "--password-stdin", stdin=password)


def register(todo: Callable[..., Result]) -> None:
    words = ["--email", ADA["email"], "--name", ADA["name"], "--password-stdin"]
    assert todo("register", *words, stdin=PASSWORD).exit_code == 0


def token_here(keyring: WorkingKeyring) -> str:
    (entry,) = keyring.held.values()
    return str(json.loads(entry)["token"])


def test_who_signed_up_on_the_web_logs_in_here(web: Web, todo: Callable[..., Result]) -> None:
    made = web.get("signUpEmail", ADA)
    assert log_in(todo, "wrong password").exit_code == 4
    assert log_in(todo).exit_code == 0
    who = json.loads(todo("whoami", "--json").stdout)
    assert (who["user_id"], who["email"]) == (made["user"]["id"], "ada@example.org")
    assert todo("add", "-q", "Buy milk").stdout == "1\n"
    # The session that the web made is good here too.
    assert todo("logout").exit_code == 0
    assert todo("login", "--with-token", stdin=made["token"]).exit_code == 0
    assert json.loads(todo("list", "--json").stdout)[0]["title"] == "Buy milk"


def test_who_registered_here_signs_in_on_the_web(
    web: Web, todo: Callable[..., Result], working_keyring: WorkingKeyring
) -> None:
    register(todo)
    assert web.ask("signInEmail", {**SIGN_IN, "password": "wrong password"}) == {
        "error": "INVALID_EMAIL_OR_PASSWORD"
    }
    signed_in = web.get("signInEmail", SIGN_IN)
    assert signed_in["user"]["name"] == "Ada Lovelace"
    # Our token is good there, as a bearer's; and an address has one account.
    session = web.get("getSession", token=token_here(working_keyring))
    assert session["user"]["email"] == "ada@example.org"
    assert "error" in web.ask("signUpEmail", ADA)


def test_a_session_revoked_on_the_web_is_logged_out_here(
    web: Web, todo: Callable[..., Result], working_keyring: WorkingKeyring
) -> None:
    register(todo)
    there = web.get("signInEmail", SIGN_IN)["token"]
    listed = web.get("listSessions", token=there)
    assert any((one["userAgent"] or "").startswith("todo ") for one in listed)
    web.get("revokeSession", {"token": token_here(working_keyring)}, token=there)
    ended = todo("list")
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert "hint: Log in with: todo login" in ended.stderr


def test_a_session_ended_here_is_ended_on_the_web(
    web: Web, todo: Callable[..., Result], working_keyring: WorkingKeyring
) -> None:
    register(todo)
    there = web.get("signInEmail", SIGN_IN)["token"]
    here = token_here(working_keyring)
    sessions = json.loads(todo("sessions", "--json").stdout)
    (other,) = [one["id"] for one in sessions if not one["current"]]
    assert todo("sessions", "--revoke", other).exit_code == 0
    assert web.get("getSession", token=there) is None
    assert web.get("getSession", token=here) is not None
    assert todo("logout").exit_code == 0
    assert web.get("getSession", token=here) is None


def test_a_password_changed_here_is_changed_on_the_web(
    web: Web, todo: Callable[..., Result]
) -> None:
    register(todo)
    there = web.get("signInEmail", SIGN_IN)["token"]
    assert todo("passwd", "--password-stdin", stdin=f"{PASSWORD}\nbattery staple\n").exit_code == 0
    assert web.get("getSession", token=there) is None
    assert "error" in web.ask("signInEmail", SIGN_IN)
    web.get("signInEmail", {**SIGN_IN, "password": "battery staple"})


def test_a_password_changed_on_the_web_is_changed_here(
    web: Web, todo: Callable[..., Result]
) -> None:
    there = web.get("signUpEmail", ADA)["token"]
    assert log_in(todo).exit_code == 0
    change = {"currentPassword": PASSWORD, "newPassword": "battery staple"}
    web.get("changePassword", {**change, "revokeOtherSessions": True}, token=there)
    assert todo("list").exit_code == 4
    assert log_in(todo).exit_code == 4
    assert log_in(todo, "battery staple").exit_code == 0


def test_both_write_the_same_rows(web: Web, todo: Callable[..., Result], database_url: str) -> None:
    """Whatever columns one side fills, and their forms, the other fills too."""
    web.get("signUpEmail", {**ADA, "email": "web@example.org"})
    register(todo)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """
            select to_jsonb(u) - 'id' || jsonb_build_object(
                'account', to_jsonb(a) - 'id' - 'user_id',
                'account_is_user', a.account_id = u.id::text,
                'session', to_jsonb(s) - 'id' - 'user_id' - 'token',
                'days', round(extract(epoch from s.expires_at - s.created_at) / 86400)
            )
            from users as u join accounts as a on a.user_id = u.id
            join sessions as s on s.user_id = u.id
            where u.email in ('web@example.org', 'ada@example.org') order by u.email desc
            """
        ).fetchall()
    by_web, by_todo = (_shape(row[0]) for row in rows)
    # The web notes an empty address and agent where it has none.
    by_web["session"].update(ip_address=None, user_agent="str")
    assert by_web == by_todo


def _shape(document: dict[str, Any]) -> dict[str, Any]:
    """A row with what differs from person to person replaced by its kind."""
    shaped: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            shaped[name] = _shape(value)
        elif name.endswith("_at") and value is not None:
            datetime.fromisoformat(value)
            shaped[name] = "instant"
        elif name == "password":
            shaped[name] = [len(part) for part in value.split(":")]
        else:
            shaped[name] = "str" if isinstance(value, str) else value
    return shaped


def test_an_expired_session_is_expired_on_both_sides_and_a_used_one_is_pushed_on(
    web: Web, todo: Callable[..., Result], working_keyring: WorkingKeyring, database_url: str
) -> None:
    register(todo)
    here = token_here(working_keyring)
    with psycopg.connect(database_url, autocommit=True) as connection:

        def set_and_use(left: str, use: Callable[[], object]) -> float:
            connection.execute("update sessions set expires_at = now() + %s::interval", (left,))
            use()
            row = connection.execute(
                "select extract(epoch from expires_at - now()) / 86400 from sessions"
                " where expires_at > now()"
            ).fetchall()
            return round(max((float(days) for (days,) in row), default=0), 1)

        for left, then in (("6.5 days", 6.5), ("5.5 days", 7.0), ("0 days", 0)):
            assert set_and_use(left, lambda: todo("whoami")) == then
            assert set_and_use(left, lambda: web.ask("getSession", token=here)) == then
    assert todo("whoami").exit_code == 4
