"""What readers make of a file, and how they read it: records, bounds, and the errors of a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, BinaryIO
from uuid import UUID
from zoneinfo import ZoneInfo

from todo_cli.errors import InvalidInput
from todo_cli.values import (
    MAX_EXTRA_BYTES,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    MAX_TAGS_BYTES,
    MAX_TITLE_LENGTH,
    Due,
    Priority,
    TaskDraft,
    clean_project,
    clean_tags,
    printable,
)

MAX_RECORD_CHARACTERS = 1024 * 1024
"""Of one record in a file. A task has at most 30,000 or so, and what it leaves out."""
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Context:
    """What a format does not say of a date: the zone of who imports or exports."""

    zone_name: str

    @property
    def zone(self) -> tzinfo:
        # An offset, as PostgreSQL takes it, where the zone has no name.
        if self.zone_name.startswith("<"):
            return datetime.now(UTC).astimezone().tzinfo or UTC
        return ZoneInfo(self.zone_name)


@dataclass
class Record:
    """A task as a file has it. `origin` is its UUID there; without one, `key` names it.

    `lost` has the fields that cannot be kept, `kept` those that only an export shows again.
    """

    line: int
    title: str
    origin: UUID | None = None
    key: str = ""
    description: str | None = None
    completed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    due: Due | None = None
    wait_on: date | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    project: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """The record as the database takes it.

        Raises:
            InvalidInput: a field is not valid.
        """
        self._fit()
        draft = TaskDraft(
            self.title,
            self.description,
            self.due,
            self.wait_on,
            self.priority,
            self.tags,
            self.project,
            self.extra or None,
        ).cleaned()
        due = draft.due
        return {
            "origin": self.origin and str(self.origin),
            "key": self.key,
            "title": draft.title,
            "description": draft.description,
            "completed": self.completed,
            "created_at": _instant(self.created_at),
            "updated_at": _instant(self.updated_at),
            "completed_at": _instant(self.completed_at) if self.completed else None,
            "deleted_at": _instant(self.deleted_at),
            "due_on": due and due.day.isoformat(),
            "due_time": due.time.isoformat() if due and due.time is not None else None,
            "due_zone": due and due.zone,
            "wait_on": draft.wait_on and draft.wait_on.isoformat(),
            "priority": draft.priority and int(draft.priority),
            "project": draft.project,
            "tags": list(draft.tags),
            "extra": draft.extra,
        }

    def _fit(self) -> None:
        """Shorten the title, and leave out of the further fields what is too large."""
        title = " ".join(self.title.split())
        if len(title) > MAX_TITLE_LENGTH:
            self.doubts.append("the title is cut; the description has the whole")
            self.description = "\n\n".join(filter(None, [self.title, self.description]))
            self.title = title[: MAX_TITLE_LENGTH - 1] + "…"
        for fields in [part for part in self.extra.values() if isinstance(part, dict)]:
            while fields and _size(self.extra) > MAX_EXTRA_BYTES:
                largest = max(fields, key=lambda name: _size(fields[name]))
                del fields[largest]
                self.lost.append(largest)
                if largest in self.kept:
                    self.kept.remove(largest)

    def keep(self, format_name: str, fields: Mapping[str, Any]) -> None:
        """Keep fields that no column has, for an export to the same format."""
        if fields:
            self.extra.setdefault(format_name, {}).update(fields)
            self.kept.extend(fields)

    def take_tags(self, tags: Iterable[str]) -> None:
        """Take the tags that a task can have, and count the others as lost."""
        good: list[str] = []
        size = 0
        for tag in tags:
            try:
                clean_tags([tag])
            except InvalidInput:
                self.lost.append("tags")
                continue
            size += len(tag.encode())
            if len(good) < MAX_TAGS and size <= MAX_TAGS_BYTES and len(tag) <= MAX_TAG_LENGTH:
                good.append(tag)
            else:
                self.lost.append("tags")
        self.tags = clean_tags(good)

    def take_project(self, name: str, format_name: str) -> None:
        """Take a project; one with blanks gets dashes, and its name is kept."""
        plain = ".".join(filter(None, "-".join(name.replace(",", " ").split()).split(".")))
        try:
            self.project = clean_project(plain)
        except InvalidInput:
            self.lost.append("project")
            return
        if plain != name:
            self.keep(format_name, {"project": name})


def _size(value: Any) -> int:
    # As PostgreSQL writes it, with a blank after each comma and colon.
    return len(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


def bad(line: int, error: str | InvalidInput) -> InvalidInput:
    """The error of a line. The caller knows the file's name."""
    message = error if isinstance(error, str) else error.message
    return InvalidInput(f"line {line:,}: {message}", reason="bad_record", line=line)


def printed(value: Any) -> str:
    """A value of a file, short, for a message."""
    return repr(printable(str(value)[:40]))


def due_at(instant: datetime, context: Context) -> Due:
    """A due instant where you are: midnight means the whole day.

    Raises:
        OverflowError: the instant is before the year 1 there, or after 9999.
    """
    local = instant.astimezone(context.zone)
    if local.time() == time(0):
        return Due(local.date())
    zone = None if context.zone_name.startswith("<") else context.zone_name
    return Due(local.date(), local.time().replace(microsecond=0), zone)


def instant_of(due: Due, context: Context) -> datetime:
    """The instant of a due day or time, in UTC.

    Raises:
        OverflowError: it is out of the range of dates.
    """
    zone = ZoneInfo(due.zone) if due.zone else context.zone
    return datetime.combine(due.day, due.time or time(0), zone).astimezone(UTC)


def text_lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """The lines of a text in UTF-8, with their numbers.

    Raises:
        InvalidInput: a line is too long, or not UTF-8.
    """
    number = 0
    while line := stream.readline(MAX_RECORD_CHARACTERS + 1):
        number += 1
        if len(line) > MAX_RECORD_CHARACTERS:
            raise bad(number, "The line is too long; a record has at most 1 MiB.")
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise bad(number, "The text is not valid UTF-8.") from error


def _refuse_constant(word: str) -> Any:
    raise ValueError(word)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_objects(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON array, or of a stream of objects, with the lines they begin on.

    Raises:
        InvalidInput: the text is not such JSON, or not UTF-8, or an object is too long.
    """
    text, line, is_over = "", 1, False
    lines = _blocks(stream)
    while True:
        start = len(text) - len(text.lstrip(" \t\r\n[,]\ufeff"))
        line += text.count("\n", 0, start)
        text = text[start:]
        if text:
            try:
                value, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError) as error:
                if is_over or len(text) > MAX_RECORD_CHARACTERS:
                    raise bad(line, "This is no JSON, or a record is too long.") from error
            else:
                if not isinstance(value, dict):
                    raise bad(line, "A task is a JSON object; this is something else.")
                yield line, value
                line += text.count("\n", 0, end)
                text = text[end:]
                continue
        elif is_over:
            return
        block = next(lines, None)
        if block is None:
            is_over = True
        else:
            text += block


def _blocks(stream: BinaryIO) -> Iterator[str]:
    """The text in blocks of whole lines, as far as lines are short."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    try:
        while block := stream.read(BLOCK_BYTES):
            yield decoder.decode(block)
            line += block.count(b"\n")
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise bad(line, "The text from here on is not valid UTF-8.") from error
