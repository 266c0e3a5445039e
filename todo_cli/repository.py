"""The tasks of whoever is logged in: each method one statement, each statement one round trip.

No method names a user. The statements run under row-level security, so that "all tasks" means
"all of mine", and what belongs to somebody else is the same as what does not exist. Every
statement bears repeating: inserts carry their identifiers, updates set and never flip.
"""

from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from todo_cli.database.session import IN_INDEX_ORDER, TAKES_LONG, Database
from todo_cli.documents import document_column, record_column
from todo_cli.errors import (
    AmbiguousTask,
    DatabaseFault,
    DatabaseUnreachable,
    EditConflict,
    TaskNotFound,
)
from todo_cli.ids import uuid7
from todo_cli.models import ArchivedTask, Task
from todo_cli.values import (
    DEFAULT_LIMIT,
    MAX_TASKS,
    DayCount,
    SortKey,
    Stats,
    TaskPage,
    TaskQuery,
    TaskRef,
    TaskState,
    number_ranges,
    printable,
    require_few_enough,
    require_few_patterns,
)

PAGE_TASKS = 10_000
PAGE_BYTES = 4 * 1024 * 1024
"""What is read at once of a list that is written out whole: so many tasks at most, and no more
after so many bytes of titles and descriptions (a description may have 80,000). Few round trips,
and some 20 MiB of memory at most."""

SORTED_PAGE_TASKS = 2_000
"""The first page in an order that no index has: so few are sorted in memory, of however many."""

CANDIDATES_SHOWN = 10
"""How many tasks an ambiguous reference lists at most."""

MAX_SUGGESTIONS = 100
"""How many tasks a shell is offered at most."""

MAX_TITLES_SEARCHED = 20_000
"""How many tasks, newest first, are searched for a title that a shell is offered."""

LARGE = 5_000
"""From so many tasks on, a statement may take seconds."""

MOST_TOGGLES = 3
"""How often to read again where somebody else changes the same tasks at the same moment."""

_Write = Callable[[sa.FromClause], sa.ColumnElement[str]]
"""Makes the text of a task from its columns, in the database."""

_NO_SYNC = {"synchronize_session": False}
_TASKS = Task.__table__  # type: ignore[attr-defined]  # SQLModel types no __table__
_NOT_IN_TRASH = col(Task.deleted_at).is_(None)

_ARCHIVED: Any = aliased(
    Task,
    sa.select(
        *(ArchivedTask.__table__.c[column.name] for column in _TASKS.columns)  # type: ignore[attr-defined]  # SQLModel types no __table__
    ).subquery("archived"),
    adapt_on_names=True,
)
"""Archived tasks, read as tasks."""

_RESTORE_ARCHIVED = sa.text("select * from todo_auth.restore_archived(:ids)").bindparams(
    sa.bindparam("ids", type_=ARRAY(sa.Uuid))
)


class ChangedTasks(list[Task]):
    """Tasks as a change left them; `unchanged` are the ids of those that were so already."""

    def __init__(self, tasks: Iterable[Task], unchanged: frozenset[UUID] = frozenset()) -> None:
        super().__init__(tasks)
        self.unchanged = unchanged


