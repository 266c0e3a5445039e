"""Finds the tasks that references mean: conditions in the database, order in Python.

A reference is a number, a range of numbers, a UUID, or the beginning of one.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased
from sqlmodel import col

from todo_cli.database.session import TAKES_LONG
from todo_cli.errors import (
    AmbiguousTask,
    TaskNotFound,
)
from todo_cli.models import ArchivedTask, Task
from todo_cli.values import (
    MAX_TASKS,
    TaskRef,
    printable,
    require_few_enough,
    require_few_patterns,
)

CANDIDATES_SHOWN = 10
"""How many tasks the error about an ambiguous reference lists."""

LARGE = 5_000
"""A statement on so many tasks may take seconds."""

TASKS = Task.__table__  # type: ignore[attr-defined]  # SQLModel types no __table__

ARCHIVED: Any = aliased(
    Task,
    sa.select(
        *(ArchivedTask.__table__.c[column.name] for column in TASKS.columns)  # type: ignore[attr-defined]  # SQLModel types no __table__
    ).subquery("archived"),
    adapt_on_names=True,
)
"""Archived tasks, read as tasks."""


def locked_tasks(fitting: sa.ColumnElement[bool]) -> sa.CTE:
    """Lock the tasks that fit, so that their count stays true until the change.

    The change is then all or nothing even if others change the same tasks. One fixed order keeps
    two commands from a deadlock. The limit is one more than a command takes.
    """
    return (
        sa.select(TASKS.c.id, TASKS.c.number, TASKS.c.updated_at)
        .where(fitting)
        .order_by(TASKS.c.id)
        .limit(MAX_TASKS + 1)
        .with_for_update()
        .cte("locked")
    )


def count_of(rows: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(rows).where(*conditions).scalar_subquery()


def rows_of(
    name: str, *, with_ordinality: str | None = None, **columns: tuple[Sequence[Any], Any]
) -> sa.TableValuedAlias:
    """Rows from values: each column is given as its values and their type.

    Each column is one parameter, since a statement takes 65,535 parameters.
    """
    arrays = [sa.bindparam(None, values, ARRAY(type_)) for values, type_ in columns.values()]
    named = [sa.column(column, type_) for column, (_, type_) in columns.items()]
    rows = sa.func.unnest(*arrays).table_valued(*named, with_ordinality=with_ordinality)
    return rows.render_derived(name=name)


def patience(count: int) -> dict[str, bool]:
    """The execution options of a statement for so many tasks."""
    return TAKES_LONG if count >= LARGE else {}


def patience_for(refs: Sequence[TaskRef]) -> dict[str, bool]:
    """The execution options of a statement for the tasks that the references may mean."""
    in_ranges = sum((ref.last_number or 0) - (ref.first_number or 0) for ref in refs)
    return patience(len(refs) + in_ranges)


def has_id(ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    return _is_one_of(TASKS.c.id, ids, sa.Uuid())


def is_meant(ref: TaskRef, of: Any) -> sa.ColumnElement[bool]:
    """The condition that the reference, which is not a range, means the task."""
    if ref.number is not None:
        return col(of.number) == ref.number
    return col(of.id).between(ref.first, ref.last)


class _Named:
    """The references by kind, sorted, without duplicates.

    The conditions compare columns with lists. A join would be slow without table statistics, as
    after the first large `add`: the planner would use nested loops.
    """

    def __init__(self, refs: Sequence[TaskRef]) -> None:
        require_few_patterns(refs)
        self.numbers = sorted({ref.number for ref in refs if ref.number is not None})
        self.uuids = sorted({ref.first for ref in refs if ref.first and ref.first == ref.last})
        self.beginnings = sorted(
            {(ref.first, ref.last) for ref in refs if ref.first and ref.last != ref.first}
        )
        self.ranges = sorted(
            {(ref.first_number, ref.last_number) for ref in refs if ref.first_number is not None}
        )

    @property
    def is_one_task(self) -> bool:
        count = len(self.numbers) + len(self.uuids) + len(self.beginnings)
        return count == 1 and not self.ranges

    def has_number(self, of: Any) -> sa.ColumnElement[bool]:
        return _is_one_of(of.number, self.numbers, sa.BigInteger())

    def has_uuid(self, of: Any) -> sa.ColumnElement[bool]:
        return _is_one_of(of.id, self.uuids, sa.Uuid())

    def beginnings_of(self, of: Any) -> list[sa.ColumnElement[bool]]:
        """One condition for each beginning of a UUID."""
        return [of.id.between(first, last) for first, last in self.beginnings]

    def ranges_of(self, of: Any) -> list[sa.ColumnElement[bool]]:
        """One condition for each range."""
        return [of.number.between(first, last) for first, last in self.ranges]

    def fits_exactly(self, of: Any) -> list[sa.ColumnElement[bool]]:
        """The conditions for numbers and whole UUIDs, for those kinds that there are."""
        lists = [(self.numbers, self.has_number), (self.uuids, self.has_uuid)]
        return [condition(of) for values, condition in lists if values]

    def fits(self, of: Any) -> sa.ColumnElement[bool]:
        conditions = [*self.fits_exactly(of), *self.beginnings_of(of), *self.ranges_of(of)]
        return sa.or_(*conditions)

    def are_all_in(self, rows: sa.CTE) -> sa.ColumnElement[bool]:
        """The condition that every reference has one row, and every range one or more."""
        of = rows.c
        checks: list[sa.ColumnElement[bool]] = []
        if self.numbers:
            checks.append(count_of(rows, self.has_number(of)) == len(self.numbers))
        if self.uuids:
            checks.append(count_of(rows, self.has_uuid(of)) == len(self.uuids))
        checks += [count_of(rows, condition) == 1 for condition in self.beginnings_of(of)]
        checks += [count_of(rows, condition) >= 1 for condition in self.ranges_of(of)]
        return sa.and_(*checks)


def _is_one_of(column: Any, values: Sequence[Any], type_: Any) -> sa.ColumnElement[bool]:
    """The values are one parameter, since a statement takes 65,535 parameters."""
    found: sa.ColumnElement[bool] = column == sa.func.any(sa.bindparam(None, values, ARRAY(type_)))
    return found


def chosen(refs: Sequence[TaskRef], *, from_trash: bool) -> list[sa.ColumnElement[bool]]:
    """The conditions that choose all the tasks that the references mean, or none of them."""
    named = _Named(refs)
    fitting = named.fits(TASKS.c)
    if not from_trash:
        fitting = sa.and_(fitting, TASKS.c.deleted_at.is_(None))
    if named.is_one_task:  # two rows tell that the reference is ambiguous
        columns = (TASKS.c.id, TASKS.c.number)
        found = sa.select(*columns).where(fitting).limit(2).cte("found")
        return [TASKS.c.id.in_(sa.select(found.c.id)), named.are_all_in(found)]
    locked = locked_tasks(fitting)
    return [
        TASKS.c.id.in_(sa.select(locked.c.id)),
        named.are_all_in(locked),
        count_of(locked) <= MAX_TASKS,
    ]


def lookup(refs: Sequence[TaskRef], of: Any, *, from_trash: bool = True) -> sa.Executable:
    """Select the tasks that the references may mean.

    Each beginning of a UUID has its own limit, enough to list the candidates. All ranges together
    are limited to one more than a command takes.
    """
    named = _Named(refs)
    columns = sa.inspect(of).selectable.c
    branches = [sa.select(*columns).where(fitting) for fitting in named.fits_exactly(of)]
    for fitting in named.beginnings_of(of):
        some = sa.select(*columns).where(fitting).order_by(of.number).limit(CANDIDATES_SHOWN + 1)
        branches.append(sa.select(*some.subquery().c))
    if named.ranges:
        within = sa.select(*columns).where(sa.or_(*named.ranges_of(of))).limit(MAX_TASKS + 1)
        if not from_trash:
            within = within.where(of.deleted_at.is_(None))
        branches.append(sa.select(*within.subquery().c))
    found = sa.union(*branches) if len(branches) > 1 else branches[0]
    return sa.select(of).from_statement(found).execution_options(**patience_for(refs))


def in_order(refs: Sequence[TaskRef], tasks: Sequence[Task]) -> list[Task]:
    """The tasks of the references, in the order of the references, without duplicates.

    Raises:
        TaskNotFound: a reference means none of the tasks.
        AmbiguousTask: a reference that is not a range means several.
        InvalidInput: there are more tasks than a command takes.
    """
    require_few_enough(len(tasks))
    found = _Found(tasks)
    ordered: dict[UUID, Task] = {}
    for ref in refs:
        for task in found.take(ref):
            ordered[task.id] = task
    return list(ordered.values())


class _Found:
    """Tasks, indexed by number and by UUID."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._by_number = {task.number: task for task in tasks}
        self._numbers = sorted(self._by_number)
        self._untaken = self._numbers.copy()
        """The numbers that no range has taken yet. Overlapping ranges take a number once."""
        self._by_id = sorted(tasks, key=id_of)

    def take(self, ref: TaskRef) -> list[Task]:
        if ref.first_number is not None and ref.last_number is not None:
            return self._take_range(ref.first_number, ref.last_number)
        if ref.number is not None:
            fitting = [task for task in (self._by_number.get(ref.number),) if task is not None]
        else:
            assert ref.first is not None and ref.last is not None
            start = bisect.bisect_left(self._by_id, ref.first, key=id_of)
            end = bisect.bisect_right(self._by_id, ref.last, key=id_of)
            fitting = self._by_id[start : min(end, start + CANDIDATES_SHOWN + 1)]
        if not fitting:
            raise TaskNotFound(f"No task {ref.text}.")
        if len(fitting) > 1:
            fitting.sort(key=lambda task: task.number)
            raise AmbiguousTask(f"{ref.text} fits several tasks: {_listed(fitting)}.")
        return fitting

    def _take_range(self, first: int, last: int) -> list[Task]:
        start = bisect.bisect_left(self._numbers, first)
        if start == len(self._numbers) or self._numbers[start] > last:
            raise TaskNotFound(f"No task from {first} to {last}.")
        begin = bisect.bisect_left(self._untaken, first)
        end = bisect.bisect_right(self._untaken, last)
        taken = self._untaken[begin:end]
        del self._untaken[begin:end]
        return [self._by_number[number] for number in taken]


def id_of(task: Task) -> UUID:
    return task.id


def _listed(tasks: Sequence[Task]) -> str:
    shown = [f"{task.number} ({printable(task.title[:40])})" for task in tasks[:CANDIDATES_SHOWN]]
    return ", ".join(shown) + (", …" if len(tasks) > CANDIDATES_SHOWN else "")
