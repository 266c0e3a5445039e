"""Value types, and the validation of user text. Imports only `errors`.

Commands parse words into these types, and the repository returns them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from todo_cli.errors import InvalidInput

if TYPE_CHECKING:
    from todo_cli.models import Task

MAX_TITLE_LENGTH = 500
MAX_DESCRIPTION_LENGTH = 20_000
MAX_TAGS = 50
MAX_TAG_LENGTH = 50
MAX_TAGS_BYTES = 1_000
"""Of all tags of a task: an index holds them, and takes 2,704 bytes a row."""
MAX_PROJECT_LENGTH = 200
MAX_EXTRA_BYTES = 8_192
SOMEDAY = date(9999, 12, 31)
"""The day to wait for of a task that waits without an end."""
NONE = "none"
"""Said of what is cleared or not there: a day, a priority, a project, the tags."""
ANY = "any"
"""Said in filters of what is there, whichever it is."""
RESERVED_NAMES = frozenset({NONE, ANY})
"""No tags and no projects: options and filters give these words a meaning."""
DEFAULT_LIMIT = 50
DEFAULT_DAYS = 7
MAX_DAYS = 3650
MAX_STATS_DAYS = 3650
MAX_TASKS = 200_000
"""How many tasks one command adds or changes. One statement then takes some seconds, and this
process some hundred MB."""
MAX_PATTERNS = 100
"""How many ranges and beginnings of UUIDs one command takes. Each adds a condition."""

MAX_BIGINT = 2**63 - 1
MAX_LIMIT = MAX_BIGINT - 1
"""PostgreSQL's LIMIT is a bigint, and a table reads one row more than it shows."""
_HEX_DIGITS = 32
_REFERENCE = re.compile(r"[0-9a-f]{4,8}(-?[0-9a-f]{0,4}){0,3}(-?[0-9a-f]{0,12})?")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_ALLOWED_CONTROLS = frozenset("\t\n\r")


class TaskState(StrEnum):
    """Which of the tasks a list shows."""

    PENDING = "pending"
    DONE = "done"
    ALL = "all"
    TRASH = "trash"
    ARCHIVED = "archived"


class Priority(IntEnum):
    """How important a task is, as the database keeps it: a smaller number is more important."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Due:
    """When a task is due: on a day, or at a time of it.

    Without a zone (an IANA name) the time is that of the clock on the wall, wherever you are.
    """

    day: date
    time: time | None = None
    zone: str | None = None

    @classmethod
    def of(cls, task: Task) -> Due | None:
        """When the task is due, if it is."""
        if task.due_on is None:
            return None
        return cls(task.due_on, task.due_time, task.due_zone)

    def local(self, viewer: Viewer) -> Due:
        """The same by the viewer's clock, without a zone."""
        if self.time is None or self.zone in (None, viewer.time_zone):
            return Due(self.day, self.time)
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            zone = ZoneInfo(self.zone)
            there = datetime.combine(self.day, self.time, tzinfo=zone)
            here = there.astimezone(viewer.now.tzinfo)
        except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
            return Due(self.day, self.time)  # the server knows a zone that this machine does not
        return Due(here.date(), here.time())

    def is_late(self, viewer: Viewer) -> bool:
        """Whether it is over. A day without a time lasts until midnight."""
        local = self.local(viewer)
        if local.time is None:
            return local.day < viewer.today
        at = datetime.combine(local.day, local.time, tzinfo=viewer.now.tzinfo)
        # As instants: of one zone, times are compared as the clock shows them.
        return at.astimezone(UTC) < viewer.now.astimezone(UTC)

    def cleaned(self) -> Due:
        """The same, with a time of whole seconds.

        Raises:
            InvalidInput: there is a zone without a time, or it is not known.
        """
        if self.zone is not None:
            if self.time is None:
                raise InvalidInput("A time zone needs a time.", reason="zone_without_time")
            _require_zone(self.zone)
        clock = self.time and self.time.replace(microsecond=0, tzinfo=None)
        return Due(_clean_day(self.day), clock, self.zone)


