"""Times and values in the words of people."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from todo_cli.values import Due

DAYS_OF_A_WEEK = 7
MAX_DAYS_IN_DAYS = 100
MAX_DAYS_WITHOUT_YEAR = 300
"""A day in so many days, or fewer, is said without its year."""


def relative_time(instant: datetime, now: datetime) -> str:
    """How long ago, in the largest whole unit. After a year, the date."""
    seconds = (now - instant).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, length, limit in (
        ("minute", 60, 3600),
        ("hour", 3600, 86_400),
        ("day", 86_400, 7 * 86_400),
        ("week", 7 * 86_400, 30 * 86_400),
        ("month", 30 * 86_400, 365 * 86_400),
    ):
        if seconds < limit:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return instant.astimezone().strftime("%Y-%m-%d")


def in_words(value: Any) -> str:
    """A value, formatted for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(part) for part in value) or "–"
    return str(value)


def duration(seconds: float) -> str:
    """A length of time in the largest whole unit, to one decimal."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            count = f"{seconds / length:.1f}"
            return f"1 {unit[:-1]}" if count == "1.0" else f"{count} {unit}"
    return f"{seconds:.0f} seconds"


def due_words(due: Due, now: datetime, *, is_late: bool) -> str:
    """When a task is due, or how late it is, by the clock and calendar of `now`: few words."""
    days = (due.day - now.date()).days
    clock = f" {due.time:%H:%M}" if due.time else ""
    if is_late:
        return f"late{clock}" if days >= 0 else f"{_count_of_days(-days)} late"
    if days in (0, 1):
        return ("today", "tomorrow")[days] + clock
    if 0 < days < DAYS_OF_A_WEEK:
        return f"{due.day:%a}{clock}"
    return short_date(due.day, now)


def described(due: Due, now: datetime) -> str:
    """The day and time, and how far they are from now."""
    from todo_cli.dates import describe

    return describe(due.day, due.time, now)


def short_date(day: date, now: datetime) -> str:
    """A day and its month, and its year where that is not plain."""
    text = f"{day.day} {day:%b}"
    is_near = 0 <= (day - now.date()).days <= MAX_DAYS_WITHOUT_YEAR
    return text if is_near or day.year == now.year else f"{text} {day.year}"


def _count_of_days(days: int) -> str:
    """A number of days, in months or years where it is large."""
    for unit, length, limit in (
        ("day", 1, MAX_DAYS_IN_DAYS),
        ("month", 30.4369, 2 * 365),
    ):
        if days < limit:
            count = round(days / length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{round(days / 365.2425):,} years"
