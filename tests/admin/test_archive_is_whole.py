"""What goes to the archive comes back whole: every column, and every row that refers to a task.

The columns and tables are read from the catalog, so that one which comes later is tested as well.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.admin.test_seed import rows
from tests.conftest import Postgres
from tests.support import maintenance
from tests.support.people import Person, sign_up
from todo_cli.database.session import Database
from todo_cli.errors import Refused, TodoError
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskRef

YEAR = timedelta(days=365)
EMPTY_IN_THE_ARCHIVE = {"deleted_at"}
"""What lies in the trash is not archived."""

COLUMNS = """
select attname, format_type(atttypid, atttypmod), attgenerated = '' from pg_attribute
where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped order by attnum
"""
SAMPLES = {
    "text": "'some text'",
    "boolean": "true",
    "smallint": "1",
    "time(0) without time zone": "time '17:05'",
    "date": "date '2020-02-29'",
    "timestamp with time zone": "now() - interval '400 days'",
    "uuid": "gen_random_uuid()",
    "bigint": "41",
    "integer": "41",
    "jsonb": """'{"a": [1]}'""",
    "text[]": "'{a,b}'",
}
NAMED = {"due_zone": "'Europe/Berlin'", "project": "'house.garden'"}
GIVEN = {"user_id"}
FURTHER = "later_text text, later_on date, later_list text[], later_json jsonb"
"""Columns as a later revision may add them to both tables."""


def columns_of(url: str, table: str) -> dict[str, str]:
    found = rows(url, COLUMNS.format(table=table))
    return {name: kind for name, kind, is_stored in found if is_stored}


def break_it(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fill_a_task(url: str, person: Person) -> dict[str, Any]:
    """Make an old completed task with a value in every column; answer what it is."""
    values = {
        name: NAMED.get(name, SAMPLES[kind])
        for name, kind in columns_of(url, "tasks").items()
        if name not in EMPTY_IN_THE_ARCHIVE | GIVEN
    } | {"user_id": f"'{person.id}'"}
    names, samples = ", ".join(values), ", ".join(values.values())
    break_it(url, f"insert into tasks ({names}) values ({samples})")
    task = tasks_of(url)
    assert set(task) - {name for name, value in task.items() if value is not None} == (
        EMPTY_IN_THE_ARCHIVE
    )
    return task


def tasks_of(url: str, table: str = "tasks") -> dict[str, Any]:
    ((row,),) = rows(url, f"select to_jsonb(t) from {table} as t")
    return dict(row)


@pytest.mark.parametrize("further", ["", FURTHER], ids=["as it is", "with later columns"])
def test_a_task_with_every_column_filled_comes_back_as_it_went(
    database_url: str,
    alice: Person,
    open_database: Callable[..., Database],
    further: str,
) -> None:
    if further:
        added = ", ".join(f"add column {column}" for column in further.split(", "))
        break_it(database_url, f"alter table tasks {added}", f"alter table tasks_archive {added}")
    before = fill_a_task(database_url, alice)
    assert maintenance.archive(database_url, YEAR) == 1
    archived = tasks_of(database_url, "tasks_archive")
    assert archived == {**before, "archived_at": archived["archived_at"]}
    tasks = TaskRepository(open_database(database_url, alice.token))
    (restored,) = tasks.restore_archived([TaskRef.parse(str(before["number"]))])
    after = tasks_of(database_url)
    assert str(restored.id) == after["id"]
    assert {**after, "updated_at": ""} == {**before, "updated_at": ""}
    assert after["updated_at"] > before["updated_at"]
    assert rows(database_url, "select from tasks_archive") == []


def test_a_column_that_the_archive_lacks_is_never_lost(
    database_url: str, alice: Person, open_database: Callable[..., Database]
) -> None:
    fill_a_task(database_url, alice)
    break_it(
        database_url,
        "alter table tasks add column later_text text",
        "alter table tasks disable trigger user",
        "update tasks set later_text = 'mine'",
    )
    with pytest.raises(TodoError):
        maintenance.archive(database_url, YEAR)
    assert tasks_of(database_url)["later_text"] == "mine"
    break_it(
        database_url,
        "alter table tasks drop column later_text",
        "alter table tasks enable trigger user",
    )
    assert maintenance.archive(database_url, YEAR) == 1
    break_it(database_url, "alter table tasks add column later_text text")
    tasks = TaskRepository(open_database(database_url, alice.token))
    with pytest.raises(TodoError):
        tasks.restore_archived([TaskRef.parse("41")])
    assert len(rows(database_url, "select from tasks_archive")) == 1


@pytest.mark.parametrize("rule", ["cascade", "set null", "restrict", "no action"])
def test_a_task_that_rows_refer_to_stays_with_them(
    database_url: str, alice: Person, rule: str
) -> None:
    before = fill_a_task(database_url, alice)
    break_it(
        database_url,
        "create table later_labels (id int, task_id uuid references tasks (id) on delete "
        + rule
        + ")",
        'create table "odd % name" ("user" uuid, "no" bigint, foreign key ("user", "no")'
        f" references tasks (user_id, number) on delete {rule})",
    )
    for table, insert in (
        ("later_labels", "insert into later_labels select 1, id from tasks"),
        ('"odd % name"', 'insert into "odd % name" select user_id, number from tasks'),
    ):
        break_it(database_url, insert)
        children = rows(database_url, f"select * from {table}")
        assert maintenance.count_archivable(database_url, YEAR) == 0
        assert maintenance.archive(database_url, YEAR) == 0
        assert rows(database_url, f"select * from {table}") == children
        assert tasks_of(database_url) == before
        break_it(database_url, f"delete from {table}")
    assert maintenance.count_archivable(database_url, YEAR) == 1
    assert maintenance.archive(database_url, YEAR) == 1


def test_a_row_that_is_being_written_keeps_its_task(database_url: str, alice: Person) -> None:
    fill_a_task(database_url, alice)
    break_it(
        database_url, "create table later_labels (task_id uuid references tasks on delete cascade)"
    )
    with psycopg.connect(database_url) as somebody:
        somebody.execute("insert into later_labels select id from tasks")
        assert maintenance.archive(database_url, YEAR) == 0
    assert maintenance.archive(database_url, YEAR) == 0
    assert len(rows(database_url, "select from later_labels join tasks on id = task_id")) == 1


def test_rows_that_an_owner_cannot_see_are_not_passed_over(
    owned_url: str, postgres: Postgres
) -> None:
    as_superuser = postgres.url(owned_url.rpartition("@/")[2].partition("?")[0])
    fill_a_task(as_superuser, sign_up(as_superuser, "carol"))
    break_it(
        owned_url,
        "create table later_labels (task_id uuid references tasks on delete cascade)",
        "alter table later_labels enable row level security",
        "alter table later_labels force row level security",
    )
    with pytest.raises(Refused, match="later_labels"):
        maintenance.archive(owned_url, YEAR)


def test_no_column_of_a_task_is_forgotten(database_url: str) -> None:
    """A sentence for whoever adds a column."""
    tasks = columns_of(database_url, "tasks")
    archive = columns_of(database_url, "tasks_archive")
    lacking = {name: kind for name, kind in tasks.items() if archive.get(name) != kind}
    assert not lacking, f"Add to tasks_archive, in the same migration: {lacking}"
    more = set(archive) - set(tasks)
    assert more == {"archived_at"}, f"tasks lack {more}, so they would not come back"
