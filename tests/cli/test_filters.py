"""`todo list FILTER…`: what it shows, how it is refused, and what a shell is offered for it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agent.test_completion import complete
from tests.conftest import Cli
from todo_cli.context import Invocation, Run
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import SOMEDAY, Due, Priority, TaskDraft, TaskRef

DAY = timedelta(days=1)


@pytest.fixture
def cli_with_tasks(cli: Cli, tasks: TaskRepository, empty_home: Path) -> Cli:
    add_tasks(tasks)
    return cli


def add_tasks(tasks: TaskRepository) -> None:
    """Tasks near today, as the command sees it."""
    today = Run(Invocation([], {}, None, None, None)).today()  # type: ignore[arg-type]  # no streams
    tasks.add(
        [
            TaskDraft("Buy milk", tags=["errand", "home"], due=Due(today)),
            TaskDraft("Mow the lawn", tags=["Home"], project="house.garden", due=Due(today - DAY)),
            TaskDraft("Call Ada", priority=Priority.HIGH, project="work"),
            TaskDraft("Read", wait_on=SOMEDAY, tags=["home"]),
            TaskDraft("Was done", tags=["home"]),
        ]
    )
    tasks.set_completed([TaskRef.parse("5")], True)


def numbers(cli: Cli, *words: str) -> list[int]:
    """The numbers of the tasks that a list shows."""
    result = cli("list", *words, "--json")
    assert (words, result.exit_code, result.stderr) == (words, 0, "")
    return [task["number"] for task in json.loads(result.stdout)]


FOUND = [
    ("", [3, 2, 1]),
    ("--all", [5, 4, 3, 2, 1]),
    ("@home", [2, 1]),
    ("@home not @errand", [2]),
    ("@home --all", [5, 4, 2, 1]),
    ("@home --done", [5]),
    ("@home is:done,pending", [5, 4, 2, 1]),
    ("is:waiting", [4]),
    ("due:today", [1]),
    ("due:..today", [2, 1]),
    ("not due:..today", [3]),
    ("is:overdue or priority:high", [3, 2]),
    ("(is:overdue or priority:high) project:work", [3]),
    ("project:house", [2]),
    ("project:=house", []),
    ("done:today", [5]),
    ("created:today --sort due", [2, 1, 3]),
    ("has:due --sort due --reverse", [1, 2]),
    ("number:1..3 milk", [1]),
    ("title:ADA", [3]),
    ("--sort priority", [3, 2, 1]),
    ("--sort project", [2, 3, 1]),
    ("--sort urgency", [2, 1, 3]),
    ("--sort due --limit 1", [2]),
    ("--sort due --after 2", [1, 3]),
    ("@home --limit 1", [2]),
    ("@home --after 2", [1]),
]


def test_a_list_shows_what_its_filter_says(
    cli_here: Cli, tasks: TaskRepository, empty_home: Path
) -> None:
    add_tasks(tasks)
    for words, found in FOUND:
        assert (words, numbers(cli_here, *words.split())) == (words, found)


def test_a_filter_holds_in_each_form_of_a_list(cli_with_tasks: Cli) -> None:
    words = ["@home", "is:done,pending"]
    expected = numbers(cli_with_tasks, *words)
    lines = cli_with_tasks("list", *words, "--jsonl").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == expected
    records = cli_with_tasks("list", *words).stdout.splitlines()
    assert [int(record.split("\t")[0]) for record in records] == expected == [5, 4, 2, 1]


def test_a_table_says_how_many_fit(cli_with_tasks: Cli) -> None:
    result = cli_with_tasks("list", "@home", "--limit", "1", columns=80)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Mow the lawn" in result.stdout
    assert "1 of 2. The next page: --after 2" in result.stdout
    assert cli_with_tasks("list", "@nobody", columns=80).stderr == "No tasks match.\n"


def test_a_table_marks_the_state_if_the_filter_names_one(cli_with_tasks: Cli) -> None:
    cli_with_tasks("rm", "1")
    plainly = {"NO_COLOR": "1"}
    words = ["list", "number:1,2,5", "is:pending,done,trash"]
    table = cli_with_tasks(*words, columns=80, environ=plainly).stdout
    marks = [line.split()[:2] for line in table.splitlines()[1:]]
    assert marks == [["5", "✓"], ["2", "·"], ["1", "×"]]
    plain = cli_with_tasks("list", "number:2", columns=80, environ=plainly).stdout
    assert plain.splitlines()[1].split()[:2] == ["2", "Mow"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["@home", "du:today"],
            "Filter, word 2 ('du:today'): There is no field 'du'.",
            "Did you mean due:? To search for the text, quote it: '\"du:today\"'",
        ),
        (
            ["due:tomorow"],
            "Filter, word 1 ('due:tomorow'): 'tomorow' is no word of a date.",
            "Did you mean 'tomorrow'?",
        ),
        (
            ["is:blocked"],
            "Filter, word 1 ('is:blocked'): Tasks cannot have this yet.",
            "See: todo list --help",
        ),
        (
            ["is:pending", "--done"],
            "Of completed tasks, none is pending.",
            "Leave out is:pending, or name other tasks.",
        ),
        (
            ["is:trash", "--all"],
            "Of all tasks but those in the trash, none is in the trash.",
            "Leave out is:trash, or name other tasks.",
        ),
        (["a\x1b[31m"], "The filter contains the control character U+001B.", None),
        (
            ["du:\u202ex"],
            "Filter, word 1 ('du:<U+202E>x'): There is no field 'du'.",
            "Did you mean due:? To search for the text, quote it: '\"du:<U+202E>x\"'",
        ),
    ],
)
def test_what_is_refused_says_where_and_what_to_type(
    cli: Cli, words: list[str], message: str, hint: str | None
) -> None:
    result = cli("list", *words, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["message"]) == ("invalid_input", message)
    assert hint is None or error["hint"] == hint


def test_a_filter_without_a_command_is_told_where_it_belongs(cli: Cli) -> None:
    for word in ("due:today", "@home", "(project:house"):
        result = cli(word, "or", "milk")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "hint: Filter the list with: todo list " in result.stderr


HOSTILE = ["'; drop table tasks; --", '"', "\\", "%", "_", "%(x)s", ":x", "$1", "E'\\x'", "🙂"]


def test_hostile_text_finds_itself_and_nothing_else(cli_here: Cli, tasks: TaskRepository) -> None:
    for text in HOSTILE:
        tag = text.replace(" ", "")
        added = tasks.add(
            [TaskDraft("plain"), TaskDraft(f"a {text} b"), TaskDraft("tagged", tags=[tag])]
        )
        plain, titled, tagged = (task.number for task in added)
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        quoted_tag = quoted.replace(" ", "")
        for words, found in (
            ([f'"{quoted}"'], [titled]),
            ([f'title:"{quoted}"'], [titled]),
            ([f'tag:"{quoted_tag}"'], [tagged]),
            ([f'project:"{quoted_tag}"'], []),
            (["not", f'"{quoted}"'], [tagged, plain]),
        ):
            result = cli_here("list", *words, "--jsonl")
            assert (words, result.exit_code, result.stderr) == (words, 0, "")
            numbers = [json.loads(line)["number"] for line in result.stdout.splitlines()]
            assert (words, numbers) == (words, found)
        tasks.delete([TaskRef.parse(str(task.number)) for task in added])


# --- what a shell is offered ------------------------------------------------------------------


OFFERED = {
    "p": ["project:", "priority:"],
    "milk ": ["due:", "wait:", "created:"],
    "pri": ["priority:high", "priority:medium", "priority:low", "priority:none", "priority:any"],
    "due:tom": ["due:tomorrow"],
    "due:today..tom": ["due:today..tomorrow"],
    "is:": ["is:pending", "is:done", "is:trash", "is:overdue", "is:waiting"],
    "is:done,pen": ["is:done,pending"],
    "pri:h": ["pri:high"],
    "has:t": ["has:time", "has:tag"],
    "no": ["not"],
    "@h": ["@home"],
    "tag:e": ["tag:errand"],
    "tag:home,e": ["tag:home,errand"],
    "project:": ["project:house.garden", "project:work", "project:none", "project:any"],
    "x:": [],
}


def test_fields_values_tags_and_projects_are_completed(cli_with_tasks: Cli) -> None:
    for typed, offered in OFFERED.items():
        kind, *lines = complete(cli_with_tasks, "fish", f"todo list {typed}")
        words = [line.split("\t")[0] for line in lines]
        assert (typed, kind, words[: len(offered) or None]) == (typed, "words", offered)


def test_a_filter_of_an_option_is_completed_as_words_are(cli_with_tasks: Cli) -> None:
    for typed in ("pri", "due:tom", "@h", "tag:home,e", "project:"):
        assert complete(cli_with_tasks, "fish", f"todo done -w {typed}") == complete(
            cli_with_tasks, "fish", f"todo list {typed}"
        )


def test_powershell_is_offered_no_word_that_it_replaces(cli_with_tasks: Cli) -> None:
    assert complete(cli_with_tasks, "powershell", "todo list @h") == ["words"]
    assert complete(cli_with_tasks, "powershell", "todo list tag:e") == [
        "words",
        "tag:errand\ttag:errand  1",
    ]
