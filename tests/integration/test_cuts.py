"""Exactly once: a connection that is cut anywhere loses nothing and doubles nothing."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Cli
from tests.support.cuts import WALKS, CutWalker, Walk
from tests.support.neon import Neon
from tests.support.people import Person, sign_up
from todo_cli.database import retry

by_name = pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of cuts, each mended at once."""
    monkeypatch.setattr(retry, "_SOON", retry.Backoff(0, 0))


@by_name
def test_a_cut_anywhere_leaves_the_change_exactly_once(
    neon: Neon, neon_database: str, cli: Cli, walk: Walk, without_pauses: None
) -> None:
    outcomes = CutWalker(neon, neon_database, cli).walk(walk, times=1)
    assert outcomes.wrong == []
    assert outcomes.messages >= 5
    # Each cut is mended by a new connection, well within the time there is.
    assert set(outcomes.counts) == {"exit 0, there once"}


@by_name
def test_so_do_two_cuts_in_a_row_on_the_direct_host(
    neon: Neon, neon_database: str, cli: Cli, walk: Walk, without_pauses: None
) -> None:
    walker = CutWalker(neon, neon_database, cli, is_pooled=False)
    outcomes = walker.walk(walk, times=2, row_stride=20)
    assert outcomes.wrong == []
    assert set(outcomes.counts) == {"exit 0, there once"}


@pytest.fixture
def cara(neon: Neon, neon_database: str) -> Person:
    return sign_up(neon.superuser_url(neon_database), "cara")


def count_tasks(neon: Neon, database: str) -> int:
    with psycopg.connect(neon.superuser_url(database)) as connection:
        row = connection.execute("select count(*) from tasks").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("cut", "tasks_there"),
    [({"before_client_message": 1}, 0), ({"before_server_message": 1}, 1)],
    ids=["before the statement arrives", "before its answer"],
)
def test_a_line_that_stays_bad_is_an_error_and_at_most_one_task(
    neon: Neon,
    neon_database: str,
    cli: Cli,
    cara: Person,
    cut: dict[str, int],
    tasks_there: int,
) -> None:
    neon.pooled.cut(times=100_000, **cut)  # type: ignore[arg-type]  # one of its indexes
    url = neon.url(neon_database)
    environ = {"TODO_DATABASE_URL": url, "TODO_TIMEOUT": "1.5"}
    result = cli("add", "Buy", "milk", environ=environ, person=cara)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "Error: The connection to the database was cut.\n"
        "hint: It may have been done all the same: look first. "
        "Then repeat: todo add Buy milk\n"
    )
    assert neon.pooled.stats.cuts > 1
    assert count_tasks(neon, neon_database) == tasks_there


def test_deleting_for_good_says_what_it_cannot_know(
    neon: Neon, neon_database: str, cli: Cli, cara: Person
) -> None:
    environ = {"TODO_DATABASE_URL": neon.url(neon_database)}
    assert cli("add", "Buy", "milk", environ=environ, person=cara).exit_code == 0
    neon.pooled.cut(before_server_message=1)
    words = ["rm", "--permanent", "--yes", "1"]
    result = cli(*words, environ=environ, person=cara)
    assert result.exit_code == 3
    assert "The tasks seem to be deleted." in result.stderr
    assert count_tasks(neon, neon_database) == 0


def test_a_repeated_try_of_a_filter_answers_with_all_that_it_changed(
    neon: Neon, neon_database: str, cli_here: Cli, cara: Person, without_pauses: None
) -> None:
    """Although no task matches any more, once the first try has changed them."""
    environ = {"TODO_DATABASE_URL": neon.url(neon_database)}

    def call(*words: str, stdin: str = "") -> str:
        result = cli_here(*words, stdin=stdin, environ=environ, person=cara)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    call("add", "-", stdin="one\ntwo\n")
    messages = 1
    while True:
        neon.pooled.stats.reset()
        neon.pooled.cut(before_server_message=messages)
        done = call("done", "-w", "number:1..", "--yes")
        was_cut = neon.pooled.stats.cuts
        neon.heal()
        assert [line.split("\t")[:2] for line in done.splitlines()] == [
            ["2", "done"],
            ["1", "done"],
        ]
        call("reopen", "1", "2")
        if not was_cut:
            break
        messages += 1
    assert messages > 10
