"""When a task is due, for a viewer: a day where they are, whatever zone its time is of.

A condition is true or false, never NULL.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from todo_cli.values import Viewer

MAX_ZONE_DAYS = 2
"""By so many days the date in one time zone may differ from that in another: 26 hours."""

REPEATED_HOUR = timedelta(hours=1)
"""What clocks go back at the end of summer time."""

NOW = "viewers_now"
"""The parameter that is the present moment, so that a statement can be kept and run later."""

Condition = sa.ColumnElement[bool]


def is_late(of: Any, viewer: Viewer) -> Condition:
    """Whether the task should have been done by now. A day without a time lasts until midnight."""
    is_over = sa.case(
        (col(of.due_time).is_(None), col(of.due_on) < viewer.today),
        else_=_due_at(of, viewer) < sa.bindparam(NOW, viewer.now, sa.DateTime(timezone=True)),
    )
    return sa.and_(is_due_by(of, viewer.today), is_over)


def is_waiting(of: Any, viewer: Viewer) -> Condition:
    """Whether the task is hidden until a later day."""
    return sa.and_(col(of.wait_on).is_not(None), col(of.wait_on) > viewer.today)


def is_due_by(of: Any, day: date) -> Condition:
    """Whether the task may be due on that day or before: what an index can tell."""
    margin = timedelta(days=MAX_ZONE_DAYS)
    last = day + margin if date.max - day > margin else date.max
    return sa.and_(col(of.due_on).is_not(None), col(of.due_on) <= last)


def due_day(of: Any, viewer: Viewer) -> sa.ColumnElement[date]:
    """The viewer's day on which the task is due; NULL without a day."""
    return sa.case(
        (_is_of_here(of, viewer), col(of.due_on)), else_=sa.cast(_local(of, viewer), sa.Date)
    )


def due_locally(of: Any, viewer: Viewer) -> sa.ColumnElement[datetime]:
    """When the task is due by the viewer's clock; without a time, at the end of its day."""
    return sa.case((_is_of_here(of, viewer), _wall(of)), else_=_local(of, viewer))


def _is_of_here(of: Any, viewer: Viewer) -> Condition:
    is_here: Condition = sa.func.coalesce(of.due_zone, viewer.time_zone) == viewer.time_zone
    return is_here


def _local(of: Any, viewer: Viewer) -> sa.ColumnElement[datetime]:
    return sa.func.timezone(viewer.time_zone, _due_at(of, viewer), type_=sa.DateTime())


def _due_at(of: Any, viewer: Viewer) -> sa.ColumnElement[datetime]:
    """The instant at which a task with a time is due.

    Where clocks go back, a time comes twice. PostgreSQL takes the second one; a task is due at the
    first. (Half an hour, as on Lord Howe Island, is left to PostgreSQL.)
    """
    zone = sa.func.coalesce(of.due_zone, viewer.time_zone)
    wall = _wall(of)
    instant = sa.func.timezone(zone, wall, type_=sa.DateTime(timezone=True))
    hour_before = instant - REPEATED_HOUR
    is_repeated = sa.func.timezone(zone, hour_before, type_=sa.DateTime()) == wall
    return sa.case((is_repeated, hour_before), else_=instant)


def _wall(of: Any) -> sa.ColumnElement[datetime]:
    clock = sa.func.coalesce(of.due_time, sa.literal(time.max, sa.Time))
    wall: sa.ColumnElement[datetime] = sa.type_coerce(
        sa.type_coerce(of.due_on, sa.DateTime) + clock, sa.DateTime
    )
    return wall