@dataclass(frozen=True)
class _TextPage:
    """The texts of consecutive tasks, a line each.

    `found` is how many there were to choose from, before their bytes were counted, of the `size`
    that a page may have.
    """

    numbers: list[int]
    text: str
    found: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether all that were found are here."""
        return len(self.numbers) == self.found

    @property
    def is_last(self) -> bool:
        """Whether there are no more, or the limit of the query is reached."""
        return self.is_whole and self.found < self.size


class TaskRepository:
    """The tasks of one logged-in user.

    Every method may raise what `Database.run` raises, and then has changed nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, drafts: Sequence[tuple[str, str | None]]) -> list[Task]:
        """Add tasks, given as clean (title, description); all or none. One round trip.

        They are numbered in the order given, and returned so.
        """
        ids = [uuid7() for _ in drafts]
        titles = [title for title, _ in drafts]
        descriptions = [description for _, description in drafts]
        statement = _insert_once(ids, titles, descriptions)

        def insert(session: Session) -> list[Task]:
            added = list(session.scalars(statement))
            if len(added) < len(ids):
                # The first try was committed while this one was on its way.
                added = list(session.exec(select(Task).where(_has_id(ids))))
            return added

        tasks = {task.id: task for task in self._database.run(insert, writes=True)}
        if len(tasks) < len(ids):
            raise DatabaseFault("The tasks were not kept.")
        return [tasks[id_] for id_ in ids]

    def page(self, query: TaskQuery, *, with_total: bool = False) -> TaskPage:
        """One page of tasks, by keyset: its cost does not grow with what comes before.

        With `with_total` the count of all that fit is taken too, but only where the page is cut.

        Raises:
            TaskNotFound, AmbiguousTask: `query.after` is not one task.
        """
        if with_total and query.limit is not None:
            return self._page_with_total(query, query.limit)
        tasks = self._read(_page_statement(query))
        self._require_start(query, tasks)
        return TaskPage(tasks, len(tasks) if with_total else None)

    def documents(self, query: TaskQuery) -> Iterator[str]:
        """All tasks that fit, `query.limit` at most, as pages: a compact JSON document a line.

        Each page is a round trip, and what a page takes in memory is bounded. No task comes twice;
        one that is changed meanwhile comes as it is when its page is read, if it still fits.
        """
        return self._texts(query, document_column)

    def records(self, query: TaskQuery) -> Iterator[str]:
        """As `documents`, with tab-separated records for lines."""
        return self._texts(query, record_column)

    def _texts(self, query: TaskQuery, write: _Write) -> Iterator[str]:
        size = PAGE_TASKS if query.sort is SortKey.CREATED else SORTED_PAGE_TASKS
        page = self._read_texts(_texts_statement(query, size, write), size)
        self._require_start(query, page.numbers)
        yield page.text
        if page.is_last:
            return
        if query.sort is SortKey.CREATED:
            yield from self._texts_by_keyset(query, page, write)
        else:
            yield from self._texts_in_order(query, page, write)

    def _texts_by_keyset(self, query: TaskQuery, page: _TextPage, write: _Write) -> Iterator[str]:
        """The pages that follow one: each begins where the index has the last task's number."""
        while not page.is_last:
            query = _less(query, len(page.numbers))
            if query.limit == 0:
                return
            statement = _texts_statement(query, page.size, write, following=page.numbers[-1])
            page = self._read_texts(statement, page.size)
            yield page.text

    def _texts_in_order(self, query: TaskQuery, first: _TextPage, write: _Write) -> Iterator[str]:
        """The pages that follow the first, in an order that no index has.

        By keyset, each page would sort all that follow. So the order is asked for once, and then
        the tasks by their numbers.
        """
        written = set(first.numbers)
        waiting = array("q", (n for n in self._numbers(query) if n not in written))
        waiting = waiting[: _less(query, len(written)).limit]
        while waiting:
            asked = waiting[:PAGE_TASKS].tolist()
            page = self._read_texts(_texts_of_statement(asked, query, write), len(asked))
            yield page.text
            del waiting[: len(asked) if page.is_whole else asked.index(page.numbers[-1]) + 1]

    def _numbers(self, query: TaskQuery) -> array[int]:
        """The numbers of the tasks that fit, in their order: eight bytes each, one round trip."""
        statement = _numbers_statement(query)
        packed = self._database.run(lambda session: session.scalar(statement))
        numbers = array("q", packed or b"")
        if sys.byteorder == "little":
            numbers.byteswap()
        return numbers

    def _read_texts(self, statement: Any, size: int) -> _TextPage:
        row = self._database.run(lambda session: session.execute(statement).one())
        return _TextPage(row.numbers or [], row.text or "", row.found or 0, size)

    def get(self, refs: Sequence[TaskRef], *, from_trash: bool = True) -> list[Task]:
        """The tasks that the references mean, in their order, from the trash as well.

        Without `from_trash` a range means only those outside it.

        Raises:
            TaskNotFound: a reference means no task, or, without `from_trash`, one that lies there.
            AmbiguousTask: a reference means several.
        """
        found = _in_order(refs, self._read(_lookup_statement(refs, Task, from_trash=from_trash)))
        if not from_trash:
            _refuse_trash(found)
        return found

    def numbered(
        self, digits: str, state: TaskState, *, excluded: Sequence[int] = ()
    ) -> list[tuple[int, str]]:
        """Number and title of the first tasks whose numbers begin with the digits.

        `MAX_SUGGESTIONS` at most, smallest number first. One round trip.
        """
        return self._suggested(_numbered_statement(digits, state, excluded))

    def titled(
        self, text: str, state: TaskState, *, excluded: Sequence[int] = ()
    ) -> list[tuple[int, str]]:
        """Number and title of the newest tasks whose titles hold the text, in any case.

        `MAX_SUGGESTIONS` at most, of the newest `MAX_TITLES_SEARCHED` tasks. One round trip.
        """
        return self._suggested(_titled_statement(text, state, excluded))

    def set_completed(self, refs: Sequence[TaskRef], completed: bool) -> ChangedTasks:
        """Mark every task done (or not done), or none of them. One round trip.

        Tasks that are so already are returned unchanged.

        Raises:
            TaskNotFound: a reference fits no task outside the trash; nothing was changed.
            AmbiguousTask: a reference fits several; nothing was changed.
        """
        return self._update(refs, completed=completed)

    def toggle(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Flip completion of every task, or of none. Two round trips.

        The first reads, the second sets, and only where the task is still as it was read: a
        repeated try finds that it has been done, where a flip in one statement would flip back.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean one task outside the trash.
            EditConflict: after a cut the tasks are neither as they were nor as they should be;
                somebody else has changed them, and whether we have too cannot be told.
        """
        for _ in range(MOST_TOGGLES):
            before = self.get(refs, from_trash=False)
            tries, after = self._set_flipped(before)
            wanted = {task.id: not task.completed for task in before}
            if after and all(task.completed == wanted[task.id] for task in after):
                return _in_order(refs, after)
            if tries > 1:
                break
        raise EditConflict("The tasks were changed meanwhile.")

    def _set_flipped(self, before: Sequence[Task]) -> tuple[int, list[Task]]:
        """Flip what is as it was; answer how many tries that took, and the tasks as they are."""
        flip = _flip_statement(before)
        look = select(Task).where(_has_id([task.id for task in before]))
        tries = 0

        def work(session: Session) -> list[Task]:
            nonlocal tries
            tries += 1
            return list(session.scalars(flip, execution_options=_NO_SYNC)) or list(
                session.scalars(look)
            )

        after = self._database.run(work, writes=True)
        return tries, after if len(after) == len(before) else []

    def edit(
        self, ref: TaskRef, changes: dict[str, Any], *, unchanged_since: Task | None = None
    ) -> ChangedTasks:
        """Change `title` or `description` (None clears it) of one task. One round trip.

        Raises:
            TaskNotFound, AmbiguousTask: the reference does not mean one task outside the trash.
            EditConflict: the task is no longer as `unchanged_since`; nothing was changed.
        """
        if unchanged_since is None:
            return self._update([ref], **changes)
        seen = col(Task.updated_at) == unchanged_since.updated_at
        edited = self._change(_update_statement([ref], changes, and_also=seen))
        if not edited:
            self._explain([ref])
            now = self.get([ref])[0]
            if all(getattr(now, name) == value for name, value in changes.items()):
                return ChangedTasks([now])  # our own first try, whose answer was lost
            raise EditConflict(f"Task {unchanged_since.number} was changed meanwhile.")
        return edited

    def trash(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Move every task to the trash, or none. Those that lie there stay as they are."""
        when = sa.func.coalesce(col(Task.deleted_at), sa.func.now())
        return self._update(refs, from_trash=True, deleted_at=when)

    def restore(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Take every task out of the trash, or none. Those outside stay as they are."""
        return self._update(refs, from_trash=True, deleted_at=None)

    def restore_archived(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Take every task out of the archive, or none. Two round trips.

        They are as they were, but count as touched now. What another run brings back meanwhile
        comes from the second statement all the same, since by then it is no archived task.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean exactly one archived task.
        """
        archived = _in_order(refs, self._read(_lookup_statement(refs, _ARCHIVED)))
        ids = [task.id for task in archived]
        restore = sa.select(Task).from_statement(_RESTORE_ARCHIVED.bindparams(ids=ids))
        statement = restore.execution_options(**_patience(len(ids)))
        restored = {task.id: task for task in self._write(statement)}
        missing = [id_ for id_ in ids if id_ not in restored]
        if missing:
            again = self._read(select(Task).where(_has_id(missing)))
            restored |= {task.id: task for task in again}
        if len(restored) < len(ids):
            raise DatabaseFault("The tasks were not brought back.")
        return [restored[id_] for id_ in ids]

    def delete(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Delete every task for good, or none; from the trash as well. Their numbers stay used.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean exactly one task.
            DatabaseUnreachable: the answer was lost, and the tasks are gone by now: what they
                were cannot be told any more.
        """
        delete = sa.delete(Task).where(*_chosen(refs, from_trash=True))
        statement = delete.returning(Task).execution_options(**_patience_for(refs))
        tries = 0

        def work(session: Session) -> list[Task]:
            nonlocal tries
            tries += 1
            return list(session.scalars(statement, execution_options=_NO_SYNC))

        deleted = self._database.run(work, writes=True)
        if not deleted and tries > 1:
            raise DatabaseUnreachable(
                "The connection was cut while deleting; it seems to be done.",
                hint="See what is there with: todo list --all, todo list --trash",
            )
        return self._required(refs, deleted, from_trash=True)

    def stats(self, today: date, days: int, time_zone: str) -> Stats:
        """The figures for `days` days up to `today`, days being those of the time zone."""
        values = {"today": today, "days": days, "time_zone": time_zone}
        row = self._database.run(lambda session: session.execute(_STATS, values).one())
        figures = dict(row._mapping)
        by_day = [
            DayCount(date.fromisoformat(day), int(created), int(completed))
            for day, created, completed in figures.pop("by_day")
        ]
        return Stats(by_day=by_day, **figures)

    def _page_with_total(self, query: TaskQuery, limit: int) -> TaskPage:
        statement = _page_with_total_statement(query, limit)
        rows = self._database.run(lambda session: list(session.execute(statement)))
        tasks: list[Task] = [row[0] for row in rows]
        self._require_start(query, tasks)
        total = rows[0][1] if rows else None
        return TaskPage(tasks[:limit], len(tasks) if total is None else total)

    def _require_start(self, query: TaskQuery, found: Sequence[object]) -> None:
        """Tell the end of the list from a page that follows no task."""
        if not found and query.after is not None:
            of = _source(query)
            after = [query.after]
            _in_order(after, self._read(_lookup_statement(after, of)))

    def _read(self, statement: Any) -> list[Task]:
        return self._database.run(lambda session: list(session.scalars(statement)))

    def _suggested(self, statement: sa.Executable) -> list[tuple[int, str]]:
        return self._database.run(
            lambda session: [(row.number, row.title) for row in session.execute(statement)]
        )

    def _update(
        self, refs: Sequence[TaskRef], *, from_trash: bool = False, **changes: Any
    ) -> ChangedTasks:
        changed = self._change(_update_statement(refs, changes, from_trash=from_trash))
        tasks = self._required(refs, changed, from_trash=from_trash)
        return ChangedTasks(tasks, changed.unchanged)

    def _change(self, statement: Any) -> ChangedTasks:
        """Run an update that returns tasks and the present moment, which it stamps on a change."""
        tries = 0

        def work(session: Session) -> list[Any]:
            nonlocal tries
            tries += 1
            return list(session.execute(statement, execution_options=_NO_SYNC))

        rows = self._database.run(work, writes=True)
        # After a cut, a task may be so already because of our own first try.
        unchanged = [task.id for task, now in rows if tries == 1 and task.updated_at != now]
        return ChangedTasks((task for task, _ in rows), frozenset(unchanged))

    def _write(self, statement: Any) -> list[Task]:
        return self._database.run(
            lambda session: list(session.scalars(statement, execution_options=_NO_SYNC)),
            writes=True,
        )

    def _required(
        self, refs: Sequence[TaskRef], tasks: list[Task], *, from_trash: bool
    ) -> list[Task]:
        if not tasks:
            self._explain(refs, from_trash=from_trash)
        return _in_order(refs, tasks)

    def _explain(self, refs: Sequence[TaskRef], *, from_trash: bool = False) -> None:
        """Find out why nothing was changed, and raise it. The only second query there is."""
        self.get(refs, from_trash=from_trash)


def _refuse_trash(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.deleted_at is not None:
            raise TaskNotFound(
                f"Task {task.number} is in the trash.",
                hint=f"Bring it back with: todo restore {task.number}",
            )


def _flip_statement(before: Sequence[Task]) -> sa.Executable:
    """Flip all of the tasks, if each is still as it was read; else none."""
    seen = sorted(before, key=_id_of)
    locked = _locked(_has_id([task.id for task in seen]))
    # One comparison of two lists: a join would be by nested loops where there are no statistics.
    seen_at = sa.bindparam(
        None, [task.updated_at for task in seen], ARRAY(sa.DateTime(timezone=True))
    )
    updated_at = sa.select(
        sa.func.array_agg(aggregate_order_by(locked.c.updated_at, locked.c.id))
    ).scalar_subquery()
    return (
        sa.update(Task)
        .where(col(Task.id).in_(sa.select(locked.c.id)), updated_at == seen_at)
        .values(completed=sa.not_(col(Task.completed)))
        .returning(Task)
        .execution_options(**_patience(len(before)))
    )


def _locked(fitting: sa.ColumnElement[bool]) -> sa.CTE:
    """The tasks that fit, locked, so that they can be counted.

    So it is all or nothing also where somebody else changes one of them at the same moment; in one
    order, so that two of us do not wait for each other. One more than a command takes at most.
    """
    return (
        sa.select(_TASKS.c.id, _TASKS.c.number, _TASKS.c.updated_at)
        .where(fitting)
        .order_by(_TASKS.c.id)
        .limit(MAX_TASKS + 1)
        .with_for_update()
        .cte("locked")
    )


def _count_of(rows: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(rows).where(*conditions).scalar_subquery()


def pattern_statements(*, number: int) -> list[tuple[str, sa.Executable]]:
    """The seven query patterns, as the methods above send them, on the task of that number.

    For whoever wants their plans. The page that follows is a pattern of its own here.
    """
    ref = TaskRef(str(number), number=number)
    everything = TaskQuery(state=TaskState.ALL, limit=DEFAULT_LIMIT)
    by_status = sa.select(col(Task.completed), sa.func.count()).where(_NOT_IN_TRASH)
    return [
        ("list", _page_statement(everything)),
        ("next page", _page_statement(replace(everything, after=ref))),
        ("pending", _page_statement(TaskQuery(limit=DEFAULT_LIMIT))),
        ("create", _insert_once([uuid7()], ["A task"], [None])),
        ("update", _update_statement([ref], {"title": "Another title"})),
        ("toggle", _update_statement([ref], {"completed": sa.not_(col(Task.completed))})),
        ("delete", _update_statement([ref], {"deleted_at": sa.func.now()}, from_trash=True)),
        ("count", by_status.group_by(col(Task.completed))),
    ]


def _insert_once(
    ids: list[UUID], titles: list[str], descriptions: list[str | None]
) -> sa.Executable:
    """Insert what is not there yet, and answer all of it.

    What is there is left out before the insert's own conflict rule, so that a repeated try fires
    no trigger for it.
    """
    draft = _rows(
        "draft",
        with_ordinality="position",
        id=(ids, sa.Uuid()),
        title=(titles, sa.Text()),
        description=(descriptions, sa.Text()),
    )
    present = sa.select(_TASKS.c.id).where(_has_id(ids)).cte("present")
    missing = (
        sa.select(draft.c.id, draft.c.title, draft.c.description)
        # Not `not exists`: that would be a join, by nested loops where there are no statistics.
        .where(draft.c.id.not_in(sa.select(present.c.id)))
        .order_by(draft.c.position)
    )
    inserted = (
        pg_insert(_TASKS)
        .from_select(["id", "title", "description"], missing, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(_TASKS)
        .cte("inserted")
    )
    there_before = sa.select(_TASKS).where(_has_id(ids))
    both = sa.select(Task).from_statement(sa.select(inserted).union_all(there_before))
    return both.execution_options(**_patience(len(ids)))


def _rows(
    name: str, *, with_ordinality: str | None = None, **columns: tuple[Sequence[Any], Any]
) -> sa.TableValuedAlias:
    """Values and their type for each column, as the rows of a table.

    One parameter for each column, however many rows: a statement takes 65,535 parameters.
    """
    arrays = [sa.bindparam(None, values, ARRAY(type_)) for values, type_ in columns.values()]
    named = [sa.column(column, type_) for column, (_, type_) in columns.items()]
    rows = sa.func.unnest(*arrays).table_valued(*named, with_ordinality=with_ordinality)
    return rows.render_derived(name=name)


def _patience(count: int) -> dict[str, bool]:
    """The execution options of a statement for so many tasks."""
    return TAKES_LONG if count >= LARGE else {}


def _patience_for(refs: Sequence[TaskRef]) -> dict[str, bool]:
    """The same for as many tasks as the references may mean."""
    in_ranges = sum((ref.last_number or 0) - (ref.first_number or 0) for ref in refs)
    return _patience(len(refs) + in_ranges)


def _has_id(ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    return _is_one_of(_TASKS.c.id, ids, sa.Uuid())


def _is_meant(ref: TaskRef, of: Any) -> sa.ColumnElement[bool]:
    """That a task is meant by a reference which is no range."""
    if ref.number is not None:
        return col(of.number) == ref.number
    return col(of.id).between(ref.first, ref.last)


class _Named:
    """What references name, sorted by kind, each once.

    Everything is a condition on a task by itself, never a join: the planner would join lists by
    nested loops where it has no statistics yet, as after the first large `add`.
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
        """The conditions of the lists that are there."""
        lists = [(self.numbers, self.has_number), (self.uuids, self.has_uuid)]
        return [condition(of) for values, condition in lists if values]

    def fits(self, of: Any) -> sa.ColumnElement[bool]:
        conditions = [*self.fits_exactly(of), *self.beginnings_of(of), *self.ranges_of(of)]
        return sa.or_(*conditions)

    def are_all_in(self, rows: sa.CTE) -> sa.ColumnElement[bool]:
        """That among the rows is one for each reference, or for a range one or more."""
        of = rows.c
        checks: list[sa.ColumnElement[bool]] = []
        if self.numbers:
            checks.append(_count_of(rows, self.has_number(of)) == len(self.numbers))
        if self.uuids:
            checks.append(_count_of(rows, self.has_uuid(of)) == len(self.uuids))
        checks += [_count_of(rows, condition) == 1 for condition in self.beginnings_of(of)]
        checks += [_count_of(rows, condition) >= 1 for condition in self.ranges_of(of)]
        return sa.and_(*checks)


def _is_one_of(column: Any, values: Sequence[Any], type_: Any) -> sa.ColumnElement[bool]:
    """One parameter, however many values: a statement takes 65,535 parameters."""
    found: sa.ColumnElement[bool] = column == sa.func.any(sa.bindparam(None, values, ARRAY(type_)))
    return found


def _chosen(refs: Sequence[TaskRef], *, from_trash: bool) -> list[sa.ColumnElement[bool]]:
    """Conditions for the tasks that the references mean: for all, or else for none."""
    named = _Named(refs)
    fitting = named.fits(_TASKS.c)
    if not from_trash:
        fitting = sa.and_(fitting, _TASKS.c.deleted_at.is_(None))
    if named.is_one_task:  # two are enough to know that it means several
        columns = (_TASKS.c.id, _TASKS.c.number)
        found = sa.select(*columns).where(fitting).limit(2).cte("found")
        return [_TASKS.c.id.in_(sa.select(found.c.id)), named.are_all_in(found)]
    locked = _locked(fitting)
    return [
        _TASKS.c.id.in_(sa.select(locked.c.id)),
        named.are_all_in(locked),
        _count_of(locked) <= MAX_TASKS,
    ]


def _update_statement(
    refs: Sequence[TaskRef],
    changes: dict[str, Any],
    *,
    from_trash: bool = False,
    and_also: sa.ColumnElement[bool] | None = None,
) -> sa.Executable:
    conditions = _chosen(refs, from_trash=from_trash)
    if and_also is not None:
        conditions.append(and_also)
    update = sa.update(Task).where(*conditions).values(**changes)
    return update.returning(Task, sa.func.now()).execution_options(**_patience_for(refs))


def _lookup_statement(
    refs: Sequence[TaskRef], of: Any, *, from_trash: bool = True
) -> sa.Executable:
    """What the references fit.

    Of each beginning of a UUID a few more than one, so that none crowds out another. Of the ranges
    one more than a command takes.
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
    return sa.select(of).from_statement(found).execution_options(**_patience_for(refs))


def _in_order(refs: Sequence[TaskRef], tasks: Sequence[Task]) -> list[Task]:
    """The tasks of each reference, in their order, none twice.

    Raises:
        TaskNotFound: a reference fits none of the tasks.
        AmbiguousTask: a reference that is no range fits several.
        InvalidInput: the ranges hold more tasks than a command takes.
    """
    require_few_enough(len(tasks))
    found = _Found(tasks)
    ordered: dict[UUID, Task] = {}
    for ref in refs:
        for task in found.take(ref):
            ordered[task.id] = task
    return list(ordered.values())


class _Found:
    """Tasks in the orders in which references ask for them: by number, by UUID."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._by_number = {task.number: task for task in tasks}
        self._numbers = sorted(self._by_number)
        self._untaken = self._numbers.copy()
        """The numbers that no range has given yet: ranges that overlap give them once."""
        self._by_id = sorted(tasks, key=_id_of)

    def take(self, ref: TaskRef) -> list[Task]:
        if ref.first_number is not None and ref.last_number is not None:
            return self._take_range(ref.first_number, ref.last_number)
        if ref.number is not None:
            fitting = [task for task in (self._by_number.get(ref.number),) if task is not None]
        else:
            assert ref.first is not None and ref.last is not None
            start = bisect.bisect_left(self._by_id, ref.first, key=_id_of)
            end = bisect.bisect_right(self._by_id, ref.last, key=_id_of)
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


def _id_of(task: Task) -> UUID:
    return task.id


def _listed(tasks: Sequence[Task]) -> str:
    shown = [f"{task.number} ({printable(task.title[:40])})" for task in tasks[:CANDIDATES_SHOWN]]
    return ", ".join(shown) + (", …" if len(tasks) > CANDIDATES_SHOWN else "")


def _source(query: TaskQuery) -> Any:
    """Where the tasks of a query are kept."""
    return _ARCHIVED if query.state is TaskState.ARCHIVED else Task


def _conditions(query: TaskQuery, of: Any) -> list[sa.ColumnElement[bool]]:
    """What the columns of the query's tasks must be."""
    is_kept = col(of.deleted_at).is_(None)
    states: dict[TaskState, list[sa.ColumnElement[bool]]] = {
        TaskState.PENDING: [is_kept, sa.not_(col(of.completed))],
        TaskState.DONE: [is_kept, col(of.completed).is_(True)],
        TaskState.ALL: [is_kept],
        TaskState.TRASH: [col(of.deleted_at).is_not(None)],
        TaskState.ARCHIVED: [],
    }
    conditions = list(states[query.state])
    if query.search:
        in_title = col(of.title).icontains(query.search, autoescape=True)
        in_description = col(of.description).icontains(query.search, autoescape=True)
        conditions.append(sa.or_(in_title, in_description))
    return conditions


def _sort_columns(sort: SortKey, of: Any) -> list[Any]:
    """The columns of the order; the number makes it total. Numbers ascend with creation."""
    first: dict[SortKey, list[Any]] = {
        SortKey.CREATED: [],
        SortKey.UPDATED: [col(of.updated_at)],
        SortKey.TITLE: [sa.func.lower(col(of.title))],
    }
    return [*first[sort], col(of.number)]


def _order(query: TaskQuery, of: Any) -> list[sa.ColumnElement[Any]]:
    descending = _is_descending(query)
    return [
        column.desc() if descending else column.asc() for column in _sort_columns(query.sort, of)
    ]


def _is_descending(query: TaskQuery) -> bool:
    """Newest first, but titles from A to Z."""
    return (query.sort is not SortKey.TITLE) != query.reverse


def _page_statement(query: TaskQuery, *, following: int | None = None) -> sa.Select[Any]:
    """A page; in order of creation, the one that follows the number, where one is given."""
    of = _source(query)
    page = sa.select(of).where(*_conditions(query, of))
    if following is not None:
        page = page.where(_comes_after(sa.tuple_(sa.literal(following, sa.BigInteger)), query))
    elif query.after is not None:
        page = page.where(_comes_after(_position_meant(query.after, query), query))
    return page.order_by(*_order(query, of)).limit(query.limit).execution_options(**_way(query))


def _page_with_total_statement(query: TaskQuery, limit: int) -> sa.Select[Any]:
    """The page, and beside each task the count of all, NULL where the page holds them all.

    One row more than the limit is taken to know. The count is a sub-select inside CASE: it is
    evaluated only where it is needed.
    """
    rows = _page_statement(replace(query, limit=limit + 1)).cte("page")
    task = aliased(Task, rows, adapt_on_names=True)
    most = sa.literal(limit, sa.BigInteger)  # beside a count it would be taken for an integer
    is_cut = sa.select(sa.func.count() > most).select_from(rows).scalar_subquery()
    of = _source(query)
    counted = sa.select(sa.func.count()).select_from(of).where(*_conditions(query, of))
    total = sa.case((is_cut, counted.scalar_subquery())).label("total")
    return sa.select(task, total).order_by(*_order(query, task)).execution_options(**_way(query))


def _numbered_statement(
    digits: str, state: TaskState, excluded: Sequence[int]
) -> sa.Select[tuple[int, str]]:
    """The tasks of each range of numbers, by the index, and of none more than can be shown."""
    of = _source(TaskQuery(state=state))
    ranges = number_ranges(digits)
    span = (
        sa.func.unnest(
            sa.bindparam(None, [first for first, _ in ranges], ARRAY(sa.BigInteger)),
            sa.bindparam(None, [last for _, last in ranges], ARRAY(sa.BigInteger)),
        )
        .table_valued(sa.column("first", sa.BigInteger), sa.column("last", sa.BigInteger))
        .render_derived(name="span")
    )
    within = _suggestions(of, state, excluded).where(
        col(of.number).between(span.c.first, span.c.last)
    )
    found = within.order_by(col(of.number)).limit(MAX_SUGGESTIONS).lateral("found")
    statement = sa.select(found.c.number, found.c.title).select_from(span.join(found, sa.true()))
    ordered = statement.order_by(found.c.number).limit(MAX_SUGGESTIONS)
    return ordered.execution_options(**IN_INDEX_ORDER)


def _titled_statement(
    text: str, state: TaskState, excluded: Sequence[int]
) -> sa.Select[tuple[int, str]]:
    of = _source(TaskQuery(state=state))
    newest = _suggestions(of, state, excluded).order_by(col(of.number).desc())
    searched = newest.limit(MAX_TITLES_SEARCHED).subquery("searched")
    statement = sa.select(searched.c.number, searched.c.title)
    if text:
        statement = statement.where(searched.c.title.icontains(text, autoescape=True))
    ordered = statement.order_by(searched.c.number.desc()).limit(MAX_SUGGESTIONS)
    return ordered.execution_options(**IN_INDEX_ORDER)


def _suggestions(of: Any, state: TaskState, excluded: Sequence[int]) -> sa.Select[tuple[int, str]]:
    fitting = _conditions(TaskQuery(state=state), of)
    statement = sa.select(col(of.number), col(of.title)).where(*fitting)
    return statement.where(col(of.number).not_in(excluded)) if excluded else statement


def _texts_statement(
    query: TaskQuery, size: int, write: _Write, *, following: int | None = None
) -> sa.Select[Any]:
    """A page of texts; where `following` is given, in order of creation, what comes after it."""
    limit = size if query.limit is None else min(size, query.limit)
    page = _page_statement(replace(query, limit=limit), following=following).subquery("page")
    texts = _bounded_texts(page, lambda columns: _order(query, columns), write)
    return texts.execution_options(**_way(query))


def _texts_of_statement(numbers: list[int], query: TaskQuery, write: _Write) -> sa.Select[Any]:
    """The texts of the tasks with these numbers, in their order; of those that still fit.

    OFFSET 0 keeps the sub-select one of its own, in which nothing but the index of numbers helps.
    Else the planner, which does not know how many tasks the user has, may read all of them for each
    page or even for each number.
    """
    asked = (
        sa.func.unnest(sa.bindparam(None, numbers, ARRAY(sa.BigInteger)))
        .table_valued(sa.column("number", sa.BigInteger), with_ordinality="position")
        .render_derived(name="asked")
    )
    of = _source(query)
    task = sa.select(of).where(col(of.number) == asked.c.number).offset(0).lateral("task")
    page = (
        sa.select(*task.c, asked.c.position)
        .select_from(asked.join(task, sa.true()))
        .where(*_conditions(query, task.c))
        .subquery("page")
    )
    return _bounded_texts(page, lambda columns: [columns.position.asc()], write)


def _bounded_texts(
    page: sa.Subquery, order: Callable[[Any], list[sa.ColumnElement[Any]]], write: _Write
) -> sa.Select[Any]:
    """One row: the tasks of a page, as far as `PAGE_BYTES` go, and how many the page has.

    Their texts come as one: a line each, as neither a document nor a record has a line break.
    """
    size = sa.func.octet_length(page.c.title) + sa.func.coalesce(
        sa.func.octet_length(page.c.description), 0
    )
    bytes_before = sa.func.sum(size).over(order_by=order(page.c), rows=(None, 0)) - size
    task = sa.select(
        page, bytes_before.label("bytes_before"), sa.func.count().over().label("found")
    ).subquery("task")
    number = aggregate_order_by(task.c.number, *order(task.c))
    line_break = aggregate_order_by(sa.literal("\n", sa.Text), *order(task.c))
    texts: sa.Select[Any]
    texts = sa.select(  # type: ignore[assignment]  # a row of three is a row of any
        sa.func.array_agg(number, type_=ARRAY(sa.BigInteger)).label("numbers"),
        sa.func.string_agg(write(task), line_break, type_=sa.Text).label("text"),
        sa.func.max(task.c.found).label("found"),
    ).where(task.c.bytes_before < PAGE_BYTES)
    return texts


def _numbers_statement(query: TaskQuery) -> sa.Select[Any]:
    """The numbers of all tasks that fit, in their order, as one value: bigints, big-endian."""
    page = _page_statement(query).subquery("page")
    number = sa.func.int8send(page.c.number, type_=sa.LargeBinary)
    nothing = aggregate_order_by(sa.literal(b"", sa.LargeBinary), *_order(query, page.c))
    return sa.select(sa.func.string_agg(number, nothing, type_=sa.LargeBinary))


def _less(query: TaskQuery, count: int) -> TaskQuery:
    """The query after so many tasks of it were read."""
    return query if query.limit is None else replace(query, limit=max(0, query.limit - count))


def _way(query: TaskQuery) -> dict[str, bool]:
    return IN_INDEX_ORDER if query.sort is SortKey.CREATED else {}


def _comes_after(position: Any, query: TaskQuery) -> sa.ColumnElement[bool]:
    columns = sa.tuple_(*_sort_columns(query.sort, _source(query)))
    follows: sa.ColumnElement[bool] = (
        columns < position if _is_descending(query) else columns > position
    )
    return follows


def _position_meant(after: TaskRef, query: TaskQuery) -> Any:
    """Where the task meant by `after` stands: nowhere, if that is not one task."""
    of = _source(query)
    return (
        sa.select(*(sa.func.min(column) for column in _sort_columns(query.sort, of)))
        .select_from(of)
        .where(_is_meant(after, of))
        .having(sa.func.count() == 1)
        .scalar_subquery()
    )


_STATS = sa.text(
    """
    -- One pass counts by the quarter of an hour, of which each zone's days consist (since 1972);
    -- to find the day of every task's instants would take as long again.
    with binned as materialized (
        select
            date_bin('15 minutes', created_at, timestamptz 'epoch') as created_bin,
            date_bin('15 minutes', completed_at, timestamptz 'epoch') as completed_bin,
            count(*) as n,
            count(*) filter (where completed) as completed,
            min(created_at) filter (where not completed) as oldest_pending
        from tasks where deleted_at is null
        group by grouping sets ((created_bin), (completed_bin))
    ),
    created as (
        select (created_bin at time zone :time_zone)::date as day, sum(n)::bigint as n
        from binned where created_bin is not null group by 1
    ),
    completed as (
        select (completed_bin at time zone :time_zone)::date as day, sum(n)::bigint as n
        from binned where completed_bin is not null group by 1
    ),
    days as (
        select day::date as day
        from generate_series(
            cast(:today as date) - cast(:days as int) + 1, cast(:today as date), interval '1 day'
        ) as day
    ),
    -- Days in a row share the same distance to their rank. A streak may end yesterday:
    -- today is not over.
    streak as (
        select count(*) as days, max(day) as last_day
        from (
            select day, day + cast(row_number() over (order by day desc) as int) as run
            from completed where day <= :today
        ) as ranked
        group by run order by run desc limit 1
    )
    select
        coalesce(sum(n), 0)::bigint as total,
        coalesce(sum(n - completed), 0)::bigint as pending,
        coalesce(sum(completed), 0)::bigint as completed,
        (select count(*) from tasks where deleted_at is not null) as trash,
        (
            select coalesce(sum(n), 0)::bigint from created where day > cast(:today as date) - 7
        ) as created_last_7_days,
        (
            select coalesce(sum(n), 0)::bigint from completed where day > cast(:today as date) - 7
        ) as completed_last_7_days,
        coalesce(
            (select days from streak where last_day >= cast(:today as date) - 1), 0
        ) as streak_days,
        (
            select percentile_cont(0.5) within group (
                order by date_part('epoch', completed_at - created_at)
            ) / 3600
            from tasks where deleted_at is null and completed
        ) as median_hours_to_done,
        min(oldest_pending) as oldest_pending,
        (
            select array_agg(
                array[day::text, coalesce(c.n, 0)::text, coalesce(d.n, 0)::text] order by day
            )
            from days left join created as c using (day) left join completed as d using (day)
        ) as by_day
    from binned where created_bin is not null
    """
)
"""The whole of `todo stats`. Parameters: `today` (date), `days`, `time_zone` (its IANA name)."""
