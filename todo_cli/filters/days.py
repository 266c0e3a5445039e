"""The days that words name in a filter."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from todo_cli.errors import InvalidInput
from todo_cli.filters.terms import TIME_IN_FILTER, ReadDays
from todo_cli.filters.tree import Span

if TYPE_CHECKING:
    from todo_cli.values import DateOrder


def days_reader(now: datetime, order: DateOrder | None = None) -> ReadDays:
    """A reader of days in words, for somebody in the time zone of `now`.

    A week, a month, a quarter or a year by its name alone is all its days.
    """

    def read_days(text: str) -> Span[date]:
        # Imported only if a filter names a day: the grammar of dates is large.
        from todo_cli import dates

        if (period := dates.read_period(text, now, order)) is not None:
            return Span(period.first, period.last)
        reading = dates.read(text, now, order)
        if reading.repeat is not None or reading.day is None:
            raise InvalidInput("This is not one day.", reason="date_not_understood")
        if reading.time is not None:
            raise InvalidInput(
                "A filter compares days, and this has a time.",
                hint="Leave out the time.",
                reason=TIME_IN_FILTER,
            )
        return Span(reading.day, reading.day)

    return read_days
