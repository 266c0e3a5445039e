"""What a task says besides its texts: when it is due, how urgent it is, its tags and its project.

The repository cleans what it is given. The table refuses what other programs must not write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, date, datetime, time
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from tests.support.people import Person
from todo_cli.database.session import Database
from todo_cli.errors import InvalidDraft, InvalidInput, RuleViolated
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import (
    MAX_EXTRA_BYTES,
    SOMEDAY,
    WRITTEN_FIELDS,
    Due,
    Priority,
    TaskChanges,
    TaskDraft,
    TaskRef,
    clean_tags,
)

ONE = TaskRef.parse("1")
DAY = date(2026, 12, 4)
AT_FIVE = Due(DAY, time(17), "Europe/Berlin")
FULL = TaskDraft(
    "Plant the tulips",
    "in the shade",
    AT_FIVE,
    date(2026, 12, 1),
    Priority.HIGH,
    ("Errand", "garden"),
    "house.garden",
    {"uda": ["é", 1]},
)
LARGEST = replace(
    FULL,
    tags=tuple(f"{n:02}" + "é" * 9 for n in range(50)),
    project="é" * 200,
    extra={"x": "y" * (MAX_EXTRA_BYTES - 9)},
)
CLEARED: dict[str, Any] = {
    "due": None,
    "wait_on": None,
    "priority": None,
    "tags": (),
    "project": None,
    "extra": None,
}


@pytest.fixture
def sent(
    database_url: str, alice: Person, open_database: Callable[..., Database]
) -> tuple[TaskRepository, list[str]]:
    """Alice's tasks, and the statements that were sent for them."""
    database = open_database(database_url, alice.token)
    statements: list[str] = []
    engine = database._connected_engine()
    event.listen(engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    return TaskRepository(database), statements


def execute(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def wait_until_somebody_waits(url: str) -> None:
    deadline = monotonic() + 20
    while execute(url, "select count(*) from pg_locks where not granted") == [(0,)]:
        assert monotonic() < deadline
        sleep(0.02)


def written(task: Any) -> TaskDraft:
    return TaskDraft(
        task.title,
        task.description,
        Due.of(task),
        task.wait_on,
        task.priority,
        tuple(task.tags),
        task.project,
        task.extra,
    )


# --- adding and editing ------------------------------------------------------------------------


@pytest.mark.parametrize("draft", [FULL, LARGEST, replace(FULL, **CLEARED)])
def test_what_is_added_comes_back(sent: tuple[TaskRepository, list[str]], draft: TaskDraft) -> None:
    tasks, statements = sent
    plain = TaskDraft("plain")
    added = tasks.add([plain, draft, plain])
    assert [written(task) for task in added] == [plain, draft, plain]
    assert len(statements) == 1
    read = tasks.get(TaskRef.parse_several("1,2,3"))
    assert [written(task) for task in read] == [plain, draft, plain]


def test_plain_tasks_send_nothing_of_the_columns_that_they_leave_out(
    sent: tuple[TaskRepository, list[str]],
) -> None:
    tasks, statements = sent
    tasks.add([TaskDraft("one"), TaskDraft("two", "about")])
    tasks.edit(ONE, TaskChanges(title="uno"))
    inserted = statements[0].partition("insert into tasks")[2] or statements[0]
    assert "(INSERT INTO tasks (id, title, description) SELECT" in inserted
    assert statements[0].count("[]") == 5
    assert "SET title=" in statements[1] and "RETURNING" in statements[1]


def test_every_field_is_edited_alone_in_one_statement(
    sent: tuple[TaskRepository, list[str]],
) -> None:
    tasks, statements = sent
    tasks.add([replace(FULL, **CLEARED)])
    expected = replace(FULL, **CLEARED)
    for field in WRITTEN_FIELDS:
        value = getattr(FULL, field)
        statements.clear()
        (edited,) = tasks.edit(ONE, TaskChanges(**{field: value}))
        expected = replace(expected, **{field: value})
        assert (written(edited), len(statements)) == (expected, 1)
        assert tasks.edit(ONE, TaskChanges(**{field: value})).unchanged == {edited.id}
    assert expected == FULL
    for field, value in CLEARED.items():
        expected = replace(expected, **{field: value})
        assert written(tasks.edit(ONE, TaskChanges(**{field: value}))[0]) == expected


def test_a_draft_and_changes_have_the_same_fields() -> None:
    names = [field.name for field in fields(TaskDraft)]
    assert sorted(names) == sorted(WRITTEN_FIELDS)
    assert [field.name for field in fields(TaskChanges)][: len(names)] == names


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        (TaskChanges(add_tags=["phone", "GARDEN"]), ["Errand", "garden", "phone"]),
        (TaskChanges(remove_tags=["ERRAND", "none-such"]), ["garden"]),
        (TaskChanges(add_tags=["b"], remove_tags=["garden", "b"]), ["b", "Errand"]),
        (TaskChanges(clear_tags=True), []),
        (TaskChanges(clear_tags=True, add_tags=["x"]), ["x"]),
        (TaskChanges(tags=["y", "x"], add_tags=["z"], remove_tags=["X"]), ["y", "z"]),
    ],
)
def test_tags_are_added_and_removed_in_the_statement(
    sent: tuple[TaskRepository, list[str]], changes: TaskChanges, tags: list[str]
) -> None:
    tasks, statements = sent
    tasks.add([FULL])
    statements.clear()
    (edited,) = tasks.edit(ONE, changes)
    assert (edited.tags, len(statements)) == (tags, 1)
    assert changes.cleaned().are_made_in(edited)
    again = tasks.edit(ONE, changes)
    assert (again[0].tags, set(again.unchanged)) == (tags, {edited.id})


