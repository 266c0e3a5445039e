"""What `REF…` takes: numbers, lists, ranges; none of them more than a command can carry out."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.conftest import Cli, Result
from tests.support.people import Person
from todo_cli.values import MAX_PATTERNS, MAX_TASKS

TAKE_SEVERAL = [
    ["done"],
    ["reopen"],
    ["toggle"],
    ["rm"],
    ["restore"],
    ["rm", "--permanent", "--yes"],
]


def changed(result: Result) -> list[int]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [int(line.partition("\t")[0]) for line in result.stdout.splitlines()]


def refused(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    return result.stderr


def pending(cli: Cli) -> list[int]:
    return [task["number"] for task in json.loads(cli("list", "--json").stdout)]


@pytest.fixture
def six(cli: Cli) -> Cli:
    """Six tasks; 4 was deleted, 5 lies in the trash."""
    assert cli("add", "-", stdin="a\nb\nc\nd\ne\nf\n").exit_code == 0
    assert cli("rm", "--permanent", "--yes", "4").exit_code == 0
    assert cli("rm", "5").exit_code == 0
    return cli


@pytest.mark.parametrize("command", TAKE_SEVERAL, ids=" ".join)
class TestEveryCommandThatTakesSeveral:
    def test_takes_a_list(self, six: Cli, command: list[str]) -> None:
        assert changed(six(*command, "3,1", "2")) == [3, 1, 2]

    def test_takes_a_range_of_those_that_are_there(self, six: Cli, command: list[str]) -> None:
        with_trash = command[0] in ("rm", "restore")
        expected = [2, 3, 5, 6] if with_trash else [2, 3, 6]
        assert changed(six(*command, "2-1000000000")) == expected

    def test_takes_no_task_twice(self, six: Cli, command: list[str]) -> None:
        assert changed(six(*command, "3,2-3,1-2", "1")) == [3, 2, 1]

    def test_refuses_all_where_one_is_missing(self, six: Cli, command: list[str]) -> None:
        assert "No task 4." in refused(six(*command, "1,4", "2-3"), 1)
        assert pending(six) == [6, 3, 2, 1]

    def test_refuses_a_range_that_holds_none(self, six: Cli, command: list[str]) -> None:
        assert "No task from 7 to 900." in refused(six(*command, "1", "7-900"), 1)
        assert pending(six) == [6, 3, 2, 1]


@pytest.mark.parametrize("command", ["done", "reopen", "toggle"])
def test_a_number_in_the_trash_is_refused_and_a_range_passes_over_it(
    six: Cli, command: str
) -> None:
    assert "Task 5 is in the trash." in refused(six(command, "3-6", "5"), 1)
    assert "No task from 4 to 5." in refused(six(command, "4-5"), 1)
    assert changed(six(command, "3-6")) == [3, 6]


def test_a_range_in_the_archive(six: Cli, database_url: str) -> None:
    assert six("done", "1-3").exit_code == 0
    with psycopg.connect(database_url) as owner:
        owner.execute("update tasks set updated_at = now() - interval '2 years' where completed")
    assert six("db", "archive", "--older-than", "0d").exit_code == 0
    assert "No task from 4 to 9." in refused(six("restore", "--archived", "4-9"), 1)
    assert changed(six("restore", "--archived", "2-9", "1")) == [2, 3, 1]


@pytest.mark.parametrize("command", ["show", "edit"])
@pytest.mark.parametrize("several", ["1-2", "1,2"])
def test_what_takes_one_task_says_so(six: Cli, command: str, several: str) -> None:
    error = refused(six(command, several), 2)
    assert f"{several} may be several tasks; this takes one." in error
    assert "Give one number" in error


@pytest.mark.parametrize("word", ["1,", ",1", "1,,2", "1-"])
def test_a_word_that_names_no_task_is_shown_as_it_was_typed(six: Cli, word: str) -> None:
    assert f"'{word}' is not a task." in refused(six("done", word), 2)


def test_a_range_that_descends_says_how_it_is_meant(six: Cli) -> None:
    error = refused(six("done", "5-3"), 2)
    assert "The range 5-3 ends before it begins." in error
    assert "3-5" in error


@pytest.mark.parametrize("command", ["done", "rm", "restore", "show"])
def test_help_speaks_of_numbers(cli_here: Cli, command: str) -> None:
    """Beginnings of the UUIDs of one week are all alike: nobody can use one."""
    words = cli_here(command, "--help").stdout
    assert "such as 12" in words
    assert "beginning" not in words
    assert "01a2" not in words


class TestTooMany:
    """A limit is told before anything is sent, or at least before anything is changed."""

    @pytest.mark.parametrize("command", TAKE_SEVERAL, ids=" ".join)
    def test_references(self, cli_here: Cli, command: list[str]) -> None:
        error = refused(cli_here(*command, ",".join(["1"] * (MAX_TASKS + 1))), 2)
        assert f"200,001 tasks are too many at once; a command takes up to {MAX_TASKS:,}." in error

    def test_lines(self, cli_here: Cli) -> None:
        error = refused(cli_here("add", "-", stdin="a\n" * (MAX_TASKS + 1)), 2)
        assert "200,001 tasks are too many at once" in error
        assert pending(cli_here) == []

    @pytest.mark.parametrize("command", TAKE_SEVERAL, ids=" ".join)
    def test_ranges(self, cli_here: Cli, command: list[str]) -> None:
        ranges = ",".join(f"{n}-{n + 1}" for n in range(MAX_PATTERNS + 1))
        error = refused(cli_here(*command, ranges), 2)
        assert f"a command takes up to {MAX_PATTERNS}" in error

    @pytest.mark.parametrize("command", [["done"], ["toggle"]])
    def test_tasks_in_a_range(
        self, cli_here: Cli, database_url: str, alice: Person, command: list[str]
    ) -> None:
        with psycopg.connect(database_url) as owner:
            owner.execute("alter table tasks disable trigger user")
            owner.execute(
                "insert into tasks (user_id, title, number)"
                " select %s, 'x', n from generate_series(1, %s) as n",
                (alice.id, MAX_TASKS + 1),
            )
        error = refused(cli_here(*command, "1-1000000"), 2)
        assert "too many at once" in error
        with psycopg.connect(database_url) as owner:
            found = owner.execute("select count(*) from tasks where not completed").fetchone()
        assert found == (MAX_TASKS + 1,)
