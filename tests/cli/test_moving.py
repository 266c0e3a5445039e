"""`import` and `export`, as typed, on PostgreSQL itself."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Cli
from tests.support.people import Person, sign_up
from todo_cli.commands import moving

TASKS = [
    {
        "uuid": f"296d835e-8f85-4224-8f36-c612cad1{n:04x}",
        "description": f"task {n}",
        "status": status,
        "entry": "20200102T030405Z",
        "end": "20210102T030405Z",
        "annotations": [{"entry": "20200102T030405Z", "description": "a note"}],
    }
    for n, status in enumerate(["pending", "completed", "deleted"] * 5)
]


def imported(
    cli: Cli, *words: str, stdin: str = "", person: Person | None = None
) -> dict[str, object]:
    done = cli("import", *words, "--json", stdin=stdin, person=person)
    assert done.exit_code == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def exported(cli: Cli, *words: str, person: Person | None = None) -> list[dict[str, object]]:
    done = cli("export", *words, person=person)
    assert done.exit_code == 0, done.stderr
    tasks: list[dict[str, object]] = json.loads(done.stdout)
    return tasks


def test_an_import_keeps_times_and_order_and_adds_nothing_twice(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHUNK_TASKS", 4)  # several statements, one transaction
    text = json.dumps(TASKS)
    first = imported(cli, "-", stdin=text)
    assert (first["read"], first["added"], first["already_there"]) == (15, 15, 0)
    assert (first["lost"], first["kept"]) == ({}, {"annotations": 15})
    tasks = exported(cli)
    assert [task["title"] for task in tasks] == [task["description"] for task in TASKS]
    assert {task["created_at"] for task in tasks} == {"2020-01-02T03:04:05Z"}
    assert tasks[1]["completed_at"] == tasks[2]["deleted_at"] == "2021-01-02T03:04:05Z"
    again = imported(cli, "-", stdin=text)
    assert (again["added"], again["already_there"]) == (0, 15)
    back = exported(cli, "--to", "taskwarrior")
    assert [task["uuid"] for task in back] == [task["uuid"] for task in TASKS]
    assert back[0]["annotations"] == TASKS[0]["annotations"]


def test_a_failure_in_a_later_statement_leaves_nothing(
    cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHUNK_TASKS", 4)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks add constraint x check (title <> 'task 9')")
    assert cli("import", "-", stdin=json.dumps(TASKS)).exit_code == 1
    assert exported(cli) == []


def test_a_dry_run_counts_and_adds_nothing(cli: Cli) -> None:
    answer = imported(cli, "-", "--dry-run", stdin=json.dumps(TASKS))
    assert (answer["read"], answer["added"]) == (15, 15)
    assert exported(cli) == []


def test_a_bad_record_names_its_line_and_stops_everything_unless_it_is_skipped(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "tasks.json"
    file.write_text('{"title": "one"}\n{"title": ""}\n{"title": "two"}\n')
    done = cli("import", str(file))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {file}, line 2: The title is empty.\n")
    assert exported(cli) == []
    answer = imported(cli, str(file), "--skip-bad")
    assert (answer["read"], answer["added"], answer["skipped"]) == (3, 2, 1)


def test_tasks_move_to_another_account_and_back(
    cli: Cli, database_url: str, tmp_path: Path
) -> None:
    cli("add", "one", "-t", "x", "-D", "2026-12-24 18:00")
    cli("add", "two", "-W", "someday")
    cli("add", "three", "-d", "about\nit")
    cli("done", "3")
    cli("rm", "1")
    before = exported(cli)
    file = tmp_path / "all.csv"
    assert cli("export", "--to", "csv", "--output", str(file)).exit_code == 0
    carol = sign_up(database_url, "carol")
    assert imported(cli, str(file), person=carol)["added"] == 3
    there = exported(cli, person=carol)
    unlike = ("id", "extra")
    assert [_without(task, unlike) for task in there] == [_without(task, unlike) for task in before]
    assert imported(cli, "-", stdin=json.dumps(there))["already_there"] == 3


def test_a_foreign_uuid_tells_nothing(
    cli: Cli, database_url: str, bob: Person, alice: Person
) -> None:
    """Whether another user has the task or not, the answer and the stored task are the same."""
    taken = "0192d3a4-0000-7000-8000-000000000001"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into tasks (id, user_id, title) values (%s, %s, 'secret')", (taken, bob.id)
        )
    task = [{"id": taken, "title": "mine"}]
    first = imported(cli, "-", stdin=json.dumps(task))
    (mine,) = exported(cli)
    assert cli("rm", "--permanent", "--yes", "1").exit_code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from tasks where user_id = %s", (bob.id,))
    assert imported(cli, "-", stdin=json.dumps(task)) == first
    (again,) = exported(cli)
    assert mine["id"] == again["id"] != taken


def test_an_output_file_is_written_whole_or_not_at_all(
    cli: Cli, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "tasks.json"
    file.write_text("before")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop table tasks cascade")
    assert cli("export", "--output", str(file)).exit_code != 0
    assert file.read_text() == "before"
    assert [path for path in tmp_path.iterdir() if file.name in path.name] == [file]


def test_an_import_of_several_statements_is_undone_whole(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHUNK_TASKS", 4)
    imported(cli, "-", stdin=json.dumps(TASKS))
    before = exported(cli)
    assert cli("undo").exit_code == 0
    assert exported(cli) == []
    assert cli("redo").exit_code == 0
    unlike = ("updated_at",)
    assert [_without(task, unlike) for task in exported(cli)] == [
        _without(task, unlike) for task in before
    ]


def _without(task: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in task.items() if name not in names}