def test_tags_that_two_people_add_at_once_are_both_there(
    tasks: TaskRepository, database_url: str
) -> None:
    tasks.add([TaskDraft("one")])
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("update tasks set tags = tags || array['theirs']")
        editing = pool.submit(tasks.edit, ONE, TaskChanges(add_tags=["ours"]))
        wait_until_somebody_waits(database_url)
        other.commit()
        assert editing.result()[0].tags == ["ours", "theirs"]


@pytest.mark.parametrize(
    "given",
    [
        {"due": Due(DAY, None, "Europe/Berlin")},
        {"due": Due(DAY, time(9), "Europe/Nowhere")},
        {"due": Due(DAY, time(9), "../../etc/passwd")},
        {"priority": 4},
        {"tags": [""]},
        {"tags": ["a b"]},
        {"tags": ["a,b"]},
        {"tags": ["a\u3000b"]},
        {"tags": ["a\x1bb"]},
        {"tags": ["None"]},
        {"tags": ["x" * 51]},
        {"tags": [f"{n}" for n in range(51)]},
        {"tags": ["é" * 50 + f"{n}" for n in range(11)]},
        {"project": ""},
        {"project": "house..garden"},
        {"project": ".house"},
        {"project": "house."},
        {"project": "my house"},
        {"project": "ANY"},
        {"project": "x" * 201},
        {"extra": {"x": "y" * MAX_EXTRA_BYTES}},
        {"extra": {"x": float("nan")}},
        {"extra": {"x": "\0"}},
        {"extra": {"x": DAY}},
    ],
    ids=lambda given: "-".join(given),
)
def test_what_cannot_be_is_refused_before_the_database_is_asked(
    open_database: Callable[..., Database], given: dict[str, Any]
) -> None:
    unreachable = TaskRepository(
        open_database("postgresql://nobody@127.0.0.1:1/none", "token", 0.1)
    )
    with pytest.raises(InvalidDraft) as refused:
        unreachable.add([TaskDraft("one"), TaskDraft("two", **given)])
    assert refused.value.position == 1
    with pytest.raises(InvalidInput):
        unreachable.edit(ONE, TaskChanges(**given))


def test_what_is_given_is_cleaned() -> None:
    cleaned = TaskDraft(
        "x",
        due=Due(datetime(2026, 12, 4, 9, tzinfo=UTC), time(17, 0, 0, 5)),
        wait_on=SOMEDAY,
        extra={},
    ).cleaned()
    assert cleaned == TaskDraft("x", due=Due(DAY, time(17)), wait_on=SOMEDAY)
    assert type(cleaned.due and cleaned.due.day) is date
    assert clean_tags(["b", "A", "a", "B", "c"]) == ("A", "b", "c")


# --- other programs ----------------------------------------------------------------------------

