"""Shell completion, as the scripts ask for it that `--install-completion` installs."""

from __future__ import annotations

import io
import socket

import pytest

from tests.conftest import Cli
from todo_cli.app import command_tree
from todo_cli.commands import completion
from todo_cli.context import Invocation, Run


@pytest.fixture
def cli_with_tasks(cli: Cli) -> Cli:
    cli("add", "-", stdin="Buy milk\nWrite: the 'report'\nBuy [red]wine[/red]\n")
    cli("done", "2")
    cli("rm", "3")
    return cli


def complete(cli: Cli, shell: str, line: str) -> list[str]:
    """What a shell is told to offer at the end of the line."""
    words = line.split(" ")
    environ = {
        "_TODO_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = cli(environ=environ)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_commands_and_options_are_completed(cli: Cli) -> None:
    assert sorted(complete(cli, "bash", "todo re")) == ["register", "reopen", "restore"]
    assert "--limit" in complete(cli, "bash", "todo list --l")


def test_a_command_is_offered_the_tasks_that_it_is_for(cli_with_tasks: Cli) -> None:
    cli = cli_with_tasks
    assert complete(cli, "fish", "todo done ") == ["1\tBuy milk"]
    assert complete(cli, "fish", "todo reopen ") == ["2\tWrite: the 'report'"]
    assert complete(cli, "fish", "todo show ") == ["2\tWrite: the 'report'", "1\tBuy milk"]
    assert [line[:2] for line in complete(cli, "fish", "todo restore ")] == ["3\t"]


def test_numbers_are_completed_by_number_and_by_title(cli_with_tasks: Cli) -> None:
    cli = cli_with_tasks
    assert complete(cli, "bash", "todo show 1") == ["1"]
    assert complete(cli, "bash", "todo show rep") == ["2"]
    assert complete(cli, "bash", "todo show ") == ["2  (Write: the 'report')", "1  (Buy milk)"]
    assert complete(cli, "bash", "todo show nothing") == []


def test_zsh_is_shown_titles(cli_with_tasks: Cli) -> None:
    (offered,) = complete(cli_with_tasks, "zsh", "todo done ")
    assert offered == """_arguments '*: :(("1":"Buy milk"))'"""


def test_nobody_logged_in_and_no_database_offer_nothing(cli: Cli) -> None:
    for environ in ({"TODO_SESSION_TOKEN": ""}, {"TODO_DATABASE_URL": "", "DATABASE_URL": ""}):
        asked = {"_TODO_COMPLETE": "complete_bash", "COMP_WORDS": "todo done ", "COMP_CWORD": "2"}
        result = cli(environ={**asked, **environ})
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(("timeout", "expected_seconds"), [("", 0.5), ("20", 0.5), ("0.2", 0.2)])
def test_a_database_that_never_answers_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, timeout: str, expected_seconds: float
) -> None:
    assert completion.TIMEOUT_SECONDS == 3
    monkeypatch.setattr(completion, "TIMEOUT_SECONDS", 0.5)  # a test need not wait so long
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        environ = {
            "TODO_DATABASE_URL": f"postgresql://somebody@127.0.0.1:{port}/todo",
            "TODO_SESSION_TOKEN": "token",
            "TODO_TIMEOUT": timeout,
            "_TODO_COMPLETE": "complete_bash",
            "COMP_WORDS": "todo done ",
            "COMP_CWORD": "2",
        }
        out, err = io.StringIO(), io.StringIO()
        run = Run(Invocation([], environ, None, out, err))
        code = completion.complete(run, command_tree())
        run.close()
    assert (code, out.getvalue(), err.getvalue()) == (0, "", "")
    assert run.settings.timeout_seconds == expected_seconds
