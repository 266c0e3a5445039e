"""Many tasks at once by `-w FILTER`, and `--dry-run` of every command that changes tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.test_filters import HOSTILE, add_tasks
from tests.conftest import Cli, Result
from tests.support.people import Person
from todo_cli.questions import Questions
from todo_cli.tasks import repository, statements
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import MAX_TASKS, TaskDraft, TaskRef

CHOOSING = [["done"], ["reopen"], ["edit", "-p", "low"], ["rm"], ["restore"]]
PLAIN = {"NO_COLOR": "1"}
by_command = pytest.mark.parametrize("command", CHOOSING, ids=lambda words: words[0])


def answered(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def numbers(result: Result) -> list[int]:
    return [task["number"] for task in answered(result)]


def refused(result: Result, exit_code: int = 2) -> list[str]:
    assert (result.exit_code, result.stdout) == (exit_code, "")
    return result.stderr.splitlines()


def everything(cli: Cli) -> str:
    return cli("list", "--all", "--json").stdout + cli("list", "--trash", "--json").stdout


# --- which tasks a filter means ----------------------------------------------------------------

MEANT = [
    (["done"], "@home", [2, 1]),
    (["done"], "is:waiting", [4]),
    (["done"], "is:done,pending @home", [5, 4, 2, 1]),
    (["done"], "(is:overdue or priority:high) not project:work", [2]),
    (["reopen"], "@home", [5]),
    (["reopen"], "done:today", [5]),
    (["edit", "-p", "low"], "due:..today", [2, 1]),
    (["rm"], "not @home", [3]),
    (["rm"], "is:done", [5]),
    (["rm", "--permanent"], "is:trash", [6]),
    (["restore"], "old", [6]),
    (["restore"], "is:trash", [6]),
    (["restore"], "@home", []),
    (["restore", "--archived"], "@home", []),
]


def test_a_filter_chooses_the_tasks_that_fit_the_command(
    cli_here: Cli, tasks: TaskRepository
) -> None:
    add_tasks(tasks)
    cli_here("add", "old")
    cli_here("rm", "6")
    for command, text, found in MEANT:
        result = cli_here(*command, "-w", text, "--dry-run", "--json")
        assert (command, text, numbers(result)) == (command, text, found)


def test_each_command_changes_what_its_filter_means(cli: Cli) -> None:
    cli("add", "-", "-t", "x", stdin="one\ntwo\n")
    cli("add", "three")
    assert numbers(cli("done", "-w", "@x", "--yes", "--json")) == [2, 1]
    assert cli("list", "--jsonl").stdout.count("\n") == 1
    assert numbers(cli("reopen", "-w", "@x", "-y", "--json")) == [2, 1]
    edited = answered(cli("edit", "--where", "@x", "-p", "high", "--no-tag", "x", "-y", "--json"))
    assert [(t["number"], t["priority"], t["tags"]) for t in edited] == [
        (2, "high", []),
        (1, "high", []),
    ]
    assert numbers(cli("rm", "-w", "priority:high", "-y", "--json")) == [2, 1]
    assert numbers(cli("restore", "-w", "one", "-y", "--json")) == [1]
    assert numbers(cli("rm", "--permanent", "-w", "is:trash", "-y", "--json")) == [2]
    assert numbers(cli("list", "--all", "--json")) == [3, 1]


def test_a_pipe_gets_a_record_of_each_and_a_terminal_a_line(cli: Cli) -> None:
    cli("add", "-", stdin="".join(f"task {n}\n" for n in range(1, 31)))
    records = cli("done", "-w", "number:1..3", "-y")
    assert [line.split("\t")[:3] for line in records.stdout.splitlines()] == [
        [str(n), "done", f"task {n}"] for n in (3, 2, 1)
    ]
    shown = cli(
        "edit", "-w", "task", "-p", "low", "-y", columns=80, environ=PLAIN
    ).stdout.splitlines()
    assert shown[0] == "Edited 30  task 30"
    assert (len(shown), shown[-1]) == (21, "… and 7 more. In all: 27 edited.")


@by_command
def test_nothing_found_is_no_error(cli_here: Cli, command: list[str]) -> None:
    cli_here("add", "one")
    assert cli_here(*command, "-w", "@nobody", "-y", "--json") == Result(
        0, "[]\n", "No tasks match.\n"
    )
    assert cli_here(*command, "-w", "@nobody", "-y") == Result(0, "", "No tasks match.\n")


# --- how it asks -------------------------------------------------------------------------------


def test_it_says_how_many_and_asks(cli: Cli) -> None:
    cli("add", "-", stdin="".join(f"task {n}\n" for n in range(1, 13)))
    asked = cli("done", "-w", "task", columns=80, stdin="n\n")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert asked.stderr == (
        "".join(f"{n}  task {n}\n" for n in range(12, 2, -1))
        + "… and 2 more\nMark 12 tasks as done? [y/N] Nothing was changed.\n"
    )
    assert cli("done", "-w", "title:'task 1'", columns=80, stdin="n\n").exit_code == 0
    done = cli("done", "-w", "number:12", columns=80, stdin="y\n", environ=PLAIN)
    assert (done.exit_code, done.stdout) == (0, "Done 12  task 12\n")
    assert done.stderr == "12  task 12\nMark 1 task as done? [y/N] "


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["reopen", "-w", "two"], "Reopen 1 task?"),
        (["edit", "-p", "low", "-w", "one"], "Edit 1 task?"),
        (["rm", "-w", "one"], "Move 1 task to the trash?"),
        (["rm", "--permanent", "-w", "one"], "Delete 1 task for good?"),
        (["restore", "-w", "three"], "Restore 1 task?"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_each_command_asks_its_own_question(cli_here: Cli, words: list[str], question: str) -> None:
    cli_here("add", "-", stdin="one\ntwo\nthree\n")
    cli_here("done", "2")
    cli_here("rm", "3")
    before = everything(cli_here)
    asked = cli_here(*words, columns=80, stdin="\n")
    assert (asked.exit_code, f"{question} [y/N] " in asked.stderr) == (1, True)
    assert everything(cli_here) == before


@by_command
def test_without_a_terminal_it_needs_yes(cli: Cli, command: list[str]) -> None:
    assert refused(cli(*command, "-w", "one")) == [
        "Error: Cannot ask: standard input is not a terminal.",
        "hint: Pass --yes to confirm.",
    ]


@by_command
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["-w", ""],
            ["Error: The filter is empty.", "hint: Say which tasks, for example: due:today"],
        ),
        (
            ["-w", " \t"],
            ["Error: The filter is empty.", "hint: Say which tasks, for example: due:today"],
        ),
        (
            ["1", "-w", "one"],
            [
                "Error: Tasks are named by REFs or by -w, not by both.",
                "hint: Leave one of them out.",
            ],
        ),
        ([], ["Error: No task is named.", "hint: Give its number, or a filter: -w 'due:today'"]),
        (
            ["-w", "du:today"],
            [
                "Error: Filter, column 1 ('du:today'): There is no field 'du'.",
                'hint: Did you mean due:? To search for the text, quote it: "du:today"',
            ],
        ),
    ],
    ids=["empty", "blank", "both", "neither", "unknown field"],
)
def test_what_is_refused_changes_nothing(
    cli_here: Cli, command: list[str], words: list[str], lines: list[str]
) -> None:
    cli_here("add", "one")
    before = everything(cli_here)
    assert refused(cli_here(*command, *words, "--yes")) == lines
    assert everything(cli_here) == before


def test_a_filter_that_contradicts_the_command_is_refused(cli_here: Cli) -> None:
    (error, hint) = refused(cli_here("reopen", "-w", "is:pending", "-y"))
    assert error == "Error: Of completed tasks, none is pending."
    assert hint == "hint: Leave out is:pending, or name other tasks."


def test_an_edit_of_many_needs_an_option(cli_here: Cli) -> None:
    assert refused(cli_here("edit", "-w", "one", "-y")) == [
        "Error: With -w, an option has to say what to change.",
        "hint: For example: todo edit -w '@home' -p high",
    ]


def test_toggle_takes_no_filter(cli_here: Cli) -> None:
    assert refused(cli_here("toggle", "-w", "one"))[0] == "Error: No such option: -w."


def test_more_than_a_command_takes_are_refused(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_here("add", "-", stdin="one\ntwo\nthree\n")
    for module in (statements, repository):
        monkeypatch.setattr(module, "MAX_TASKS", 2)
    before = everything(cli_here)
    assert refused(cli_here("done", "-w", "number:1..", "-y")) == [
        "Error: More than 2 tasks match; a command takes up to 2.",
        "hint: Narrow the filter, and do it in several commands.",
    ]
    assert everything(cli_here) == before
    assert numbers(cli_here("done", "-w", "number:1..2", "-y", "--json")) == [2, 1]
    assert MAX_TASKS == 200_000


# --- others change tasks between the question and the answer -------------------------------------


def confirm_after(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Somebody answers yes, but before that something else happens."""

    def confirm(*_: object, **__: object) -> bool:
        meanwhile()
        return True

    monkeypatch.setattr(Questions, "confirm", confirm)


