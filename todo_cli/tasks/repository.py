"""The tasks of whoever is logged in: each method one statement, each statement one round trip.

No method names a user. The statements run under row-level security, so that "all tasks" means
"all of mine", and what belongs to somebody else is the same as what does not exist. Every
statement bears repeating: inserts carry their identifiers, updates set and never flip.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from todo_cli.database.session import Database
from todo_cli.documents import document_column, record_column
from todo_cli.errors import (
    DatabaseFault,
    DatabaseUnreachable,
    EditConflict,
    InvalidDraft,
    InvalidInput,
    TaskNotFound,
)
from todo_cli.ids import uuid7
from todo_cli.models import Task
from todo_cli.tasks import references, statements
from todo_cli.values import (
    MAX_STATS_DAYS,
    DayCount,
    SortKey,
    Stats,
    TaskChanges,
    TaskDraft,
    TaskPage,
    TaskQuery,
    TaskRef,
    TaskState,
    require_few_enough,
)

PAGE_TASKS = 10_000
"""How many tasks are read at once of a list that is written out whole. See `PAGE_BYTES` too."""

SORTED_PAGE_TASKS = 2_000
"""The first page in an order that no index has: so few are sorted in memory, of however many."""

MAX_TOGGLES = 3
"""How often to read again where somebody else changes the same tasks at the same moment."""

_NO_SYNC = {"synchronize_session": False}


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

    def add(self, drafts: Sequence[TaskDraft]) -> list[Task]:
        """Add tasks; all or none. One round trip, none where there is no draft.

        They are numbered in the order given, and returned so.

        Raises:
            InvalidDraft: a text cannot be a task's.
            InvalidInput: there are too many.
        """
        require_few_enough(len(drafts))
        if not drafts:
            return []
        clean = _cleaned(drafts)
        ids = [uuid7() for _ in clean]
        titles = [draft.title for draft in clean]
        statement = statements.insert_once(ids, titles, [draft.description for draft in clean])

        def insert(session: Session) -> list[Task]:
            added = list(session.scalars(statement))
            if len(added) < len(ids):
                # The first try was committed while this one was on its way.
                added = list(session.exec(select(Task).where(references.has_id(ids))))
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
        tasks = self._read(statements.page(query))
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

    def _texts(self, query: TaskQuery, write: statements.TaskWriter) -> Iterator[str]:
        size = PAGE_TASKS if query.sort is SortKey.CREATED else SORTED_PAGE_TASKS
        page = self._read_texts(statements.texts(query, size, write), size)
        self._require_start(query, page.numbers)
        yield page.text
        if page.is_last:
            return
        if query.sort is SortKey.CREATED:
            yield from self._texts_by_keyset(query, page, write)
        else:
            yield from self._texts_in_order(query, page, write)

    def _texts_by_keyset(
        self, query: TaskQuery, page: _TextPage, write: statements.TaskWriter
    ) -> Iterator[str]:
        """The pages that follow one: each begins where the index has the last task's number."""
        while not page.is_last:
            query = statements.after_reading(query, len(page.numbers))
            if query.limit == 0:
                return
            statement = statements.texts(query, page.size, write, following=page.numbers[-1])
            page = self._read_texts(statement, page.size)
            yield page.text

    def _texts_in_order(
        self, query: TaskQuery, first: _TextPage, write: statements.TaskWriter
    ) -> Iterator[str]:
        """The pages that follow the first, in an order that no index has.

        By keyset, each page would sort all that follow. So the order is asked for once, and then
        the tasks by their numbers.
        """
        written = set(first.numbers)
        waiting = array("q", (n for n in self._numbers(query) if n not in written))
        waiting = waiting[: statements.after_reading(query, len(written)).limit]
        while waiting:
            asked = waiting[:PAGE_TASKS].tolist()
            page = self._read_texts(statements.texts_of(asked, query, write), len(asked))
            yield page.text
            del waiting[: len(asked) if page.is_whole else asked.index(page.numbers[-1]) + 1]

    def _numbers(self, query: TaskQuery) -> array[int]:
        """The numbers of the tasks that fit, in their order: eight bytes each, one round trip."""
        statement = statements.numbers(query)
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
        if not refs:
            return []
        found = references.in_order(
            refs, self._read(references.lookup(refs, Task, from_trash=from_trash))
        )
        if not from_trash:
            _refuse_trash(found)
        return found

    def numbered(
        self, digits: str, state: TaskState, *, excluded: Sequence[int] = ()
    ) -> list[tuple[int, str]]:
        """Number and title of the first tasks whose numbers begin with the digits.

        `MAX_SUGGESTIONS` at most, smallest number first. One round trip.
        """
        return self._suggested(statements.numbered(digits, state, excluded))

    def titled(
        self, text: str, state: TaskState, *, excluded: Sequence[int] = ()
    ) -> list[tuple[int, str]]:
        """Number and title of the newest tasks whose titles hold the text, in any case.

        `MAX_SUGGESTIONS` at most, of the newest `MAX_TITLES_SEARCHED` tasks. One round trip.
        """
        return self._suggested(statements.titled(text, state, excluded))

    def set_completed(self, refs: Sequence[TaskRef], completed: bool) -> ChangedTasks:
        """Mark every task done (or not done), or none of them. One round trip.

        Tasks that are so already are returned unchanged.

        Raises:
            TaskNotFound: a reference fits no task outside the trash; nothing was changed.
            AmbiguousTask: a reference fits several; nothing was changed.
        """
        return self._update(refs, {"completed": completed})

    def toggle(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Flip completion of every task, or of none. Two round trips.

        The first reads, the second sets, and only where the task is still as it was read: a
        repeated try finds that it has been done, where a flip in one statement would flip back.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean one task outside the trash.
            EditConflict: after a cut the tasks are neither as they were nor as they should be;
                somebody else has changed them, and whether we have too cannot be told.
        """
        if not refs:
            return []
        for _ in range(MAX_TOGGLES):
            before = self.get(refs, from_trash=False)
            tries, after = self._set_flipped(before)
            wanted = {task.id: not task.completed for task in before}
            if after and all(task.completed == wanted[task.id] for task in after):
                return references.in_order(refs, after)
            if tries > 1:
                break
        raise EditConflict("The tasks were changed meanwhile.")

    def _set_flipped(self, before: Sequence[Task]) -> tuple[int, list[Task]]:
        """Flip what is as it was; answer how many tries that took, and the tasks as they are."""
        flip = statements.flip(before)
        look = select(Task).where(references.has_id([task.id for task in before]))
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
        self, ref: TaskRef, changes: TaskChanges, *, unchanged_since: Task | None = None
    ) -> ChangedTasks:
        """Change title or description of one task. One round trip.

        Without a change the task is returned as it is.

        Raises:
            InvalidInput: a text cannot be a task's.
            TaskNotFound, AmbiguousTask: the reference does not mean one task outside the trash.
            EditConflict: the task is no longer as `unchanged_since`; nothing was changed.
        """
        columns = changes.cleaned()
        if not columns:
            (task,) = self.get([ref], from_trash=False)
            return ChangedTasks([task], frozenset([task.id]))
        if unchanged_since is None:
            return self._update([ref], columns)
        seen = col(Task.updated_at) == unchanged_since.updated_at
        edited = self._change(statements.update([ref], columns, and_also=seen))
        if not edited:
            self._explain([ref])
            now = self.get([ref])[0]
            if all(getattr(now, name) == value for name, value in columns.items()):
                return ChangedTasks([now])  # our own first try, whose answer was lost
            raise EditConflict(f"Task {unchanged_since.number} was changed meanwhile.")
        return edited

    def trash(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Move every task to the trash, or none. Those that lie there stay as they are."""
        when = sa.func.coalesce(col(Task.deleted_at), sa.func.now())
        return self._update(refs, {"deleted_at": when}, from_trash=True)

    def restore(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Take every task out of the trash, or none. Those outside stay as they are."""
        return self._update(refs, {"deleted_at": None}, from_trash=True)

    def restore_archived(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Take every task out of the archive, or none. Two round trips.

        They are as they were, but count as touched now. What another run brings back meanwhile
        comes from the second statement all the same, since by then it is no archived task.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean exactly one archived task.
        """
        if not refs:
            return []
        archived = references.in_order(
            refs, self._read(references.lookup(refs, references.ARCHIVED))
        )
        ids = [task.id for task in archived]
        restored = {task.id: task for task in self._write(statements.restore_archived(ids))}
        missing = [id_ for id_ in ids if id_ not in restored]
        if missing:
            again = self._read(select(Task).where(references.has_id(missing)))
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
        if not refs:
            return []
        statement = statements.delete(refs)
        tries = 0

        def work(session: Session) -> list[Task]:
            nonlocal tries
            tries += 1
            return list(session.scalars(statement, execution_options=_NO_SYNC))

        deleted = self._database.run(work, writes=True)
        if not deleted and tries > 1:
            raise DatabaseUnreachable(
                "The connection was cut while deleting; it seems to be done.",
                reason="seems_deleted",
            )
        return self._required(refs, deleted, from_trash=True)

    def stats(self, today: date, days: int, time_zone: str) -> Stats:
        """The figures for `days` days up to `today`, days being those of the time zone.

        Raises:
            InvalidInput: `days` is not from 1 to `MAX_STATS_DAYS`.
        """
        if not 1 <= days <= MAX_STATS_DAYS:
            raise InvalidInput(f"Statistics show 1 to {MAX_STATS_DAYS:,} days.")
        values = {"today": today, "days": days, "time_zone": time_zone}
        row = self._database.run(lambda session: session.execute(statements.STATS, values).one())
        figures = dict(row._mapping)
        by_day = [
            DayCount(date.fromisoformat(day), int(created), int(completed))
            for day, created, completed in figures.pop("by_day")
        ]
        return Stats(by_day=by_day, **figures)

    def _page_with_total(self, query: TaskQuery, limit: int) -> TaskPage:
        statement = statements.page_with_total(query, limit)
        rows = self._database.run(lambda session: list(session.execute(statement)))
        tasks: list[Task] = [row[0] for row in rows]
        self._require_start(query, tasks)
        total = rows[0][1] if rows else None
        return TaskPage(tasks[:limit], len(tasks) if total is None else total)

    def _require_start(self, query: TaskQuery, found: Sequence[object]) -> None:
        """Tell the end of the list from a page that follows no task."""
        if not found and query.after is not None:
            of = statements.source_of(query)
            after = [query.after]
            references.in_order(after, self._read(references.lookup(after, of)))

    def _read(self, statement: Any) -> list[Task]:
        return self._database.run(lambda session: list(session.scalars(statement)))

    def _suggested(self, statement: sa.Executable) -> list[tuple[int, str]]:
        return self._database.run(
            lambda session: [(row.number, row.title) for row in session.execute(statement)]
        )

    def _update(
        self, refs: Sequence[TaskRef], columns: dict[str, Any], *, from_trash: bool = False
    ) -> ChangedTasks:
        if not refs:
            return ChangedTasks([])
        changed = self._change(statements.update(refs, columns, from_trash=from_trash))
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
        return references.in_order(refs, tasks)

    def _explain(self, refs: Sequence[TaskRef], *, from_trash: bool = False) -> None:
        """Find out why nothing was changed, and raise it. The only second query there is."""
        self.get(refs, from_trash=from_trash)


def _cleaned(drafts: Sequence[TaskDraft]) -> list[TaskDraft]:
    clean = []
    for position, draft in enumerate(drafts):
        try:
            clean.append(draft.cleaned())
        except InvalidInput as error:
            raise InvalidDraft(error, position) from error
    return clean


def _refuse_trash(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.deleted_at is not None:
            raise TaskNotFound(
                f"Task {task.number} is in the trash.",
                reason="task_in_trash",
                number=task.number,
            )
