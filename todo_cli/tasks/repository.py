"""The tasks of the logged-in user. A method sends one statement, in one round trip.

No method names a user. Row-level security limits each statement to the user's own tasks: those of
others seem not to exist. Every statement is safe to repeat: inserts carry their identifiers, and
updates set values and do not flip them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from todo_cli.database.rehearsal import Rehearsal
from todo_cli.database.session import Call, Database
from todo_cli.documents import document_column, export_column, record_column
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
from todo_cli.tasks import references, statements, views
from todo_cli.tasks.urgency import Term
from todo_cli.values import (
    MAX_STATS_DAYS,
    MAX_TASKS,
    DayCount,
    DueCounts,
    GroupCount,
    MatchingTasks,
    Stats,
    TaskChanges,
    TaskDraft,
    TaskPage,
    TaskQuery,
    TaskRef,
    TaskState,
    Viewer,
    require_few_enough,
)

PAGE_TASKS = 10_000
"""The maximum of tasks in a page of a whole list. `PAGE_BYTES` limits it too."""

SORTED_PAGE_TASKS = 2_000
"""The first page in an order without an index. PostgreSQL sorts so few in memory."""

MAX_TOGGLES = 3
"""How often `toggle` tries if others change the same tasks at the same time."""

_NO_SYNC = {"synchronize_session": False}


class ChangedTasks(list[Task]):
    """Tasks after a change. `unchanged` has the ids of those that did not need it."""

    def __init__(self, tasks: Iterable[Task], unchanged: frozenset[UUID] = frozenset()) -> None:
        super().__init__(tasks)
        self.unchanged = unchanged


@dataclass(frozen=True)
class _TextPage:
    """The texts of consecutive tasks, one line each.

    `size` is how many tasks were asked for, `found` how many there were. The page has fewer than
    `found` if it reached `PAGE_BYTES`.
    """

    numbers: list[int]
    text: str
    found: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether the page has all the tasks that were found."""
        return len(self.numbers) == self.found

    @property
    def is_last(self) -> bool:
        """Whether there are no more tasks, or the query's limit is reached."""
        return self.is_whole and self.found < self.size


