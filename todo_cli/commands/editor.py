"""A task's text in the user's editor: title on the first line, description after an empty one."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from todo_cli.errors import InvalidInput, Refused
from todo_cli.values import clean_description, clean_title

if TYPE_CHECKING:
    from todo_cli.context import Run
    from todo_cli.models import Task


def edit_text(run: Run, task: Task) -> dict[str, str | None]:
    """Let the user edit; answer what they changed, empty if nothing.

    Raises:
        InvalidInput: no terminal or no editor; or the text cannot be a task's. What was written
            is kept in a file, and the hint names it.
    """
    run.require_own_process()
    editor = _editor(run)
    descriptor, name = tempfile.mkstemp(prefix=f"todo-{task.number}-", suffix=".txt")
    path = Path(name)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(_as_text(task.title, task.description))
    try:
        finished = subprocess.run([*editor, name], check=False)
    except OSError as error:
        path.unlink()
        raise InvalidInput(f"The editor {editor[0]!r} cannot be started.") from error
    if finished.returncode != 0:
        raise Refused("The editor ended with an error.", hint=f"Your text is in {path}")
    try:
        title, description = _as_fields(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput("The text is not valid UTF-8.", hint=f"It is in {path}") from error
    except InvalidInput as error:
        raise InvalidInput(error.message, hint=f"Your text is in {path}") from error
    path.unlink()
    changes: dict[str, str | None] = {}
    if title != task.title:
        changes["title"] = title
    if description != task.description:
        changes["description"] = description
    return changes


def _editor(run: Run) -> list[str]:
    stdin = run.invocation.stdin
    if stdin is None or not stdin.isatty() or not run.invocation.stdout.isatty():
        raise InvalidInput(
            "Nothing to change, and no terminal for an editor.",
            hint="Give --title or --description.",
        )
    environ = run.invocation.environ
    chosen = environ.get("VISUAL") or environ.get("EDITOR")
    if not chosen:
        default = "notepad" if os.name == "nt" else "vi"
        return [default]
    return shlex.split(chosen)


def _as_text(title: str, description: str | None) -> str:
    return f"{title}\n\n{description}\n" if description else f"{title}\n"


def _as_fields(text: str) -> tuple[str, str | None]:
    title, _, rest = text.strip("\n").partition("\n")
    return clean_title(title), clean_description(rest.strip("\n"))
