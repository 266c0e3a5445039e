"""Builds the parts of statements that make views: today, upcoming, next, projects and tags.

A view is a list whose tasks and order its name explains.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased
from sqlmodel import col

from todo_cli.models import Task
from todo_cli.tasks.days import (
    MAX_ZONE_DAYS,
    Condition,
    due_day,
    due_locally,
    is_due_by,
    is_late,
    is_waiting,
)
from todo_cli.tasks.urgency import priority_rank, terms, urgency
from todo_cli.values import TaskQuery, View, Viewer


def conditions(query: TaskQuery, of: Any) -> list[Condition]:
    """Which pending tasks that do not wait are in the query's view."""
    viewer = _viewer_of(query)
    if query.view is View.TODAY:
        return [is_due_by(of, viewer.today), due_day(of, viewer) <= viewer.today]
    if query.view is View.UPCOMING:
        last = last_day(viewer.today, query.days)
        is_then = due_day(of, viewer).between(viewer.today, last)
        begins = col(of.due_on) >= viewer.today - timedelta(days=MAX_ZONE_DAYS)
        return [begins, is_due_by(of, last), is_then, sa.not_(is_late(of, viewer))]
    return []


def sort_columns(query: TaskQuery, of: Any) -> list[Any]:
    """What the view's tasks ascend by, before their numbers."""
    viewer = _viewer_of(query)
    if query.view is View.NEXT:
        return [-urgency(of, viewer)]
    return [due_locally(of, viewer), priority_rank(of)]


def last_day(today: date, days: int) -> date:
    return today + timedelta(days=min(days - 1, (date.max - today).days))


def due_counts(viewer: Viewer) -> sa.ScalarSelect[Any]:
    """How many pending tasks are late, due today, due tomorrow: one array."""
    of = aliased(Task, name="due")
    tomorrow = last_day(viewer.today, 2)
    near = (
        sa.select(is_late(of, viewer).label("is_late"), due_day(of, viewer).label("day"))
        .where(*_is_pending(of), sa.not_(is_waiting(of, viewer)), is_due_by(of, tomorrow))
        .subquery("near")
    )
    counts: list[sa.ColumnElement[int]] = [
        sa.func.count().filter(condition)
        for condition in (
            near.c.is_late,
            sa.and_(near.c.day == viewer.today, sa.not_(near.c.is_late)),
            near.c.day == tomorrow,
        )
    ]
    return sa.select(array[Any](counts, type_=sa.BigInteger)).select_from(near).scalar_subquery()


def urgency_terms(of: Any, viewer: Viewer) -> sa.ColumnElement[Any]:
    """The terms of the urgency, in their order: one array."""
    summed: list[sa.ColumnElement[float]] = list(terms(of, viewer).values())
    return array[Any](summed, type_=sa.Double)


def projects(viewer: Viewer) -> sa.Select[Any]:
    """Each project that a task names, with the counts of its own tasks."""
    return _counted(col(Task.project), col(Task.project).is_not(None), viewer)


def tags(viewer: Viewer) -> sa.Select[Any]:
    """Each tag, with the counts of its tasks."""
    return _counted(sa.func.unnest(Task.tags), sa.func.cardinality(Task.tags) > 0, viewer)


def _counted(name: Any, has_name: Condition, viewer: Viewer) -> sa.Select[Any]:
    """Names, which are the same in any case, with the counts of `GroupCount`."""
    is_open = sa.not_(col(Task.completed))
    named = (
        sa.select(
            name.label("name"),
            is_open.label("is_open"),
            sa.and_(is_open, is_late(Task, viewer)).label("is_late"),
        )
        .where(col(Task.deleted_at).is_(None), has_name)
        .subquery("named")
    )
    key = sa.func.lower(named.c.name)
    counts: sa.Select[Any] = (
        sa.select(  # type: ignore[assignment]  # a row of four is a row of any
            sa.func.max(sa.collate(named.c.name, "C")).label("name"),  # small letters, if any has
            sa.func.count().filter(named.c.is_open).label("open"),
            sa.func.count().filter(sa.not_(named.c.is_open)).label("done"),
            sa.func.count().filter(named.c.is_late).label("late"),
        )
        .group_by(key)
        .order_by(key)
    )
    return counts


def _is_pending(of: Any) -> list[Condition]:
    return [sa.not_(col(of.completed)), col(of.deleted_at).is_(None)]


def _viewer_of(query: TaskQuery) -> Viewer:
    assert query.viewer is not None
    return query.viewer
