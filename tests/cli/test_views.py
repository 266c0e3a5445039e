"""Views: today, upcoming, next, projects and tags; and what `todo list` says of due days."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from tests.conftest import Cli
from tests.support.people import Person
from todo_cli.database.session import Database
from todo_cli.documents import RECORD_COLUMNS, TASK_FIELDS
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import SOMEDAY, Due, Priority, TaskDraft, TaskRef

MINUTE = timedelta(minutes=1)


@pytest.fixture
def today() -> date:
    """The present day in UTC, which is the time zone of the tests."""
    return datetime.now(UTC).date()


@pytest.fixture
def filled(tasks: TaskRepository, today: date) -> TaskRepository:
    def due(days: int, at: time | None = None) -> Due:
        return Due(today + timedelta(days=days), at)

    tasks.add(
        [
            TaskDraft("in a week", due=due(7)),
            TaskDraft("in six days", due=due(6), tags=["phone"], project="work"),
            TaskDraft("tomorrow", due=due(1), tags=["Phone", "home"]),
            TaskDraft("today", due=due(0)),
            TaskDraft("today, important", due=due(0), priority=Priority.HIGH),
            TaskDraft("today, at the end", due=due(0, time(23, 59, 59))),
            TaskDraft("late", due=due(-2), project="house.garden", tags=["phone"]),
            TaskDraft("late and hidden", due=due(-2), wait_on=today + timedelta(days=1)),
            TaskDraft("shown again today", due=due(0), wait_on=today, priority=Priority.LOW),
            TaskDraft("some day", wait_on=SOMEDAY),
            TaskDraft("plain"),
            TaskDraft("done", due=due(-1), project="House", tags=["phone"]),
        ]
    )
    tasks.set_completed([TaskRef.parse("12")], True)
    return tasks


def titles(stdout: str) -> list[str]:
    return [task["title"] for task in json.loads(stdout)]


TODAY = ["late", "today, at the end", "today, important", "shown again today", "today"]


def test_today_is_late_and_due_today_in_order(cli: Cli, filled: TaskRepository) -> None:
    result = cli("today", "--json")
    assert (result.exit_code, result.stderr, titles(result.stdout)) == (0, "", TODAY)
    assert tuple(json.loads(result.stdout)[0]) == TASK_FIELDS
    lines = cli("today").stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == TODAY
    assert {len(line.split("\t")) for line in lines} == {len(RECORD_COLUMNS)}


def test_today_says_how_many_are_due_tomorrow(cli: Cli, filled: TaskRepository) -> None:
    result = cli("today", columns=80)
    assert "1 due tomorrow." in result.stderr + result.stdout
    assert "tomorrow" not in cli("today", "-q", columns=80).stdout
    assert "2 of 5. More: --limit N" in cli("today", "--limit", "2", columns=80).stdout


def test_nothing_today_still_says_what_is_tomorrow(
    cli_here: Cli, tasks: TaskRepository, today: date
) -> None:
    assert cli_here("today", columns=80).stderr == "Nothing is due today.\n"
    tasks.add([TaskDraft("one", due=Due(today + timedelta(days=1)))])
    result = cli_here("today", columns=80)
    assert (result.stdout, result.stderr) == ("", "Nothing is due today.\n1 due tomorrow.\n")
    assert cli_here("today", "--json").stdout == "[]\n"
    assert cli_here("upcoming", "--days", "1", columns=80).stderr == "Nothing is due in 1 day.\n"


def test_upcoming_is_by_day(cli: Cli, filled: TaskRepository, today: date) -> None:
    days = json.loads(cli("upcoming", "--json").stdout)
    assert [
        (day["date"], day["repeats"], [task["title"] for task in day["tasks"]]) for day in days
    ] == [
        (str(today), [], TODAY[1:]),
        (str(today + timedelta(days=1)), [], ["tomorrow"]),
        (str(today + timedelta(days=6)), [], ["in six days"]),
    ]
    assert len(json.loads(cli("upcoming", "--days", "8", "--json").stdout)) == 4
    records = cli("upcoming", "--days", "2").stdout.splitlines()
    assert [line.split("\t")[2] for line in records] == [*TODAY[1:], "tomorrow"]
    shown = cli("upcoming", columns=80)
    assert "(tomorrow)" in shown.stdout and "1 late: todo today" in shown.stdout + shown.stderr


def test_next_is_by_urgency(cli: Cli, filled: TaskRepository) -> None:
    expected = ["today, important", "late", "shown again today", "tomorrow", "today"]
    found = titles(cli("next", "--json").stdout)
    assert found == [*expected, "today, at the end", "in six days", "in a week", "plain"]
    assert titles(cli("next", "--json", "--limit", "2").stdout) == expected[:2]
    plain = {"NO_COLOR": "1"}
    summed = cli("next", "-v", "--limit", "1", columns=80, environ=plain).stdout.splitlines()
    assert summed[-2:] == ["   14.8 = due 8.8 + priority 6.0", "1 of 9. More: --limit N"]


def test_a_table_of_the_next_tasks_fits_the_terminal(cli_here: Cli, tasks: TaskRepository) -> None:
    tasks.add([TaskDraft(f"task {n}") for n in range(30)])
    for height, option, rows in (("50", [], 10), ("9", [], 5), ("9", ["-v"], 2), ("2", [], 1)):
        result = cli_here("next", *option, columns=80, environ={"LINES": height, "NO_COLOR": "1"})
        assert len([line for line in result.stdout.splitlines() if "task" in line]) == rows


def test_projects_count_what_is_below_them(cli: Cli, filled: TaskRepository) -> None:
    expected = [("house", 1, 1, 1), ("house.garden", 1, 0, 1), ("work", 1, 0, 0)]
    found = json.loads(cli("projects", "--json").stdout)
    names = [each["name"].lower() for each in found]
    assert [
        (name, *list(each.values())[1:]) for name, each in zip(names, found, strict=True)
    ] == expected
    assert list(found[0]) == ["name", "open", "done", "late"]
    assert cli("projects").stdout.splitlines()[1] == "house.garden\t1\t0\t1"


def test_tags_are_counted_without_case(cli: Cli, filled: TaskRepository) -> None:
    assert json.loads(cli("tags", "--json").stdout) == [
        {"name": "home", "open": 1, "done": 0, "late": 0},
        {"name": "phone", "open": 3, "done": 1, "late": 1},
    ]
    assert cli("tags").stdout == "home\t1\t0\t0\nphone\t3\t1\t1\n"


@pytest.mark.parametrize("view", ["today", "upcoming", "next", "projects", "tags"])
def test_a_view_of_nothing(cli_here: Cli, view: str) -> None:
    assert cli_here(view, "--json").stdout == "[]\n"
    assert (cli_here(view).stdout, cli_here(view).stderr) == ("", "")
    shown = cli_here(view, columns=80)
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (0, "", 1)
    assert cli_here(view, "-q", columns=80).stderr == ""


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_table_says_until_when_a_task_waits(cli: Cli, filled: TaskRepository, width: int) -> None:
    heading, some_day, hidden = cli("list", "is:waiting", columns=width).stdout.splitlines()
    assert "Waits" in heading
    assert "someday" in some_day
    assert "tomorrow" in hidden
    assert "Waits" not in cli("list", columns=width).stdout, "one that is shown again"


def test_a_list_says_what_matters_and_is_not_on_its_page(
    cli_here: Cli, filled: TaskRepository
) -> None:
    told = "1 late, 4 due today: todo today\n"
    assert cli_here("list", "--limit", "2", columns=80).stderr == told
    assert cli_here(columns=80).stderr == ""
    assert cli_here("-q", "--limit", "2", columns=80).stderr == ""
    assert cli_here("list", "--limit", "2").stderr == ""
    for others in (["--done"], ["--all"], ["--trash"], ["--search", "o"]):
        assert "late," not in cli_here("list", *others, "--limit", "1", columns=80).stderr


# --- whose day it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Asia/Kolkata", "Pacific/Kiritimati"])
def test_days_are_those_of_the_viewer(
    cli_here: Cli,
    tasks: TaskRepository,
    zone: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is stopped: each zone has a day of its own."""
    from zoneinfo import ZoneInfo

    now = datetime(2026, 11, 24, 11, 30, tzinfo=UTC)
    monkeypatch.setattr("todo_cli.context.Run.now", lambda _: now)
    here = now.astimezone(ZoneInfo(zone))
    tasks.add(
        [
            TaskDraft("today", due=Due(here.date())),
            TaskDraft("yesterday", due=Due(here.date() - timedelta(days=1))),
            TaskDraft("tomorrow", due=Due(here.date() + timedelta(days=1))),
            TaskDraft("a minute ago", due=Due(here.date(), (here - MINUTE).time())),
            TaskDraft("in a minute", due=Due(here.date(), (here + MINUTE).time())),
            TaskDraft("a minute ago in UTC", due=Due(now.date(), time(11, 29), "UTC")),
            TaskDraft("in a minute in UTC", due=Due(now.date(), time(11, 31), "UTC")),
        ]
    )
    shown = cli_here("today", columns=120, environ={"TZ": zone, "NO_COLOR": "1"}).stdout
    late = {line[3:].split("  ")[0] for line in shown.splitlines() if "late" in line}
    assert late == {"yesterday", "a minute ago", "a minute ago in UTC"}
    due = {line[3:].split("  ")[0] for line in shown.splitlines()[1:]}
    assert due == late | {"today", "in a minute", "in a minute in UTC"}
    days = json.loads(cli_here("upcoming", "--json", environ={"TZ": zone}).stdout)
    found = {task["title"]: day["date"] for day in days for task in day["tasks"]}
    assert {found[title] for title in ("today", "in a minute", "in a minute in UTC")} == {
        str(here.date())
    }
    assert found["tomorrow"] == str(here.date() + timedelta(days=1))
    (tag,) = (each for each in [cli_here("projects", environ={"TZ": zone})])
    assert tag.exit_code == 0


