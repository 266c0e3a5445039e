"""Taskwarrior's JSON: what `task export` writes and `task import` reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from typing import Any, BinaryIO
from uuid import UUID

from todo_cli.errors import InvalidInput
from todo_cli.formats.record import (
    Context,
    Record,
    bad,
    due_at,
    instant_of,
    json_objects,
    printed,
)
from todo_cli.values import SOMEDAY, Due, Priority

NAME = "taskwarrior"
_PRIORITIES = {"H": Priority.HIGH, "M": Priority.MEDIUM, "L": Priority.LOW}
_LETTERS = {"high": "H", "medium": "M", "low": "L"}
_STATES = frozenset({"pending", "waiting", "completed", "deleted"})
_TAKEN = frozenset(
    {
        *("id", "urgency"),  # made anew by each export
        *("uuid", "description", "status", "entry", "modified", "end", "due", "wait", "scheduled"),
        *("priority", "tags", "project"),
    }
)


def read(stream: BinaryIO, context: Context) -> Iterator[Record | InvalidInput]:
    for line, task in json_objects(stream):
        try:
            yield _record(line, task, context)
        except InvalidInput as error:
            yield bad(line, error)


def _record(line: int, task: dict[str, Any], context: Context) -> Record:
    title, status = task.get("description"), task.get("status", "pending")
    if not isinstance(title, str):
        raise InvalidInput("The task has no description.")
    record = Record(line, title)
    if status not in _STATES and status != "recurring":
        raise InvalidInput(f"{printed(status)} is not a status.")
    if "uuid" in task:
        record.origin = _uuid(task["uuid"])
        record.extra[NAME] = {"uuid": str(record.origin)}
    else:
        record.key = f"{NAME} {json.dumps(task, sort_keys=True)}"
    record.created_at = _instant(task, "entry")
    record.updated_at = _instant(task, "modified")
    end = _instant(task, "end")
    now_or_end = end or record.updated_at or record.created_at
    record.completed = status == "completed"
    record.completed_at = now_or_end if record.completed else None
    if status == "deleted":
        record.deleted_at = now_or_end or datetime.now(UTC)
    if status == "recurring":
        # Its children are tasks of their own. A waiting day keeps the template out of the lists.
        record.doubts.append("a template of repeating tasks waits as a task of its own")
        record.wait_on = SOMEDAY
    _take_days(record, task, context)
    _take_words(record, task)
    others = {name: value for name, value in task.items() if name not in _TAKEN}
    if status == "recurring":
        others["status"] = status
    record.keep(NAME, others)
    return record


def _take_days(record: Record, task: dict[str, Any], context: Context) -> None:
    due = _instant(task, "due")
    try:
        record.due = None if due is None else due_at(due, context)
        for name in ("wait", "scheduled"):
            instant = _instant(task, name)
            if instant is None:
                continue
            if record.wait_on is None:
                local = instant.astimezone(context.zone)
                record.wait_on = local.date()
                if local.time() != time(0):
                    record.lost.append(f"{name} (time)")
            else:
                record.keep(NAME, {name: task[name]})
    except OverflowError as error:
        raise InvalidInput("A date is out of the range of dates.") from error


def _take_words(record: Record, task: dict[str, Any]) -> None:
    priority = task.get("priority")
    if priority in _PRIORITIES:
        record.priority = _PRIORITIES[priority]
    elif priority:
        record.keep(NAME, {"priority": priority})
    tags = task.get("tags", [])
    if isinstance(tags, str):  # version 2.3 and older
        tags = tags.split(",")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidInput("The tags are no list of words.")
    record.take_tags(tags)
    project = task.get("project")
    if isinstance(project, str) and project:
        record.take_project(project, NAME)


def _uuid(text: Any) -> UUID:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"{printed(text)} is not a UUID.") from None


def _instant(task: dict[str, Any], name: str) -> datetime | None:
    """An instant as Taskwarrior writes it: 20261124T090000Z, or seconds since 1970 as a string."""
    value = task.get(name)
    if value in (None, ""):
        return None
    text = str(value)
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f"{printed(value)} in {name} is not a date.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def write(tasks: Iterable[dict[str, Any]], context: Context, lost: Counter[str]) -> Iterator[str]:
    """One array, with one task a line."""
    opening = "[\n"
    for task in tasks:
        document = json.dumps(_document(task, context, lost), ensure_ascii=False)
        yield opening + document
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _document(task: dict[str, Any], context: Context, lost: Counter[str]) -> dict[str, Any]:
    kept = dict((task["extra"] or {}).get(NAME, {}))
    is_template = kept.get("status") == "recurring"
    document: dict[str, Any] = {
        **kept,
        "uuid": kept.get("uuid", task["id"]),
        "description": task["title"],
        "status": "recurring"
        if is_template
        else "deleted"
        if task["deleted_at"]
        else "completed"
        if task["completed"]
        else "pending",
        "entry": _stamp(task["created_at"]),
        "modified": _stamp(task["updated_at"]),
    }
    if not is_template and (end := task["deleted_at"] or task["completed_at"]):
        document["end"] = _stamp(end)
    if due := due_of(task):
        document["due"] = _at(due, context)
    if task["wait_on"] and not is_template:
        document["wait"] = _at(Due(day_of(task["wait_on"])), context)
    if task["priority"]:
        document["priority"] = _LETTERS[task["priority"]]
    if task["tags"]:
        document["tags"] = task["tags"]
    document.pop("project", None)
    if task["project"]:
        document["project"] = _project(task["project"], kept.get("project"))
    if task["description"]:
        lost["description"] += 1
    return document


def _project(project: str, named: Any) -> str:
    """The project under the name that it had, unless it was changed here."""
    if isinstance(named, str):
        record = Record(0, "")
        record.take_project(named, NAME)
        if record.project == project:
            return named
    return project


def day_of(text: str) -> Any:
    return datetime.fromisoformat(text).date()


def due_of(task: dict[str, Any]) -> Due | None:
    if not task["due_on"]:
        return None
    clock = task["due_time"]
    return Due(
        day_of(task["due_on"]), time.fromisoformat(clock) if clock else None, task["due_zone"]
    )


def _stamp(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _at(due: Due, context: Context) -> str:
    try:
        instant = instant_of(due, context)
    except OverflowError:
        instant = datetime.combine(due.day, due.time or time(0), UTC)
    return instant.isoformat().replace("-", "").replace(":", "")[:15] + "Z"
