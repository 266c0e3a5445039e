"""Says back what was understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from todo_cli import dates
from todo_cli.attributes.reading import Reader
from todo_cli.values import Due, NotGiven, Priority, TaskChanges, Viewer

if TYPE_CHECKING:
    from todo_cli.models import Task


def said(changes: TaskChanges, reader: Reader, task: Task | None = None) -> list[str]:
    """Sentences about the attributes that changes give: of each day, then of the others.

    `task` is the task after the changes, where it was there before them.
    """
    sentences = list(_said(changes, reader))
    given_due, given_wait = changes.due, changes.wait_on
    if isinstance(given_due, NotGiven) and isinstance(given_wait, NotGiven):
        return sentences
    due = (task and Due.of(task)) if isinstance(given_due, NotGiven) else given_due
    wait_on = (task and task.wait_on) if isinstance(given_wait, NotGiven) else given_wait
    if due and wait_on and due.day < wait_on:
        sentences.append("It stays hidden until after the day it is due.")
    return sentences


def _said(changes: TaskChanges, reader: Reader) -> Iterator[str]:
    if changes.due is None:
        yield "No due day"
    elif isinstance(changes.due, Due):
        yield _due(changes.due, reader)
    if changes.wait_on is None:
        yield "Does not wait"
    elif isinstance(changes.wait_on, date):
        yield _wait(changes.wait_on, reader)
    others = list(_others(changes))
    if others:
        text = "; ".join(others)
        yield text[0].upper() + text[1:]


def _due(due: Due, reader: Reader) -> str:
    text = dates.describe(due.day, due.time, reader.now)
    if due.time is not None and due.zone != reader.zone:
        text = f"{text}, {due.zone}" if due.zone else f"{text}, wherever you are"
    is_past = due.is_late(Viewer(reader.now, reader.zone or ""))
    return f"Due {text}{', which is past' if is_past else ''}"


def _wait(day: date, reader: Reader) -> str:
    text = f"Waits until {dates.describe(day, None, reader.now)}"
    return f"{text}, so it is not hidden" if day <= reader.now.date() else text


def _others(changes: TaskChanges) -> Iterator[str]:
    if changes.priority is None:
        yield "no priority"
    elif isinstance(changes.priority, Priority):
        yield f"priority {changes.priority.word}"
    if changes.project is None:
        yield "no project"
    elif isinstance(changes.project, str):
        yield f"project {changes.project}"
    tags = changes.add_tags if isinstance(changes.tags, NotGiven) else changes.tags
    if tags:
        yield _tags(tags)
    elif changes.clear_tags or changes.tags == ():
        yield "no tags"
    if changes.remove_tags:
        yield f"without the {_tags(changes.remove_tags)}"


def _tags(tags: Sequence[str]) -> str:
    return f"{'tag' if len(tags) == 1 else 'tags'} {', '.join(tags)}"
