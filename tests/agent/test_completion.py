"""Shell completion, as the scripts ask for it that `--install-completion` installs.

How real shells take the answers is tested in `tests/shells`.
"""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest

from tests.conftest import Cli, Postgres
from tests.support.proxy import UnixUpstream, WireProxy, through
from todo_cli.app import command_tree
from todo_cli.commands import completion
from todo_cli.commands.completion import SEPARATOR, split_line
from todo_cli.context import Invocation, Run
from todo_cli.tasks.repository import TaskRepository
from todo_cli.tasks.statements import MAX_SUGGESTIONS
from todo_cli.values import TaskDraft

LISTS, INSERTS, CYCLES = "63", "9", "37"
"""Bash's COMP_TYPE: the second Tab, the first one, and `menu-complete`."""


@pytest.fixture
def cli_with_tasks(cli: Cli) -> Cli:
    cli("add", "-", stdin="Buy milk\nWrite: the 'report'\nBuy [red]wine[/red]\n")
    cli("done", "2")
    cli("rm", "3")
    return cli


def asked(shell: str, line: str, how: str = LISTS) -> dict[str, str]:
    """The variables that a script sets when Tab is pressed at the end of the line."""
    words = split_line(line)
    return {
        "_TODO_COMPLETE": shell,
        "_TODO_COMPLETE_LINE": line if shell == "bash" else SEPARATOR.join(words[1:]),
        "_TODO_COMPLETE_WORD": words[-1].rpartition("=")[2].rpartition(":")[2],
        "_TODO_COMPLETE_TYPE": how,
    }