REFUSED = {
    "due_on = 'infinity'": "due_on",
    "due_on = '0001-01-01 BC'": "due_on",
    "due_on = '10000-01-01'": "due_on",
    "wait_on = '-infinity'": "wait_on",
    "due_time = '17:00'": "due_time",
    "due_on = '2026-12-04', due_time = '23:59:59.9'": "due_time",
    "due_on = '2026-12-04', due_zone = 'UTC'": "due_zone",
    "due_on = '2026-12-04', due_time = '17:00', due_zone = '<x>-5'": "due_zone",
    "priority = 0": "priority",
    "priority = 4": "priority",
    "tags = array['']": "tags",
    "tags = array['a', null]": "tags",
    "tags = array['a b']": "tags",
    "tags = array['a,b']": "tags",
    "tags = array[e'a\\u2028b']": "tags",
    "tags = array[e'a\\u009bb']": "tags",
    "tags = array['a', 'ANY']": "tags",
    "tags = array['none']": "tags",
    "tags = array[repeat('x', 51)]": "tags",
    "tags = array(select n::text from generate_series(1, 51) as n)": "tags",
    "tags = array(select n || repeat('é', 45) from generate_series(10, 21) as n)": "tags",
    "project = ''": "project",
    "project = 'a..b'": "project",
    "project = '.a'": "project",
    "project = 'a.'": "project",
    "project = 'a b'": "project",
    "project = 'None'": "project",
    "project = repeat('x', 201)": "project",
    "extra = '[]'": "extra",
    "extra = jsonb_build_object('x', repeat('y', 8192))": "extra",
}


@pytest.fixture
def one_task(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft("one")])


@pytest.mark.parametrize("change", REFUSED)
def test_the_table_refuses_what_no_program_could_read(
    one_task: None, database_url: str, change: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        execute(database_url, f"update tasks set {change}")
    assert refused.value.diag.constraint_name == f"ck_tasks_{REFUSED[change]}"


def test_a_zone_that_the_server_does_not_know_is_a_sentence(
    one_task: None, database_url: str, tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("todo_cli.values._require_zone", lambda zone: None)
    with pytest.raises(InvalidInput, match="time zone"):
        tasks.edit(ONE, TaskChanges(due=Due(DAY, time(9), "Mars/Olympus")))


def test_a_rule_of_the_table_is_a_sentence(tasks: TaskRepository) -> None:
    tasks.add([LARGEST])
    with pytest.raises(RuleViolated, match="at most 50 tags"):
        tasks.edit(ONE, TaskChanges(add_tags=["more"]))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("array['work', 'Home', 'home', 'b']", ["b", "Home", "work"]),
        ("'[3:4]={z,y}'", ["y", "z"]),
        ("array[array['b'], array['a']]", ["a", "b"]),
        ("'{}'", []),
    ],
)
def test_other_programs_need_not_sort_tags(
    database_url: str, alice: Person, given: str, kept: list[str]
) -> None:
    insert = f"insert into tasks (user_id, title, tags) values (%s, 'x', {given}) returning tags"
    assert execute(database_url, insert, alice.id) == [(kept,)]
    execute(database_url, "update tasks set tags = '{}'")
    assert execute(database_url, f"update tasks set tags = {given} returning tags") == [(kept,)]


def test_a_plain_insert_is_as_before(database_url: str, alice: Person) -> None:
    insert = "insert into tasks (user_id, title) values (%s, 'x') returning to_jsonb(tasks)"
    ((task,),) = execute(database_url, insert, alice.id)
    assert task["tags"] == []
    assert {name for name, value in task.items() if value is None} >= {"due_on", "extra"}


def test_a_person_writes_each_column_and_no_other(
    database_url: str, alice: Person, tasks: TaskRepository
) -> None:
    (task,) = tasks.add([FULL])
    grants = execute(
        database_url,
        "select column_name, array_agg(privilege_type::text order by privilege_type) "
        "from information_schema.column_privileges where grantee = 'todo_app' "
        "and table_name = 'tasks' and privilege_type <> 'SELECT' group by 1",
    )
    both = {name for name, privileges in grants if privileges == ["INSERT", "UPDATE"]}
    assert {"due_on", "due_time", "due_zone", "wait_on", "priority", "tags"} < both
    assert json.dumps(task.extra, ensure_ascii=False) == '{"uda": ["é", 1]}'
