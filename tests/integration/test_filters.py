"""Filters find on PostgreSQL what they say, in one statement, whatever text they hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.conftest import Postgres
from tests.support.people import sign_up
from tests.support.viewers import BERLIN, TODAY, VIEWER
from todo_cli.database.session import Database
from todo_cli.filters import (
    And,
    Days,
    Field,
    Filter,
    Has,
    InProjects,
    Is,
    Not,
    Numbers,
    Or,
    Part,
    Priorities,
    Span,
    State,
    Tags,
    Text,
    names_completion,
    names_trash,
    names_waiting,
    to_text,
)
from todo_cli.models import Task
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import (
    Due,
    Priority,
    SortKey,
    TaskDraft,
    TaskQuery,
    TaskRef,
    TaskState,
)

ZONES = ["Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles", "Etc/GMT+12", "Pacific/Kiritimati"]
HOSTILE = ["O'Neil", '"x"', "\\", "50%", "a_b", "');drop", "ÄÖ", "$1", ":x", "%(x)s", "{a}"]


# --- what a filter finds, beside what Python says of each task ---------------------------------


def drafts(chosen: random.Random) -> Iterator[TaskDraft]:
    """Tasks with every combination of present and absent, near the days and zones that matter."""
    for n in range(150):
        day = TODAY + timedelta(days=chosen.choice([-400, -3, -2, -1, 0, 0, 1, 2, 3, 30]))
        clock = chosen.choice([None, None, time(0), time(9, 59), time(10), time(23, 59, 59)])
        zone = chosen.choice([None, *ZONES]) if clock else None
        yield TaskDraft(
            f"task {n} {chosen.choice(['Milk', 'bread', *HOSTILE])}",
            chosen.choice([None, None, "with MILK", "50%"]),
            due=chosen.choice([None, Due(day, clock, zone), Due(day, clock, zone)]),
            wait_on=chosen.choice([None, None, None, TODAY, TODAY + timedelta(days=1)]),
            priority=chosen.choice([None, *Priority]),
            tags=chosen.sample(["home", "Work", "phone", *HOSTILE[:4]], chosen.randint(0, 3)),
            project=chosen.choice([None, "house", "House.garden", "housework", "a_b", "50%"]),
        )


@pytest.fixture(scope="module")
def filled(postgres: Postgres, template: str) -> Iterator[TaskRepository]:
    """Many kinds of tasks of one person, and one of somebody else."""
    postgres.execute(f"create database filtered template {template} strategy file_copy")
    url = postgres.url("filtered")
    chosen = random.Random(7)
    databases = [
        Database(url, session_token=sign_up(url, name).token, timeout_seconds=10)
        for name in ("alice", "bob")
    ]
    tasks, somebody = map(TaskRepository, databases)
    somebody.add([TaskDraft("milk", tags=["home"], due=Due(TODAY), project="house")])
    added = tasks.add(list(drafts(chosen)))
    numbers = [TaskRef.parse(str(task.number)) for task in added]
    tasks.set_completed(chosen.sample(numbers, 50), True)
    tasks.trash(chosen.sample(numbers, 30))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table tasks disable trigger user")
        for task in added:
            moments = [
                datetime(2026, 11, 24, 0, tzinfo=BERLIN)
                + timedelta(seconds=chosen.choice([-86_401, -86_400, -1, 0, 1, 86_399, 86_400]))
                for _ in range(3)
            ]
            connection.execute(
                "update tasks set created_at = %s, updated_at = %s,"
                " completed_at = case when completed then %s end where id = %s",
                [*moments, task.id],
            )
    yield tasks
    for database in databases:
        database.close()
    postgres.execute("drop database filtered with (force)")


def due_at(task: Task) -> datetime | None:
    if task.due_on is None or task.due_time is None:
        return None
    zone = ZoneInfo(task.due_zone or VIEWER.time_zone)
    return datetime.combine(task.due_on, task.due_time, tzinfo=zone)


def due_day(task: Task) -> date | None:
    instant = due_at(task)
    return instant.astimezone(BERLIN).date() if instant else task.due_on


def is_late(task: Task) -> bool:
    instant = due_at(task)
    if instant is not None:
        return instant < VIEWER.now
    return task.due_on is not None and task.due_on < TODAY


def is_waiting(task: Task) -> bool:
    return not task.completed and task.wait_on is not None and task.wait_on > TODAY


def within(value: date | int | None, span: Span[date] | Span[int]) -> bool:
    return (
        value is not None
        and (span.first is None or span.first <= value)  # type: ignore[operator]  # of one kind
        and (span.last is None or value <= span.last)  # type: ignore[operator]  # of one kind
    )


def local_day(instant: datetime | None) -> date | None:
    return instant.astimezone(BERLIN).date() if instant else None


def fits(task: Task, tree: Filter) -> bool:
    """What the filter says of the task, by Python."""
    match tree:
        case And(parts):
            return all(fits(task, part) for part in parts)
        case Or(parts):
            return any(fits(task, part) for part in parts)
        case Not(part):
            return not fits(task, part)
        case Days(field, spans):
            days = {
                Field.DUE: due_day(task),
                Field.WAIT: task.wait_on,
                Field.CREATED: local_day(task.created_at),
                Field.CHANGED: local_day(task.updated_at),
                Field.DONE: local_day(task.completed_at),
            }
            return any(within(days[field], span) for span in spans)
        case Numbers(spans):
            return any(within(task.number, span) for span in spans)
        case Tags(names):
            return bool({name.lower() for name in names} & {tag.lower() for tag in task.tags})
        case InProjects(paths, is_exact):
            own = (task.project or "").lower()
            return any(
                own == path.lower() or (own.startswith(f"{path.lower()}.") and not is_exact)
                for path in paths
            )
        case Priorities(values):
            return task.priority in values
        case Is(state):
            states = {
                State.PENDING: not task.completed,
                State.DONE: task.completed,
                State.TRASH: task.deleted_at is not None,
                State.OVERDUE: not task.completed and is_late(task),
                State.WAITING: is_waiting(task),
            }
            return states[state]
        case Has(part):
            name = {"due": "due_on", "time": "due_time", "wait": "wait_on", "tag": "tags"}
            value = getattr(task, name.get(part, part))
            return value is not None and value != []
        case Text(text, is_title):
            found = text.lower() in task.title.lower()
            return found or (not is_title and text.lower() in (task.description or "").lower())
    raise AssertionError(tree)


def is_meant(task: Task, tree: Filter | None) -> bool:
    """Whether a list shows the task by default."""
    return (
        (task.deleted_at is None or (tree is not None and names_trash(tree)))
        and (not task.completed or (tree is not None and names_completion(tree)))
        and (not is_waiting(task) or (tree is not None and names_waiting(tree)))
    )


def one_day(field: Field, *offsets: int | None) -> Days:
    bounds = [None if days is None else TODAY + timedelta(days=days) for days in offsets]
    return Days(field, (Span(bounds[0], bounds[-1]),))


TERMS: list[Filter] = [
    *(one_day(field, days) for field in (Field.DUE, Field.WAIT) for days in (-1, 0, 1)),
    one_day(Field.DUE, None, 0),
    one_day(Field.DUE, 1, None),
    one_day(Field.DUE, -2, 2),
    Days(Field.DUE, (Span(date.min, date(1, 1, 3)), Span(date(9999, 12, 30), date.max))),
    *(
        one_day(field, *offsets)
        for field in (Field.CREATED, Field.CHANGED, Field.DONE)
        for offsets in ((0,), (None, -1), (0, None))
    ),
    Days(Field.CREATED, (Span(date.min, date.max),)),
    Numbers((Span(3, 9), Span(100, None))),
    Tags(("HOME",)),
    Tags(("phone", "nobody's")),
    *(Tags((tag,)) for tag in HOSTILE[:4]),
    InProjects(("house",)),
    InProjects(("HOUSE",), is_exact=True),
    InProjects(("house.garden", "a_b")),
    InProjects(("a%b",)),
    Priorities((Priority.HIGH, Priority.LOW)),
    *(
        Is(state)
        for state in ("pending", "done", "trash", "overdue", "waiting")
        for state in [State(state)]
    ),
    *(
        Has(Part(part))
        for part in ("due", "time", "wait", "project", "tag", "priority", "description")
    ),
    Text("milk"),
    Text("MILK", is_title=True),
    *map(Text, HOSTILE),
]


def trees() -> Iterator[Filter]:
    """Each term by itself and negated, and combinations of them."""
    yield from TERMS
    yield from (Not(term) for term in TERMS)
    chosen = random.Random(11)
    for _ in range(40):
        one, other, third = chosen.sample(TERMS, 3)
        combined: list[Filter] = [
            And((one, other)),
            Or((one, Not(other))),
            And((Or((one, other)), Not(third))),
            Not(And((one, Or((other, third))))),
        ]
        yield chosen.choice(combined)


def test_a_filter_finds_what_it_says(filled: TaskRepository) -> None:
    everything = TaskQuery(state=TaskState.ALL)
    known = filled.page(everything).tasks
    known += filled.page(replace(everything, state=TaskState.TRASH)).tasks
    assert len(known) == 150
    for tree in trees():
        expected = {task.number for task in known if is_meant(task, tree) and fits(task, tree)}
        # Of some, one task more than a page has: both ways to read a page, and the count.
        limit = max(1, len(expected) - 1)
        page = filled.page(TaskQuery(filter=tree, viewer=VIEWER, limit=limit), with_total=True)
        newest = sorted(expected, reverse=True)[:limit]
        assert ([task.number for task in page.tasks], page.total) == (newest, len(expected)), (
            to_text(tree)
        )


def test_without_a_filter_tasks_that_wait_are_left_out(filled: TaskRepository) -> None:
    whole = filled.page(TaskQuery()).tasks
    assert any(map(is_waiting, whole))
    query = TaskQuery(viewer=VIEWER)
    shown = [task.number for task in whole if not is_waiting(task)]
    assert numbers(filled, query) == shown
    assert filled.page(replace(query, limit=1), with_total=True).total == len(shown)
    everything = replace(query, state=TaskState.ALL)
    assert set(numbers(filled, everything)) >= {task.number for task in whole}


# --- orders and pages -------------------------------------------------------------------------


def position(task: Task, sort: SortKey) -> tuple[object, ...]:
    """Where Python would put a task: the last are those that lack what is sorted by."""
    day = task.due_on or date.max
    keys: dict[SortKey, tuple[object, ...]] = {
        SortKey.DUE: (day, task.due_time or time.max),
        SortKey.PRIORITY: (task.priority or 4, day),
        SortKey.PROJECT: (task.project is None, (task.project or "").lower()),
    }
    return (*keys[sort], task.number)


@pytest.mark.parametrize("sort", [SortKey.DUE, SortKey.PRIORITY, SortKey.PROJECT])
def test_an_order_is_what_it_says(filled: TaskRepository, sort: SortKey) -> None:
    tasks = filled.page(TaskQuery(sort=sort, viewer=VIEWER)).tasks
    assert tasks == sorted(tasks, key=lambda task: position(task, sort))


@pytest.mark.parametrize("sort", list(SortKey))
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_a_filter_give_what_the_whole_list_gives(
    filled: TaskRepository, sort: SortKey, reverse: bool
) -> None:
    filters = [None, Tags(("home",)), one_day(Field.DUE, -2, 2), Not(Is(State.DONE)), Text("milk")]
    for tree in filters:
        query = TaskQuery(filter=tree, viewer=VIEWER, sort=sort, reverse=reverse)
        whole = numbers(filled, query)
        paged: list[int] = []
        while page := numbers(
            filled,
            replace(query, limit=7, after=TaskRef.parse(str(paged[-1])) if paged else None),
        ):
            paged += page
        assert paged == whole
        assert whole


def numbers(tasks: TaskRepository, query: TaskQuery) -> list[int]:
    return [task.number for task in tasks.page(query).tasks]


@pytest.mark.parametrize(("minutes", "late"), [(-1, False), (1, True), (59, True), (61, True)])
def test_a_time_that_comes_twice_is_the_first(
    tasks: TaskRepository, minutes: int, late: bool
) -> None:
    """Clocks go back from 3:00 to 2:00, so 2:30 comes at 0:30 UTC and at 1:30 UTC."""
    (task,) = tasks.add([TaskDraft("twice", due=Due(date(2026, 10, 25), time(2, 30)))])
    instant = datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(minutes=minutes)
    viewer = replace(VIEWER, now=instant.astimezone(BERLIN))
    one = Numbers((Span(task.number, task.number),))
    overdue = TaskQuery(filter=And((Is(State.OVERDUE), one)), viewer=viewer)
    found = tasks.page(overdue).tasks
    due = Due.of(task)
    assert due is not None
    assert (bool(found), due.is_late(viewer)) == (late, late)
