"""A rule of repetition, as data."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import add_days, end_of_month, nth_weekday

_MAX_DAYS_TO_FIRST = 400
_ICALENDAR_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
WORKDAYS = (0, 1, 2, 3, 4)


class Frequency(StrEnum):
    DAY = "daily"
    WEEK = "weekly"
    MONTH = "monthly"
    YEAR = "yearly"


@dataclass(frozen=True)
class Rule:
    """Every `interval` days, weeks, months or years, from the first day on.

    `weekdays` (Monday is 0) narrow a week; with `nth` (-1: the last) a month; `month_days` (-1: the
    last) a month; `month` and one month day a year. A day that a month lacks is its last day.
    `from_done`: counted from the day of completion, not from the last due day.
    """

    frequency: Frequency
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    nth: int | None = None
    month_days: tuple[int, ...] = ()
    month: int | None = None
    from_done: bool = False
    until: date | None = None

    def to_rrule(self) -> str:
        """The rule as an iCalendar RRULE (RFC 5545, with the SKIP of RFC 7529)."""
        parts = [f"FREQ={self.frequency.upper()}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.month is not None:
            parts.append(f"BYMONTH={self.month}")
        if self.month_days:
            parts.append(f"BYMONTHDAY={','.join(map(str, self.month_days))}")
        if self.weekdays:
            nth = "" if self.nth is None else str(self.nth)
            parts.append(f"BYDAY={','.join(nth + _ICALENDAR_DAYS[each] for each in self.weekdays)}")
        if any(self._may_lack(each) for each in self.month_days):
            parts.append("SKIP=BACKWARD")
        if self.until is not None:
            parts.append(f"UNTIL={self.until:%Y%m%d}")
        return ";".join(parts)

    def _may_lack(self, number: int) -> bool:
        if self.month is not None:
            return (self.month, number) == (2, 29)
        return number > 28

    def words(self) -> str:
        """The rule in words that can be read again: "every 2 weeks on Tue until 31 Dec 2026"."""
        unit = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}[
            self.frequency
        ]
        every = "every!" if self.from_done else "every"
        count = unit if self.interval == 1 else f"{self.interval} {unit}s"
        text = f"{every} {count}{self._on()}"
        return text if self.until is None else f"{text} until {refusals.day_text(self.until)}"

    def _on(self) -> str:
        names = [refusals.WEEKDAY_NAMES[each] for each in self.weekdays]
        if self.nth is not None:
            return f" on the {_ordinal(self.nth)} {names[0]}"
        if names:
            return f" on {' and '.join(names)}"
        if self.month is not None:
            return f" on {self.month_days[0]} {refusals.MONTH_NAMES[self.month - 1]}"
        if self.month_days:
            days = [_ordinal(each) if each > 0 else "last day" for each in self.month_days]
            return f" on the {' and '.join(days)}"
        return ""

    def first(self, start: date) -> date:
        """The first day of the rule from a day on, which counts.

        Raises:
            InvalidInput: the rule ends before it, or no day is left.
        """
        day = start
        for _ in range(_MAX_DAYS_TO_FIRST):
            if self._fits(day):
                break
            day = add_days(day, 1)
        if self.until is not None and day > self.until:
            raise refusals.contradictory("The repeat ends before it begins.")
        return day

    def _fits(self, day: date) -> bool:
        if self.month is not None and day.month != self.month:
            return False
        if self.nth is not None:
            return (
                nth_weekday(day.replace(day=1), end_of_month(day), self.weekdays[0], self.nth)
                == day
            )
        if self.weekdays:
            return day.weekday() in self.weekdays
        length = monthrange(day.year, day.month)[1]
        return not self.month_days or any(
            day.day == (length if each < 0 else min(each, length)) for each in self.month_days
        )


def _ordinal(number: int) -> str:
    if number < 0:
        return "last"
    suffix = (
        "th" if 11 <= number % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{suffix}"
