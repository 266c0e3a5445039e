r"""Lists as documents and records: the database's texts are those that Python writes of a task.

Whatever the text, the page, the order and the state. The golden files hold both forms of rows
with every awkward character.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.support.people import Person
from tests.support.viewers import VIEWER
from todo_cli.database.session import Database
from todo_cli.documents import (
    RECORD_COLUMNS,
    TASK_FIELDS,
    compact_json,
    document_column,
    task_document,
    task_record,
)
from todo_cli.errors import InvalidInput, TaskNotFound
from todo_cli.filters import Is, State, Tags
from todo_cli.tasks import repository
from todo_cli.tasks.repository import TaskRepository
from todo_cli.tasks.statements import texts
from todo_cli.values import (
    SOMEDAY,
    Due,
    Filter,
    Priority,
    SortKey,
    TaskChanges,
    TaskDraft,
    TaskQuery,
    TaskRef,
    TaskState,
)

GOLDEN = Path(__file__).with_name("golden")
ALL = TaskQuery(state=TaskState.ALL, viewer=VIEWER)
AWKWARD = [
    TaskDraft(
        "plain",
        due=Due(date(2026, 12, 4), time(17), "Europe/Berlin"),
        wait_on=SOMEDAY,
        priority=Priority.HIGH,
        tags=["Phone", "{}", '"q"', "é", "\\back"],
        project="house.garden",
    ),
    TaskDraft('"quotes" \\ back/slash', 'a "b" \\n \\ c'),
    TaskDraft(
        "\\t is no tab",
        "a\ttab\tand\\ta backslash",
        Due(date(1, 1, 1), time(0, 0, 59)),
        tags=["NULL"],
        project='"\\t"',
    ),
    TaskDraft("two lines", "first\nsecond\n\n  fourth\\"),
    TaskDraft("line separators \u2028 \u2029 \ufeff", "next\u2028line\u2029paragraph"),
    TaskDraft("bidi \u202e evil \u2066 isolate", "\u202eevil"),
    TaskDraft("emoji 👩‍👩‍👧 𝕏 é é 宽", "\U0010ffff \ue000 \ufffe"),
    TaskDraft("null", "null"),
    TaskDraft("<b>&amp;</b> [bold]x[/bold] %s {0}", "{}[]\n,\n:"),
    TaskDraft("x" * 500, "é" * 20_000),
]
INSTANTS = [
    "2026-11-22 09:30:00+00",
    "2026-11-22 09:30:00.5+00",
    "2026-11-22 10:30:00.000001+01",
    "2026-12-31 23:59:59.999999-12",
    "1969-12-31 23:59:59.1+00",
    "0999-01-01 00:00:00+00",
]


@pytest.fixture
def awkward(tasks: TaskRepository, database_url: str) -> TaskRepository:
    """Tasks with every awkward text and instant, one of each state, one archived."""
    tasks.add(
        [
            *AWKWARD,
            TaskDraft("done"),
            TaskDraft("removed"),
            TaskDraft("archived", "with\ttab", Due(SOMEDAY), tags=["old"]),
        ]
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks disable trigger user")
        connection.execute(
            "update tasks set id = ('01890000-0000-7000-8000-0000000000' || to_char(number, "
            "'FM00'))::uuid, updated_at = ((%(at)s::text[])[number %% 6 + 1])::timestamptz, "
            "created_at = ((%(at)s::text[])[(number + 1) %% 6 + 1])::timestamptz, "
            "completed = number in (11, 13), completed_at = case when number in (11, 13) "
            "then '2026-11-23 01:02:03.25+00'::timestamptz end, "
            "deleted_at = case when number = 12 then '2026-11-24 00:00:00+00'::timestamptz end",
            {"at": INSTANTS},
        )
        connection.execute(
            "with moved as (delete from tasks where number = 13 returning *) insert into "
            "tasks_archive (id, user_id, title, description, completed, created_at, updated_at, "
            "number, completed_at, deleted_at, due_on, tags) select id, user_id, title, "
            "description, completed, created_at, updated_at, number, completed_at, deleted_at, "
            "due_on, tags "
            "from moved"
        )
        connection.execute("alter table tasks enable trigger user")
    return tasks


def documents(tasks: TaskRepository, query: TaskQuery) -> list[str]:
    return [line for page in tasks.documents(query) if page for line in page.split("\n")]


def records(tasks: TaskRepository, query: TaskQuery) -> list[str]:
    return [line for page in tasks.records(query) if page for line in page.split("\n")]


def numbers(tasks: TaskRepository, query: TaskQuery) -> list[int]:
    return [json.loads(document)["number"] for document in documents(tasks, query)]


# --- the texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(TaskState))
def test_the_texts_of_the_database_are_those_of_python(
    awkward: TaskRepository, state: TaskState
) -> None:
    query = TaskQuery(state=state)
    read = awkward.page(query).tasks
    assert read
    assert documents(awkward, query) == [compact_json(task_document(task)) for task in read]
    assert records(awkward, query) == [task_record(task) for task in read]


@pytest.mark.parametrize("form", ["jsonl", "tsv"])
def test_the_texts_are_the_golden_ones(awkward: TaskRepository, form: str) -> None:
    found = documents(awkward, ALL) if form == "jsonl" else records(awkward, ALL)
    assert "\n".join(found) + "\n" == (GOLDEN / f"tasks.{form}").read_text(encoding="utf-8")


def test_a_record_can_be_read_back(awkward: TaskRepository) -> None:
    read = {task.number: task for task in awkward.page(ALL).tasks}
    for line in records(awkward, ALL):
        fields = dict(zip(RECORD_COLUMNS, line.split("\t"), strict=True))
        task = read[int(fields["number"])]
        assert fields["title"] == task.title
        assert unescaped(fields["description"]) == (task.description or "")


def unescaped(text: str) -> str:
    meant = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
    parts, rest = [], iter(text)
    for character in rest:
        parts.append(meant[character + next(rest)] if character == "\\" else character)
    return "".join(parts)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    title=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
)
def test_any_text_is_written_alike(tasks: TaskRepository, title: str, description: str) -> None:
    controls = {chr(code) for code in (*range(32), *range(127, 160))} - set("\n\t\r")
    kept = "".join(character for character in description if character not in controls)
    try:
        (task,) = tasks.add([TaskDraft(title, kept)])
    except InvalidInput:
        return
    newest = replace(ALL, limit=1)
    assert documents(tasks, newest) == [compact_json(task_document(task))]
    assert records(tasks, newest) == [task_record(task)]


def test_rows_of_another_program_are_written_alike(
    tasks: TaskRepository, database_url: str
) -> None:
    """An old row may hold what is refused today."""
    text = "".join(map(chr, (*range(1, 32), *range(127, 160))))
    with psycopg.connect(database_url, autocommit=True) as connection:
        for check in ("title", "description"):
            connection.execute(
                f"alter table tasks drop constraint ck_tasks_{check}_control_characters".encode()
            )
        connection.execute(
            "insert into tasks (user_id, title, description) select user_id, %s, %s from sessions "
            "limit 1",
            (f"a{text}\\", text),
        )
    (task,) = tasks.page(ALL).tasks
    assert documents(tasks, ALL) == [compact_json(task_document(task))]
    assert records(tasks, ALL) == [task_record(task)]


def test_new_fields_and_columns_go_to_the_end() -> None:
    assert TASK_FIELDS[:9] == (
        *("number", "id", "title", "description", "completed"),
        *("created_at", "updated_at", "completed_at", "deleted_at"),
    )
    said = ("due_on", "due_time", "due_zone", "wait_on", "priority", "project", "tags")
    assert TASK_FIELDS[9:16] == said
    assert RECORD_COLUMNS[:8] == (
        *("number", "status", "title", "created_at", "updated_at", "completed_at"),
        *("id", "description"),
    )
    assert RECORD_COLUMNS[8:15] == said


# --- the pages ---------------------------------------------------------------------------------


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "PAGE_TASKS", 3)
    monkeypatch.setattr(repository, "SORTED_PAGE_TASKS", 2)


@pytest.mark.parametrize("sort", list(SortKey))
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_give_what_the_whole_list_gives(
    tasks: TaskRepository, small_pages: None, sort: SortKey, reverse: bool
) -> None:
    tasks.add([TaskDraft(title) for title in ("b", "a", "C", "a", "d", "e", "A", "f", "g", "h")])
    tasks.edit(TaskRef.parse("2"), TaskChanges(description="touched"))
    query = replace(ALL, sort=sort, reverse=reverse)
    for limit in (None, *range(1, 12)):
        for after in (None, TaskRef.parse("4")):
            limited = replace(query, limit=limit, after=after)
            whole = [task.number for task in tasks.page(limited).tasks]
            assert numbers(tasks, limited) == whole


@pytest.mark.parametrize("sort", list(SortKey))
@pytest.mark.parametrize("page_bytes", [1, 100, 45_000])
def test_a_page_ends_after_so_many_bytes(
    tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch, sort: SortKey, page_bytes: int
) -> None:
    monkeypatch.setattr("todo_cli.tasks.statements.PAGE_BYTES", page_bytes)
    monkeypatch.setattr(repository, "SORTED_PAGE_TASKS", 4)
    tasks.add([TaskDraft(f"{n}", "é" * 10_000) for n in range(9)])
    pages = list(tasks.documents(replace(ALL, sort=sort)))
    assert sorted(
        json.loads(line)["number"] for page in pages if page for line in page.split("\n")
    ) == list(range(1, 10))
    # A page is full when it has reached the bytes: the last task may go beyond them.
    assert max(map(len, pages)) <= (page_bytes // 20_000 + 1) * 10_400
    assert len(numbers(tasks, replace(ALL, sort=sort, limit=7))) == 7


@pytest.mark.parametrize("sort", list(SortKey))
def test_a_list_that_changes_while_it_is_read_has_no_task_twice(
    tasks: TaskRepository, small_pages: None, sort: SortKey
) -> None:
    tasks.add([TaskDraft(title) for title in "abcdefghij"])
    pages = tasks.documents(replace(ALL, sort=sort))
    seen = [json.loads(line)["number"] for line in next(pages).split("\n")]
    tasks.edit(TaskRef.parse(str(seen[0])), TaskChanges(title="zzz"))
    tasks.delete([TaskRef.parse(str(seen[1])), TaskRef.parse("5")])
    tasks.add([TaskDraft("b2")])
    seen += [json.loads(line)["number"] for page in pages if page for line in page.split("\n")]
    assert len(set(seen)) == len(seen)
    assert {1, 2, 3, 4, 6, 7, 8, 9, 10} - {seen[0], seen[1]} <= set(seen)
    assert 5 not in seen


def test_a_page_after_no_task_is_an_error(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft("one")])
    with pytest.raises(TaskNotFound):
        list(tasks.documents(replace(ALL, after=TaskRef.parse("9"))))
    assert documents(tasks, replace(ALL, after=TaskRef.parse("1"))) == []


@pytest.fixture
def statements(
    database_url: str, alice: Person, open_database: Callable[..., Database]
) -> tuple[TaskRepository, list[str]]:
    """Alice's tasks, and the statements that were sent for them."""
    database = open_database(database_url, alice.token)
    sent: list[str] = []
    engine = database._connected_engine()
    event.listen(engine, "before_cursor_execute", lambda *event: sent.append(event[2]))
    return TaskRepository(database), sent


