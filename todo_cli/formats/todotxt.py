"""todo.txt: one task a line, as todotxt.org describes it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any, BinaryIO

from todo_cli.errors import InvalidInput
from todo_cli.formats.record import Context, Record, text_lines
from todo_cli.values import Due, Priority

NAME = "todotxt"
_PRIORITY = re.compile(r"\(([A-Z])\) ")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?: |$)", re.ASCII)
_PAIR = re.compile(r"([A-Za-z][\w-]*):(?!//)(\S+)")
_LEVELS = {"A": Priority.HIGH, "B": Priority.MEDIUM, "C": Priority.LOW}
_LETTERS = {"high": "A", "medium": "B", "low": "C"}


def read(stream: BinaryIO, context: Context) -> Iterator[Record | InvalidInput]:
    seen: Counter[bytes] = Counter()
    for number, line in text_lines(stream):
        text = line.strip()
        if text:
            # Equal lines are different tasks, and the same ones when the file is read again.
            digest = hashlib.sha256(text.encode()).digest()
            seen[digest] += 1
            record = _record(number, text, context)
            record.key = f"{NAME} {digest.hex()} {seen[digest]}"
            yield record


def _record(number: int, line: str, context: Context) -> Record:
    record, text, first = Record(number, line), line, None
    if text.startswith("x "):
        record.completed = True
        text = text[2:].lstrip()
    if match := _PRIORITY.match(text):
        _take_priority(record, match[1])
        text = text[match.end() :].lstrip()
    first, text = _take_date(text)
    if record.completed and first is not None:
        second, text = _take_date(text)
        record.completed_at = _midnight(first, context)
        first = second
    if first is not None:
        record.created_at = _midnight(first, context)
    words: list[str] = []
    tags: list[str] = []
    kept: dict[str, Any] = {}
    for word in text.split():
        if len(word) > 1 and word[0] == "@":
            tags.append(word[1:])
        elif len(word) > 1 and word[0] == "+":
            if record.project is None:
                record.take_project(word[1:], NAME)
            else:
                tags.append(word[1:])
        elif not ((match := _PAIR.fullmatch(word)) and _take_pair(record, kept, *match.groups())):
            words.append(word)
    record.take_tags(tags)
    record.keep(NAME, kept)
    record.title = " ".join(words) or line
    return record


def _take_date(text: str) -> tuple[date | None, str]:
    match = _DATE.match(text)
    if match is None:
        return None, text
    try:
        return date.fromisoformat(match[1]), text[match.end() :].lstrip()
    except ValueError:
        return None, text


def _take_pair(record: Record, kept: dict[str, Any], key: str, value: str) -> bool:
    """Take `key:value`. False if it is a word of the text."""
    if key in ("due", "t"):
        try:
            day = date.fromisoformat(value) if _DATE.fullmatch(value) else None
        except ValueError:
            day = None
        if day is None:
            record.doubts.append(f"{key}: is followed by no day; it stays in the title")
            return False
        if key == "due":
            record.due = Due(day)
        else:
            record.wait_on = day
        return True
    if key == "pri" and re.fullmatch("[A-Z]", value):
        _take_priority(record, value)
        return True
    if key in kept:
        return False
    kept[key] = value
    return True


def _take_priority(record: Record, letter: str) -> None:
    record.priority = _LEVELS.get(letter, Priority.LOW)
    if letter not in _LEVELS:
        record.keep(NAME, {"priority": letter})


def _midnight(day: date, context: Context) -> datetime:
    # In UTC, the first and the last days could be out of the range of dates.
    return datetime.combine(day, time(0), context.zone if 1 < day.year < 9999 else UTC)


def write(tasks: Iterable[dict[str, Any]], context: Context, lost: Counter[str]) -> Iterator[str]:
    for task in tasks:
        if task["deleted_at"]:
            lost["trash"] += 1
            continue
        for name in ("description", "due_time"):
            lost[name] += bool(task[name])
        yield f"{' '.join(_words(task, context))}\n"


def _words(task: dict[str, Any], context: Context) -> Iterator[str]:
    kept = dict((task["extra"] or {}).get(NAME, {}))
    letter = kept.pop("priority", None)
    named = kept.pop("project", None)
    if task["priority"] != "low" or letter is None:
        letter = _LETTERS.get(task["priority"] or "")
    if task["completed"]:
        yield "x"
        if task["completed_at"]:
            yield _day(task["completed_at"], context)
    elif letter:
        yield f"({letter})"
    if not task["completed"] or task["completed_at"]:
        yield _day(task["created_at"], context)
    yield task["title"]
    if task["project"]:
        yield f"+{task['project'] if named is None else named}"
    yield from (f"@{tag}" for tag in task["tags"])
    if task["due_on"]:
        yield f"due:{task['due_on']}"
    if task["wait_on"]:
        yield f"t:{task['wait_on']}"
    if task["completed"] and letter:
        yield f"pri:{letter}"
    yield from (f"{key}:{value}" for key, value in kept.items())


def _day(instant: str, context: Context) -> str:
    return datetime.fromisoformat(instant).astimezone(context.zone).date().isoformat()
