"""Named periods: in a filter, a week, a month or a year means all its days."""

from __future__ import annotations

import re
from datetime import date, timedelta

from todo_cli.filters.tree import Span

_RELATIVE = re.compile(r"(this|next|last) (week|weekend|month|quarter|year)|weekend")
_ISO_WEEK = re.compile(r"(\d{4})-w(\d\d)", re.ASCII)
_ISO_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_YEAR = re.compile(r"(?:19|20|21)\d\d", re.ASCII)
_MONTH = re.compile(r"([a-z]{3,9})(?: (\d{4}))?", re.ASCII)
_MONTHS = re.findall(
    r"\w+", "january february march april may june july august september october november december"
)
_MONTHS_OF_A_QUARTER = 3


def period(text: str, today: date) -> Span[date] | None:
    """The first and last day of the period that a text names; None if it names none.

    Weeks begin on Monday. A month without a year is the present one or the next of its name.
    """
    try:
        return _period(" ".join(text.lower().split()), today)
    except (ValueError, OverflowError):  # no such week or month; beyond the calendar
        return None


def _period(text: str, today: date) -> Span[date] | None:
    if match := _RELATIVE.fullmatch(text):
        steps = {"this": 0, "next": 1, "last": -1}[match[1] or "this"]
        return _relative(match[2] or "weekend", steps, today)
    if match := _ISO_WEEK.fullmatch(text):
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return Span(monday, monday + timedelta(days=6))
    if match := _ISO_MONTH.fullmatch(text):
        return _months(int(match[1]), int(match[2]), 1)
    if _YEAR.fullmatch(text):
        return _months(int(text), 1, 12)
    if (match := _MONTH.fullmatch(text)) and (month := _month_named(match[1])):
        year = int(match[2]) if match[2] else today.year + (month < today.month)
        return _months(year, month, 1)
    return None


def _relative(unit: str, steps: int, today: date) -> Span[date]:
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=steps)
    sunday = monday + timedelta(days=6)
    if unit == "week":
        return Span(monday, sunday)
    if unit == "weekend":
        return Span(sunday - timedelta(days=1), sunday)
    length = {"month": 1, "quarter": _MONTHS_OF_A_QUARTER, "year": 12}[unit]
    month = (today.month - 1) // length * length + steps * length
    return _months(today.year + month // 12, month % 12 + 1, length)


def _months(year: int, month: int, count: int) -> Span[date]:
    """So many months from the first day of one."""
    first = date(year, month, 1)
    last_month = month + count - 1
    if last_month == 12:
        return Span(first, date(year, 12, 31))
    return Span(first, date(year, last_month + 1, 1) - timedelta(days=1))


def _month_named(name: str) -> int | None:
    """The month of a name, of its first three letters, or of "sept"."""
    for month, whole in enumerate(_MONTHS, start=1):
        if name == whole or name == whole[:3] or (name == "sept" and month == 9):
            return month
    return None
