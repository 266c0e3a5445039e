"""What a task is besides its texts, as people type it: `add`, `q`, `edit` and `when`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, Result

NEVER = "Sat 4 Dec 2094"
"""A day far off: what is said about it does not depend on when this runs, but for the distance."""
DAY = "2094-12-04"


def answered(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(result: Result, exit_code: int = 2) -> list[str]:
    assert (result.exit_code, result.stdout) == (exit_code, "")
    return result.stderr.splitlines()


def said(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [re.sub(r" \(.*?\)", "", line) for line in result.stderr.splitlines()]


def days_from_now(days: int) -> str:
    return str(datetime.now(UTC).date() + timedelta(days=days))


# --- add ---------------------------------------------------------------------------------------


def test_add_takes_attributes_and_says_them(cli: Cli) -> None:
    words = ["-D", f"{DAY} 17:00", "-W", DAY, "-p", "h", "-t", "b,a", "-t", "@c", "-P", "x.y"]
    result = cli("add", "Call", "tomorrow", *words, "--json", environ={"TZ": "Europe/Berlin"})
    task = answered(result)
    assert task["title"] == "Call tomorrow"
    assert (task["due_on"], task["due_time"], task["due_zone"]) == (DAY, "17:00", "Europe/Berlin")
    assert (task["wait_on"], task["priority"], task["project"]) == (DAY, "high", "x.y")
    assert task["tags"] == ["a", "b", "c"]
    assert said(result) == [
        f"Due {NEVER}, 17:00",
        f"Waits until {NEVER}",
        "Priority high; project x.y; tags a, b, c",
    ]


def test_quiet_says_nothing(cli: Cli) -> None:
    assert cli("add", "-q", "one", "-D", "tomorrow", "-p", "1") == Result(0, "1\n", "")
    assert cli("q", "-q", "two", "tomorrow") == Result(0, "2\n", "")
    assert cli("edit", "-q", "1", "-D", "none").stderr == ""


def test_options_hold_for_every_line(cli: Cli) -> None:
    result = cli("add", "-", "-D", DAY, "-t", "x", "--json", stdin="one\ntwo tomorrow\n")
    assert [(t["title"], t["due_on"], t["tags"]) for t in answered(result)] == [
        ("one", DAY, ["x"]),
        ("two tomorrow", DAY, ["x"]),
    ]
    assert said(result) == [f"Due {NEVER}", "Tag x"]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["-D", "tomorow"],
            ["Error: --due: 'tomorow' is no word of a date.", "hint: Did you mean 'tomorrow'?"],
        ),
        (
            ["-D", "someday"],
            [
                "Error: --due: Someday is not a day to be due on.",
                "hint: To hide it from the lists without a day: --wait someday",
            ],
        ),
        (
            ["-W", f"{DAY} 5pm"],
            [
                "Error: --wait: A task waits for a day, not for a time.",
                f"hint: Give the day alone: {NEVER}",
            ],
        ),
        (
            ["-p", "hihg"],
            [
                "Error: --priority: 'hihg' is not a priority.",
                "hint: Did you mean high? Priorities are high, medium, low and none.",
            ],
        ),
        (
            ["-P", "a..b"],
            [
                "Error: --project: The project 'a..b' has an empty part.",
                "hint: Give a path such as: house.garden",
            ],
        ),
        (
            ["-t", "a b"],
            [
                "Error: --tag: The tag 'a b' holds a comma or white space.",
                "hint: Join its words with a dash.",
            ],
        ),
    ],
)
@pytest.mark.parametrize("command", [["add", "one"], ["edit", "1"]], ids=["add", "edit"])
def test_what_is_not_understood_changes_nothing(
    cli_here: Cli, command: list[str], words: list[str], lines: list[str]
) -> None:
    cli_here("add", "-q", "one", "-D", DAY)
    before = cli_here("list", "--json").stdout
    assert refused(cli_here(*command, *words)) == lines
    assert cli_here("list", "--json").stdout == before


def test_a_repeat_is_refused_by_name(cli_here: Cli) -> None:
    error, hint = refused(cli_here("add", "one", "--due", "every monday"))
    assert error == "Error: --due: 'every monday' is a repeat; tasks cannot repeat yet."
    assert hint.startswith("hint: Give one day: Mon ")


def test_a_past_day_is_taken_and_noted(cli_here: Cli) -> None:
    result = cli_here("add", "one", "--due", "yesterday", "--json")
    assert answered(result)["due_on"] == days_from_now(-1)
    assert result.stderr.endswith("(yesterday), which is past\n")


def test_the_order_of_a_date_in_numbers_is_the_persons(cli_here: Cli) -> None:
    def due(order: str) -> str:
        environ = {"TODO_DATE_ORDER": order}
        return str(answered(cli_here("when", "5/12/2094", "--json", environ=environ))["due_on"])

    assert (due("dmy"), due("mdy")) == ("2094-12-05", "2094-05-12")
    assert "TODO_DATE_ORDER" in refused(cli_here("when", "5/12"))[1]


def test_an_attribute_in_a_title_is_hinted_at(cli_here: Cli) -> None:
    result = cli_here("add", "Report", "due:friday", "now")
    assert answered(cli_here("show", "1", "--json"))["title"] == "Report due:friday now"
    assert said(result)[-1].startswith("hint: 'due:friday' is in the title.")
    for title in ("re: the due date", "due: soon", "12:30 lunch", "due:friday is a title"):
        assert "hint" not in cli_here("add", title).stderr


def test_a_date_without_quotes_is_hinted_at(cli_here: Cli) -> None:
    result = cli_here("add", "Call", "Ann", "--due", DAY, "5pm")
    assert said(result)[-1] == f"hint: '5pm' is in the title. For both write: -D '{DAY} 5pm'"
    assert "hint" not in cli_here("add", "Call", "Ann", "--due", "fri").stderr
    # The name of a month that has begun is refused: it may be that of the next year.
    month = datetime.fromisoformat(days_from_now(60)).strftime("%b").lower()
    assert "hint" not in cli_here("add", "Read", "chapter", "5", "--due", month).stderr


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["add", "x", "-due", "fri"], ["No such option: -due.", "Did you mean: --due"]),
        (["add", "x", "-tag=a"], ["No such option: -tag.", "Did you mean: --tag"]),
        (
            ["edit", "1", "-D", "fri", "5pm"],
            [
                "Got unexpected extra argument(s) (5pm).",
                "Put a text or date of several words in quotes, such as: -D 'fri 5pm'",
            ],
        ),
        (
            ["edit", "1", "--no-tag", "none"],
            ["--no-tag takes the name of a tag.", "To remove all: --tag none"],
        ),
        (
            ["q", "x", "--due", "fri"],
            [
                "No such option: --due.",
                "Here attributes end the line: due:fri, wait:mon, p1, @tag, project:path. "
                "todo add takes options.",
            ],
        ),
    ],
)
def test_what_people_type_instead_has_a_hint(
    cli_here: Cli, words: list[str], lines: list[str]
) -> None:
    assert refused(cli_here(*words)) == [f"Error: {lines[0]}", f"hint: {lines[1]}"]


def test_one_dash_is_no_mistake_in_a_title(cli_here: Cli) -> None:
    assert cli_here("add", "-q", "--", "-due").exit_code == 0


# --- edit --------------------------------------------------------------------------------------


def test_edit_sets_and_clears_attributes(cli: Cli) -> None:
    cli("add", "one", "-D", f"{DAY} 17:00", "-W", DAY, "-p", "h", "-t", "a", "-t", "b", "-P", "x")
    before = answered(cli("show", "1", "--json"))
    result = cli("edit", "1", "-t", "C", "--no-tag", "A", "--json")
    assert answered(result)["tags"] == ["b", "C"]
    assert said(result) == ["Tag C; without the tag A"]
    cleared = cli(
        "edit",
        "1",
        *(word for option in ("-D", "-W", "-p", "-P", "-t") for word in (option, "none")),
        "--json",
    )
    task = answered(cleared)
    assert said(cleared) == ["No due day", "Does not wait", "No priority; no project; no tags"]
    assert {name for name in before if before[name] != task[name]} == {
        *("due_on", "due_time", "due_zone", "wait_on", "priority", "project", "tags"),
        "updated_at",
    }
    assert answered(cli("edit", "1", "-t", "none", "-t", "d", "--json"))["tags"] == ["d"]


def test_a_day_to_wait_for_after_the_day_it_is_due_is_noted(cli_here: Cli) -> None:
    note = "It stays hidden until after the day it is due.\n"
    assert note in cli_here("add", "one", "-D", "2090-01-01", "-W", "someday").stderr
    cli_here("add", "two", "-W", "2090-01-01")
    assert note in cli_here("edit", "2", "-D", "tomorrow").stderr
    assert note not in cli_here("edit", "2", "-D", "2090-01-01").stderr
    assert note not in cli_here("edit", "1", "-t", "a").stderr


def test_a_tag_that_is_both_added_and_removed_is_refused(cli_here: Cli) -> None:
    cli_here("add", "one")
    error, _ = refused(cli_here("edit", "1", "-t", "a", "--no-tag", "A"))
    assert error == "Error: The tag 'a' is both added and removed."


def test_a_day_without_a_time_takes_the_time_away(cli_here: Cli) -> None:
    cli_here("add", "one", "-D", f"{DAY} 17:00")
    task = answered(cli_here("edit", "1", "-D", DAY, "--json"))
    assert (task["due_on"], task["due_time"], task["due_zone"]) == (DAY, None, None)


def edited(cli: Cli, tmp_path: Path, sed: str) -> Result:
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\nsed -i "{sed}" "$1"\n')
    editor.chmod(0o755)
    return cli("edit", "1", columns=80, environ={"EDITOR": str(editor), "NO_COLOR": "1"})


def test_the_editor_shows_and_takes_attributes(cli: Cli, tmp_path: Path) -> None:
    cli("add", "one", "-d", "due: stays", "-D", DAY, "-t", "a", "-p", "low")
    unchanged = edited(cli, tmp_path, "")
    assert (unchanged.stdout, unchanged.stderr) == ("Unchanged 1  one\n", "")
    result = edited(
        cli, tmp_path, "s/^due: 2.*/due: none/; s/^tags:.*/tags: b, c/; s/^project:/& x.y/"
    )
    assert result.exit_code == 0, result.stderr
    task = answered(cli("show", "1", "--json"))
    assert (task["due_on"], task["tags"], task["project"]) == (None, ["b", "c"], "x.y")
    assert (task["priority"], task["description"]) == ("low", "due: stays")


def test_a_wrong_line_in_the_editor_is_named_and_the_text_is_kept(cli: Cli, tmp_path: Path) -> None:
    cli("add", "one")
    result = edited(cli, tmp_path, "s/^due:/& tomorow/; s/one/uno/")
    error, hint = refused(result)
    assert error == "Error: Line 2 (due: tomorow): 'tomorow' is no word of a date."
    kept = Path(hint.partition("Your text is in ")[2])
    assert "Did you mean 'tomorrow'?" in hint
    assert kept.read_text().startswith("uno\ndue: tomorow\n")
    kept.unlink()
    assert answered(cli("show", "1", "--json"))["title"] == "one"


# --- q -----------------------------------------------------------------------------------------


def test_q_adds_a_task_and_says_what_it_understood(cli: Cli) -> None:
    result = cli(
        "q", "Call", "p3", "Ann", f"due:{DAY}", "17:00", "@phone", "p1", "pro:x.y", "--json"
    )
    task = answered(result)
    assert (task["title"], task["due_on"], task["due_time"]) == ("Call p3 Ann", DAY, "17:00")
    assert (task["priority"], task["project"], task["tags"]) == ("high", "x.y", ["phone"])
    assert said(result) == [
        "Title: Call p3 Ann",
        f"Due {NEVER}, 17:00",
        "Priority high; project x.y; tag phone",
    ]


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["--", "Buy", "milk", "tomorrow"], "Buy milk tomorrow"),
        (["Buy", "milk", "--", "p1"], "Buy milk p1"),
        (["Buy milk tomorrow"], "Buy milk tomorrow"),
    ],
)
def test_two_dashes_and_quotes_end_the_reading(cli: Cli, words: list[str], title: str) -> None:
    task = answered(cli("q", "--json", *words))
    assert (task["title"], task["due_on"], task["priority"]) == (title, None, None)


def test_a_dry_run_shows_and_does_nothing(cli: Cli) -> None:
    result = cli("q", "-n", "Call", "tomorrow", "@x", "--json")
    assert answered(result) == {
        "title": "Call",
        "due_on": days_from_now(1),
        "due_time": None,
        "due_zone": None,
        "wait_on": None,
        "priority": None,
        "project": None,
        "tags": ["x"],
    }
    shown = cli("q", "-n", "Call", "tomorrow", columns=80)
    assert shown.stdout == "Title: Call\n"
    assert shown.stderr.startswith("Due ")
    assert refused(cli("q", "-n", "x" * 501, "tomorrow"))
    assert cli("list", "--json").stdout == "[]\n"


def test_q_hints_at_a_date_that_stays_in_the_title(cli_here: Cli) -> None:
    assert cli_here("q", "Call", "Ann", "sat").stderr.splitlines() == [
        "Title: Call Ann sat",
        "hint: 'sat' stays in the title. For the day that it is due: due:sat",
    ]


def test_q_needs_a_title(cli_here: Cli) -> None:
    assert refused(cli_here("q", "tomorrow", "p1")) == [
        "Error: All words were read as attributes; no title is left.",
        "hint: Put the title first. After -- all words are the title: todo q -- WORD…",
    ]


# --- when --------------------------------------------------------------------------------------


def test_when_says_what_words_mean_without_a_database(cli: Cli, tmp_path: Path) -> None:
    away = {"TODO_DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "TZ": "Asia/Tokyo"}
    answer = answered(cli("when", DAY, "5pm", "--json", environ=away))
    text = answer.pop("text")
    assert text.startswith(f"{NEVER}, 17:00 (in ")
    assert answer == {
        "due_on": DAY,
        "due_time": "17:00",
        "due_zone": "Asia/Tokyo",
        "repeat": None,
    }
    assert cli("when", DAY, "5pm", columns=80, environ=away).stdout == f"{text}\n"
    records = cli("when", DAY, environ=away).stdout.splitlines()
    assert records[:3] == [f"due_on\t{DAY}", "due_time\t", "due_zone\t"]


def test_when_says_a_repeat(cli_here: Cli) -> None:
    answer = answered(cli_here("when", "every", "2", "weeks", "on", "tue", "--json"))
    assert answer["repeat"] == {
        "rule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
        "from": "due",
        "text": "every 2 weeks on Tue",
    }
    lines = cli_here("when", "every monday", columns=80).stdout.splitlines()
    assert lines[0] == "every week on Mon"
    assert lines[1].startswith("Mon ")


@pytest.mark.parametrize("words", [["tomorow"], ["when", "pigs", "fly"], [""]])
def test_when_refuses_what_it_does_not_understand(cli_here: Cli, words: list[str]) -> None:
    assert len(refused(cli_here("when", *words))) == 2
    error = json.loads(cli_here("when", *words, "--json").stderr)["error"]
    assert error["code"] == "invalid_input"


def test_when_knows_none_and_someday(cli_here: Cli) -> None:
    assert answered(cli_here("when", "none", "--json"))["text"] == "no date"
    someday = answered(cli_here("when", "someday", "--json"))
    assert (someday["due_on"], someday["text"]) == ("9999-12-31", "someday")
