"""A task as text for an editor, and the changes that were made in it.

The first line is the title. The lines below it, up to the first empty line, are the attributes. The
rest is the description, whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from todo_cli.attributes.reading import MAX_SHOWN, Reader, naming
from todo_cli.errors import InvalidInput
from todo_cli.filters.vocabulary import ATTRIBUTE_FIELDS, FIELDS, Field
from todo_cli.values import (
    NONE,
    NOT_GIVEN,
    SOMEDAY,
    Due,
    Priority,
    TaskChanges,
    TaskDraft,
    printable,
)

if TYPE_CHECKING:
    from todo_cli.models import Task

_NAMES = {field: "tags" if field is Field.TAG else field.value for field in ATTRIBUTE_FIELDS}
"""The attributes in the order of their lines, and how each line begins."""

_CHANGED = {Field.WAIT: "wait_on", Field.TAG: "tags"}
"""The names in `TaskChanges` that are not the names of their fields."""

_ANY_ZONE = "wherever you are"


def editable_text(task: Task, reader: Reader) -> str:
    """The text of a task, with a line for every attribute, also for those that it does not have."""
    lines = [task.title, *_lines(task, reader).values()]
    text = "".join(f"{line}\n" for line in lines)
    return f"{text}\n{task.description}\n" if task.description else text


def changed_text(task: Task, text: str, reader: Reader) -> TaskChanges:
    """The changes that a text makes in the task whose text it was.

    A line that is as it was changes nothing. An attribute whose line is empty or gone is cleared.

    Raises:
        InvalidInput: there is no title, or a line is not understood; it is named.
    """
    shown = _lines(task, reader)
    lines = text.replace("\r\n", "\n").split("\n")
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines) - 1)
    if lines[start] in shown.values() and lines[start] != task.title:
        raise InvalidInput("The first line is not a title, but an attribute.", reason="empty_title")
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].strip()), len(lines))
    draft = TaskDraft(lines[start], "\n".join(lines[end:]).strip("\n")).cleaned()
    return TaskChanges(
        title=NOT_GIVEN if draft.title == task.title else draft.title,
        description=NOT_GIVEN if draft.description == task.description else draft.description,
        **dict(_changed_attributes(lines, range(start + 1, end), shown, reader)),
    )


def _lines(task: Task, reader: Reader) -> dict[Field, str]:
    priority = Priority(task.priority).word if task.priority else ""
    wait = "someday" if task.wait_on == SOMEDAY else str(task.wait_on or "")
    texts = (_due_text(Due.of(task), reader), wait, priority, task.project or "")
    values = (*texts, ", ".join(task.tags))
    return {
        field: f"{name}: {value}".rstrip()
        for (field, name), value in zip(_NAMES.items(), values, strict=True)
    }


def _due_text(due: Due | None, reader: Reader) -> str:
    if due is None:
        return ""
    if due.time is None:
        return due.day.isoformat()
    time = due.time.isoformat("seconds" if due.time.second else "minutes")
    zone = "" if due.zone == reader.zone else f" ({due.zone or _ANY_ZONE})"
    return f"{due.day.isoformat()} {time}{zone}"


def _changed_attributes(
    lines: list[str], places: range, shown: dict[Field, str], reader: Reader
) -> Iterator[tuple[str, Any]]:
    written: set[Field] = set()
    for place in places:
        line = lines[place].strip()
        with naming(f"Line {place + 1} ({printable(line[:MAX_SHOWN])})"):
            field, value = _field_and_value(line)
            if field in written:
                raise InvalidInput(f"There is a second line {_NAMES[field]}.")
            written.add(field)
            if line != shown[field]:
                yield _CHANGED.get(field, field), _read(field, value, reader)
    for field in shown.keys() - written:
        if shown[field] != f"{_NAMES[field]}:":
            yield _CHANGED.get(field, field), _read(field, "", reader)


def _field_and_value(line: str) -> tuple[Field, str]:
    name, colon, value = line.partition(":")
    field = FIELDS.get(name.strip().lower())
    if not colon or field not in _NAMES:
        raise InvalidInput(
            "This is not an attribute.",
            hint=f"Lines between the title and the first empty line begin with "
            f"{', '.join(f'{name}:' for name in _NAMES.values())}.",
            reason="unknown_field",
        )
    return field, value.strip()


def _read(field: Field, value: str, reader: Reader) -> Any:
    if field is Field.TAG:
        names = value.replace(",", " ").split()
        return () if [name.lower() for name in names] == [NONE] else reader.tags(names)
    if not value:
        return None
    read: dict[Field, Callable[[str], Due | date | Priority | str | None]] = {
        Field.DUE: lambda text: _read_due(text, reader),
        Field.WAIT: reader.wait,
        Field.PRIORITY: reader.priority,
        Field.PROJECT: reader.project,
    }
    return read[field](value)


def _read_due(text: str, reader: Reader) -> Due | None:
    """A day, with the zone of its time in brackets where it is another than the person's."""
    words, bracket, zone = text.removesuffix(")").partition(" (")
    due = reader.due(words)
    if not bracket or due is None:
        return due
    return Due(due.day, due.time, None if zone == _ANY_ZONE else zone).cleaned()
