"""Numbers too large for PostgreSQL or for the command are usage errors, in every command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Cli
from tests.support.commands import all_paths, command_or_group

LARGEST_LIMIT = "9223372036854775806"
MAX_BIGINT = 2**63 - 1
TOO_LARGE = [str(MAX_BIGINT + 1), "9" * 40, "9" * 5000]


def numeric_options() -> Iterator[tuple[list[str], str]]:
    """The command and name of every option that takes a number."""
    for path in all_paths():
        for parameter in command_or_group(path).params:
            described = getattr(parameter, "type_descriptor", None)
            if described is not None and described.annotation in (int, float):
                yield path.split(), parameter.opts[0]


OPTIONS = list(numeric_options())


def test_the_walk_finds_the_options() -> None:
    assert (["list"], "--limit") in OPTIONS
    assert (["db", "seed"], "--random-seed") in OPTIONS
    assert (["db", "health"], "--wait") in OPTIONS


@pytest.mark.parametrize("number", TOO_LARGE, ids=lambda number: f"{len(number)} digits")
@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[" ".join([*words, name]) for words, name in OPTIONS]
)
def test_a_number_too_large_is_a_usage_error(
    cli_here: Cli, command: list[str], option: str, number: str
) -> None:
    result = cli_here(*command, option, number)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: Invalid value for '{option}': ")
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("columns", [None, 80], ids=["pipe", "terminal"])
@pytest.mark.parametrize("form", [[], ["--json"], ["--jsonl"]], ids=" ".join)
def test_the_largest_limit_is_taken(cli: Cli, form: list[str], columns: int | None) -> None:
    assert cli("add", "one").exit_code == 0
    result = cli("list", "--limit", LARGEST_LIMIT, *form, columns=columns)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "one" in result.stdout


@pytest.mark.parametrize("age", ["9" * 20 + "d", "9" * 5000 + "y", "999999y"])
@pytest.mark.parametrize("command", ["archive", "purge"])
def test_an_age_too_great_is_a_usage_error(cli_here: Cli, command: str, age: str) -> None:
    result = cli_here("db", command, "--dry-run", "--older-than", age)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not an age" in result.stderr


@pytest.mark.parametrize("number", TOO_LARGE, ids=lambda number: f"{len(number)} digits")
@pytest.mark.parametrize("words", [["done"], ["show"], ["rm"], ["list", "--after"]], ids=" ".join)
def test_a_number_that_no_task_can_have_is_no_task(cli: Cli, words: list[str], number: str) -> None:
    result = cli(*words, number)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: No task {number}.")
