"""The orders of lists: the columns to sort by, none of which is NULL, and their direction."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from todo_cli.tasks import views
from todo_cli.tasks.urgency import priority_rank, urgency
from todo_cli.values import SortKey, TaskQuery

_LAST_TIME = time.max
"""For a day without a time: it lasts until midnight."""

_NEWEST_FIRST = frozenset({SortKey.CREATED, SortKey.UPDATED})


def sort_columns(query: TaskQuery, of: Any) -> list[Any]:
    """The columns to sort by. The number makes the order total, and ascends with creation."""
    if query.view is not None:
        return [*views.sort_columns(query, of), col(of.number)]
    return [*_first_columns(query, of), col(of.number)]


def order(query: TaskQuery, of: Any) -> list[sa.ColumnElement[Any]]:
    descending = is_descending(query)
    return [column.desc() if descending else column.asc() for column in sort_columns(query, of)]


def is_descending(query: TaskQuery) -> bool:
    """Newest first, but the other orders from their beginning."""
    return (query.view is None and query.sort in _NEWEST_FIRST) != query.reverse


def _first_columns(query: TaskQuery, of: Any) -> list[Any]:
    """Tasks without a day, a priority or a project are after those that have one."""
    day = sa.func.coalesce(of.due_on, sa.literal(date.max, sa.Date))
    match query.sort:
        case SortKey.CREATED:
            return []
        case SortKey.UPDATED:
            return [col(of.updated_at)]
        case SortKey.TITLE:
            return [sa.func.lower(col(of.title))]
        case SortKey.DUE:
            return [day, sa.func.coalesce(of.due_time, sa.literal(_LAST_TIME, sa.Time))]
        case SortKey.PRIORITY:
            return [priority_rank(of), day]
        case SortKey.PROJECT:
            has_none = sa.cast(col(of.project).is_(None), sa.Integer)
            return [has_none, sa.func.coalesce(sa.func.lower(of.project), "")]
        case SortKey.URGENCY:
            assert query.viewer is not None
            return [-urgency(of, query.viewer)]
