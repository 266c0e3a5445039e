"""A command costs one round trip once it is connected. Counted on the wire, so that it is exact."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlmodel import text

from tests.conftest import Cli, Postgres
from tests.support.people import Person
from tests.support.proxy import UnixUpstream, WireProxy, through
from todo_cli.database.session import Database
from todo_cli.errors import TodoError

HUNDRED_LINES = "".join(f"line {n}\n" for n in range(100))


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[WireProxy]:
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as running:
        yield running


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["add", "Buy", "milk"], ""),
        (["add", "-"], HUNDRED_LINES),
        (["list"], ""),
        (["list", "--json"], ""),
        (["list", "--all", "--search", "e", "--sort", "title", "--after", "1"], ""),
        (["show", "1"], ""),
        (["edit", "2", "--title", "Changed"], ""),
        (["done", "1", "2", "3"], ""),
        (["reopen", "1"], ""),
        (["rm", "1", "3"], ""),
        (["restore", "1"], ""),
        (["rm", "--permanent", "--yes", "2"], ""),
        (["stats"], ""),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_command_is_one_round_trip(
    cli: Cli, proxy: WireProxy, database_url: str, words: list[str], stdin: str
) -> None:
    cli("add", "-", stdin="one\ntwo\nthree\n")
    through_proxy = {"TODO_DATABASE_URL": through(proxy, database_url)}
    proxy.stats.reset()
    result = cli(*words, stdin=stdin, environ=through_proxy)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (proxy.stats.connections, proxy.stats.round_trips) == (1, 1)
    assert proxy.stats.idle_flushes == 0


@pytest.mark.parametrize("words", [["list"], ["show", "1"], ["done", "1"], ["stats"]])
def test_a_table_costs_no_more_than_data(
    cli: Cli, proxy: WireProxy, database_url: str, words: list[str]
) -> None:
    """The list counts what it does not show, in the same statement."""
    cli("add", "-", stdin=HUNDRED_LINES)
    url = through(proxy, database_url)
    assert cli(*words, columns=80, environ={"TODO_DATABASE_URL": url}).exit_code == 0
    assert proxy.stats.round_trips == 1


def test_toggle_is_two_round_trips(cli: Cli, proxy: WireProxy, database_url: str) -> None:
    """It reads what it flips, so that a repeated try does not flip back."""
    cli("add", "one")
    url = through(proxy, database_url)
    assert cli("toggle", "1", environ={"TODO_DATABASE_URL": url}).exit_code == 0
    assert proxy.stats.round_trips == 2


@pytest.mark.parametrize("statement", ["select 1", "select 1 / 0"])
def test_nothing_follows_what_ends_a_statement(
    proxy: WireProxy,
    database_url: str,
    alice: Person,
    open_database: Callable[..., Database],
    statement: str,
) -> None:
    """A pooler in transaction mode would keep a server connection for whatever came late."""
    database = open_database(through(proxy, database_url), alice.token)
    for _ in range(20):
        with contextlib.suppress(TodoError):
            database.run(lambda session: session.execute(text(statement)).all())
    assert (proxy.stats.round_trips, proxy.stats.idle_flushes) == (20, 0)
    assert proxy.stats.connections == 1


def test_psycopg_alone_lets_a_flush_follow(proxy: WireProxy, database_url: str) -> None:
    """Why we have a pipeline of our own. When this fails, psycopg has mended it."""
    with psycopg.connect(through(proxy, database_url), autocommit=True) as connection:
        for _ in range(20):
            with connection.pipeline():
                connection.execute("select 1")
    assert proxy.stats.idle_flushes > 0
