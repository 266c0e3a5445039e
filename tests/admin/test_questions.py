"""What the `todo db` commands ask: after they have looked, and with what would be gone."""

from __future__ import annotations

import pytest

from tests.conftest import Cli
from todo_cli.admin import seed
from todo_cli.admin.connect import telling_if_interrupted

QUIET = {"NO_COLOR": "1"}


@pytest.mark.parametrize("command", ["cleanup", "purge"])
def test_nothing_is_asked_of_an_empty_database(
    cli_here: Cli, empty_database_url: str, command: str
) -> None:
    environ = {**QUIET, "TODO_DATABASE_URL": empty_database_url}
    result = cli_here("db", command, columns=80, stdin="y\n", environ=environ)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.splitlines()[1:] == [
        "Error: The database's schema is missing or behind.",
        "hint: Run: todo db upgrade",
    ]


@pytest.mark.parametrize("words", [["cleanup"], ["purge"], ["downgrade", "0004"]])
def test_nothing_is_asked_of_a_database_that_is_away(cli_here: Cli, words: list[str]) -> None:
    away = {"TODO_DATABASE_URL": "postgresql://127.0.0.1:1/d", "TODO_TIMEOUT": "0.3"}
    result = cli_here("db", *words, columns=80, stdin="y\n", environ={**QUIET, **away})
    assert (result.exit_code, "[y/N]" in result.stderr) == (3, False)


@pytest.mark.parametrize("command", ["cleanup", "purge"])
def test_without_a_terminal_the_option_is_named(cli_here: Cli, command: str) -> None:
    result = cli_here("db", command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("hint: Pass --yes to confirm.\n")


def test_the_question_says_how_much_would_be_gone(cli_here: Cli) -> None:
    assert cli_here("db", "seed", "--users", "3", "--tasks", "40").exit_code == 0
    asked = cli_here("db", "cleanup", columns=80, stdin="n\n", environ=QUIET)
    assert asked.exit_code == 1
    assert "Delete 3 users of .seed.example.com, and their 40 tasks? [y/N] " in asked.stderr
    asked = cli_here("db", "purge", columns=80, stdin="n\n", environ=QUIET)
    assert "tasks of everybody's trash, older than 30d, for good? [y/N] " in asked.stderr
    asked = cli_here("db", "downgrade", "0004", columns=80, stdin="n\n", environ=QUIET)
    assert "Go back to 0004? [y/N] " in asked.stderr


def test_an_interrupted_seed_says_how_to_delete_what_it_made(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        with telling_if_interrupted(lambda: "7 tasks were made and stay."):
            raise KeyboardInterrupt

    monkeypatch.setattr(seed, "seed", interrupted)
    result = cli_here("db", "seed")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == [
        "7 tasks were made and stay.",
        "hint: Delete them with: todo db cleanup",
    ]
