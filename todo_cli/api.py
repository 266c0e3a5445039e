"""What another program may use of todo: open a workspace, work with its tasks, close it.

All that is public is named in `__all__`. A front end of its own:

    from todo_cli import api

    with api.open_workspace() as workspace:
        workspace.tasks.add([api.TaskDraft("Buy milk"), api.TaskDraft("Call Ada", "About Monday")])
        workspace.tasks.set_completed([api.TaskRef.parse("1")], True)
        for task in workspace.tasks.page(api.TaskQuery()).tasks:
            print(task.number, task.title)

What goes wrong is raised as a `TodoError`: its `code` is a stable word, `message` one sentence for
a person. What to do about it is the front end's to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from todo_cli.documents import session_document, stats_document, task_document
from todo_cli.errors import InvalidDraft, InvalidInput, NotLoggedIn, TodoError
from todo_cli.values import (
    NOT_GIVEN,
    SortKey,
    Stats,
    TaskChanges,
    TaskDraft,
    TaskPage,
    TaskQuery,
    TaskRef,
    TaskState,
)
from todo_cli.workspace import Callbacks, Login, Workspace

if TYPE_CHECKING:
    from todo_cli.models import Task
    from todo_cli.tasks.repository import ChangedTasks, TaskRepository

__all__ = [
    "NOT_GIVEN",
    "Callbacks",
    "ChangedTasks",
    "InvalidDraft",
    "InvalidInput",
    "Login",
    "NotLoggedIn",
    "SortKey",
    "Stats",
    "Task",
    "TaskChanges",
    "TaskDraft",
    "TaskPage",
    "TaskQuery",
    "TaskRef",
    "TaskRepository",
    "TaskState",
    "TodoError",
    "Workspace",
    "open_workspace",
    "session_document",
    "stats_document",
    "task_document",
]


def open_workspace(
    database_url: str | None = None,
    *,
    session_token: str | None = None,
    environ: Mapping[str, str] | None = None,
    callbacks: Callbacks | None = None,
) -> Workspace:
    """Open a database as the command line would, without a command line.

    Without a URL it is the database of the environment's variables, the one that `todo login` kept,
    or the embedded one. Without a token it is the log-in of `TODO_SESSION_TOKEN`, or the one kept
    for that database. Nothing is connected before it is needed. `environ` takes the place of this
    process's environment.

    Example:
        with open_workspace("postgresql://…", session_token=token) as workspace:
            workspace.tasks.add([TaskDraft("Buy milk")])

    Raises:
        InvalidInput: a variable has an impossible value.
    """
    workspace = Workspace(
        os.environ if environ is None else environ, database_url=database_url, callbacks=callbacks
    )
    if session_token is not None:
        workspace.use_token(session_token)
    return workspace


def __getattr__(name: str) -> object:
    """The classes whose import takes a while, when they are asked for."""
    if name == "Task":
        from todo_cli.models import Task

        return Task
    if name in ("ChangedTasks", "TaskRepository"):
        from todo_cli.tasks import repository

        return getattr(repository, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