def test_a_task_that_matches_later_is_left_alone(
    cli_here: Cli, tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_here("add", "-", stdin="one\ntwo\n")
    confirm_after(monkeypatch, lambda: tasks.add([TaskDraft("three")]))
    result = cli_here("done", "-w", "number:1..", columns=80, environ=PLAIN)
    assert result.stdout == "Done 2  two\nDone 1  one\n"
    assert numbers(cli_here("list", "--json")) == [3]


def test_a_task_that_is_so_already_by_then_is_told(
    cli_here: Cli, tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_here("add", "-", stdin="one\ntwo\n")
    confirm_after(monkeypatch, lambda: tasks.set_completed([TaskRef.parse("1")], True))
    result = cli_here("done", "-w", "number:1..", columns=80, environ=PLAIN)
    assert result.stdout == "Done 2  two\nAlready done 1  one\n"


def test_a_task_that_is_gone_by_then_keeps_the_others_from_changing(
    cli_here: Cli, tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_here("add", "-", stdin="one\ntwo\n")
    confirm_after(monkeypatch, lambda: tasks.trash([TaskRef.parse("1")]))
    result = cli_here("done", "-w", "number:1..", columns=80, environ=PLAIN)
    assert refused(result, 1)[0] == "Error: Task 1 is in the trash."
    assert numbers(cli_here("list", "--json")) == [2]


# --- hostile -----------------------------------------------------------------------------------


def test_hostile_text_chooses_itself_and_nothing_else(cli_here: Cli, tasks: TaskRepository) -> None:
    for text in HOSTILE:
        _, hostile = tasks.add([TaskDraft("plain"), TaskDraft(f"a {text} b")])
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        result = cli_here("done", "-w", f'"{quoted}"', "-y", "--json")
        assert (text, numbers(result)) == (text, [hostile.number])
        assert numbers(cli_here("rm", "-w", f'not "{quoted}"', "-y", "--json")) != []


@pytest.mark.parametrize("text", ["a\x1b[31m", "a\ud800", "(" * 21 + "a" + ")" * 21, "a" * 1001])
def test_impossible_filters_are_refused(cli_here: Cli, text: str) -> None:
    refused(cli_here("rm", "-w", text, "-y"))


ATTACKS = ["number:1..", "not is:waiting", "is:trash or is:done or is:pending", "Secret", "@bob"]


def test_a_filter_reaches_nobody_elses_tasks(
    cli_here: Cli, tasks_of_bob: TaskRepository, bob: Person
) -> None:
    tasks_of_bob.add([TaskDraft("Secret", tags=["bob"]), TaskDraft("Secret done")])
    before = cli_here("list", "--all", "--json", person=bob).stdout
    for text in ATTACKS:
        for command in (["done"], ["edit", "--title", "mine"], ["rm"], ["rm", "--permanent"]):
            result = cli_here(*command, "-w", text, "-y", "--json")
            assert (text, result) == (text, Result(0, "[]\n", "No tasks match.\n"))
    assert cli_here("list", "--all", "--json", person=bob).stdout == before


# --- dry runs ----------------------------------------------------------------------------------

DRY_RUNS = [
    (["add", "four", "-t", "x"], [4], "Would be added: 1."),
    (["add", "-"], [4, 5], "Would be added: 2."),
    (["edit", "1", "--title", "uno"], [1], "Would be edited: 1."),
    (["edit", "-w", "number:1..", "-t", "x"], [1], "Would be edited: 1."),
    (["done", "1", "2"], [1, 2], "Would be done: 1. Already done: 1."),
    (["done", "-w", "one"], [1], "Would be done: 1."),
    (["reopen", "1-2"], [1, 2], "Already pending: 1. Would be reopened: 1."),
    (["toggle", "1", "2"], [1, 2], "Would be done: 1. Would be reopened: 1."),
    (["rm", "1", "3"], [1, 3], "Would be removed: 1. Already in the trash: 1."),
    (["rm", "--permanent", "1"], [1], "Would be deleted: 1."),
    (["rm", "--permanent", "-w", "is:trash"], [3], "Would be deleted: 1."),
    (["restore", "3"], [3], "Would be restored: 1."),
]


@pytest.mark.parametrize(("words", "shown", "said"), DRY_RUNS, ids=lambda value: str(value))
def test_a_dry_run_shows_and_changes_nothing(
    cli_here: Cli, words: list[str], shown: list[int], said: str
) -> None:
    cli_here("add", "-", stdin="one\ntwo\nthree\n")
    cli_here("done", "2")
    cli_here("rm", "3")
    before = everything(cli_here)
    result = cli_here(*words, "--dry-run", "--json", stdin="four\nfive\n")
    tasks = answered(result)
    found = [task["number"] for task in (tasks if isinstance(tasks, list) else [tasks])]
    assert (found, result.stderr.splitlines()[0]) == (shown, f"{said} Nothing was changed.")
    assert everything(cli_here) == before
    assert cli_here("add", "-q", "next").stdout == "4\n"


def test_a_dry_run_shows_tasks_as_they_would_be(cli: Cli) -> None:
    cli("add", "one")
    task = answered(cli("edit", "-n", "1", "--title", "uno", "-t", "x", "--json"))
    assert (task["title"], task["tags"]) == ("uno", ["x"])
    assert answered(cli("done", "-n", "1", "--json"))[0]["completed"]
    shown = cli("done", "-n", "1", columns=80, environ=PLAIN)
    assert (shown.stdout, shown.stderr) == (
        "Would be done 1  one\n",
        "Would be done: 1. Nothing was changed.\n",
    )
    assert (
        cli("rm", "-n", "--permanent", "1", columns=80, environ=PLAIN).stdout
        == "Would be deleted 1  one\n"
    )
    assert cli("add", "-q", "-n", "two") == Result(0, "2\n", "")


def test_a_dry_run_of_an_archived_task_leaves_it_there(cli_here: Cli, database_url: str) -> None:
    import psycopg

    from tests.support.sizes import ARCHIVE

    cli_here("add", "one")
    cli_here("done", "1")
    with psycopg.connect(database_url) as connection:
        connection.execute(ARCHIVE)
    assert numbers(cli_here("restore", "--archived", "-n", "1", "--json")) == [1]
    assert numbers(cli_here("restore", "--archived", "-w", "one", "-n", "--json")) == [1]
    assert cli_here("list", "--all", "--json").stdout == "[]\n"
    assert numbers(cli_here("restore", "--archived", "-w", "one", "-y", "--json")) == [1]


def test_a_dry_run_is_refused_as_the_command_would_be(cli: Cli) -> None:
    cli("add", "one")
    assert refused(cli("done", "-n", "7"), 1)[0] == "Error: No task 7."
    refused(cli("add", "-n", "x" * 501))
    # What the database alone can refuse, and its connection is in order afterwards.
    assert cli("edit", "1", *_tags("a")).exit_code == 0
    before = everything(cli)
    words = ["1", *_tags("b")]
    assert refused(cli("edit", "-n", *words), 1) == refused(cli("edit", *words), 1)
    assert everything(cli) == before


def _tags(letter: str) -> list[str]:
    """Options for so many tags that a task cannot have them twice."""
    return [word for n in range(30) for word in ("-t", f"{letter}{n}")]


# --- history -----------------------------------------------------------------------------------


def test_a_change_of_many_is_undone_whole_and_a_dry_run_is_none(cli_here: Cli) -> None:
    cli_here("add", "-", stdin="one\ntwo\n")
    before = everything(cli_here)
    assert numbers(cli_here("done", "-w", "number:1..", "-y", "--json")) == [2, 1]
    assert numbers(cli_here("rm", "-n", "1", "--json")) == [1]
    history = answered(cli_here("history", "--json"))
    assert [len(entry["changes"]) for entry in history] == [2, 2]
    assert cli_here("undo").exit_code == 0
    titles = [(task["number"], task["completed"]) for task in json.loads(before.splitlines()[0])]
    after = json.loads(everything(cli_here).splitlines()[0])
    assert [(task["number"], task["completed"]) for task in after] == titles
