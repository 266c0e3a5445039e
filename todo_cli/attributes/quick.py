"""One line: a title, and attributes that are read from its end only.

From right to left, until the first ordinary word: `field:value`, `@tag`, `p1` to `p3`, and a date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from todo_cli import dates
from todo_cli.attributes import tail
from todo_cli.attributes.reading import Reader, naming
from todo_cli.errors import InvalidInput
from todo_cli.filters.vocabulary import ATTRIBUTE_FIELDS, FIELDS, Field
from todo_cli.values import (
    NONE,
    NOT_GIVEN,
    RESERVED_NAMES,
    Due,
    NotGiven,
    Priority,
    TaskChanges,
    printable,
)

_PRIORITIES = {f"p{priority.value}": priority for priority in Priority}
_OTHER_TAG = re.compile(r"[#+][^\W\d_][\w-]*")
"""A tag as other programs write it."""
_DAYS = frozenset({Field.DUE, Field.WAIT})


@dataclass(frozen=True)
class Line:
    """What a line says. `hint` is about a date at the title's end, which was not taken."""

    title: str
    changes: TaskChanges
    hint: str | None = None


def read_line(words: Sequence[str], reader: Reader, *, is_literal: bool = False) -> Line:
    """Read a line, given as the words of a shell. A word with white space in it is literal.

    With `is_literal` nothing is read: all words are the title.

    Raises:
        InvalidInput: an attribute is not understood or given twice, or no title is left.
    """
    line = _Line(list(words), reader)
    if not is_literal:
        line.read()
    title = " ".join(line.words)
    if not title.strip():
        raise InvalidInput(
            "All words were read as attributes; no title is left.", reason="no_title_left"
        )
    if is_literal:
        return Line(title, line.changes())
    hint = _hint_of_quotes(words, reader) if len(words) == 1 else line.hint()
    return Line(title, line.changes(), hint)


def _hint_of_quotes(words: Sequence[str], reader: Reader) -> str | None:
    """The hint if a whole line was given in quotes, which hide its attributes."""
    line = _Line(words[0].split(), reader)
    try:
        line.read()
        is_hidden = bool(line.changes()) and bool(line.words)
    except InvalidInput:
        is_hidden = True
    if not is_hidden or not _is_literal(words[0]):
        return None
    return "Words in quotes are the title. To have their end read, leave out the quotes."


def longer_date(text: str, title: Sequence[str], reader: Reader) -> str | None:
    """The longest date that a text and the words at a title's end are together."""
    for count in range(min(tail.MAX_WORDS, len(title) - 1), 0, -1):
        whole = " ".join([text, *title[-count:]])
        if not title[-1].isdigit() and _reading(whole, reader):
            return whole
    return None


