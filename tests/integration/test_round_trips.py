"""A command costs one round trip once it is connected. Counted on the wire, so that it is exact."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from sqlmodel import text

from tests.conftest import Cli, Postgres
from tests.support.neon import Neon
from tests.support.people import Person, sign_up
from tests.support.proxy import UnixUpstream, WireProxy, through
from todo_cli.database.session import Call, Database
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
        (["add", "Call", "-q", "-D", "fri", "-W", "mon", "-t", "a", "-P", "b"], ""),
        (["add", "-", "-q", "-D", "fri", "-t", "a"], HUNDRED_LINES),
        (["q", "-q", "Call", "fri", "5pm", "@a", "p1"], ""),
        (["list"], ""),
        (["list", "--json"], ""),
        (["list", "--all", "--search", "e", "--sort", "title", "--after", "1"], ""),
        (["list", "@home", "or", "due:..today", "not", "two"], ""),
        (["list", "project:house", "--json", "--sort", "due"], ""),
        (["list", "is:overdue", "--jsonl", "--sort", "urgency"], ""),
        (["show", "1"], ""),
        (["edit", "2", "--title", "Changed"], ""),
        (["edit", "2", "-q", "-D", "fri", "-t", "a", "--no-tag", "b", "-p", "none"], ""),
        (["done", "1", "2", "3"], ""),
        (["reopen", "1"], ""),
        (["rm", "1", "3"], ""),
        (["restore", "1"], ""),
        (["undo", "-q"], ""),
        (["history"], ""),
        (["history", "1", "--json"], ""),
        (["rm", "--permanent", "--yes", "2"], ""),
        (["stats"], ""),
        (["today"], ""),
        (["upcoming"], ""),
        (["upcoming", "--json"], ""),
        (["next", "--json"], ""),
        (["projects"], ""),
        (["tags"], ""),
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


LISTS = [["list"], ["list", "line"], ["today"], ["upcoming"], ["next", "-v"]]


@pytest.mark.parametrize("words", [*LISTS, ["show", "1"], ["done", "1"], ["stats"], ["tags"]])
def test_a_table_costs_no_more_than_data(
    cli: Cli, proxy: WireProxy, database_url: str, words: list[str]
) -> None:
    """The list counts what it does not show, in the same statement."""
    cli("add", "-", stdin=HUNDRED_LINES)
    url = through(proxy, database_url)
    assert cli(*words, columns=80, environ={"TODO_DATABASE_URL": url}).exit_code == 0
    assert proxy.stats.round_trips == 1


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["add", "x"], ""),
        (["add", "-"], HUNDRED_LINES),
        (["edit", "2", "--title", "Changed"], ""),
        (["done", "1", "2"], ""),
        (["reopen", "1"], ""),
        (["rm", "1"], ""),
        (["rm", "--permanent", "1"], ""),
        (["restore", "1"], ""),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_dry_run_is_one_round_trip(
    cli_here: Cli, proxy: WireProxy, database_url: str, words: list[str], stdin: str
) -> None:
    cli_here("add", "-", stdin="one\ntwo\nthree\n")
    environ = {"TODO_DATABASE_URL": through(proxy, database_url)}
    result = cli_here(*words, "--dry-run", stdin=stdin, environ=environ)
    assert (result.exit_code, result.stderr.endswith("Nothing was changed.\n")) == (0, True)
    stats = proxy.stats
    assert (stats.connections, stats.round_trips, stats.idle_flushes) == (1, 1, 0)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("command", [["done"], ["edit", "-t", "a"], ["rm"], ["rm", "--permanent"]])
def test_a_filter_is_one_round_trip_to_find_and_one_to_change(
    cli_here: Cli, proxy: WireProxy, database_url: str, command: list[str], size: int
) -> None:
    """What is changed is what was found, so that a repeated try changes nothing else."""
    cli_here("add", "-", stdin="".join(f"line {n}\n" for n in range(size)))
    environ = {"TODO_DATABASE_URL": through(proxy, database_url)}
    result = cli_here(*command, "-w", "line", "--yes", environ=environ)
    assert (result.exit_code, result.stdout.count("\n")) == (0, size)
    assert (proxy.stats.connections, proxy.stats.round_trips) == (1, 2)


def test_toggle_is_two_round_trips(cli: Cli, proxy: WireProxy, database_url: str) -> None:
    """It reads what it flips, so that a repeated try does not flip back."""
    cli("add", "one")
    url = through(proxy, database_url)
    assert cli("toggle", "1", environ={"TODO_DATABASE_URL": url}).exit_code == 0
    assert proxy.stats.round_trips == 2


@pytest.mark.parametrize(
    "words",
    [
        ["register", "--credential-store=file"],
        ["login", "--credential-store=file"],
        ["passwd"],
        ["rm", "--permanent", "1"],
        ["done", "-w", "one"],
    ],
    ids=lambda words: words[0],
)
def test_a_question_costs_one_round_trip_before_it(
    cli_here: Cli, proxy: WireProxy, database_url: str, words: list[str]
) -> None:
    """What would be asked in vain is found out first. Here nobody answers."""
    cli_here("add", "one")
    environ = {"TODO_DATABASE_URL": through(proxy, database_url)}
    if words[0] in ("register", "login"):
        environ["TODO_SESSION_TOKEN"] = ""
    asked = cli_here(*words, columns=80, environ=environ)
    assert asked.exit_code in (1, 2) and re.search(r"(: |\[y/N\] )", asked.stderr)
    assert proxy.stats.round_trips == 1


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


LARGE = 32 * 1024 * 1024
"""Bytes: more than the client's socket and the proxy take while the client does not wait."""


