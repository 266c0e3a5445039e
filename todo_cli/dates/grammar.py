"""Reads a whole phrase, or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time

from todo_cli.dates import refusals, spelling
from todo_cli.dates.arithmetic import Clock
from todo_cli.dates.moments import moment
from todo_cli.dates.periods import Period, whole
from todo_cli.dates.reading import Reading
from todo_cli.dates.repeats import repeat
from todo_cli.dates.tokens import Phrase, either, normalized, tokenize
from todo_cli.errors import InvalidInput
from todo_cli.values import SOMEDAY, DateOrder, printable

Meaning = Callable[[Clock], Reading]

_NO_DATE = frozenset(("none", "no date", "no due date"))
_SOMEDAY = frozenset(("someday", "some day"))


def read(text: str, now: datetime, order: DateOrder | None = None) -> Reading:
    """What a phrase means at a moment, in the zone of that moment.

    The whole phrase is read in every way that the grammar has. If one of them is refused, or two
    differ, so is the phrase: nothing is guessed and nothing is dropped.

    Raises:
        InvalidInput: it cannot be understood, or may mean several things; `reason` says which.
    """
    plain = normalized(text)
    if plain in _NO_DATE:
        return Reading(None)
    if plain in _SOMEDAY:
        return Reading(SOMEDAY)
    phrase = tokenize(plain)
    clock = Clock(now, order)
    readings = {meaning(clock) for meaning, end in _anything(phrase, 0) if end == len(phrase)}
    if not readings:
        raise _unread(text, phrase)
    if len(readings) > 1:
        raise refusals.ambiguous(f"{printable(text)!r}", *sorted(_shown(each) for each in readings))
    return readings.pop()


def read_period(text: str, now: datetime, order: DateOrder | None = None) -> Period | None:
    """All days of the week, month, quarter or year that a phrase names; None if it names none.

    A name that comes every year is the period that has begun, else the next one.

    Raises:
        InvalidInput: it names one that does not exist.
    """
    phrase = tokenize(normalized(text))
    clock = Clock(now, order)
    found = {named(clock).candidates[0] for named, end in whole(phrase, 0) if end == len(phrase)}
    return found.pop() if len(found) == 1 else None


def _once(phrase: Phrase, at: int) -> Iterator[tuple[Meaning, int]]:
    for found, end in moment(phrase, at):

        def meaning(
            clock: Clock, found: Callable[[Clock], tuple[date, time | None]] = found
        ) -> Reading:
            day, at_time = found(clock)
            is_past = _is_past(day, at_time, clock)
            if is_past and day == clock.today and not _says_past(phrase):
                assert at_time is not None
                raise refusals.has_passed(f"{at_time:%H:%M} today")
            return Reading(day, at_time, None, is_past)

        yield meaning, end


def _says_past(phrase: Phrase) -> bool:
    """Whether a phrase may mean a time of today that has passed: it gives a year, or says so."""
    return any(
        token.text in ("ago", "before", "last", "-", "yesterday")
        or any(len(group or "") == 4 for group in token.groups)
        or (token.kind == "number" and len(token.text) in (4, 10))
        for token in phrase
    )


def _again(phrase: Phrase, at: int) -> Iterator[tuple[Meaning, int]]:
    for found, end in repeat(phrase, at):

        def meaning(clock: Clock, found=found) -> Reading:  # type: ignore[no-untyped-def]
            day, at_time, rule = found(clock)
            return Reading(day, at_time, rule, _is_past(day, at_time, clock))

        yield meaning, end


_anything = either(_once, _again)


def _is_past(day: date, at: time | None, clock: Clock) -> bool:
    if at is None:
        return day < clock.today
    return datetime.combine(day, at) < clock.wall


def _shown(reading: Reading) -> str:
    assert reading.day is not None
    text = refusals.day_text(reading.day)
    return text if reading.time is None else f"{text}, {reading.time:%H:%M}"


def _unread(text: str, phrase: Phrase) -> InvalidInput:
    shown = printable(text)
    for word in phrase.words():
        if word in spelling.VOCABULARY:
            continue
        meant = spelling.nearest(word)
        if meant is not None:
            return refusals.not_understood(
                f"{word!r} is no word of a date.", hint=f"Did you mean {meant!r}?"
            )
        return refusals.not_understood(f"{shown!r} is not a date: I do not know {word!r}.")
    return refusals.not_understood(f"{shown!r} is not a date that can be read.")
