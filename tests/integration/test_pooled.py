"""Identities behind PgBouncer in transaction mode, where people share connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlmodel import Session, text

from tests.conftest import Postgres
from tests.support.people import Person
from tests.support.pgbouncer import pooled
from todo_cli.accounts import Accounts
from todo_cli.database.session import Database
from todo_cli.errors import NotLoggedIn

THREADS = 8
STATEMENTS = 10_000
POOL_SIZE = 3
PASSWORD = "correct horse"

_STATEMENTS = (
    "select user_id from tasks",
    "insert into tasks (title) values ('one') returning user_id",
    "update tasks set completed = not completed where number % 7 = 0 returning user_id",
    "select user_id from tasks where completed order by number desc limit 5",
    "delete from tasks where number % 3 = 0 returning user_id",
)


@pytest.fixture
def pooled_url(postgres: Postgres, database_url: str) -> Iterator[str]:
    name = database_url.partition("@/")[2].partition("?")[0]
    with pooled(postgres.socket_dir, postgres.user, name, pool_size=POOL_SIZE) as url:
        yield url


def test_interleaved_people_never_see_each_other(
    pooled_url: str, alice: Person, bob: Person, open_database: Callable[..., Database]
) -> None:
    counted = [0] * THREADS
    mistakes: list[str] = []

    def work(index: int) -> None:
        mine = {person.id: open_database(pooled_url, person.token, 60) for person in (alice, bob)}
        nobody = open_database(pooled_url, "nobody's", 60)
        for turn in range(STATEMENTS // THREADS):
            counted[index] += 1
            statement = _STATEMENTS[(turn + index) % len(_STATEMENTS)]
            if turn % 50 == 49:
                try:
                    nobody.run(_rows_of(statement))
                    mistakes.append("nobody was let in")
                except NotLoggedIn:
                    continue
            else:
                person = (alice, bob)[(turn // 2 + index) % 2]
                owners = mine[person.id].run(_rows_of(statement))
                mistakes.extend(f"{owner}'s row" for owner in owners if owner != person.id)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == STATEMENTS
    assert mistakes == []
    _assert_connections_are_clean(pooled_url)


def _rows_of(statement: str) -> Callable[[Session], list[object]]:
    return lambda session: list(session.execute(text(statement)).scalars())


def _assert_connections_are_clean(url: str) -> None:
    """Take every connection of the pool at once, and look at what was left in it."""
    opened = [psycopg.connect(url) for _ in range(POOL_SIZE)]
    found = [
        connection.execute(
            "select pg_backend_pid(), current_user, current_setting('role'),"
            " coalesce(current_setting('todo.session_token', true), ''),"
            " current_setting('search_path'), current_setting('statement_timeout'),"
            " current_setting('enable_sort')"
        ).fetchone()
        for connection in opened
    ]
    for connection in opened:
        connection.close()
    assert len({row[0] for row in found if row}) == POOL_SIZE
    assert {row[1:] for row in found if row} == {("todo", "none", "", '"$user", public', "0", "on")}


def test_accounts_work_and_leave_nothing_behind(
    pooled_url: str, open_database: Callable[..., Database]
) -> None:
    accounts = Accounts(open_database(pooled_url, None), user_agent="x")
    accounts.register("ada@example.org", "Ada", PASSWORD)
    account, token = accounts.log_in("ada@example.org", PASSWORD)
    mine = Accounts(open_database(pooled_url, token), user_agent="x")
    mine.change_password(PASSWORD, "battery staple")
    assert mine.current().user_id == account.user_id
    mine.log_out()
    _assert_connections_are_clean(pooled_url)


def test_a_temporary_table_in_a_shared_connection_catches_nothing(
    pooled_url: str, alice: Person, open_database: Callable[..., Database]
) -> None:
    """Somebody with the same URL laid it there, before the migration forbade it or as owner."""
    opened = [psycopg.connect(pooled_url) for _ in range(POOL_SIZE)]
    for connection in opened:
        connection.execute("create temporary table tasks (like public.tasks)")
        connection.execute("grant all on pg_temp.tasks to public")
        connection.execute("set search_path = pg_temp")
    for connection in opened:
        connection.commit()
        connection.close()
    database = open_database(pooled_url, alice.token)
    database.run(_rows_of("insert into tasks (title) values ('mine') returning id"))
    assert database.run(_rows_of("select user_id from tasks")) == [alice.id]
    with psycopg.connect(pooled_url) as connection:
        assert connection.execute("select count(*) from pg_temp.tasks").fetchone() == (0,)