@pytest.mark.parametrize(
    ("sort", "count", "expected"),
    [
        (SortKey.CREATED, 0, 1),
        (SortKey.CREATED, 9_999, 1),
        (SortKey.CREATED, 25_000, 3),
        (SortKey.TITLE, 1_999, 1),
        (SortKey.TITLE, 25_000, 5),
    ],
)
def test_a_list_takes_a_statement_for_ten_thousand_tasks(
    statements: tuple[TaskRepository, list[str]],
    database_url: str,
    sort: SortKey,
    count: int,
    expected: int,
) -> None:
    tasks, sent = statements
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks disable trigger user")
        connection.execute(
            "insert into tasks (user_id, number, title) select user_id, n, md5(n::text) "
            "from sessions, generate_series(1, %s) as n",
            (count,),
        )
    found = list(tasks.documents(replace(ALL, sort=sort)))
    assert sum(page.count("\n") + 1 for page in found if page) == count
    assert len(sent) == expected


def test_the_statement_of_a_list_is_built_once() -> None:
    """Building it takes as long as running it, and the agent gets the same lists every day."""
    first, again = TaskQuery(limit=20), TaskQuery(limit=20)
    built = texts(first, 10, document_column)
    assert texts(again, 10, document_column) is built
    assert texts(replace(first, search="milk"), 10, document_column) is not built


@pytest.mark.parametrize(
    ("term", "is_built_once"), [(None, True), (Tags(("home",)), True), (Is(State.OVERDUE), False)]
)
def test_the_statement_of_a_list_is_built_once_a_day(
    term: Filter | None, is_built_once: bool
) -> None:
    later = replace(VIEWER, now=VIEWER.now + timedelta(hours=1))
    tomorrow = replace(VIEWER, now=VIEWER.now + timedelta(days=1))
    query = TaskQuery(filter=term, viewer=VIEWER)
    built = texts(query, 10, document_column)
    assert (texts(replace(query, viewer=later), 10, document_column) is built) == is_built_once
    assert texts(replace(query, viewer=tomorrow), 10, document_column) is not built
