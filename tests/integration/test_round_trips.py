"""A command costs one round trip once it is connected. Counted on the wire, so that it is exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Cli, Postgres
from tests.support.proxy import UnixUpstream, WireProxy

HUNDRED_LINES = "".join(f"line {n}\n" for n in range(100))


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[WireProxy]:
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as running:
        yield running


def through(proxy: WireProxy, url: str) -> str:
    """The same database, reached through the proxy."""
    name = url.partition("@/")[2].partition("?")[0]
    return f"postgresql://todo@{proxy.host}:{proxy.port}/{name}"


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
