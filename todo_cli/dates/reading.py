"""What a phrase means, and how that is said back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import next_month_day
from todo_cli.dates.rule import Rule
from todo_cli.values import SOMEDAY

MAX_DAYS_IN_DAYS = 90
MAX_MONTHS_IN_MONTHS = 24
MAX_DAYS_WITHOUT_YEAR = 180


@dataclass(frozen=True)
class Reading:
    """A day, with a time on the wall of the person's zone or without; None where "none" was said.

    `repeat` is set if the phrase was of a repeat; the day is then its first. `is_past`: it lies
    before now, and so was said to; whoever takes it should tell.
    """

    day: date | None
    time: time | None = None
    repeat: Rule | None = None
    is_past: bool = False

    @property
    def is_someday(self) -> bool:
        return self.day == SOMEDAY


def describe(day: date | None, at: time | None, now: datetime) -> str:
    """A day and time for people: "Fri 4 Dec, 17:00 (in 10 days)".

    Without the bracket it can be read again and means the same.
    """
    if day is None:
        return "no date"
    if day == SOMEDAY:
        return "someday"
    today = now.date()
    text = refusals.day_text(day)
    days = (day - today).days
    is_past = days < 0 or (days == 0 and at is not None and at < now.time())
    is_near = not is_past and days <= MAX_DAYS_WITHOUT_YEAR
    if is_near and next_month_day(today, day.month, day.day) == day:
        text = text.removesuffix(f" {day.year}")
    if at is not None:
        text += f", {at:%H:%M:%S}" if at.second else f", {at:%H:%M}"
    return f"{text} ({_distance(days)})"


def _distance(days: int) -> str:
    if days in (-1, 0, 1):
        return ("yesterday", "today", "tomorrow")[days + 1]
    number = abs(days)
    if number < MAX_DAYS_IN_DAYS:
        length = f"{number} days"
    elif (months := round(number / 30.4369)) < MAX_MONTHS_IN_MONTHS:
        length = f"{months} months"
    else:
        length = f"{round(number / 365.2425):,} years"
    return f"in {length}" if days > 0 else f"{length} ago"
