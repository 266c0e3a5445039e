"""The words of a command line: near misses, help, and options of the list on the program alone."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.conftest import Cli, Result
from tests.support.commands import all_paths, command_or_group, listed_commands
from todo_cli.commands.options import TodoCommand
from todo_cli.commands.words import SYNONYMS, command_line

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def ok(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def hint(result: Result, exit_code: int = 2) -> str:
    """The hint of a command that answers nothing."""
    assert (result.exit_code, result.stdout) == (exit_code, "")
    message, hint = result.stderr.splitlines()
    assert message.startswith("Error: ")
    return hint.removeprefix("hint: ")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("complete 1", "todo done 1"),
        ("finish 1 2", "todo done 1 2"),
        ("delete 1", "todo rm 1"),
        ("remove 1", "todo rm 1"),
        ("revert", "todo undo"),
        ("log 1", "todo history 1"),
        ("find oat milk", "todo list --search 'oat milk'"),
        ("new Buy milk", "todo add Buy milk"),
        ("Add Buy milk", "todo add Buy milk"),
        ("lst --all", "todo list --all"),
        ("compelte 1", "todo done 1"),
        ("3", "todo show 3"),
        ("3 5", "todo done 3 5"),
        ("3-5", "todo done 3-5"),
        ("3,5 8", "todo done 3,5 8"),
        ("mark 3", "todo done 3"),
        ("db upgarde", "todo db upgrade"),
        ("db migrate --sql", "todo db upgrade --sql"),
        ("agent kill", "todo agent stop"),
        ("add --descripton x", "--description"),
        ("help complete", "todo done --help"),
    ],
)
def test_what_was_probably_meant_is_named(cli: Cli, words: str, meant: str) -> None:
    assert hint(cli(*words.split())) == f"Did you mean: {meant}"


def test_undo_takes_no_task(cli: Cli) -> None:
    meant = "todo undo takes back the last command. For one task: todo reopen 1, todo restore 1"
    assert hint(cli("undo", "1")) == meant


def test_words_that_are_no_command_may_be_a_task(cli: Cli) -> None:
    assert (
        hint(cli("buy", "milk")) == "Add a task with: todo add buy milk (all commands: todo help)"
    )


@pytest.mark.parametrize("words", ["help nosuch", "nosuch --help", "nosuch -h"])
def test_who_asks_for_help_with_no_command_sees_the_commands(cli: Cli, words: str) -> None:
    assert hint(cli(*words.split())) == "See: todo help"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["list", "--done", "--all"], "todo list"),
        (["ls", "--limit", "x"], "todo ls"),
        (["toggle"], "todo toggle"),
        (["add"], "todo add"),
        (["db", "seed", "--users", "none"], "todo db seed"),
        (["login", "--with-token", "--email", "a@example.org"], "todo login"),
        (["--limit", "x"], "todo"),
    ],
)
def test_a_wrong_word_names_the_help_of_its_command(
    cli: Cli, words: list[str], command: str
) -> None:
    assert hint(cli(*words)) == f"See: {command} --help"


def test_every_synonym_leads_to_a_command_and_hides_none() -> None:
    for path, synonyms in SYNONYMS.items():
        names = set(command_or_group(path.removeprefix("todo")).list_commands(None))
        assert not names & synonyms.keys()
        assert {one.split()[0] for meant in synonyms.values() for one in meant} <= names


# --- the program alone ---------------------------------------------------------------------------


def test_the_program_alone_takes_the_options_of_the_list(cli: Cli) -> None:
    ok(cli("add", "-", stdin="Buy milk\nBuy bread\nSleep\n"))
    ok(cli("done", "2"))
    for words in (
        ["-a"],
        ["--search", "milk"],
        ["--search", "done"],
        ["--done", "--json"],
        ["--jsonl", "--sort", "title", "--reverse"],
        ["--after", "3", "--limit", "1"],
    ):
        assert ok(cli(*words)) == ok(cli("list", *words))


def test_an_option_of_the_list_before_another_command_is_refused(cli: Cli) -> None:
    assert hint(cli("--all", "add", "x")) == "Write it after the command: todo add … --all"
    assert ok(cli("list")) == ""


# --- help ----------------------------------------------------------------------------------------


def test_help_is_the_same_as_a_command_and_as_an_option(cli: Cli) -> None:
    assert ok(cli("help")) == ok(cli("--help"))
    for command in ("add", "db", "db backup"):
        assert ok(cli("help", *command.split())) == ok(cli(*command.split(), "--help"))


@pytest.mark.parametrize("command", listed_commands())
def test_every_command_has_help_with_an_example_and_a_place_in_the_readme(
    cli_here: Cli, command: str
) -> None:
    text = ok(cli_here(*command.split(), "--help"))
    assert re.search(rf"Examples?:\n( +\w.*\n)* +todo {command}\b", text)
    assert re.search(rf"\btodo {command}\b", README)


def test_help_speaks_of_no_types_of_python(cli_here: Cli) -> None:
    for path in all_paths():
        text = ok(cli_here(*path.split(), "--help"))
        assert not re.search(r"<(list|str|int|path|TaskRef)|\.\.\.[]}]\.\.\.", text), path


def test_the_help_of_the_program_leaves_the_options_of_the_list_to_its_own(cli: Cli) -> None:
    assert "--search TEXT" not in ok(cli("help"))
    assert "--search TEXT" in ok(cli("help", "list"))


def test_the_options_of_the_list_are_completed_on_the_program_alone(cli_here: Cli) -> None:
    environ = {"_TODO_COMPLETE": "complete_bash", "COMP_WORDS": "todo --sea", "COMP_CWORD": "1"}
    assert ok(cli_here(environ=environ)) == "--search\n"


def test_the_version_as_a_command(cli: Cli) -> None:
    assert ok(cli("version")) == ok(cli("--version"))
    assert ok(cli("version", "--json")).startswith('{"version":"')


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_help_is_as_wide_as_the_terminal(cli_here: Cli, columns: int) -> None:
    widest = 0
    for path in all_paths():
        text = ok(cli_here(*path.split(), "--help", columns=columns))
        above, _, below = text.partition("Examples:")
        below = below.partition("\n\n")[2]  # an example is a line to copy, so it is never wrapped
        lines = (above + below).splitlines()
        widest = max(widest, *map(len, lines))
        assert "..." not in text.partition("Commands:")[2]
    assert min(columns, 120) * 0.9 < widest <= min(columns, 120)


def test_an_example_fits_a_line_of_80_columns(cli_here: Cli) -> None:
    for path in all_paths():
        lines = ok(cli_here(*path.split(), "--help", columns=80)).splitlines()
        assert max(map(len, lines)) <= 80, path


def test_two_calls_at_the_same_moment_keep_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of the agent share the commands."""
    seen = []

    def note(ctx: typer.Context, title: str, other: str = "") -> None:
        seen.append((ctx.info_name, title, other))

    app = typer.Typer(add_completion=False)
    app.command(cls=TodoCommand)(note)
    command = typer.main.get_command(app)

    def call(title: str) -> None:
        command.main([title, "--other", title], title, standalone_mode=False, obj=_run())

    monkeypatch.setattr(typer.main, "_normalize_collection_value", _interrupted_by(call))
    call("mine")
    assert ("mine", "mine", "mine") in seen
    assert set(seen) <= {("mine", "mine", "mine"), ("theirs", "theirs", "theirs")}


