"""Who attacks whom: Bob has secrets, and Alice has an account, a URL and bad intentions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from tests.support.people import Person, sign_up
from todo_cli.accounts import hash_password
from todo_cli.admin import grants

WAYS = ("log-in role", "owner under todo_app")
ROLE = "attacker_of_bob"
PASSWORD_OF_BOB = "bob's password"  # no secret: made for the test

_OF_BOB = """
select jsonb_build_object(
    'users', (select jsonb_agg(to_jsonb(u) order by u.id) from users as u where u.id = %(id)s),
    'tasks', (select jsonb_agg(to_jsonb(t) order by t.id) from tasks as t where t.user_id = %(id)s),
    'sessions', (
        select jsonb_agg(to_jsonb(s) order by s.id) from sessions as s where s.user_id = %(id)s
    ),
    'accounts', (
        select jsonb_agg(to_jsonb(a) order by a.id) from accounts as a where a.user_id = %(id)s
    ),
    'events', (
        select jsonb_agg(to_jsonb(e) order by e.id) from task_events as e
        where e.user_id = %(id)s
    ),
    'archived', (
        select jsonb_agg(to_jsonb(t) order by t.id) from tasks_archive as t
        where t.user_id = %(id)s
    ),
    'counters', (
        select jsonb_agg(to_jsonb(c)) from todo_auth.task_counters as c where c.user_id = %(id)s
    )
)
"""


@dataclass
class Scene:
    """One database with three people in it. `url` is its superuser's, `role_url` for people."""

    url: str
    role_url: str
    alice: Person
    bob: Person
    carol: Person
    bobs_task: str
    secrets: list[str]

    @classmethod
    def make(cls, url: str) -> Scene:
        alice, bob, carol = (sign_up(url, name) for name in ("alice", "bob", "carol"))
        stored = hash_password(PASSWORD_OF_BOB)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "insert into accounts (user_id, account_id, provider_id, password)"
                " values (%s, %s, 'credential', %s)",
                (bob.id, str(bob.id), stored),
            )
            connection.execute(
                "insert into tasks (user_id, title, description, due_on, due_time, due_zone,"
                " wait_on, priority, tags, project, extra)"
                " select %s, 'Secret plan ' || n, 'Secret details', date '2031-03-01' + n,"
                " '16:59', 'Asia/Kathmandu', date '2031-02-01' + n, 1,"
                " array['SecretTag', 'Secret' || n], 'Secret.project' || mod(n, 7),"
                " jsonb_build_object('key', 'Secret extra')"
                " from generate_series(1, 50) as n",
                (bob.id,),
            )
            connection.execute(
                "insert into tasks (user_id, title, description)"
                " select %s, 'Carol ' || n, 'Of Carol' from generate_series(1, 20) as n",
                (carol.id,),
            )
            connection.execute(
                "insert into tasks_archive (id, user_id, title, completed, created_at, updated_at,"
                " number) select gen_random_uuid(), id, 'Secret old ' || n, true, now(), now(), -n"
                " from users, generate_series(1, 20) as n"
            )
            connection.execute(
                "insert into tasks (user_id, title) select %s, 'Own ' || n"
                " from generate_series(1, 5) as n",
                (alice.id,),
            )
            (task,) = connection.execute(
                "select id from tasks where user_id = %s limit 1", (bob.id,)
            ).fetchone() or ("",)
            (key,) = connection.execute("select value from todo_auth.secrets").fetchone() or (b"",)
            connection.execute("analyze")
            # As the migration does. A database made from a template does not take this over.
            database = sql.Identifier(connection.info.dbname)
            connection.execute(
                sql.SQL("revoke temporary on database {} from public").format(database)
            )
            connection.execute(f"drop role if exists {ROLE}".encode())
        secrets = [
            "Secret",
            "2031-0",
            "Kathmandu",
            "2031, ",
            bob.email,
            bob.token,
            stored,
            stored[:32],
            key.hex(),
        ]
        return cls(url, grants.grant(url, ROLE), alice, bob, carol, str(task), secrets)

    def remove(self) -> None:
        grants.revoke(self.url, ROLE)

    def state_of_bob(self) -> str:
        """All that is Bob's, to see that it stays as it was."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(_OF_BOB, {"id": self.bob.id}).fetchone()
        assert row is not None
        return json.dumps(row[0], sort_keys=True)

    def as_owner(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@dataclass
class Attacker:
    """A raw connection of Alice's, and all that it was ever told."""

    scene: Scene
    way: str
    connection: psycopg.Connection[Any]
    told: list[str] = field(default_factory=list)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement that is allowed; what it answers is remembered."""
        try:
            cursor = self.connection.execute(statement.encode(), values or None)
            rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            self.told += [
                str(error),
                str(vars(error.diag) if hasattr(error.diag, "__dict__") else ""),
            ]
            self.told += [str(getattr(error.diag, name)) for name in _DIAGNOSTICS]
            raise
        self.told += [str(rows), cursor.statusmessage or ""]
        return rows

    def changed(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        cursor = self.connection.execute(statement.encode(), values or None)
        self.told.append(cursor.statusmessage or "")
        return cursor.rowcount

    def refused(self, statement: str, *values: object, sqlstate: str = "42501") -> str:
        """Run a statement that must fail, by default for want of a privilege; answer its words."""
        try:
            self.run(statement, *values)
        except psycopg.Error as error:
            if error.sqlstate != sqlstate:
                raise AssertionError(f"{statement}: {error.sqlstate} {error}") from error
            if self.connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                self.connection.execute("rollback")
            return str(error)
        raise AssertionError(f"was not refused: {statement}")

    def all_refused(self, *statements: str, sqlstate: str = "42501") -> None:
        for statement in statements:
            self.refused(statement, sqlstate=sqlstate)

    def be(self, token: str) -> None:
        """Present a token, for the session."""
        self.connection.execute("select set_config('todo.session_token', %s, false)", (token,))

    def is_nobody(self) -> bool:
        nobody = self.run("select todo_auth.current_user_id()") == [(None,)]
        return nobody and self.run("select count(*) from tasks") == [(0,)]

    def copied(self, statement: str) -> str:
        with self.connection.cursor().copy(statement.encode()) as copy:
            text = b"".join(bytes(block) for block in copy).decode()
        self.told.append(text)
        return text


_DIAGNOSTICS = ("message_primary", "message_detail", "message_hint", "context", "internal_query")


@contextmanager
def attacker(scene: Scene, way: str) -> Iterator[Attacker]:
    """Alice, connected in one of the two ways, under her own token."""
    url = scene.role_url if way == WAYS[0] else scene.url
    with psycopg.connect(url, autocommit=True) as connection:
        alice = Attacker(scene, way, connection)
        connection.add_notice_handler(lambda notice: alice.told.append(str(notice.message_primary)))
        if way == WAYS[1]:
            connection.execute(sql.SQL("set role todo_app"))
        alice.be(scene.alice.token)
        yield alice


def carry_out(scene: Scene, way: str, attack: Any) -> str:
    """Make an attack; answer its outcome.

    Raises:
        AssertionError: it succeeded: something was told or changed that is Bob's.
    """
    before = scene.state_of_bob()
    with attacker(scene, way) as alice:
        outcome: str = attack(alice)
    told = "\n".join(alice.told)
    for secret in scene.secrets:
        assert secret not in told, f"was told: {secret}"
    assert scene.state_of_bob() == before, "something of Bob's was changed"
    return outcome