@dataclass(frozen=True)
class Viewer:
    """Who looks at tasks, and when: what is late, and which day it is, depends on both.

    `now` is aware and in the viewer's time zone. `time_zone` names that zone for PostgreSQL.
    """

    now: datetime
    time_zone: str

    @property
    def today(self) -> date:
        return self.now.date()

    def start_of(self, day: date) -> datetime:
        """The instant at which a day begins here."""
        return datetime.combine(day, time.min, tzinfo=self.now.tzinfo)


MAX_HISTORY = 1_000
"""How many commands of the history are read at once."""


class SortKey(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    TITLE = "title"
    DUE = "due"
    PRIORITY = "priority"
    PROJECT = "project"
    URGENCY = "urgency"


class DateOrder(StrEnum):
    """How a person writes 5 December in numbers: 5/12 or 12/5."""

    DMY = "dmy"
    MDY = "mdy"


@dataclass(frozen=True)
class TaskRef:
    """A reference as typed: a number, a range of numbers, a UUID, or the beginning of a UUID.

    Exactly one of these is set: `number`; the inclusive range `first_number`..`last_number`; the
    inclusive range `first`..`last` of UUIDs, which must contain exactly one task.
    """

    text: str
    number: int | None = None
    first_number: int | None = None
    last_number: int | None = None
    first: UUID | None = None
    last: UUID | None = None

    @classmethod
    def parse(cls, text: str) -> TaskRef:
        """Read a reference to one task.

        Raises:
            InvalidInput: the text is neither a number nor the beginning of a UUID.
        """
        refs = cls.parse_several(text)
        if len(refs) > 1 or refs[0].first_number is not None:
            raise InvalidInput(
                f"{text} may be several tasks; this takes one.", reason="one_task_only"
            )
        return refs[0]

    @classmethod
    def parse_several(cls, text: str) -> tuple[TaskRef, ...]:
        """Read a word that may name several tasks: references or ranges, separated by commas.

        Raises:
            InvalidInput: a part is neither a reference nor a range.
        """
        parts = text.split(",")
        if "" in parts:
            raise _not_a_task(text)
        return tuple(map(cls._read, parts))

    @classmethod
    def _read(cls, text: str) -> TaskRef:
        if text.isascii() and text.isdigit():
            return cls(text, number=_clamped(text))
        prefix = text.lower()
        digits = prefix.replace("-", "")
        is_hexadecimal = _REFERENCE.fullmatch(prefix) and 4 <= len(digits) <= _HEX_DIGITS
        first = UUID(digits.ljust(_HEX_DIGITS, "0")) if is_hexadecimal else None
        if first is not None and ("-" not in prefix or str(first).startswith(prefix)):
            return cls(text, first=first, last=UUID(digits.ljust(_HEX_DIGITS, "f")))
        # 12345678-1234 is a UUID, read above. As a range it would descend.
        if (match := _RANGE.fullmatch(text)) is not None:
            return cls._range(text, *map(_clamped, match.groups()))
        if first is not None:
            raise InvalidInput(f"{text!r} is not the beginning of a UUID.", reason="not_a_task")
        raise _not_a_task(text)

    @classmethod
    def _range(cls, text: str, first: int, last: int) -> TaskRef:
        if first > last:
            raise InvalidInput(
                f"The range {text} ends before it begins.", hint=f"Give it as {last}-{first}."
            )
        return cls(text, first_number=first, last_number=last)


def _not_a_task(text: str) -> InvalidInput:
    return InvalidInput(f"{printable(text)!r} is not a task.", reason="not_a_task")


def require_few_enough(count: int) -> None:
    """Refuse more tasks than a command takes.

    Raises:
        InvalidInput: there are more than `MAX_TASKS`.
    """
    if count > MAX_TASKS:
        raise InvalidInput(
            f"{count:,} tasks are too many at once; a command takes up to {MAX_TASKS:,}.",
            hint="Do it in several commands.",
        )


def require_few_patterns(refs: Sequence[TaskRef]) -> None:
    """Refuse more ranges and beginnings of UUIDs than a command takes.

    Raises:
        InvalidInput: there are more than `MAX_PATTERNS`.
    """
    patterns = {ref.text for ref in refs if ref.number is None and ref.first != ref.last}
    patterns |= {ref.text for ref in refs if ref.first_number is not None}
    if len(patterns) > MAX_PATTERNS:
        raise InvalidInput(
            f"{len(patterns):,} ranges and beginnings of UUIDs are too many at once; a command "
            f"takes up to {MAX_PATTERNS}.",
            hint="Give the tasks' numbers, or do it in several commands.",
        )


def _clamped(digits: str) -> int:
    significant = digits.lstrip("0")[: len(str(MAX_BIGINT)) + 1]
    return min(int(significant or "0"), MAX_BIGINT)


class NotGiven(Enum):
    """The type of `NOT_GIVEN`. None would not do: it clears a description."""

    NOT_GIVEN = "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN


@dataclass(frozen=True)
class TaskDraft:
    """A task to add, as the user wrote it. The repository cleans it."""

    title: str
    description: str | None = None
    due: Due | None = None
    wait_on: date | None = None
    priority: Priority | None = None
    tags: Sequence[str] = ()
    project: str | None = None
    extra: Mapping[str, Any] | None = None

    def cleaned(self) -> TaskDraft:
        """The draft with its texts as they are stored.

        Raises:
            InvalidInput: a field is not valid.
        """
        # Most drafts have a title alone, and many may be added at once.
        given = {name: value for name, value in vars(self).items() if value not in (None, ())}
        return TaskDraft(**{name: _CLEANED[name](value) for name, value in given.items()})


@dataclass(frozen=True)
class TaskChanges:
    """Changes to a task. Fields that are not given stay. None clears, "" a description too.

    Tags are removed before others are added, from those that the task has at that moment.
    """

    title: str | NotGiven = NOT_GIVEN
    description: str | NotGiven | None = NOT_GIVEN
    due: Due | NotGiven | None = NOT_GIVEN
    wait_on: date | NotGiven | None = NOT_GIVEN
    priority: Priority | NotGiven | None = NOT_GIVEN
    tags: Sequence[str] | NotGiven = NOT_GIVEN
    project: str | NotGiven | None = NOT_GIVEN
    extra: Mapping[str, Any] | NotGiven | None = NOT_GIVEN
    clear_tags: bool = False
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()

    def cleaned(self) -> TaskChanges:
        """The changes as they are stored.

        Raises:
            InvalidInput: a field is not valid.
        """
        return replace(
            self,
            **_cleaned(self),
            add_tags=clean_tags(self.add_tags),
            remove_tags=clean_tags(self.remove_tags),
        )

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that are set; of the tags, before some are removed and added."""
        columns = _given(replace(self, tags=()) if self.clear_tags else self)
        if "due" in columns:
            due = columns.pop("due")
            columns |= {name: due and getattr(due, part) for name, part in DUE_COLUMNS.items()}
        if "tags" in columns:
            columns["tags"] = list(columns["tags"])
        return columns

    def are_made_in(self, task: Task) -> bool:
        """Whether the task is as these changes leave it."""
        tags = {tag.lower() for tag in task.tags}
        columns = self.columns
        if self.add_tags or self.remove_tags:
            columns.pop("tags", None)
        added = {tag.lower() for tag in self.add_tags}
        removed = {tag.lower() for tag in self.remove_tags} - added
        return (
            all(getattr(task, name) == value for name, value in columns.items())
            and added <= tags
            and not removed & tags
        )

    def __bool__(self) -> bool:
        """Whether anything is given."""
        return self != TaskChanges()


def _given(given: TaskDraft | TaskChanges) -> dict[str, Any]:
    """The fields that are given, of those that a draft has."""
    values = {name: getattr(given, name) for name in _CLEANED}
    return {name: value for name, value in values.items() if value is not NOT_GIVEN}


def _cleaned(given: TaskDraft | TaskChanges) -> dict[str, Any]:
    return {name: _CLEANED[name](value) for name, value in _given(given).items()}


class Filter:
    """A condition on tasks, as a tree of values. `todo_cli.filters` has its kinds."""


class View(StrEnum):
    """A list of pending tasks that its name explains: what it holds, and in which order."""

    TODAY = "today"
    UPCOMING = "upcoming"
    NEXT = "next"


@dataclass(frozen=True)
class TaskQuery:
    """What to list. `limit` None means all. `after` is the last task of the page before.

    A filter narrows the list; it may name other states than pending. With a viewer, pending tasks
    that wait for a later day are left out, unless the filter names them.
    A view chooses and sorts pending tasks by itself, for a viewer.

    Raises:
        InvalidInput: the limit is negative, or not a bigint; there is no viewer for a filter, or
            for the order by urgency.
    """

    state: TaskState = TaskState.PENDING
    search: str | None = None
    sort: SortKey = SortKey.CREATED
    reverse: bool = False
    limit: int | None = None
    after: TaskRef | None = None
    filter: Filter | None = None
    viewer: Viewer | None = None
    view: View | None = None
    days: int = DEFAULT_DAYS
    """How many days the view of upcoming tasks has."""
    with_terms: bool = False
    """Whether a table shows of what each urgency in the view of the next tasks is the sum."""

    def __post_init__(self) -> None:
        if self.viewer is None and (self.filter or self.sort is SortKey.URGENCY):
            raise InvalidInput("A filter and the order by urgency need a viewer.")
        if self.limit is not None and not 0 <= self.limit <= MAX_BIGINT:
            raise InvalidInput("The limit is negative or too large.", hint="Take 0 or more.")

    @property
    def has_all_pending(self) -> bool:
        """Whether it is of all pending tasks, and begins with the first page."""
        narrowing = (self.view, self.filter, self.search, self.after)
        return self.state is TaskState.PENDING and not any(narrowing)

    @property
    def is_by_creation(self) -> bool:
        """Whether the order is that of the numbers, which an index has."""
        return self.sort is SortKey.CREATED and self.view is None

    def with_limit(self, limit: int) -> TaskQuery:
        return replace(self, limit=limit)


@dataclass(frozen=True)
class DueCounts:
    """How many of all pending tasks that do not wait are late, due today, and due tomorrow."""

    late: int = 0
    today: int = 0
    tomorrow: int = 0

    @classmethod
    def of(cls, tasks: Iterable[Task], viewer: Viewer) -> DueCounts:
        """The same of these tasks alone."""
        today = viewer.today
        pending = [task for task in tasks if not task.completed]
        shown = [task for task in pending if task.wait_on is None or task.wait_on <= today]
        dues = [due for due in map(Due.of, shown) if due is not None]
        late = [due for due in dues if due.is_late(viewer)]
        days = Counter(due.local(viewer).day for due in dues if due not in late)
        tomorrow = today + timedelta(days=1) if today < date.max else today
        return cls(len(late), days[today], days[tomorrow])


@dataclass(frozen=True)
class TaskPage:
    """A page of tasks. `total` counts all tasks of the query; None if not asked for."""

    tasks: list[Task]
    total: int | None
    due: DueCounts | None = None
    """Where the query has a viewer, and the page does not show them all."""
    terms: list[dict[str, float]] = field(default_factory=list)
    """Of what the urgency of each task is the sum, in the view of the next tasks."""


@dataclass(frozen=True)
class MatchingTasks:
    """The numbers of tasks, and the titles of the first of them."""

    numbers: Sequence[int]
    titles: Sequence[str]

    @classmethod
    def of(cls, tasks: Sequence[Task], titles: int) -> MatchingTasks:
        """The tasks, with so many titles."""
        return cls([task.number for task in tasks], [task.title for task in tasks[:titles]])


@dataclass(frozen=True)
class GroupCount:
    """How many tasks a project or a tag has: pending, completed, and late ones of the pending."""

    name: str
    open: int
    done: int
    late: int


@dataclass(frozen=True)
class DayCount:
    """How many tasks were created and completed on one day of the user's time zone."""

    date: date
    created: int
    completed: int


@dataclass(frozen=True)
class Stats:
    """Statistics of the user's tasks. Only `trash` counts tasks in the trash."""

    total: int
    pending: int
    completed: int
    trash: int
    created_last_7_days: int
    completed_last_7_days: int
    streak_days: int
    median_hours_to_done: float | None
    oldest_pending: datetime | None
    by_day: list[DayCount]

    @property
    def completion_rate(self) -> float:
        """The share of tasks that are completed, from 0 to 1; 0 if there are no tasks."""
        return self.completed / self.total if self.total else 0.0


class StoreKind(StrEnum):
    """Where a session can be kept."""

    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True)