def test_views_are_those_of_one_person(
    cli_here: Cli, filled: TaskRepository, bob: Person, open_database: Callable[..., Database]
) -> None:
    for view in ("today", "upcoming", "next", "projects", "tags"):
        assert cli_here(view, "--json", person=bob).stdout == "[]\n"


@pytest.mark.parametrize("size", [100, 10_000])
def test_views_of_many(cli_here: Cli, tasks: TaskRepository, today: date, size: int) -> None:
    """More than a page of texts, in the order of the view."""
    tasks.add([TaskDraft(f"t{n}", due=Due(today - timedelta(days=n % 100))) for n in range(size)])
    for view in ("today", "next"):
        numbers = [int(line.split("\t")[0]) for line in cli_here(view).stdout.splitlines()]
        assert len(numbers) == len(set(numbers)) == size
        documents = json.loads(cli_here(view, "--json").stdout)
        assert [task["number"] for task in documents] == numbers
    assert f"50 of {size:,}." in cli_here("today", columns=80).stdout
    assert cli_here("upcoming", "--json").exit_code == 0


def test_what_becomes_late_during_the_day_is_late_at_once(
    cli_here: Cli, tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent keeps the statement of a page, but not the moment for which it was built."""
    tasks.add([TaskDraft("at noon", due=Due(date(2026, 11, 24), time(12))), TaskDraft("plain")])
    for hour, words in ((11, "1 due today: todo today\n"), (13, "1 late: todo today\n")):
        now = datetime(2026, 11, 24, hour, tzinfo=UTC)
        monkeypatch.setattr("todo_cli.context.Run.now", lambda _, now=now: now)
        assert cli_here("list", "--limit", "1", columns=80).stderr == words
