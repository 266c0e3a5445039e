"""A task as text in the user's editor; `attributes.block` says how it looks."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from todo_cli.attributes import changed_text, editable_text
from todo_cli.commands.attributes import reader_of
from todo_cli.commands.hints import hint_of
from todo_cli.errors import InvalidInput, Refused, TodoError

_WITHOUT_EDITOR = "Give an option, such as --title or --due."
_OTHER_EDITOR = (
    "Set $VISUAL or $EDITOR to one that is installed, or give an option, such as --title or --due."
)

if TYPE_CHECKING:
    from todo_cli.attributes import Reader
    from todo_cli.context import Run
    from todo_cli.models import Task
    from todo_cli.values import TaskChanges


@contextmanager
def edited_text(run: Run, task: Task) -> Iterator[TaskChanges]:
    """Open the user's editor and yield the changes, which may be empty.

    The text stays in a file until the block succeeds. If it fails, the hint names the file.

    Raises:
        InvalidInput: there is no terminal or editor, or the text is not valid.
        Refused: the editor failed.
    """
    run.require_own_process()
    words, source = _editor(run)
    descriptor, name = tempfile.mkstemp(prefix=f"todo-{task.number}-", suffix=".txt")
    path = Path(name)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(editable_text(task, reader_of(run)))
    try:
        finished = subprocess.run([*words, name], check=False)
    except OSError as error:
        path.unlink()
        raise _no_editor(words[0], source) from error
    try:
        if finished.returncode != 0:
            raise Refused(f"The editor {words[0]!r} ended with an error.")
        yield _changes(task, path, reader_of(run))
    except TodoError as error:
        is_about_text = isinstance(error, InvalidInput)  # the help of the command says nothing more
        hint = error.hint if is_about_text else hint_of(error, command=run.command)
        error.hint = (
            f"{hint.rstrip('.')}. Your text is in {path}" if hint else f"Your text is in {path}"
        )
        raise
    path.unlink()


def _changes(task: Task, path: Path, reader: Reader) -> TaskChanges:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("The text is not valid UTF-8.") from error
    return changed_text(task, text, reader)


def _editor(run: Run) -> tuple[list[str], str]:
    """The editor's command, and an explanation of where it comes from."""
    stdin = run.invocation.stdin
    if stdin is None or not stdin.isatty() or not run.invocation.stdout.isatty():
        raise InvalidInput(
            "Nothing to change, and no terminal for an editor.", hint=_WITHOUT_EDITOR
        )
    for variable in ("VISUAL", "EDITOR"):
        chosen = run.invocation.environ.get(variable, "")
        try:
            words = shlex.split(chosen)
        except ValueError as error:
            raise InvalidInput(
                f"${variable} is not a command: {chosen!r} has an unclosed quote.",
                hint=_OTHER_EDITOR,
            ) from error
        if words:
            return words, f"${variable} names it"
    return ["notepad" if os.name == "nt" else "vi"], "neither $VISUAL nor $EDITOR is set"


def _no_editor(word: str, source: str) -> InvalidInput:
    return InvalidInput(f"The editor {word!r} cannot be started ({source}).", hint=_OTHER_EDITOR)
