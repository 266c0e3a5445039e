"""Another front end: a program that uses nothing but `todo_cli.api`, in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.neon import Neon
from tests.support.people import sign_up
from todo_cli import api
from todo_cli.database.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]

FRONT_END = """
from todo_cli import api
with api.open_workspace() as workspace:
    workspace.tasks.add([api.TaskDraft(" Buy   milk "), api.TaskDraft("Call Ada", "Monday")])
    workspace.tasks.set_completed([api.TaskRef.parse("1")], True)
    tasks = workspace.tasks.page(api.TaskQuery(state=api.TaskState.ALL)).tasks
    print([(task.number, task.title, task.completed) for task in tasks])
    print(workspace.is_embedded)
"""

ASKS_WHO = """
import sys
from todo_cli import api
try:
    with api.open_workspace() as workspace:
        workspace.tasks.page(api.TaskQuery())
except api.TodoError as error:
    print(error.code, "todo " in str(error.message))
print(sorted({"typer", "rich", "alembic", "todo_cli.app", "todo_cli.render"} & set(sys.modules)))
"""

EXPECTED = [(2, "Call Ada", False), (1, "Buy milk", True)]


def run(program: str, environ: dict[str, str]) -> list[str]:
    """The lines that a program prints."""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not pytest's: its path may be too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="todo-api-"))
    yield folder
    EmbeddedServer(folder, {}).stop()
    shutil.rmtree(folder)


def test_it_has_eight_lines() -> None:
    assert len(FRONT_END.strip().splitlines()) <= 8


def test_it_works_on_the_embedded_database(data_dir: Path) -> None:
    shown, is_embedded = run(FRONT_END, {"TODO_DATA_DIR": str(data_dir)})
    assert (ast.literal_eval(shown), is_embedded) == (EXPECTED, "True")


@pytest.mark.parametrize("is_pooled", [False, True], ids=["direct", "pooled"])
def test_it_works_on_a_server(neon: Neon, neon_database: str, is_pooled: bool) -> None:
    person = sign_up(neon.superuser_url(neon_database), "ada")
    environ = {
        "TODO_DATABASE_URL": neon.url(neon_database, is_pooled=is_pooled),
        "TODO_SESSION_TOKEN": person.token,
    }
    shown, is_embedded = run(FRONT_END, environ)
    assert (ast.literal_eval(shown), is_embedded) == (EXPECTED, "False")


def test_without_a_log_in_it_is_a_code_and_draws_nothing(database_url: str) -> None:
    lines = run(ASKS_WHO, {"TODO_DATABASE_URL": database_url})
    assert lines == ["not_logged_in False", "[]"]


def test_a_person_logs_in_and_out(database_url: str, data_dir: Path) -> None:
    told: list[str] = []
    environ = {"TODO_DATA_DIR": str(data_dir)}
    callbacks = api.Callbacks(note=told.append)
    with api.open_workspace(database_url, environ=environ, callbacks=callbacks) as workspace:
        with pytest.raises(api.NotLoggedIn):
            workspace.tasks.add([api.TaskDraft("nobody's")])
        account, token = workspace.anonymous_accounts.register("a@example.org", "A", "long enough")
        workspace.use_token(token)
        assert workspace.accounts.current().email == account.email
        assert workspace.tasks.add([api.TaskDraft("mine")])[0].number == 1
        workspace.accounts.log_out()
    with (
        api.open_workspace(database_url, session_token=token, environ=environ) as workspace,
        pytest.raises(api.NotLoggedIn),
    ):
        workspace.tasks.page(api.TaskQuery())
    assert told == []


def test_another_database_is_another_log_in(data_dir: Path, database_url: str) -> None:
    told: list[str] = []
    environ = {"TODO_DATA_DIR": str(data_dir)}
    callbacks = api.Callbacks(note=told.append)
    with api.open_workspace(environ=environ, callbacks=callbacks) as workspace:
        workspace.tasks.add([api.TaskDraft("embedded")])
        assert told[0].startswith("Creating a database")
        workspace.use_database(database_url)
        assert (workspace.is_embedded, workspace.login) == (False, None)
        with pytest.raises(api.NotLoggedIn):
            workspace.tasks.page(api.TaskQuery())


def test_documents_are_data(data_dir: Path) -> None:
    with api.open_workspace(environ={"TODO_DATA_DIR": str(data_dir)}) as workspace:
        (task,) = workspace.tasks.add([api.TaskDraft("one")])
        assert json.loads(json.dumps(api.task_document(task)))["title"] == "one"
        (session,) = workspace.accounts.sessions()
        assert json.dumps(api.session_document(session))


def test_all_that_is_public_is_there() -> None:
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
