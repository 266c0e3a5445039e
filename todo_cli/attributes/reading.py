"""Reads one attribute from its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches

from todo_cli import dates
from todo_cli.errors import InvalidInput
from todo_cli.filters.vocabulary import PRIORITIES
from todo_cli.values import (
    NONE,
    DateOrder,
    Due,
    Priority,
    clean_project,
    clean_tags,
    printable,
)

MAX_SHOWN = 40
"""So many characters of a wrong text are shown."""


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Have an error say where the text stands that is wrong."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(
            f"{where}: {error.message}", hint=error.hint, reason=error.reason, **error.data
        ) from error


@dataclass(frozen=True)
class Reader:
    """Reads attributes at a moment, which is aware and in the person's zone.

    `zone` is that zone's IANA name, or None if it has none. Every method may raise InvalidInput.
    """

    now: datetime
    zone: str | None
    order: DateOrder | None = None

    def due(self, text: str) -> Due | None:
        """The day that is meant, with the person's zone if it has a time; `none` is None."""
        reading = self._once(text)
        if reading.day is None:
            return None
        if reading.is_someday:
            raise InvalidInput("Someday is not a day to be due on.", reason="due_someday")
        return Due(reading.day, reading.time, self.zone if reading.time else None)

    def wait(self, text: str) -> date | None:
        """The day to wait for, which may be `someday`; `none` is None."""
        reading = self._once(text)
        if reading.day is not None and reading.time is not None:
            day = dates.describe(reading.day, None, self.now).partition(" (")[0]
            raise InvalidInput(
                "A task waits for a day, not for a time.",
                hint=f"Give the day alone: {day}",
                reason="wait_with_time",
            )
        return reading.day

    def priority(self, text: str) -> Priority | None:
        word = text.strip().lower()
        if word == NONE:
            return None
        if word not in PRIORITIES:
            near = get_close_matches(word, [*PRIORITIES, NONE], n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise InvalidInput(
                f"{printable(text[:MAX_SHOWN])!r} is not a priority.",
                hint=f"{meant}Priorities are high, medium, low and none.",
                reason="unknown_priority",
            )
        return PRIORITIES[word]

    def project(self, text: str) -> str | None:
        return None if text.lower() == NONE else clean_project(text)

    def tags(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Names of tags, as they are stored. Each text may be several, with commas between."""
        names = [name for text in texts for name in text.split(",")]
        return clean_tags(name.strip().removeprefix("@") for name in names)

    def _once(self, text: str) -> dates.Reading:
        reading = dates.read(text, self.now, self.order)
        if reading.repeat is not None:
            first = dates.describe(reading.day, reading.time, self.now).partition(" (")[0]
            raise InvalidInput(
                f"{printable(text)!r} is a repeat; tasks cannot repeat yet.",
                hint=f"Give one day: {first}",
                reason="repeat_not_supported",
            )
        return reading
