"""The commands on tasks, as typed: exit code, stdout and stderr, all three."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli, Result
from tests.support.people import Person

TASK_FIELDS = [
    "number",
    "id",
    "title",
    "description",
    "completed",
    "created_at",
    "updated_at",
    "completed_at",
    "deleted_at",
    "due_on",
    "due_time",
    "due_zone",
    "wait_on",
    "priority",
    "project",
    "tags",
]
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def ok(result: Result) -> str:
    """The answer of a command that says nothing else."""
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(result: Result, exit_code: int) -> str:
    """What a command says that answers nothing: two lines at most."""
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert len(result.stderr.splitlines()) <= 2
    return result.stderr


# --- add ---------------------------------------------------------------------------------------


def test_words_are_joined_by_one_space(cli: Cli) -> None:
    ok(cli("add", "  Buy", "oat \t milk "))
    assert json.loads(ok(cli("list", "--json")))[0]["title"] == "Buy oat milk"


def test_quiet_add_prints_just_the_number(cli: Cli) -> None:
    assert ok(cli("add", "-q", "one")) == "1\n"
    assert ok(cli("-q", "add", "two")) == "2\n"


def test_a_task_in_json_has_every_field(cli: Cli) -> None:
    task = json.loads(ok(cli("add", "--json", "one", "-d", "about\nit")))
    assert list(task) == TASK_FIELDS
    assert (task["number"], task["title"], task["description"]) == (1, "one", "about\nit")
    assert (task["completed"], task["completed_at"], task["deleted_at"]) == (False, None, None)
    assert INSTANT.fullmatch(task["created_at"])


def test_lines_of_stdin_become_tasks_in_their_order(cli: Cli) -> None:
    added = ok(cli("add", "-", "--json", stdin="one\n\n  two  \r\nthree"))
    assert [(t["number"], t["title"]) for t in json.loads(added)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


def test_lines_of_stdin_are_added_all_or_none(cli: Cli) -> None:
    error = refused(cli("add", "-", stdin="one\n" + "x" * 501 + "\n"), 2)
    assert error.startswith("Error: Line 2: ") and "501 characters" in error
    assert ok(cli("list")) == ""


@pytest.mark.parametrize("stdin", ["", "\n \n"])
def test_no_line_on_stdin_is_an_error(cli: Cli, stdin: str) -> None:
    assert "hint:" in refused(cli("add", "-", stdin=stdin), 2)


def test_a_title_that_begins_with_a_dash_follows_two(cli: Cli) -> None:
    ok(cli("add", "--", "--json", "-5", "degrees"))
    assert json.loads(ok(cli("list", "--json")))[0]["title"] == "--json -5 degrees"
    refused(cli("add", "-5 degrees"), 2)


# --- list --------------------------------------------------------------------------------------


def test_a_pipe_gets_records_without_a_header_and_all_of_them(cli: Cli) -> None:
    ok(cli("add", "-", stdin="".join(f"task {n}\n" for n in range(60))))
    lines = ok(cli("list")).splitlines()
    assert len(lines) == 60
    number, status, title, created, updated, completed, _id, *said = lines[0].split("\t")
    assert (number, status, title, completed) == ("60", "pending", "task 59", "")
    assert said == [""] * 8
    assert INSTANT.fullmatch(created) and INSTANT.fullmatch(updated)
    assert len(ok(cli("list", "--limit", "3")).splitlines()) == 3


def test_json_leaves_nothing_out(cli: Cli) -> None:
    ok(cli("add", "-", stdin="".join(f"task {n}\n" for n in range(60))))
    assert len(json.loads(ok(cli("list", "--json")))) == 60
    lines = ok(cli("list", "--jsonl")).splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(60, 0, -1))
    assert len(ok(cli("list", "--jsonl", "--limit", "7")).splitlines()) == 7


def test_nothing_is_an_empty_array_and_exit_0(cli: Cli) -> None:
    assert ok(cli("list", "--json")) == "[]\n"
    assert ok(cli("list", "--jsonl")) == ""
    assert ok(cli("list")) == ""


def test_a_cut_table_says_so(cli: Cli) -> None:
    ok(cli("add", "-", stdin="".join(f"task {n}\n" for n in range(60))))
    table = ok(cli("list", columns=80))
    assert "50 of 60" in table
    assert "--after 11" in table
    assert "50 of" not in ok(cli("list", "--limit", "0", columns=80))


def test_the_program_alone_lists(cli: Cli) -> None:
    ok(cli("add", "one"))
    assert ok(cli()) == ok(cli("list")) == ok(cli("ls"))


def test_a_table_at_80_and_40_columns(cli: Cli) -> None:
    ok(cli("add", "-", stdin="short\n宽字符很宽\n" + "long " * 30 + "\n"))
    ok(cli("done", "1"))
    assert lines_of(cli, 80) == [
        "#     Task                                                              Created",
        "3  ·  long long long long long long long long long long long long lon…  just now",
        "2  ·  宽字符很宽                                                        just now",
        "1  ✓  short                                                             just now",
    ]
    assert lines_of(cli, 40) == [
        "#     Task",
        "3  ·  long long long long long long lon…",
        "2  ·  宽字符很宽",
        "1  ✓  short",
    ]


def test_a_table_shows_that_there_is_a_description(cli: Cli) -> None:
    ok(cli("add", "short", "-d", "about it"))
    ok(cli("add", "long " * 30, "-d", "about it"))
    ok(cli("add", "宽字符很宽" * 10, "-d", "about it"))
    ok(cli("add", "none"))
    assert lines_of(cli, 40) == [
        "#     Task",
        "4  ·  none",
        "3  ·  宽字符很宽宽字符很宽宽字符很宽 … ¶",
        "2  ·  long long long long long long l… ¶",
        "1  ·  short ¶",
    ]
    for words in (["list"], ["list", "--json"], ["list", "--jsonl"]):
        assert "¶" not in ok(cli(*words))


def lines_of(cli: Cli, columns: int) -> list[str]:
    table = ok(cli("list", "--all", columns=columns, environ={"NO_COLOR": "1"}))
    return [line.rstrip() for line in table.splitlines()]


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "1"}, True),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    cli: Cli, environ: dict[str, str], coloured: bool
) -> None:
    ok(cli("add", "one"))
    assert (
        "\x1b[" in ok(cli("list", columns=80, environ={"TERM": "xterm", **environ}))
    ) == coloured


def test_contradicting_words_are_refused(cli: Cli) -> None:
    refused(cli("list", "--done", "--trash"), 2)
    refused(cli("list", "--json", "--jsonl"), 2)
    refused(cli("list", "--limit", "-1"), 2)
    refused(cli("list", "--limit", "many"), 2)
    refused(cli("list", "--sort", "colour"), 2)
    refused(cli("nothing"), 2)
    refused(cli("done"), 2)


# --- changing ----------------------------------------------------------------------------------


def test_several_are_answered_as_an_array_in_the_order_given(cli: Cli) -> None:
    ok(cli("add", "-", stdin="one\ntwo\nthree\n"))
    done = json.loads(ok(cli("done", "3", "1", "--json")))
    assert [(task["number"], task["completed"]) for task in done] == [(3, True), (1, True)]
    assert isinstance(json.loads(ok(cli("done", "3", "--json"))), list)


def test_all_or_none(cli: Cli) -> None:
    ok(cli("add", "-", stdin="one\ntwo\n"))
    assert "No task 9." in refused(cli("done", "1", "9"), 1)
    assert len(ok(cli("list")).splitlines()) == 2


def test_there_and_back(cli: Cli) -> None:
    ok(cli("add", "one"))
    for command, status in (
        ("done", "done"),
        ("done", "done"),
        ("reopen", "pending"),
        ("toggle", "done"),
        ("toggle", "pending"),
        ("rm", "trash"),
        ("rm", "trash"),
        ("restore", "pending"),
    ):
        assert ok(cli(command, "1")).split("\t")[1] == status


PLAIN = {"NO_COLOR": "1"}


def test_a_terminal_is_told_what_became_of_each(cli: Cli) -> None:
    ok(cli("add", "-", stdin="one\ntwo\n"))
    for words, said in (
        (["done", "1"], ["Done 1  one"]),
        (["done", "2", "1"], ["Done 2  two", "Already done 1  one"]),
        (["toggle", "1"], ["Reopened 1  one"]),
        (["toggle", "1", "2"], ["Done 1  one", "Reopened 2  two"]),
        (["reopen", "1", "2"], ["Reopened 1  one", "Already pending 2  two"]),
        (["restore", "1"], ["Was not in the trash 1  one"]),
        (["rm", "1"], ["Removed 1  one"]),
        (["rm", "1", "2"], ["Already in the trash 1  one", "Removed 2  two"]),
        (["restore", "2"], ["Restored 2  two"]),
        (["edit", "2", "--title", "two"], ["Unchanged 2  two"]),
        (["edit", "2", "--title", "duo"], ["Edited 2  duo"]),
    ):
        assert ok(cli(*words, "-q", columns=80, environ=PLAIN)).splitlines() == said


def test_many_end_in_one_line(cli: Cli) -> None:
    ok(cli("add", "-", stdin="x\n" * 300))
    ok(cli("done", "7", "299"))
    numbers = [str(n) for n in range(1, 301)]
    lines = ok(cli("done", *numbers, "-q", columns=80, environ=PLAIN)).splitlines()
    assert len(lines) == 21
    assert lines[6:8] == ["Already done 7  x", "Done 8  x"]
    assert lines[-1] == "… and 280 more. In all: 298 done, 2 already done."
    assert len(ok(cli("reopen", *numbers[:20], "-q", columns=80)).splitlines()) == 20
    assert len(ok(cli("done", *numbers)).splitlines()) == 300
    assert len(json.loads(ok(cli("done", *numbers, "--json")))) == 300


def test_edit_sets_and_clears(cli: Cli) -> None:
    ok(cli("add", "one", "-d", "about"))
    edited = json.loads(ok(cli("edit", "1", "--title", "uno", "--json")))
    assert (edited["title"], edited["description"]) == ("uno", "about")
    assert json.loads(ok(cli("edit", "1", "-d", "", "--json")))["description"] is None
    assert "todo add" not in refused(cli("edit", "1", "--title", " "), 2)


def test_edit_without_a_terminal_names_the_options(cli: Cli) -> None:
    ok(cli("add", "one"))
    assert "--title" in refused(cli("edit", "1"), 2)


def test_edit_in_an_editor(cli: Cli, tmp_path: Path) -> None:
    ok(cli("add", "one", "-d", "about\nit"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/one/uno/; s/about/more about/" "$1"\n')
    editor.chmod(0o755)
    ok(cli("edit", "1", columns=80, environ={"VISUAL": str(editor)}))
    task = json.loads(ok(cli("show", "1", "--json")))
    assert (task["title"], task["description"]) == ("uno", "more about\nit")


def test_a_spoilt_edit_keeps_the_text_and_says_where(cli: Cli, tmp_path: Path) -> None:
    ok(cli("add", "one"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "\\033[2J evil\\n" > "$1"\n')
    editor.chmod(0o755)
    result = cli("edit", "1", columns=80, environ={"EDITOR": str(editor)})
    assert result.exit_code == 2
    kept = Path(result.stderr.partition("in ")[2].strip())
    assert kept.read_text() == "\x1b[2J evil\n"
    kept.unlink()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VISUAL": "nano-x -w"}, "'nano-x' cannot be started ($VISUAL names it)."),
        ({"EDITOR": "/no/editor"}, "'/no/editor' cannot be started ($EDITOR names it)."),
        ({"EDITOR": "vi 'x"}, '$EDITOR is not a command: "vi \'x" has an unclosed quote.'),
        ({"PATH": "/nowhere"}, "'vi' cannot be started (neither $VISUAL nor $EDITOR is set)."),
        ({"PATH": "/nowhere", "EDITOR": " "}, "'vi' cannot be started (neither $VISUAL nor"),
    ],
)
def test_an_editor_that_is_not_there_is_named(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("PATH", environ.get("PATH", os.environ["PATH"]))
    ok(cli_here("add", "one"))
    error = refused(cli_here("edit", "1", columns=80, environ=environ), 2)
    assert said in error
    assert "hint: Set $VISUAL or $EDITOR to one that is installed" in error


def test_a_text_that_could_not_be_kept_is_in_a_file(
    cli: Cli, tmp_path: Path, database_url: str
) -> None:
    ok(cli("add", "one"))
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\nprintf uno > $1\n"
        f'{sys.executable} -c \'import psycopg\nwith psycopg.connect("{database_url}") as c:'
        ' c.execute("delete from tasks")\'\n'
    )
    editor.chmod(0o755)
    error = refused(cli("edit", "1", columns=80, environ={"EDITOR": str(editor)}), 1)
    kept = Path(error.partition("Your text is in ")[2].strip())
    assert kept.read_text() == "uno"
    kept.unlink()


def test_who_adds_at_a_terminal_is_told_what_is_read(
    cli: Cli, request: pytest.FixtureRequest
) -> None:
    end = "\x04" if "agent" in request.node.name else ""  # Ctrl-D, where the terminal is real
    result = cli("add", "-", stdin=f"one\ntwo\n{end}", columns=80)
    assert result.exit_code == 0
    assert result.stderr == "Reading titles, one a line; Ctrl-D ends it.\n"
    assert cli("add", "-q", "-", stdin=f"three\n{end}", columns=80).stderr == ""


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (
            ["add", "Buy milk", "-d", "two\nlines"],
            "Then repeat: todo add 'Buy milk' -d $'two\\nlines'",
        ),
        (["add", "-"], "Then repeat, with the same standard input: todo add -"),
        (["add", "x" * 20_000], "Then repeat the command."),
        (["done", "1", "2", "--json"], "Then repeat: todo done 1 2 --json"),
        (["list"], ""),
    ],
)
def test_what_was_typed_is_not_lost_with_the_database(
    cli: Cli, words: list[str], again: str
) -> None:
    away = {"TODO_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d", "TODO_TIMEOUT": "0.3"}
    words = ["add", "Long", "-d", words[1]] if len(words[-1]) > 500 else words
    result = cli(*words, stdin="one\n", environ=away)
    error = refused(result, 3)
    hint = json.loads(error)["error"]["hint"] if "--json" in words else error.rstrip("\n")
    assert hint.endswith(again) and ("repeat" in hint) == bool(again)
    assert "hunter2" not in error


def test_the_line_to_repeat_never_holds_a_password(cli: Cli) -> None:
    url = "postgresql://u:hunter2@127.0.0.1:1/d"
    words = ["add", "Buy milk", "--database-url", url]
    error = refused(cli(*words, environ={"TODO_TIMEOUT": "0.3"}), 3)
    assert error.endswith("Then repeat: todo add 'Buy milk' --database-url …\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "x"], "'--limit': it should be a valid integer."),
        (["--limit", "-3"], "'--limit': it should be greater than or equal to 0."),
        (
            ["--sort", "foo"],
            "'--sort': 'foo' is not one of 'created', 'updated', 'title', 'due', 'priority', "
            "'project', 'urgency'.",
        ),
    ],
    ids=["no number", "too small", "no choice"],
)
def test_wrong_values_are_told_in_plain_words(cli: Cli, words: list[str], said: str) -> None:
    assert refused(cli("list", *words), 2).splitlines() == [
        f"Error: Invalid value for {said}",
        "hint: See: todo list --help",
    ]


def test_deleting_for_good_asks(cli: Cli) -> None:
    ok(cli("add", "one"))
    assert refused(cli("rm", "--permanent", "1"), 2).splitlines() == [
        "Error: Cannot ask: standard input is not a terminal.",
        "hint: Pass --yes to confirm.",
    ]
    answered = cli("rm", "--permanent", "1", columns=80, stdin="n\n")
    assert answered.stderr.startswith("1  one\nDelete 1 task for good? [y/N] ")
    assert (answered.exit_code, answered.stdout) == (1, "")
    assert cli("rm", "--permanent", "1", columns=80, stdin="y\n").exit_code == 0
    assert "No task 1." in refused(cli("restore", "1"), 1)
    assert "[y/N]" not in refused(cli("rm", "--permanent", "1", columns=80, stdin="y\n"), 1)
    assert ok(cli("add", "-q", "two")) == "2\n"


def test_show_tells_everything(cli: Cli) -> None:
    ok(cli("add", "one", "-d", "first line\nsecond\tline"))
    fields = dict(line.split("\t") for line in ok(cli("show", "1")).splitlines())
    assert list(fields) == TASK_FIELDS
    assert fields["description"] == r"first line\nsecond\tline"
    table = ok(cli("show", "1", columns=80))
    assert "first line" in table and "pending" in table


def test_stats_in_every_form(cli: Cli) -> None:
    ok(cli("add", "-", stdin="one\ntwo\n"))
    ok(cli("done", "1"))
    stats = json.loads(ok(cli("stats", "--json", "--days", "3")))
    assert list(stats) == [
        "total",
        "pending",
        "completed",
        "completion_rate",
        "trash",
        "created_last_7_days",
        "completed_last_7_days",
        "streak_days",
        "median_hours_to_done",
        "oldest_pending",
        "by_day",
    ]
    assert (stats["total"], stats["completion_rate"], stats["streak_days"]) == (2, 0.5, 1)
    assert stats["by_day"][-1]["created"] == 2
    assert len(stats["by_day"]) == 3
    assert "total\t2" in ok(cli("stats"))
    for columns in (80, 40):
        drawn = ok(cli("stats", columns=columns, environ={"NO_COLOR": "1"}))
        assert "█" in drawn
        assert max(map(len, drawn.splitlines())) <= columns


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("days", ["1", "7", "30", "365", "3650"])
def test_stats_fit_a_terminal(cli_here: Cli, columns: int, days: str) -> None:
    ok(cli_here("add", "-", stdin="one\n" * 1_200))
    ok(cli_here("done", "1"))
    ok(cli_here("rm", "2"))
    environ = {"NO_COLOR": "1", "LINES": "24"}
    lines = ok(
        cli_here("stats", "-q", "--days", days, columns=columns, environ=environ)
    ).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= columns
    assert "1,199" in lines[-1] and "Pending" in lines[0]
    tall = cli_here(
        "stats", "-q", "--days", days, columns=columns, environ={**environ, "LINES": "60"}
    )
    assert len(ok(tall).splitlines()) <= 60
    if days == "30":
        assert len(ok(tall).splitlines()) > 30


def test_stats_of_nothing(cli: Cli) -> None:
    stats = json.loads(ok(cli("stats", "--json")))
    assert (stats["completion_rate"], stats["median_hours_to_done"]) == (0.0, None)
    assert ok(cli("stats", columns=80))


# --- errors ------------------------------------------------------------------------------------


def test_an_error_in_json_is_one_line_on_stderr(cli: Cli) -> None:
    assert json.loads(refused(cli("show", "7", "--json"), 1)) == {
        "error": {
            "code": "task_not_found",
            "message": "No task 7.",
            "hint": "See the numbers with: todo list --all",
        }
    }
    assert (
        json.loads(refused(cli("list", "--json", "--nope"), 2))["error"]["code"] == "invalid_input"
    )


def test_somebody_elses_task_is_no_task(cli: Cli, bob: Person) -> None:
    task = json.loads(ok(cli("add", "secret", "--json")))
    for reference in ("1", task["id"], task["id"][:18]):
        for words in (
            ["show"],
            ["edit", "--title", "x"],
            ["done"],
            ["rm"],
            ["restore"],
            ["toggle"],
        ):
            error = refused(cli(words[0], reference, *words[1:], "--json", person=bob), 1)
            assert json.loads(error)["error"]["code"] == "task_not_found"
    assert ok(cli("list", "--all", person=bob)) == ""
    assert json.loads(ok(cli("stats", "--json", person=bob)))["total"] == 0


def test_nobody_is_logged_in(cli: Cli) -> None:
    error = refused(cli("list", environ={"TODO_SESSION_TOKEN": ""}), 4)
    assert "todo login" in error
    refused(cli("list", environ={"TODO_SESSION_TOKEN": "guessed"}), 4)


@pytest.mark.parametrize(
    ("url", "exit_code"),
    [
        ("mysql://u:hunter2@h/d", 2),
        ("postgresql://u:hunter2@h:port/d", 2),
        ("hunter2", 2),
        ("postgresql://u:hunter2@127.0.0.1:1/d", 3),
    ],
)
def test_a_wrong_database_is_told_without_its_password(cli: Cli, url: str, exit_code: int) -> None:
    environ = {"TODO_TIMEOUT": "0.3"}
    error = refused(cli("list", "--database-url", url, environ=environ), exit_code)
    assert "hunter2" not in error
    debugged = cli("list", "--database-url", url, "--debug", environ=environ).stderr
    assert "hunter2" not in debugged


def test_an_empty_database_wants_an_upgrade(cli: Cli, empty_database_url: str) -> None:
    environ = {"TODO_DATABASE_URL": empty_database_url}
    assert "todo db upgrade" in refused(cli("list", environ=environ), 5)


def test_a_wrong_timeout_is_refused(cli: Cli) -> None:
    for timeout in ("soon", "-1", "0", "nan", "1e99"):
        refused(cli("list", environ={"TODO_TIMEOUT": timeout}), 2)


def test_the_version(cli: Cli) -> None:
    from todo_cli import __version__

    assert ok(cli("--version")) == f"todo {__version__}\n"
