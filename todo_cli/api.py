"""The public interface for other programs: open a workspace, work with its tasks, close it.

`__all__` lists everything that is public. A front end:

    from todo_cli import api

    with api.open_workspace() as workspace:
        workspace.tasks.add([api.TaskDraft("Buy milk"), api.TaskDraft("Call Ada", "About Monday")])
        workspace.tasks.set_completed([api.TaskRef.parse("1")], True)
        for task in workspace.tasks.page(api.TaskQuery()).tasks:
            print(task.number, task.title)

Failures raise a `TodoError`. Its `code` is a stable word, and `message` is one sentence for a user.
The front end makes its own hint from the code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from todo_cli.documents import session_document, stats_document, task_document
from todo_cli.errors import InvalidDraft, InvalidInput, NotLoggedIn, TodoError
from todo_cli.values import (
    NOT_GIVEN,
    SOMEDAY,
    Due,
    GroupCount,
    Priority,
    SortKey,
    Stats,
    TaskChanges,
    TaskDraft,
    TaskPage,
    TaskQuery,
    TaskRef,
    TaskState,
    View,
    Viewer,
)
from todo_cli.workspace import Callbacks, Login, Workspace

if TYPE_CHECKING:
    from todo_cli.models import Task
    from todo_cli.tasks.repository import ChangedTasks, TaskRepository

__all__ = [
    "NOT_GIVEN",
    "SOMEDAY",
    "Callbacks",
    "ChangedTasks",
    "Due",
    "GroupCount",
    "InvalidDraft",
    "InvalidInput",
    "Login",
    "NotLoggedIn",
    "Priority",
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
    "View",
    "Viewer",
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
    """Open a database in the same way as the command line.

    Without a URL, this opens the database of the environment's variables, else the one that
    `todo login` stored, else the embedded one. Without a token, the log-in is that of
    `TODO_SESSION_TOKEN`, else the one stored for that database. The connection is made when it is
    first needed. `environ` replaces this process's environment.

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
    """Import the classes that take long to import when they are first used."""
    if name == "Task":
        from todo_cli.models import Task

        return Task
    if name in ("ChangedTasks", "TaskRepository"):
        from todo_cli.tasks import repository

        return getattr(repository, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