class Account:
    """The account that is logged in. An unused session ends at `expires_at`."""

    user_id: UUID
    email: str
    name: str
    expires_at: datetime


@dataclass(frozen=True)
class AccountSession:
    """One session of an account, from here or from the web. It does not hold the token."""

    id: UUID
    is_current: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None


def number_ranges(digits: str) -> list[tuple[int, int]]:
    """The numbers that begin with these digits, as inclusive ranges: 1, 10 to 19, 100 to 199 …"""
    ranges = []
    first = last = int(digits[:20])
    while 0 < first <= MAX_BIGINT and not digits.startswith("0"):
        ranges.append((first, min(last, MAX_BIGINT)))
        first, last = first * 10, last * 10 + 9
    return ranges


def clean_title(text: str) -> str:
    """The title as it is stored: white space folded, ends trimmed, 1 to 500 characters.

    Raises:
        InvalidInput: it is empty, too long, has control characters, or is not valid UTF-8.
    """
    _refuse_unprintable(text, "title")
    title = " ".join(text.split())
    if not title:
        raise InvalidInput("The title is empty.", reason="empty_title")
    _refuse_longer(title, MAX_TITLE_LENGTH, "title")
    return title


def clean_description(text: str) -> str | None:
    """The description as it is stored: line breaks become \\n, an empty text None.

    Raises:
        InvalidInput: it is too long, has control characters, or is not valid UTF-8.
    """
    _refuse_unprintable(text, "description")
    description = text.replace("\r\n", "\n").replace("\r", "\n")
    _refuse_longer(description, MAX_DESCRIPTION_LENGTH, "description")
    return description if description.strip() else None


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are stored: sorted, and none twice that differ in case alone.

    Raises:
        InvalidInput: one of them cannot be a tag, or they are too many.
    """
    by_name: dict[str, str] = {}
    for tag in tags:
        by_name.setdefault(tag.lower(), _clean_word(tag, "tag", MAX_TAG_LENGTH))
    if len(by_name) > MAX_TAGS:
        raise InvalidInput(f"A task has at most {MAX_TAGS} tags; these are {len(by_name):,}.")
    size = sum(len(tag.encode()) for tag in by_name.values())
    if size > MAX_TAGS_BYTES:
        raise InvalidInput(
            f"The tags have {size:,} bytes together; at most {MAX_TAGS_BYTES:,} are kept."
        )
    return tuple(tag for _, tag in sorted(by_name.items()))


def clean_project(path: str) -> str:
    """A project as it is stored: a path such as house.garden.

    Raises:
        InvalidInput: it cannot be one.
    """
    project = _clean_word(path, "project", MAX_PROJECT_LENGTH)
    if "" in project.split("."):
        raise InvalidInput(
            f"The project {printable(project)!r} has an empty part.",
            hint="Give a path such as: house.garden",
        )
    return project


def _clean_word(word: str, what: str, longest: int) -> str:
    """One word of a shell, which filters can name."""
    _refuse_unprintable(word, what)
    if not word:
        raise InvalidInput(f"The {what} is empty.")
    if "," in word or any(character.isspace() for character in word):
        raise InvalidInput(
            f"The {what} {printable(word[:longest])!r} holds a comma or white space.",
            hint="Join its words with a dash.",
        )
    if word.lower() in RESERVED_NAMES:
        raise InvalidInput(f"The word {word!r} is no {what}: it is said of tasks without one.")
    _refuse_longer(word, longest, what)
    return word


def _clean_priority(priority: int) -> Priority:
    try:
        return Priority(priority)
    except ValueError:
        raise InvalidInput(f"{priority!r} is not a priority.", reason="unknown_priority") from None


def _clean_day(day: date) -> date:
    """A day without a time: a `datetime` is a `date` too."""
    return date(day.year, day.month, day.day)


def _clean_extra(extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an import brought, as JSON can hold it.

    Raises:
        InvalidInput: it is no JSON, or too large.
    """
    try:
        text = json.dumps(dict(extra), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise InvalidInput("The further fields cannot be written as JSON.") from error
    if "\\u0000" in text:
        raise InvalidInput("The further fields hold the control character U+0000.")
    if size > MAX_EXTRA_BYTES:
        raise InvalidInput(
            f"The further fields have {size:,} bytes; at most {MAX_EXTRA_BYTES:,} are kept."
        )
    return dict(json.loads(text)) or None


def _require_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        is_known = _ZONE.fullmatch(zone) is not None and bool(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        is_known = False
    if not is_known:
        raise InvalidInput(
            f"The time zone {printable(zone[:64])!r} is not known.",
            hint="Give its name, for example: Europe/Berlin",
            reason="unknown_zone",
        )


def _or_none(clean: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else clean(value)


_CLEANED: dict[str, Callable[[Any], Any]] = {
    "title": clean_title,
    "description": _or_none(clean_description),
    "due": _or_none(Due.cleaned),
    "wait_on": _or_none(_clean_day),
    "priority": _or_none(_clean_priority),
    "project": _or_none(clean_project),
    "tags": clean_tags,
    "extra": _or_none(_clean_extra),
}
"""What people write of a task, and how each field of a draft and of changes is cleaned. JSON
documents and records have the fields in this order, so a new one goes to the end."""

WRITTEN_FIELDS = tuple(_CLEANED)
DUE_COLUMNS = {"due_on": "day", "due_time": "time", "due_zone": "zone"}
"""The columns of `due`, and the part of it that each holds. The others have their fields' names."""
WRITTEN_COLUMNS = tuple(
    column for field in WRITTEN_FIELDS for column in (DUE_COLUMNS if field == "due" else (field,))
)
"""The columns of a task that people write, besides its states."""


def clean_search(text: str, what: str = "search text") -> str:
    """A text to search for, or a filter, that PostgreSQL accepts.

    Raises:
        InvalidInput: it has control characters, or is not valid UTF-8.
    """
    _refuse_unprintable(text, what)
    return text


def _refuse_longer(text: str, longest: int, what: str) -> None:
    if len(text) > longest:
        raise InvalidInput(
            f"The {what} has {len(text):,} characters; the maximum is {longest:,}.",
            hint="Shorten it, or move the rest to the description."
            if what == "title"
            else "Shorten it.",
        )


def _refuse_unprintable(text: str, what: str) -> None:
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise InvalidInput(
                f"The {what} is not valid UTF-8.",
                hint="Check the encoding of the terminal or file.",
            )
        if category == "Cc" and character not in _ALLOWED_CONTROLS:
            raise InvalidInput(
                f"The {what} contains the control character U+{ord(character):04X}.",
                hint="Remove it. Tabs and line breaks are allowed.",
            )


_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def printable(text: str, *, keep: str = "") -> str:
    """The text, safe to send to a terminal: unsafe characters are written as `<U+202E>`.

    Control and escape characters, bidi overrides, line separators and lone surrogates are unsafe.
    Characters in `keep` stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or not _is_unsafe(character) else f"<U+{ord(character):04X}>"
        for character in text
    )


def _is_unsafe(character: str) -> bool:
    return character in _BIDI_CONTROLS or unicodedata.category(character) in (
        "Cc",
        "Cs",
        "Zl",
        "Zp",
    )