class TaskRepository:
    """The tasks of one logged-in user.

    Every method may raise what `Database.run` raises. It has then changed nothing.
    """

    def __init__(self, database: Database | Rehearsal) -> None:
        self._database = database

    def add(self, drafts: Sequence[TaskDraft]) -> list[Task]:
        """Add all the tasks, or none. One round trip, or none without drafts.

        The tasks are numbered and returned in the order of the drafts.

        Raises:
            InvalidDraft: a text is not valid.
            InvalidInput: there are too many drafts.
        """
        require_few_enough(len(drafts))
        if not drafts:
            return []
        clean = _cleaned(drafts)
        ids = [uuid7() for _ in clean]
        statement = statements.insert_once(ids, clean)

        def insert(session: Session) -> list[Task]:
            added = list(session.scalars(statement))
            if len(added) < len(ids):
                # The first try was committed after this one had looked for its tasks.
                added = list(session.exec(select(Task).where(references.has_id(ids))))
            return added

        tasks = {task.id: task for task in self._database.run(insert, writes=True)}
        if len(tasks) < len(ids):
            raise DatabaseFault("The database did not store all the tasks.")
        return [tasks[id_] for id_ in ids]

    def page(self, query: TaskQuery, *, with_total: bool = False) -> TaskPage:
        """One page of tasks, by keyset: its cost does not grow with the pages before it.

        `with_total` also counts all tasks of the query, if the page does not hold them all.

        Raises:
            TaskNotFound, AmbiguousTask: `query.after` does not mean exactly one task.
        """
        if with_total and query.limit is not None:
            return self._page_with_total(query, query.limit)
        tasks = self._read(statements.page(query))
        self._require_start(query, tasks)
        return TaskPage(tasks, len(tasks) if with_total else None)

    def documents(self, query: TaskQuery) -> Iterator[str]:
        """Pages of compact JSON documents, one a line: all tasks of the query, up to its limit.

        Each page is one round trip and takes bounded memory. No task comes twice. A task that
        changes meanwhile is read as it is then, and left out if the query no longer includes it.
        """
        return self._texts(query, document_column)

    def export(self, query: TaskQuery) -> Iterator[str]:
        """The same as `documents`, with the fields that an import brought (`extra`)."""
        return self._texts(query, export_column)

    def import_tasks(
        self, chunks: Callable[[], Iterable[str]], *, is_rehearsal: bool = False
    ) -> int:
        """Import all the tasks, or none, in one transaction. Returns how many were added.

        Each chunk is a JSON array of rows, and one round trip. Tasks that are there already are
        left as they are. `chunks` is called again for each try. A rehearsal is rolled back.
        """

        def calls() -> Iterator[Call]:
            for chunk in chunks():
                yield Call(statements.IMPORT, {"tasks": chunk})

        assert isinstance(self._database, Database)  # it rehearses by itself
        answers = self._database.transact(calls, is_rehearsal=is_rehearsal)
        return sum(int(rows[0]["added"]) for rows in answers)

    def records(self, query: TaskQuery) -> Iterator[str]:
        """The same as `documents`, with tab-separated records."""
        return self._texts(query, record_column)

    def _texts(self, query: TaskQuery, write: statements.TaskWriter) -> Iterator[str]:
        size = PAGE_TASKS if query.is_by_creation else SORTED_PAGE_TASKS
        page = self._read_texts(statements.texts(query, size, write), size)
        self._require_start(query, page.numbers)
        yield page.text
        if page.is_last:
            return
        if query.is_by_creation:
            yield from self._texts_by_keyset(query, page, write)
        else:
            yield from self._texts_in_order(query, page, write)

    def _texts_by_keyset(
        self, query: TaskQuery, page: _TextPage, write: statements.TaskWriter
    ) -> Iterator[str]:
        """The pages after the given one. Each begins after the number of the last task."""
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
        """The pages after the first, in an order without an index.

        By keyset, each page would sort all the tasks after it. Instead, one query reads the order,
        and then each page reads its tasks by number.
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
        """The numbers of the query's tasks, in order, at eight bytes each. One round trip."""
        statement = statements.numbers(query)
        return _unpacked(self._database.run(lambda session: session.scalar(statement)))

    def _read_texts(self, statement: Any, size: int) -> _TextPage:
        row = self._database.run(lambda session: session.execute(statement).one())
        return _TextPage(row.numbers or [], row.text or "", row.found or 0, size)

    def get(self, refs: Sequence[TaskRef], *, from_trash: bool = True) -> list[Task]:
        """The tasks that the references mean, in the order of the references.

        Without `from_trash`, ranges leave out tasks in the trash.

        Raises:
            TaskNotFound: a reference means no task, or, without `from_trash`, one in the trash.
            AmbiguousTask: a reference means several tasks.
        """
        if not refs:
            return []
        found = references.in_order(
            refs, self._read(references.lookup(refs, Task, from_trash=from_trash))
        )
        if not from_trash:
            _refuse_trash(found)
        return found

    def matching(self, query: TaskQuery, *, titles: int) -> MatchingTasks:
        """All tasks of the query, the newest first, with so many titles. One round trip.

        Raises:
            InvalidInput: there are more than a command takes.
        """
        statement = statements.matching(query, titles)
        row = self._database.run(lambda session: session.execute(statement).one())
        numbers = _unpacked(row.numbers)
        if len(numbers) > MAX_TASKS:
            raise InvalidInput(
                f"More than {MAX_TASKS:,} tasks match; a command takes up to {MAX_TASKS:,}.",
                hint="Narrow the filter, and do it in several commands.",
            )
        return MatchingTasks(numbers, row.titles or [])

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
        """Number and title of the newest tasks that have the text in their titles, in any case.

        `MAX_SUGGESTIONS` at most, from the newest `MAX_TITLES_SEARCHED` tasks. One round trip.
        """
        return self._suggested(statements.titled(text, state, excluded))

    def frequent_tags(self, beginning: str) -> list[tuple[str, int]]:
        """Tags that begin so, in any case, and how many pending tasks have each.

        The most frequent first, `MAX_SUGGESTIONS` at most. One round trip.
        """
        return self._counted(statements.frequent_tags(beginning))

    def frequent_projects(self, beginning: str) -> list[tuple[str, int]]:
        """The same for projects."""
        return self._counted(statements.frequent_projects(beginning))

    def set_completed(self, refs: Sequence[TaskRef], completed: bool) -> ChangedTasks:
        """Mark every task done (or not done), or none of them. One round trip.

        Tasks that already are done (or not done) are returned unchanged.

        Raises:
            TaskNotFound: a reference means no task outside the trash; nothing was changed.
            AmbiguousTask: a reference means several tasks; nothing was changed.
        """
        return self._update(refs, {"completed": completed})

    def toggle(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Flip completion of every task, or of none. Two round trips.

        The first reads the tasks. The second flips them if they have not changed since, so that a
        repeated try does not flip them back.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean one task outside the trash.
            EditConflict: somebody else changed the tasks. After a lost connection, this toggle
                may have changed them too.
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
        """Flip the tasks if they have not changed. Returns the count of tries, and the tasks now.

        No tasks are returned if some are missing.
        """
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
        """Change one task. One round trip.

        Without changes the task is returned unchanged.

        Raises:
            InvalidInput: a text is not valid.
            TaskNotFound, AmbiguousTask: the reference does not mean one task outside the trash.
            EditConflict: the task was changed after `unchanged_since`; nothing was changed now.
        """
        clean = changes.cleaned()
        columns = statements.changed_columns(clean)
        if unchanged_since is None or not columns:
            return self.edit_all([ref], clean)
        seen = col(Task.updated_at) == unchanged_since.updated_at
        edited = self._change(statements.update([ref], columns, and_also=seen))
        if not edited:
            self._explain([ref])
            now = self.get([ref])[0]
            if clean.are_made_in(now):
                return ChangedTasks([now])  # our first try was committed and its answer lost
            raise EditConflict(f"Task {unchanged_since.number} was changed meanwhile.")
        return edited

    def edit_all(self, refs: Sequence[TaskRef], changes: TaskChanges) -> ChangedTasks:
        """Make the same changes to every task, or to none. One round trip.

        Raises:
            InvalidInput: a text is not valid.
            TaskNotFound, AmbiguousTask: a reference does not mean one task outside the trash.
        """
        columns = statements.changed_columns(changes.cleaned())
        if columns:
            return self._update(refs, columns)
        tasks = self.get(refs, from_trash=False)
        return ChangedTasks(tasks, frozenset(task.id for task in tasks))

    def trash(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Move every task to the trash, or none. Tasks already there stay unchanged."""
        when = sa.func.coalesce(col(Task.deleted_at), sa.func.now())
        return self._update(refs, {"deleted_at": when}, from_trash=True)

    def restore(self, refs: Sequence[TaskRef]) -> ChangedTasks:
        """Take every task out of the trash, or none. Tasks already outside stay unchanged."""
        return self._update(refs, {"deleted_at": None}, from_trash=True)

    def restore_archived(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Take every task out of the archive, or none. Two round trips.

        The tasks keep their columns, except that `updated_at` is now. If another command restores
        some of them at the same time, they are returned too.

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
            raise DatabaseFault("The database did not restore all the tasks.")
        return [restored[id_] for id_ in ids]

    def delete(self, refs: Sequence[TaskRef]) -> list[Task]:
        """Delete every task for good, or none, also from the trash. Their numbers stay used.

        Raises:
            TaskNotFound, AmbiguousTask: a reference does not mean exactly one task.
            DatabaseUnreachable: the answer was lost and the tasks are gone, so that they cannot
                be returned.
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
                "The connection was lost while deleting. The tasks seem to be deleted.",
                reason="seems_deleted",
            )
        return self._required(refs, deleted, from_trash=True)

    def projects(self, viewer: Viewer) -> list[GroupCount]:
        """Every project of a task, and those above it, by name. One round trip.

        Each counts the tasks of all projects below it as well.
        """
        return _with_parents(self._group_counts(views.projects(viewer)))

    def tags(self, viewer: Viewer) -> list[GroupCount]:
        """Every tag of a task, by name. One round trip."""
        return self._group_counts(views.tags(viewer))

    def _group_counts(self, statement: sa.Select[Any]) -> list[GroupCount]:
        rows = self._database.run(lambda session: list(session.execute(statement)))
        return [GroupCount(*row) for row in rows]

    def stats(self, today: date, days: int, time_zone: str) -> Stats:
        """The statistics of `days` days up to `today`, in the time zone.

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
        now = statements.present(query)
        rows = self._database.run(lambda session: list(session.execute(statement, now)))
        tasks: list[Task] = [row[0] for row in rows if row[0] is not None]
        self._require_start(query, tasks)
        first = rows[0]._mapping if rows else {}
        total, due = first.get("total"), first.get("due")
        return TaskPage(
            tasks[:limit],
            len(tasks) if total is None else total,
            None if due is None else DueCounts(*due),
            [dict(zip(Term, row.terms, strict=True)) for row in rows[:limit] if "terms" in first],
        )

    def _require_start(self, query: TaskQuery, found: Sequence[object]) -> None:
        """If the page is empty, check that `query.after` means a task."""
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

    def _counted(self, statement: sa.Executable) -> list[tuple[str, int]]:
        return self._database.run(
            lambda session: [(row.name, row.number_of) for row in session.execute(statement)]
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
        """Run an update that returns each task and `now()`, to which a change sets `updated_at`."""
        tries = 0

        def work(session: Session) -> list[Any]:
            nonlocal tries
            tries += 1
            return list(session.execute(statement, execution_options=_NO_SYNC))

        rows = self._database.run(work, writes=True)
        # After a lost connection, our own first try may have made the change.
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
        """Raise why nothing was changed. This takes a second round trip."""
        self.get(refs, from_trash=from_trash)


def _unpacked(packed: bytes | None) -> array[int]:
    """The numbers that a statement has packed as big-endian bigints."""
    numbers = array("q", packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _cleaned(drafts: Sequence[TaskDraft]) -> list[TaskDraft]:
    clean = []
    for position, draft in enumerate(drafts):
        try:
            clean.append(draft.cleaned())
        except InvalidInput as error:
            raise InvalidDraft(error, position) from error
    return clean


def _with_parents(counted: Sequence[GroupCount]) -> list[GroupCount]:
    """Projects with all that is below each, also those above them that no task names."""
    own = {group.name.lower(): group.name for group in counted}
    found: dict[str, GroupCount] = {}
    for group in counted:
        parts = group.name.split(".")
        for depth in range(1, len(parts) + 1):
            path = ".".join(parts[:depth])
            key = path.lower()
            above = found.get(key) or GroupCount(own.get(key, path), 0, 0, 0)
            found[key] = GroupCount(
                above.name,
                above.open + group.open,
                above.done + group.done,
                above.late + group.late,
            )
    return [found[key] for key in sorted(found, key=lambda key: key.split("."))]


def _refuse_trash(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.deleted_at is not None:
            raise TaskNotFound(
                f"Task {task.number} is in the trash.",
                reason="task_in_trash",
                number=task.number,
            )
