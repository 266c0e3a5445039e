"""How urgent a task is: a sum of terms, each of which can be shown by its name.

The shape is Taskwarrior's. Its columns but the last are in the index of pending tasks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from todo_cli.values import Priority, Viewer

BY_PRIORITY = {Priority.HIGH: 6.0, Priority.MEDIUM: 4.0, Priority.LOW: 2.0}

MAX_BY_DUE = 12.0
"""Of a task that is due, when it is `MAX_DAYS_LATE` late or more."""
MIN_BY_DUE = 2.4
"""The same, when it is `MAX_DAYS_AHEAD` ahead or more. In between it grows evenly."""
MAX_DAYS_LATE = 7
MAX_DAYS_AHEAD = 14

BY_PROJECT = 1.0

BY_TAG_COUNT = {0: 0.0, 1: 0.8, 2: 0.9}
BY_MORE_TAGS = 1.0

MAX_BY_AGE = 2.0
"""Of a task that was added `MAX_AGE_DAYS` ago or earlier."""
MAX_AGE_DAYS = 365


class Term(StrEnum):
    """The names of the terms, in the order in which they are shown."""

    DUE = "due"
    PRIORITY = "priority"
    PROJECT = "project"
    TAGS = "tags"
    AGE = "age"


Number = sa.ColumnElement[float]


def terms(of: Any, viewer: Viewer) -> dict[Term, Number]:
    """Each term of the urgency of the task whose columns `of` has. None is ever NULL."""
    return {
        Term.DUE: _by_due(of, viewer),
        Term.PRIORITY: _by_priority(of),
        Term.PROJECT: sa.case((col(of.project).is_not(None), _float(BY_PROJECT)), else_=_float(0)),
        Term.TAGS: _by_tags(of),
        Term.AGE: _by_age(of, viewer),
    }


def urgency(of: Any, viewer: Viewer) -> Number:
    """The sum of the terms."""
    first, *others = terms(of, viewer).values()
    return sum(others, first)


def priority_rank(of: Any) -> sa.ColumnElement[int]:
    """What to sort by: the highest priority first, tasks without one last."""
    return sa.func.coalesce(of.priority, sa.literal(len(Priority) + 1, sa.SmallInteger))


def _by_due(of: Any, viewer: Viewer) -> Number:
    """By whole days: it stays the same all day long, so that pages follow each other."""
    days_late = _days(sa.literal(viewer.today, sa.Date), col(of.due_on))
    per_day = (MAX_BY_DUE - MIN_BY_DUE) / (MAX_DAYS_LATE + MAX_DAYS_AHEAD)
    grown = _float(MIN_BY_DUE) + (days_late + MAX_DAYS_AHEAD) * _float(per_day)
    bounded = sa.func.greatest(_float(MIN_BY_DUE), sa.func.least(_float(MAX_BY_DUE), grown))
    return sa.case((col(of.due_on).is_(None), _float(0)), else_=bounded)


def _by_priority(of: Any) -> Number:
    worth = {int(priority): _float(value) for priority, value in BY_PRIORITY.items()}
    return sa.case(worth, value=col(of.priority), else_=_float(0))


def _by_tags(of: Any) -> Number:
    worth = {count: _float(value) for count, value in BY_TAG_COUNT.items()}
    return sa.case(worth, value=sa.func.cardinality(of.tags), else_=_float(BY_MORE_TAGS))


def _by_age(of: Any, viewer: Viewer) -> Number:
    added_on = sa.cast(sa.func.timezone("UTC", col(of.created_at)), sa.Date)
    days = _days(sa.literal(viewer.today, sa.Date), added_on)
    share = days / _float(MAX_AGE_DAYS)
    bounded: Number = sa.func.greatest(_float(0), sa.func.least(_float(1), share))
    return bounded * _float(MAX_BY_AGE)


def _days(later: Any, earlier: Any) -> Number:
    """How many days are between two days: PostgreSQL gives a number, and no interval."""
    return sa.cast(sa.type_coerce(later - earlier, sa.Integer), sa.Double)


def _float(value: float) -> Number:
    return sa.cast(sa.literal(float(value), sa.Double), sa.Double)