@dataclass
class _Line:
    """A line while it is read. `words` are those that are left of it."""

    words: list[str]
    reader: Reader
    due: Due | NotGiven | None = NOT_GIVEN
    wait_on: date | NotGiven | None = NOT_GIVEN
    priority: Priority | NotGiven | None = NOT_GIVEN
    project: str | NotGiven | None = NOT_GIVEN
    tags: list[str] = field(default_factory=list)
    has_date: bool = False

    def changes(self) -> TaskChanges:
        return TaskChanges(
            due=self.due,
            wait_on=self.wait_on,
            priority=self.priority,
            project=self.project,
            add_tags=self.reader.tags(self.tags),
        )

    def read(self) -> None:
        while self.words and self._read_last():
            pass

    def _read_last(self) -> bool:
        """Take one attribute off the end, if there is one."""
        last = self.words[-1]
        if _is_literal(last):
            return self._read_quoted_day(last)
        if self._read_named_day() or self._read_named(last) or self._read_date():
            return True
        if len(self.words) > 1 and tail.is_linked(self.words[-2]):
            return False
        return self._read_priority(last) or self._read_tag(last)

    def _read_quoted_day(self, word: str) -> bool:
        """`due:"next fri"`, which the shell gives without the quotes."""
        name, value = _named(word)
        if name not in _DAYS or value != value.strip() or not _reading(value, self.reader):
            return False
        self._set_day(name, word, value)
        self.words.pop()
        return True

    def _read_named_day(self) -> bool:
        """`due:` or `wait:`, with a date of several words."""
        for count in range(self._longest(), 1, -1):
            first, *others = self.words[-count:]
            name, value = _named(first)
            if name not in _DAYS or not value:
                continue
            text = " ".join([value, *others])
            if _reading(text, self.reader):
                self._set_day(name, first, text)
                del self.words[-count:]
                return True
        return False

    def _read_named(self, word: str) -> bool:
        name, value = _named(word)
        if name is None or not value:
            return False
        if name in _DAYS:
            self._set_day(name, word, value)
        else:
            with naming(printable(word)):
                self._set(name, value)
        self.words.pop()
        return True

    def _read_date(self) -> bool:
        if self.has_date or not isinstance(self.due, NotGiven):
            return False
        for count in range(self._longest(), 0, -1):
            words = self.words[-count:]
            text = _without_due(" ".join(words))
            reading = _reading(text, self.reader)
            if reading is None:
                continue
            # A shorter one would be a part of it.
            if not tail.is_clearly_a_date(words) or not _is_day_to_come(reading):
                return False
            if self._is_part_of_title(count):
                return False
            self.due = self.reader.due(text)
            self.has_date = True
            del self.words[-count:]
            return True
        return False

    def _read_priority(self, word: str) -> bool:
        if word not in _PRIORITIES or not isinstance(self.priority, NotGiven):
            return False
        self.priority = _PRIORITIES[word]
        self.words.pop()
        return True

    def _read_tag(self, word: str) -> bool:
        name = word.removeprefix("@")
        if name in ("", word) or name.lower() in RESERVED_NAMES or "@" in name:
            return False
        if _reading(word, self.reader):
            raise InvalidInput(
                f"{printable(word)} may be a tag or a time.",
                hint=f"Write tag:{printable(name)} or {printable(name)}.",
                reason="ambiguous_word",
            )
        with naming(printable(word)):
            self.reader.tags([name])
        self.tags.append(name)
        self.words.pop()
        return True

    def _set_day(self, name: Field, word: str, text: str) -> None:
        with naming(f"{name}:{printable(text)}"):
            self._set(name, text)

    def _set(self, name: Field, value: str) -> None:
        if name is Field.TAG:
            if value.lower() != NONE:
                self.tags.extend(self.reader.tags([value]))
            return
        attribute = "wait_on" if name is Field.WAIT else str(name)
        if not isinstance(getattr(self, attribute), NotGiven):
            raise InvalidInput("This is said a second time.", reason="given_twice")
        setattr(self, attribute, getattr(self.reader, name)(value))

    def _longest(self) -> int:
        """How many words at the end may be read together: none that is literal."""
        count = 0
        for word in reversed(self.words[-tail.MAX_WORDS :]):
            if _is_literal(word):
                break
            count += 1
        return count

    def _is_part_of_title(self, count: int) -> bool:
        before = " ".join(self.words[:-count]).split()
        return bool(before) and tail.belongs_to(before, self.words[-count])

    def hint(self) -> str | None:
        """What to type if the end of what is left was meant as an attribute."""
        last = self.words[-1]
        if _OTHER_TAG.fullmatch(last):
            return f"{last!r} stays in the title. For a tag: @{last[1:]}"
        if last.lower() in _PRIORITIES and last not in _PRIORITIES:
            return f"{last!r} stays in the title. For a priority: {last.lower()}"
        return self._hint_of_date() if isinstance(self.due, NotGiven) else None

    def _hint_of_date(self) -> str | None:
        """The hint if the longest date at the end was meant as one."""
        for count in range(self._longest(), 0, -1):
            text = " ".join(self.words[-count:])
            reading = _reading(text, self.reader)
            if reading is None or text.isdigit():
                continue
            if reading.repeat is not None:
                is_word = count == 1  # such as `daily`
                return None if is_word else f"{text!r} stays in the title: tasks cannot repeat yet."
            if not _is_day_to_come(reading):
                return None
            return f"{text!r} stays in the title. For the day that it is due: due:{text}"
        return None


def _is_literal(word: str) -> bool:
    return not word or any(map(str.isspace, word))


def _named(word: str) -> tuple[Field | None, str]:
    """The field before a colon, if it is an attribute's, and what follows it."""
    name, colon, value = word.partition(":")
    found = FIELDS.get(name.lower()) if colon else None
    return (found, value) if found in ATTRIBUTE_FIELDS else (None, "")


def attribute_in(words: Sequence[str]) -> str | None:
    """The first word that says an attribute, such as due:friday, as the end of a line would."""
    return next((word for word in words if not _is_literal(word) and _named(word)[1]), None)


def _without_due(text: str) -> str:
    return text[4:] if text.lower().startswith("due ") else text


def _reading(text: str, reader: Reader) -> dates.Reading | None:
    """What it means as a date; None if it is none."""
    try:
        reading = dates.read(text, reader.now, reader.order)
    except InvalidInput:
        return None
    return reading if reading.day is not None else None


def _is_day_to_come(reading: dates.Reading) -> bool:
    return not (reading.repeat or reading.is_past or reading.is_someday)
