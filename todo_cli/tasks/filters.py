"""Filters as conditions in SQL. Each value is a bind parameter.

A condition is true or false, never NULL: `not` must find the tasks that lack a value too.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from todo_cli.filters import (
    And,
    Days,
    Field,
    Filter,
    Has,
    InProjects,
    Is,
    Not,
    Numbers,
    Or,
    Part,
    Priorities,
    Span,
    State,
    Tags,
    Text,
    required,
    terms_of,
)
from todo_cli.tasks.days import (
    MAX_ZONE_DAYS,
    Condition,
    due_day,
    is_due_by,
    is_late,
    is_waiting,
)
from todo_cli.values import Viewer

_INSTANTS = {Field.CREATED: "created_at", Field.CHANGED: "updated_at", Field.DONE: "completed_at"}

_PARTS = {
    Part.DUE: "due_on",
    Part.TIME: "due_time",
    Part.WAIT: "wait_on",
    Part.PROJECT: "project",
    Part.PRIORITY: "priority",
    Part.DESCRIPTION: "description",
}

_COVERED_PARTS = frozenset({Part.DUE, Part.WAIT, Part.PROJECT, Part.TAG, Part.PRIORITY})


def condition(tree: Filter, of: Any, viewer: Viewer) -> Condition:
    """What a filter says of the task whose columns `of` has."""
    if isinstance(tree, And):
        return sa.and_(*(condition(part, of, viewer) for part in tree.parts))
    if isinstance(tree, Or):
        return sa.or_(*(condition(part, of, viewer) for part in tree.parts))
    if isinstance(tree, Not):
        return sa.not_(condition(tree.part, of, viewer))
    return _term(tree, of, viewer)


def is_in_index(tree: Filter) -> bool:
    """Whether the index of pending tasks holds all columns that the filter reads."""
    return all(
        isinstance(term, Numbers | Tags | InProjects | Priorities)
        or (isinstance(term, Days) and term.field is Field.WAIT)
        or (isinstance(term, Has) and term.part in _COVERED_PARTS)
        for term in terms_of(tree)
    )


def depends_on_time(tree: Filter) -> bool:
    """Whether the filter may find other tasks at another time of the same day."""
    return Is(State.OVERDUE) in terms_of(tree)


def is_by_due_day(tree: Filter) -> bool:
    """Whether the filter limits the due day, so that the index of those finds its tasks."""
    return any(
        (isinstance(part, Days) and part.field is Field.DUE)
        or (isinstance(part, Is) and part.state is State.OVERDUE)
        for part in required(tree)
    )


def _term(term: Filter, of: Any, viewer: Viewer) -> Condition:
    match term:
        case Days(field, spans):
            return sa.or_(*(_days(field, span, of, viewer) for span in spans))
        case Numbers(spans):
            return sa.or_(*(_between(of.number, span.first, span.last) for span in spans))
        case Tags(names):
            return _has_tag(of, names)
        case InProjects(paths, is_exact):
            return sa.or_(*(_is_in_project(of, path, is_exact=is_exact) for path in paths))
        case Priorities(values):
            return sa.and_(_has(of.priority), col(of.priority).in_([int(one) for one in values]))
        case Is(state):
            return _is(state, of, viewer)
        case Has(Part.TAG):
            return _has_tags(of)
        case Has(part):
            return _has(getattr(of, _PARTS[part]))
        case Text(text, is_title):
            return contains(of, text, is_title=is_title)
    raise TypeError(f"no term of a filter: {term!r}")


def contains(of: Any, text: str, *, is_title: bool = False) -> Condition:
    """Whether the title, or else the description, holds the text, in any case."""
    in_title = col(of.title).icontains(text, autoescape=True)
    if is_title:
        return in_title
    in_description = col(of.description).icontains(text, autoescape=True)
    return sa.or_(in_title, sa.and_(_has(of.description), in_description))


def _is(state: State, of: Any, viewer: Viewer) -> Condition:
    is_pending = sa.not_(col(of.completed))
    conditions = {
        State.PENDING: is_pending,
        State.DONE: col(of.completed).is_(True),
        State.TRASH: col(of.deleted_at).is_not(None),
        State.OVERDUE: sa.and_(is_pending, is_late(of, viewer)),
        State.WAITING: sa.and_(is_pending, is_waiting(of, viewer)),
    }
    return conditions[state]


def _days(field: Field, span: Span[date], of: Any, viewer: Viewer) -> Condition:
    if field is Field.DUE:
        is_on = _between(due_day(of, viewer), span.first, span.last)
        return sa.and_(_may_be_due(of, span.first, span.last), is_on)
    if field is Field.WAIT:
        return sa.and_(_has(of.wait_on), _between(of.wait_on, span.first, span.last))
    instant = getattr(of, _INSTANTS[field])
    conditions = [_has(instant)]
    if span.first is not None:
        conditions.append(col(instant) >= _instant(viewer.start_of(span.first)))
    if span.last is not None and span.last < date.max:
        after = viewer.start_of(span.last + timedelta(days=1))
        conditions.append(col(instant) < _instant(after))
    return sa.and_(*conditions)


def _may_be_due(of: Any, first: date | None, last: date | None) -> Condition:
    """That the due day may be in the span: the part of the condition that an index serves."""
    margin = timedelta(days=MAX_ZONE_DAYS)
    conditions = [is_due_by(of, date.max if last is None else last)]
    if first is not None and first - date.min > margin:
        conditions.append(col(of.due_on) >= first - margin)
    return sa.and_(*conditions)


def _has_tag(of: Any, names: tuple[str, ...]) -> Condition:
    """By the tags' text: in arrays, PostgreSQL compares with regard to case alone."""
    comma = sa.literal(",", sa.Text)
    tags = comma + sa.func.lower(sa.func.array_to_string(of.tags, ","), type_=sa.Text) + comma
    wanted = [comma + sa.func.lower(name, type_=sa.Text) + comma for name in names]
    return sa.and_(_has_tags(of), sa.or_(*(sa.func.strpos(tags, one) > 0 for one in wanted)))


def _has_tags(of: Any) -> Condition:
    return sa.func.cardinality(of.tags) > 0


def _is_in_project(of: Any, path: str, *, is_exact: bool) -> Condition:
    project = sa.func.lower(of.project)
    wanted = sa.func.lower(sa.literal(path, sa.Text))
    is_it: Condition = project == wanted
    if not is_exact:
        is_it = sa.or_(is_it, sa.func.starts_with(project, sa.func.concat(wanted, ".")))
    return sa.and_(_has(of.project), is_it)


def _has(column: Any) -> Condition:
    return col(column).is_not(None)


def _between(value: Any, first: Any, last: Any) -> Condition:
    conditions = [] if first is None else [value >= first]
    if last is not None:
        conditions.append(value <= last)
    return sa.and_(sa.true(), *conditions)


def _instant(instant: datetime) -> sa.BindParameter[datetime]:
    return sa.literal(instant, sa.DateTime(timezone=True))
