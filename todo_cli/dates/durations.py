"""Lengths of time: 3 days, 2 weeks and 3 days, 1h30m, an hour and a half, PT2H."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import Clock, add_days, add_months, add_seconds, add_workdays
from todo_cli.dates.numbers import cardinal
from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import (
    DAY_UNITS,
    MONTH_UNITS,
    SECOND_UNITS,
    SINGULAR_UNITS,
    WORKDAY_ADJECTIVES,
    WORKDAY_UNITS,
)


@dataclass(frozen=True)
class Duration:
    """Months and days are of the calendar, seconds are real ones.

    `finest` is the size of the smallest unit that was written, in seconds, roughly: parts follow
    each other from large to small. `refusal` says why the length cannot be taken.
    """

    months: int = 0
    days: int = 0
    workdays: int = 0
    seconds: int = 0
    finest: int = 0
    refusal: Exception | None = None

    @property
    def is_of_days(self) -> bool:
        return self.seconds == 0

    def joined(self, other: Duration) -> Duration:
        return Duration(
            self.months + other.months,
            self.days + other.days,
            self.workdays + other.workdays,
            self.seconds + other.seconds,
            other.finest,
            self.refusal or other.refusal,
        )

    def checked(self) -> Duration:
        if self.refusal is not None:
            raise self.refusal
        if not (self.months or self.days or self.workdays or self.seconds):
            raise refusals.not_understood("A length of 0 says no date.", hint="Say today or now.")
        return self

    def shift_day(self, day: date, sign: int) -> date:
        day = add_days(add_months(day, sign * self.months), sign * self.days)
        return add_workdays(day, sign * self.workdays) if self.workdays else day

    def shift(self, wall: datetime, sign: int, clock: Clock) -> datetime:
        day = self.shift_day(wall.date(), sign)
        return add_seconds(datetime.combine(day, wall.time()), sign * self.seconds, clock)


HOURS = ("h", "hr", "hrs", "hour", "hours")
MONTH_SECONDS = 30 * 86400
MAX_OF_SINGULAR = 100


def of_unit(number: int, phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """A number of the unit at this place."""
    unit = phrase.text(at)
    if phrase.text(at + 1) == "time":  # in a week's time, in 3 days' time
        unit = unit.removesuffix("'s").removesuffix("'")
    if (days := DAY_UNITS.get(unit)) is not None:
        yield Duration(days=number * days, finest=days * 86400), at + 1
    if (months := MONTH_UNITS.get(unit)) is not None:
        yield Duration(months=number * months, finest=months * MONTH_SECONDS), at + 1
    if (seconds := SECOND_UNITS.get(unit)) is not None:
        yield Duration(seconds=number * seconds, finest=seconds), at + 1
    if unit in WORKDAY_UNITS:
        yield Duration(workdays=number, finest=86400), at + 1
    if unit in WORKDAY_ADJECTIVES and phrase.text(at + 1) in ("day", "days"):
        yield Duration(workdays=number, finest=86400), at + 2
    if unit == "m":
        refusal = refusals.ambiguous(
            f"'{number}m'", f"{number} months", f"{number} minutes", hint="Write mo or min."
        )
        yield Duration(seconds=number * 60, finest=60, refusal=refusal), at + 1


def _counted(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """3 days, two weeks, 3 day. Not 2027 year, which is none of two things."""
    for number, behind in cardinal(phrase, at):
        behind = phrase.skip(behind, "-")
        if number >= MAX_OF_SINGULAR and phrase.text(behind) in SINGULAR_UNITS:
            continue
        if 1900 <= number <= 2099 or _is_slang(phrase, at, number):
            continue
        if phrase.text(behind) in HOURS and _is_time(phrase.text(at)):
            continue
        yield from of_unit(number, phrase, behind)


def _is_slang(phrase: Phrase, at: int, number: int) -> bool:
    """2day is today for some."""
    is_glued = phrase[at + 1].is_glued and phrase.kind(at) == "number"
    return is_glued and number > 1 and phrase.text(at + 1) == "day"


def _is_time(digits: str) -> bool:
    """Whether 1430 hours would be 14:30."""
    return len(digits) == 4 and digits.isdigit() and digits < "2400" and digits[2:] < "60"


def _one(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """a month, an hour, a week's (time)"""
    unit = phrase.text(at + 1).removesuffix("'s")
    is_article = phrase.text(at) == "a" or (phrase.text(at) == "an" and unit.startswith("h"))
    if is_article and len(unit) > 1 and not unit.endswith("s"):
        yield from of_unit(1, phrase, at + 1)


def _fractions(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """half an hour, 1.5 hours, an hour and a half, one and a half hours, half a year"""
    words = [phrase.text(each) for each in range(at, at + 7)]
    match words:
        case ["half", "an" | "a", "hour", *_]:
            yield Duration(seconds=1800, finest=60), at + 3
        case ["half", "hour", *_]:
            yield Duration(seconds=1800, finest=60), at + 2
        case ["a", "half", "hour", *_]:
            yield Duration(seconds=1800, finest=60), at + 3
        case ["half", "a", "year", *_]:
            yield Duration(months=6, finest=MONTH_SECONDS), at + 3
        case ["quarter", "of", "an", "hour", *_]:
            yield Duration(seconds=900, finest=60), at + 4
        case ["a", "quarter", "of", "an", "hour", *_]:
            yield Duration(seconds=900, finest=60), at + 5
        case ["three", "quarters", "of", "an", "hour", *_]:
            yield Duration(seconds=2700, finest=60), at + 5
        case ["an" | "one" | "1", "hour", "and", "a", "half", *_]:
            yield Duration(seconds=5400, finest=60), at + 5
    for number, behind in cardinal(phrase, at):
        if [phrase.text(behind + each) for each in range(3)] == ["and", "a", "half"] and (
            phrase.text(behind + 3) in ("hours", "hour")
        ):
            yield Duration(seconds=number * 3600 + 1800, finest=60), behind + 4
    if phrase.kind(at) == "decimal":
        yield from _decimal(phrase, at)


def _decimal(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """1.5 hours, 0.25h; not 2.30 hours, which may be 2:30"""
    whole, part = phrase.text(at).split(".")
    seconds = SECOND_UNITS.get(phrase.text(at + 1))
    if seconds in (60, 3600) and (len(part) == 1 or part in ("25", "75")):
        hundredths = int(whole) * 100 + int(part.ljust(2, "0"))
        yield Duration(seconds=hundredths * seconds // 100, finest=1), at + 2


def _iso(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    if phrase.kind(at) == "iso_duration":
        years, months, weeks, days, hours, minutes, seconds = (
            int(each or 0) for each in phrase[at].groups
        )
        yield (
            Duration(
                years * 12 + months,
                weeks * 7 + days,
                seconds=hours * 3600 + minutes * 60 + seconds,
            ),
            at + 1,
        )


_first = either(_counted, _one, _fractions)


def _series(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    """2 weeks and 3 days, 1h30m: each unit once, from large to small."""
    pending = list(_first(phrase, at))
    while pending:
        duration, end = pending.pop()
        yield duration, end
        behind = phrase.skip(phrase.skip(end, ","), "and")
        for more, further in _counted(phrase, behind):
            if more.finest < duration.finest and not (more.workdays or duration.workdays):
                if duration.finest == 3600 and phrase.text(further - 1) == "m":
                    more = replace(more, refusal=None)
                pending.append((duration.joined(more), further))


duration = either(_series, _iso)
