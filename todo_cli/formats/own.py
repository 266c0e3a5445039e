"""Our own JSON and CSV: the fields of a task's document, and `extra`. They lose nothing."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any, BinaryIO
from uuid import UUID

from todo_cli.errors import InvalidInput
from todo_cli.formats.record import Context, Record, bad, json_objects, printed, text_lines
from todo_cli.values import Due, Priority

FIELDS = (
    "number",
    "id",
    "title",
    "description",
    "completed",
    "created_at",
    "updated_at",
    "completed_at",
    "deleted_at",
    "due_on",
    "due_time",
    "due_zone",
    "wait_on",
    "priority",
    "project",
    "tags",
    "extra",
)
NAME = "todo"
"""Of our part of `extra`, where a task came from another database."""


def read_json(stream: BinaryIO, _: Context) -> Iterator[Record | InvalidInput]:
    for line, fields in json_objects(stream):
        yield _record_or_error(line, fields)


def read_csv(stream: BinaryIO, _: Context) -> Iterator[Record | InvalidInput]:
    reader = csv.DictReader((text for _, text in text_lines(stream)), strict=True)
    try:
        for cells in reader:
            yield _record_or_error(reader.line_num, _fields_of(cells))
    except csv.Error as error:
        raise bad(reader.line_num, "This is no CSV.") from error


def _fields_of(cells: dict[str | None, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {str(name): value or None for name, value in cells.items() if name}
    fields["completed"] = fields.get("completed") == "true"
    fields["tags"] = (fields.get("tags") or "").split(",") if fields.get("tags") else []
    try:
        extra = fields.get("extra")
        fields["extra"] = json.loads(extra) if extra else None
    except (ValueError, RecursionError):
        fields["extra"] = extra  # refused below: it is no object
    return fields


def _record_or_error(line: int, fields: dict[str, Any]) -> Record | InvalidInput:
    try:
        return _record(line, fields)
    except InvalidInput as error:
        return bad(line, error)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return bad(line, "A field of the task has a value that it cannot have.")


def _record(line: int, fields: dict[str, Any]) -> Record:
    extra = dict(fields.get("extra") or {})
    origin = extra.get(NAME, {}).get("id") or fields.get("id")
    if not isinstance(fields.get("title"), str):
        raise InvalidInput("The task has no title.")
    record = Record(line, fields["title"], extra=extra)
    if origin is None:
        record.key = f"json {json.dumps(fields, sort_keys=True, default=str)}"
    else:
        record.origin = UUID(origin)
        record.extra[NAME] = {**extra.get(NAME, {}), "id": str(record.origin)}
    completed, tags = fields.get("completed") or False, fields.get("tags") or []
    if not isinstance(completed, bool) or not isinstance(tags, list):
        raise InvalidInput("The field completed is true or false, and tags a list.")
    texts = (fields.get("description"), fields.get("project"), *tags)
    if not all(isinstance(text, str | None) for text in texts):
        raise InvalidInput("The description, the project and the tags are texts.")
    record.completed = completed
    record.description = fields.get("description")
    for name in ("created_at", "updated_at", "completed_at", "deleted_at"):
        setattr(record, name, _instant(fields.get(name)))
    day, clock = fields.get("due_on"), fields.get("due_time")
    if day is not None:
        due_time = None if clock is None else time.fromisoformat(clock)
        record.due = Due(date.fromisoformat(day), due_time, fields.get("due_zone"))
    wait = fields.get("wait_on")
    record.wait_on = None if wait is None else date.fromisoformat(wait)
    word = fields.get("priority")
    if word is not None:
        try:
            record.priority = Priority[word.upper()]
        except KeyError:
            raise InvalidInput(f"{printed(word)} is not a priority.") from None
    record.tags = tuple(tags)
    record.project = fields.get("project")
    record.lost.extend(name for name in fields if name not in FIELDS)
    return record


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise InvalidInput(f"{printed(text)} has no offset from UTC.")
    return instant.astimezone(UTC)


def write_json(pages: Iterable[str]) -> Iterator[str]:
    """One array, with one task a line. Pages are documents, one a line."""
    opening = "[\n"
    for page in filter(None, pages):
        yield opening + page.replace("\n", ",\n")
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def write_csv(tasks: Iterable[dict[str, Any]], _: Context, __: Counter[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(FIELDS)
    for task in tasks:
        writer.writerow([_cell(task[name]) for name in FIELDS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