@pytest.mark.parametrize("place", ["socket", "tls", "pooler"])
@pytest.mark.parametrize(
    ("sent", "received"),
    [(LARGE, LARGE), (LARGE, 1), (1, LARGE)],
    ids=["both ways", "to the server", "from the server"],
)
def test_a_statement_of_any_size_is_one_round_trip(
    request: pytest.FixtureRequest,
    open_database: Callable[..., Database],
    place: str,
    sent: int,
    received: int,
) -> None:
    line = _line(request, place)
    # All of the time is for one statement: a used connection would be given a third of it.
    database = open_database(line.url, line.token, timeout_seconds=60)
    length = text("select length(:given), repeat('x', :received)")
    given = {"given": "x" * sent, "received": received}
    row = database.run(lambda session: session.execute(length, given).one())
    assert (row[0], len(row[1])) == (sent, received)
    stats = line.proxy.stats
    assert (stats.connections, stats.round_trips, stats.idle_flushes) == (1, 1, 0)


def test_a_large_statement_is_sent_without_a_proxy_that_takes_all(
    open_database: Callable[..., Database], database_url: str, alice: Person
) -> None:
    """A proxy reads whatever comes; PostgreSQL reads no more than it has room for."""
    database = open_database(database_url, alice.token, timeout_seconds=60)
    for size in (2**20, 2**23, 2**25):
        given = {"given": "x" * size}
        length = text("select length(:given)")
        assert database.run(lambda session: session.execute(length, given).scalar()) == size  # noqa: B023 - called at once


@pytest.mark.parametrize("place", ["socket", "tls", "pooler"])
def test_an_error_amid_a_large_statement_leaves_the_connection_in_order(
    request: pytest.FixtureRequest, open_database: Callable[..., Database], place: str
) -> None:
    """The server answers with the error before it has read all, and reads on to the Sync."""
    line = _line(request, place)
    database = open_database(line.url, line.token, timeout_seconds=60)
    failing = text("select 1 from nowhere where length(:given) = 1")
    with pytest.raises(TodoError):
        database.run(lambda session: session.execute(failing, {"given": "x" * LARGE}).all())
    assert database.run(lambda session: session.execute(text("select 7")).scalar_one()) == 7
    assert (line.proxy.stats.round_trips, line.proxy.stats.idle_flushes) == (2, 0)


@pytest.mark.parametrize("place", ["socket", "tls", "pooler"])
def test_a_large_call_is_one_flight(
    request: pytest.FixtureRequest, open_database: Callable[..., Database], place: str
) -> None:
    """Calls are sent several in one pipeline, each with its own `begin` and `commit`."""
    line = _line(request, place)
    database = open_database(line.url, line.token, timeout_seconds=60)
    call = Call("select length(%(given)s) as n", {"given": "x" * LARGE})
    assert database.call(call, call) == [{"n": LARGE}]
    assert line.proxy.stats.idle_flushes == 0


@dataclass(frozen=True)
class _Line:
    url: str
    token: str
    proxy: WireProxy


def _line(request: pytest.FixtureRequest, place: str) -> _Line:
    """A way to a database of its own, counted: a socket, or the stand-in for Neon."""
    if place == "socket":
        proxy: WireProxy = request.getfixturevalue("proxy")
        url: str = request.getfixturevalue("database_url")
        return _Line(through(proxy, url), request.getfixturevalue("alice").token, proxy)
    neon: Neon = request.getfixturevalue("neon")
    name: str = request.getfixturevalue("neon_database")
    person = sign_up(neon.superuser_url(name), "alice")
    # The direct host's proxy leads to PostgreSQL, the pooled one's to PgBouncer.
    url = neon.url(name, is_pooled=place == "pooler")
    return _Line(url, person.token, neon.pooled if place == "pooler" else neon.direct)


def test_psycopg_alone_lets_a_flush_follow(proxy: WireProxy, database_url: str) -> None:
    """Why we have a pipeline of our own. When this fails, psycopg has mended it."""
    with psycopg.connect(through(proxy, database_url), autocommit=True) as connection:
        for _ in range(20):
            with connection.pipeline():
                connection.execute("select 1")
    assert proxy.stats.idle_flushes > 0