def _run() -> Any:
    import io

    from todo_cli.context import Invocation, Run

    return Run(Invocation([], {}, None, io.StringIO(), io.StringIO()))


def _interrupted_by(call: Any) -> Any:
    """Let somebody else's call come between two values of the first."""
    calls: list[int] = []

    def between(_: Any, value: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            thread = threading.Thread(target=call, args=("theirs",))
            thread.start()
            thread.join()
        return value

    return between


# --- a line to type again ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["add", "Buy milk", "-d", "it's"], """todo add 'Buy milk' -d 'it'"'"'s'"""),
        (["add", "a\nb\x1b\u202e'\\"], r"todo add $'a\nb\x1b\xe2\x80\xae\'\\'"),
        (["add", "\udcff"], r"todo add $'\xff'"),
        (
            ["list", "--database-url", "postgresql://h/d"],
            "todo list --database-url postgresql://h/d",
        ),
        (["--database-url", "postgresql://u:hunter2@h/d", "list"], "todo --database-url … list"),
        (["list", "--database-url=postgresql://u:hunter2@h/d"], "todo list --database-url=…"),
        (
            ["list", "--database-url", "postgresql://h/d?password=hunter2"],
            "todo list --database-url …",
        ),
        (["list", "--database-url", "hunter2@"], "todo list --database-url …"),
        (["add", "see postgres://u:hunter2@h/d"], "todo add …"),
    ],
)
def test_a_line_can_be_typed_again_and_holds_no_password(words: list[str], line: str) -> None:
    assert command_line(words) == line
