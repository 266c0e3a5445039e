"""Arithmetic of days and instants. A result outside the years 1 to 9999 is refused."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from todo_cli.dates import refusals
from todo_cli.values import DateOrder

MAX_LEAP_GAP_YEARS = 8
"""From 29 February 1896 to the next one, in 1904."""


@dataclass(frozen=True)
class Clock:
    """When a phrase is said: an instant in the person's zone; how they write 5/12."""

    now: datetime
    order: DateOrder | None = None

    @property
    def today(self) -> date:
        return self.now.date()

    @property
    def wall(self) -> datetime:
        """What the clock on the wall shows, to the minute."""
        return self.now.replace(tzinfo=None, second=0, microsecond=0)


def add_days(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        raise refusals.out_of_range() from None


def add_months(day: date, months: int) -> date:
    """The same day of another month, or that month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise refusals.out_of_range()
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_workdays(day: date, count: int) -> date:
    """The count-th Monday to Friday after a day, or before it if the count is negative."""
    step = 1 if count > 0 else -1
    while day.weekday() > 4:  # a weekend counts as the workday behind it
        day = add_days(day, -step)
    weeks, rest = divmod(abs(count), 5)
    day = add_days(day, step * 7 * weeks)
    for _ in range(rest):
        day = add_days(day, step)
        while day.weekday() > 4:
            day = add_days(day, step)
    return day


def coming_weekday(after: date, weekday: int) -> date:
    """The first such weekday after a day, never the day itself."""
    return add_days(after, (weekday - after.weekday() - 1) % 7 + 1)


def monday_of(day: date) -> date:
    return add_days(day, -day.weekday())


def end_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def day_of(year: int, month: int, day: int) -> date:
    """A day by its numbers.

    Raises:
        InvalidInput: there is no such day.
    """
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        raise refusals.nonexistent(f"There is no {_numbers(year, month, day)}.") from None


def _numbers(year: int, month: int, day: int) -> str:
    if 1 <= month <= 12:
        return f"{day} {refusals.MONTH_NAMES[month - 1]} {year}"
    return f"month {month}"


def next_month_day(today: date, month: int, day: int) -> date:
    """The next such day of a year that has it; today counts."""
    for year in range(today.year, min(today.year + MAX_LEAP_GAP_YEARS, 9999) + 1):
        if 1 <= day <= monthrange(year, month)[1] and date(year, month, day) >= today:
            return date(year, month, day)
    raise refusals.nonexistent(f"There is no {day} {refusals.MONTH_NAMES[month - 1]}.")


def iso_week(year: int, week: int, weekday: int = 1) -> date:
    try:
        return date.fromisocalendar(year, week, weekday)
    except (ValueError, OverflowError):
        raise refusals.nonexistent(f"There is no week {week} in {year}.") from None


def easter(year: int) -> date:
    """Easter Sunday, by the anonymous Gregorian algorithm (Meeus, Astronomical Algorithms)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    f = (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(first: date, last: date, weekday: int, nth: int) -> date | None:
    """The n-th such weekday from `first` to `last`, or the last one if n is -1."""
    if nth < 0:
        day = last - timedelta(days=(last.weekday() - weekday) % 7)
        return day if day >= first else None
    offset = (weekday - first.weekday()) % 7 + 7 * (nth - 1)
    return first + timedelta(days=offset) if offset <= (last - first).days else None


def nth_workday(first: date, last: date, nth: int) -> date | None:
    """The n-th Monday to Friday from `first` to `last`, or the last one if n is -1."""
    if nth < 0:
        return add_workdays(add_days(last, 1), -1)
    day = add_workdays(add_days(first, -1), nth)
    return day if day <= last else None


def add_seconds(wall: datetime, seconds: int, clock: Clock) -> datetime:
    """Real seconds after a time on the wall, as the wall shows it then."""
    try:
        instant = wall.replace(tzinfo=clock.now.tzinfo).astimezone(UTC) + timedelta(seconds=seconds)
        return instant.astimezone(clock.now.tzinfo).replace(tzinfo=None)
    except OverflowError:
        raise refusals.out_of_range() from None


def in_zone(instant: datetime, clock: Clock) -> datetime:
    """What the person's wall shows at an instant."""
    try:
        return instant.astimezone(clock.now.tzinfo).replace(tzinfo=None)
    except OverflowError:
        raise refusals.out_of_range() from None


def on_the_wall(day: date, at: time, clock: Clock) -> tuple[date, time]:
    """A day and time that exist: one that the clock skips moves on by the gap."""
    wall = datetime.combine(day, at)
    try:
        real = wall.replace(tzinfo=clock.now.tzinfo).astimezone(UTC).astimezone(clock.now.tzinfo)
    except OverflowError:  # within hours of the first or last instant there is
        return day, at
    return real.date(), real.time()