def complete(
    cli: Cli, shell: str, line: str, *, how: str = LISTS, environ: dict[str, str] | None = None
) -> list[str]:
    """What a shell is answered: the kind, and a line for each candidate."""
    result = cli(environ={**asked(shell, line, how), **(environ or {})})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def legacy(cli: Cli, shell: str, line: str) -> list[str]:
    """What a script is answered that Typer installed."""
    environ = {
        "_TODO_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": line.split(" ")[-1],
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = cli(environ=environ)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_commands_options_and_values_are_completed(cli: Cli) -> None:
    kind, *commands = complete(cli, "bash", "todo re", how=INSERTS)
    assert (kind, sorted(commands)) == ("words", ["redo", "register", "reopen", "restore"])
    assert complete(cli, "bash", "todo list --lim") == ["words", "--limit"]
    for shell in ("zsh", "fish", "powershell"):
        (_, offered) = complete(cli, shell, "todo list --lim")
        assert offered.startswith("--limit\t")
        (_, offered) = complete(cli, shell, "todo list --sort=ti")
        assert offered.startswith("--sort=title\t")
    assert complete(cli, "bash", "todo list --sort=ti") == ["words", "title"]
    assert complete(cli, "bash", "todo list --sort ti") == ["words", "title"]
    assert complete(cli, "bash", "todo db ba") == ["words", "backup"]


@pytest.mark.parametrize("line", ["todo db backup ./", "todo add ", "todo list --search x"])
def test_files_are_left_to_the_shell(cli: Cli, line: str) -> None:
    assert complete(cli, "bash", line) == ["files"]
    assert complete(cli, "zsh", line) == ["files"]


@pytest.mark.parametrize("line", ["todo done x", "todo list --limit ", "todo list --sort x"])
def test_files_are_not_offered_where_none_can_stand(cli: Cli, line: str) -> None:
    assert complete(cli, "bash", line) == ["words"]


def test_a_command_is_offered_the_tasks_that_it_is_for(cli_with_tasks: Cli) -> None:
    cli = cli_with_tasks
    assert complete(cli, "fish", "todo done ") == ["words", "1\tBuy milk"]
    assert complete(cli, "fish", "todo reopen ") == ["words", "2\tWrite: the 'report'"]
    every = ["words", "2\tWrite: the 'report'", "1\tBuy milk"]
    assert complete(cli, "fish", "todo show ") == every
    assert complete(cli, "fish", "todo list --after ") == every
    assert complete(cli, "fish", "todo restore ") == ["words", "3\tBuy [red]wine[/red]"]
    assert complete(cli, "fish", "todo toggle 2 ") == ["words", "1\tBuy milk"]
    assert complete(cli, "fish", "todo restore --archived ") == ["words"]


def test_numbers_are_completed_by_number_and_by_title(cli_with_tasks: Cli) -> None:
    cli = cli_with_tasks
    assert complete(cli, "zsh", "todo show 1") == ["words", "1\t1  Buy milk"]
    assert complete(cli, "zsh", "todo show REP") == ["titles", "2\t2  Write: the 'report'"]
    assert complete(cli, "zsh", 'todo show "buy m') == ["titles", "1\t1  Buy milk"]
    assert complete(cli, "zsh", "todo show nothing") == ["words"]
    assert complete(cli, "zsh", "todo show 01") == ["words"]


def test_bash_is_told_what_it_inserts_or_lists(cli_with_tasks: Cli) -> None:
    cli = cli_with_tasks
    for _ in range(9):
        cli("add", "Buy more")
    assert complete(cli, "bash", "todo show 1", how=INSERTS) == ["words", "1", "10", "11", "12"]
    listed = complete(cli, "bash", "todo show 1", how=LISTS)
    assert listed == ["words", "1   Buy milk", *(f"{n}  Buy more" for n in (10, 11, 12))]
    # Found by title, 10 to 12 begin alike: bash would put a 1 in the place of what was typed.
    assert complete(cli, "bash", "todo show mor", how=INSERTS)[1:3] == ["~ mor:", "12"]
    assert complete(cli, "bash", "todo show mor", how=LISTS)[1:3] == ["~ mor:", "12  Buy more"]
    assert complete(cli, "bash", "todo show mor", how=CYCLES)[1:3] == ["12", "11"]
    # Of a word with a colon bash replaces but the rest: a number would end up behind it.
    assert complete(cli, "bash", "todo show Write:") == ["titles"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_titles_are_text_that_is_cut_to_the_width(cli: Cli, shell: str) -> None:
    cli("add", "[red]'quoted'[/red] \u202e" + "東" * 100)
    cli("add", "Short")
    _, *lines = complete(cli, shell, "todo done ", environ={"COLUMNS": "40"})
    shown = next(line for line in lines if "red" in line).rpartition("\t")[2]
    assert "[red]'quoted'[/red] <U+202E>" in shown
    assert shown.endswith("…")
    wide = shown.count("東")
    assert 30 <= len(shown) + wide <= 38


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_scripts_of_earlier_versions_are_answered_words_alone(
    cli_with_tasks: Cli, shell: str
) -> None:
    cli = cli_with_tasks
    cli("add", r"Pay \$(touch x) *")
    words = {
        "zsh": ["_arguments '*: :((4 1))'"],
        "powershell": ["4:::4", "1:::1"],
    }.get(shell, ["4", "1"])
    assert legacy(cli, shell, "todo done ") == words
    assert legacy(cli, shell, "todo done 9") == (["_files"] if shell == "zsh" else [])


def test_what_is_typed_before_decides_the_database(cli_with_tasks: Cli) -> None:
    for line in (
        "todo done --database-url postgresql://nobody@127.0.0.1:1/x ",
        "todo --database-url $ELSEWHERE done ",
    ):
        assert complete(cli_with_tasks, "zsh", line, environ={"TODO_TIMEOUT": "0.2"}) == []


@pytest.mark.parametrize(
    "environ",
    [
        {"TODO_SESSION_TOKEN": ""},
        {"TODO_SESSION_TOKEN": "unknown"},
        {"TODO_DATABASE_URL": "", "DATABASE_URL": ""},
        {"TODO_DATABASE_URL": "mysql://x"},
        {"TODO_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "TODO_TIMEOUT": "0.2"},
        {"TODO_TIMEOUT": "soon"},
        {"_TODO_COMPLETE_LINE": ""},
        {"_TODO_COMPLETE_LINE": "todo done \udcff\x1fdone\x1f\udcff"},
        {"_TODO_COMPLETE_LINE": "todo done '\"\\"},
        {"_TODO_COMPLETE_LINE": "todo nothing here --x=y ="},
        {"COLUMNS": "-1"},
        {"_TODO_COMPLETE": "complete_bash", "COMP_CWORD": "x"},
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_never_says_anything_but_its_answer(
    cli: Cli, shell: str, environ: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    base = {"TODO_DATA_DIR": str(folder)} if "DATABASE_URL" in environ else {}
    result = cli(environ={**asked(shell, "todo done "), **base, **environ})
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) <= 1 or environ.get("_TODO_COMPLETE_LINE") == ""
    assert not folder.exists() or not list(folder.glob("*postgres*"))


def test_a_tab_is_one_statement(cli: Cli, postgres: Postgres, database_url: str) -> None:
    cli("add", "-", stdin="".join(f"Task {n}\n" for n in range(300)))
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        environ = {"TODO_DATABASE_URL": through(proxy, database_url)}
        for typed in ("", "1", "task"):
            proxy.stats.reset()
            _, *lines = complete(cli, "fish", f"todo done 2 {typed}", environ=environ)
            assert len(lines) == MAX_SUGGESTIONS
            assert proxy.stats.round_trips == 1


@pytest.mark.parametrize(
    ("line", "word", "round_trips"),
    [
        ("todo list @h", "@home", 1),
        ("todo list tag:a,h", "tag:a,home", 1),
        ("todo list project:h", "project:house", 1),
        ("todo add x --tag h", "home", 1),
        ("todo add x --project h", "house", 1),
        ("todo edit 1 --no-tag h", "home", 1),
        ("todo list due:tom", "due:tomorrow", 0),
        ("todo add x --wait some", "someday", 0),
        ("todo add x --priority h", "high", 0),
        ("todo q x @ho", "@home", 1),
        ("todo q x project:ho", "project:house", 1),
        ("todo q x due:tom", "due:tomorrow", 0),
    ],
)
def test_a_tab_for_what_tasks_say_is_one_statement_at_most(
    cli: Cli,
    tasks: TaskRepository,
    postgres: Postgres,
    database_url: str,
    line: str,
    word: str,
    round_trips: int,
) -> None:
    tasks.add([TaskDraft("one", tags=["home"], project="house"), TaskDraft("two", tags=["other"])])
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        environ = {"TODO_DATABASE_URL": through(proxy, database_url)}
        _, offered = complete(cli, "fish", line, environ=environ)
    assert (offered.split("\t")[0], proxy.stats.round_trips) == (word, round_trips)


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
            **asked("bash", "todo done "),
        }
        out, err = io.StringIO(), io.StringIO()
        run = Run(Invocation([], environ, None, out, err))
        code = completion.complete(run, command_tree())
        run.close()
    assert (code, out.getvalue(), err.getvalue()) == (0, "", "")
    assert run.workspace.timeout_seconds == expected_seconds
