"""The options for a task's attributes, read into changes, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from todo_cli.errors import InvalidInput
from todo_cli.values import NONE, NOT_GIVEN, NotGiven, TaskChanges, TaskDraft, printable

if TYPE_CHECKING:
    from todo_cli.attributes import Reader
    from todo_cli.context import Run
    from todo_cli.models import Task


def reader_of(run: Run) -> Reader:
    """Reads attributes at the moment of a run, where its user is."""
    from todo_cli.attributes import Reader

    return Reader(run.local_now(), run.zone_name, run.settings.date_order)


def read_options(
    run: Run,
    *,
    due: str | None,
    wait: str | None,
    priority: str | None,
    project: str | None,
    tags: Sequence[str],
    removed_tags: Sequence[str] = (),
) -> TaskChanges:
    """What the options say. Those that are not given change nothing.

    Raises:
        InvalidInput: one is not understood, or two contradict each other.
    """
    if not any((tags, removed_tags)) and due is wait is priority is project is None:
        return TaskChanges()
    from todo_cli.attributes import naming

    reader = reader_of(run)

    def read(option: str, text: str | None, reading: Callable[[str], Any]) -> Any:
        if text is None:
            return NOT_GIVEN
        with naming(option):
            return reading(text)

    def read_tags(option: str, texts: Sequence[str]) -> tuple[str, ...]:
        with naming(option):
            return reader.tags(texts)

    if any(tag.lower() == NONE for tag in removed_tags):
        raise InvalidInput("--no-tag takes the name of a tag.", hint="To remove all: --tag none")
    named = [tag for tag in tags if tag.lower() != NONE]
    changes = TaskChanges(
        due=read("--due", due, reader.due),
        wait_on=read("--wait", wait, reader.wait),
        priority=read("--priority", priority, reader.priority),
        project=read("--project", project, reader.project),
        clear_tags=len(named) < len(tags),
        add_tags=read_tags("--tag", named),
        remove_tags=read_tags("--no-tag", removed_tags),
    )
    _refuse_contradiction(changes)
    return changes


def _refuse_contradiction(changes: TaskChanges) -> None:
    removed = {tag.lower() for tag in changes.remove_tags}
    for tag in changes.add_tags:
        if tag.lower() in removed:
            raise InvalidInput(f"The tag {printable(tag)!r} is both added and removed.")


def draft_of(title: str, description: str | None, changes: TaskChanges) -> TaskDraft:
    """A new task with the attributes that changes give."""

    def value(given: Any) -> Any:
        return None if isinstance(given, NotGiven) else given

    return TaskDraft(
        title,
        description,
        due=value(changes.due),
        wait_on=value(changes.wait_on),
        priority=value(changes.priority),
        tags=changes.add_tags,
        project=value(changes.project),
    )


def say(run: Run, changes: TaskChanges, task: Task | None = None) -> None:
    """Say what was understood; `task` is the task after an edit."""
    if not changes:
        return
    from todo_cli.attributes import said

    for sentence in said(changes, reader_of(run), task):
        run.render.note(sentence)
