"""What is said when a date is refused. One reason each; the hint shows a form that is read."""

from __future__ import annotations

from datetime import date

from todo_cli.errors import InvalidInput

EXAMPLES = "For example: tomorrow, fri 5pm, in 3 days, 12 dec, 2026-12-24 18:00"


def not_understood(message: str, *, hint: str = EXAMPLES) -> InvalidInput:
    return InvalidInput(message, hint=hint, reason="date_not_understood")


def ambiguous(what: str, *readings: str, hint: str | None = None) -> InvalidInput:
    """Two or more readings are possible; none is guessed."""
    return InvalidInput(
        f"{what} may be {' or '.join(readings)}.",
        hint=hint or "Say which one.",
        reason="date_ambiguous",
    )


def contradictory(message: str) -> InvalidInput:
    return InvalidInput(
        message, hint="Give the one that you mean, without the other.", reason="date_contradictory"
    )


def nonexistent(message: str) -> InvalidInput:
    return InvalidInput(message, hint=EXAMPLES, reason="date_does_not_exist")


def out_of_range() -> InvalidInput:
    return InvalidInput(
        "The date is not between the years 1 and 9999.",
        hint=EXAMPLES,
        reason="date_out_of_range",
    )


def has_passed(what: str, when: date | None = None) -> InvalidInput:
    """What was said is over, and nothing says that the past is meant."""
    was = "has passed" if when is None else f"was {day_text(when)}"
    return InvalidInput(
        f"{what} {was}.",
        hint="For a day or time in the past, write the whole date: 2026-11-24 09:00",
        reason="date_has_passed",
    )


def day_text(day: date) -> str:
    """A day with its year, such as "Fri 4 Dec 2026"; a year that could be a time in ISO 8601."""
    weekday = WEEKDAY_NAMES[day.weekday()]
    if not 1900 <= day.year <= 2099:
        return f"{weekday} {day.isoformat()}"
    return f"{weekday} {day.day} {MONTH_NAMES[day.month - 1]} {day.year}"


WEEKDAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTH_NAMES = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
