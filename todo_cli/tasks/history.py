"""The history of the logged-in user's tasks: reads it, undoes commands and does them again.

Triggers of the database write the history (revision 0015), and one of its functions undoes. Here a
person's statement reads; row-level security limits it to the person's own events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlmodel import col, select

from todo_cli.database.session import IN_INDEX_ORDER, Database, only
from todo_cli.errors import CannotUndo
from todo_cli.ids import uuid7
from todo_cli.models import Task, TaskEvent
from todo_cli.tasks import references
from todo_cli.values import MAX_HISTORY, TaskRef

_UNDO = sa.text("select todo_auth.undo(:batch, :is_redo, :is_dry_run)").bindparams(
    sa.bindparam("batch", type_=sa.Uuid)
)

_ENTRIES = """
with recursive
meant as materialized (
    select id from tasks where {is_task}
    union all
    select id from tasks_archive where {is_task}
),
-- What was taken away by an undo is no task, but has a history.
task as materialized (
    select id from meant
    union
    select task_id from task_events where {is_event} and not exists (select from meant)
),
one_task as materialized (select min(id::text)::uuid as id from task having count(*) = 1),
-- From batch to batch by the index: to group all events of a user would read them all.
batch as (
    (
        select e.id, e.batch_id, e.command, e.at, array[e.batch_id] as seen
        from task_events as e
        where {is_shown}
        order by e.id desc limit 1
    )
    union all
    select before.id, before.batch_id, before.command, before.at, batch.seen || before.batch_id
    from batch cross join lateral (
        select e.id, e.batch_id, e.command, e.at from task_events as e
        where e.id < batch.id and e.batch_id <> all (batch.seen) and {is_shown}
        order by e.id desc limit 1
    ) as before
)
select batch.batch_id, batch.command, batch.at, changes.count, changes.documents, (
    select e.undoes from task_events as e where e.batch_id = batch.batch_id order by e.id limit 1
) as undoes
from (select * from batch limit :limit) as batch
cross join lateral (
    select count(*) as count, coalesce(jsonb_agg(jsonb_build_object(
        'number', e.number, 'id', e.task_id, 'before', e.before, 'after', e.after, 'title', e.title
    ) order by e.id) filter (where e.place <= :changes), '[]') as documents
    from (
        select e.*, row_number() over (order by e.id) as place, {title} as title
        from task_events as e
        where e.batch_id = batch.batch_id and e.task_id is not null and {is_shown}
    ) as e
) as changes
order by batch.id desc
"""


@dataclass(frozen=True)
class Change:
    """What a command changed in one task. `before` and `after` hold the columns that changed.

    `before` is None for a task that was added, `after` for one that an undo took away, and both for
    one that was deleted for good. Both are empty for one that came from the archive.
    """

    number: int
    id: UUID
    title: str | None
    """The title at that time, else the present one."""
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class Entry:
    """A command, or another program's transaction, that changed tasks."""

    batch: UUID
    command: str
    at: datetime
    undoes: UUID | None
    """The batch that this undo takes back. A redo takes back an undo."""
    count: int
    changes: list[Change]
    """The first of `count` changes, as many as were asked for."""


@dataclass(frozen=True)
class Undone:
    """The command that was undone or done again, and the first of its `count` tasks."""

    MAX_TASKS: ClassVar[int] = 20

    batch: UUID
    command: str
    at: datetime
    count: int
    tasks: list[tuple[int, UUID, str]]
    """Number, id and title."""


class History:
    """The history of one logged-in user. Every method may raise what `Database.run` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self, ref: TaskRef | None = None, *, limit: int, changes: int | None = None
    ) -> list[Entry]:
        """The newest commands that changed something, or that changed a task. One round trip.

        `changes` limits the changes of each command. None: all of them, without titles.

        Raises:
            TaskNotFound, AmbiguousTask: the reference does not mean exactly one task.
        """
        statement = _entries(ref, with_titles=changes is not None).bindparams(
            limit=min(limit, MAX_HISTORY), changes=2**62 if changes is None else changes
        )
        rows = self._database.run(lambda session: session.execute(statement).all())
        if not rows and ref is not None:
            self._explain(ref)
        return [_entry(row) for row in rows]

    def task(self, ref: TaskRef, *, changes: int) -> tuple[Task, list[Entry]]:
        """A task, and the last changes since it was added, newest first. One round trip.

        Raises:
            TaskNotFound, AmbiguousTask: the reference does not mean exactly one task.
        """
        statement = _with_changes(ref, changes)
        rows = self._database.run(lambda session: session.execute(statement).all())
        (task,) = references.in_order([ref], [row[0] for row in rows])
        return task, [_last_change(task, document) for document in rows[0][1]]

    def undo(self, *, is_dry_run: bool = False) -> Undone:
        """Take back the last command that changed something and is not undone, whole.

        One round trip. A dry run changes nothing.

        Raises:
            CannotUndo: there is none, or a task is no longer as the command left it. Nothing was
                changed.
        """
        return self._undo(is_redo=False, is_dry_run=is_dry_run)

    def redo(self, *, is_dry_run: bool = False) -> Undone:
        """Take back the last undo. The rest is as for `undo`."""
        return self._undo(is_redo=True, is_dry_run=is_dry_run)

    def _undo(self, *, is_redo: bool, is_dry_run: bool) -> Undone:
        # Made once: the database knows a repeated try by it.
        values = {"batch": uuid7(), "is_redo": is_redo, "is_dry_run": is_dry_run}
        statement = _UNDO.bindparams(**values)
        answer = only(
            self._database.run(
                lambda session: session.scalars(statement).all(), writes=not is_dry_run
            )
        )
        if "refused" in answer:
            raise _refusal("redo" if is_redo else "undo", answer)
        tasks = [(task["number"], UUID(task["id"]), task["title"]) for task in answer["tasks"]]
        at = datetime.fromisoformat(answer["at"])
        return Undone(UUID(answer["batch"]), answer["command"], at, answer["count"], tasks)

    def _explain(self, ref: TaskRef) -> None:
        """Raise if the reference means no task, or several. This takes a second round trip."""
        found: list[Task] = []
        for of in (Task, references.ARCHIVED):
            found += self._read(select(of).where(references.is_meant(ref, of)))
        references.in_order([ref], found)

    def _read(self, statement: Any) -> list[Task]:
        return self._database.run(lambda session: list(session.scalars(statement)))


_TITLE = """coalesce(
    e.after ->> 'title', e.before ->> 'title',
    (select t.title from tasks as t where t.id = e.task_id)
)"""


def _entries(ref: TaskRef | None, *, with_titles: bool) -> sa.TextClause:
    if ref is None:
        conditions = {"is_task": "false", "is_event": "false", "is_shown": "true"}
        values: dict[str, Any] = {}
    else:
        is_number = ref.number is not None
        number, uuid = "{} = :number", "{} between cast(:first as uuid) and cast(:last as uuid)"
        conditions = {
            "is_task": number.format("number") if is_number else uuid.format("id"),
            "is_event": number.format("number") if is_number else uuid.format("task_id"),
            "is_shown": "e.task_id = (select one_task.id from one_task)",
        }
        values = (
            {"number": ref.number}
            if is_number
            else {"first": str(ref.first), "last": str(ref.last)}
        )
    title = _TITLE if with_titles else "null"
    statement = sa.text(_ENTRIES.format(**conditions, title=title)).bindparams(**values)
    return statement.execution_options(**IN_INDEX_ORDER)


def _with_changes(ref: TaskRef, count: int) -> sa.Executable:
    of_task = (
        select(TaskEvent)
        .where(col(TaskEvent.task_id) == references.TASKS.c.id, col(TaskEvent.before).is_not(None))
        .order_by(col(TaskEvent.id).desc())
        .limit(count)
        .correlate(references.TASKS)
        .subquery("event")
    )
    names = ("batch_id", "command", "at", "undoes", "before", "after")
    document = sa.func.jsonb_build_object(
        *(part for name in names for part in (sa.literal(name, sa.Text), of_task.c[name]))
    )
    changes = sa.func.jsonb_agg(aggregate_order_by(document, of_task.c.id.desc()))
    listed = sa.func.coalesce(sa.select(changes).scalar_subquery(), sa.literal([], JSONB))
    task = sa.select(Task, listed).where(references.is_meant(ref, Task))
    return task.order_by(col(Task.id)).limit(references.CANDIDATES_SHOWN + 1)


def _last_change(task: Task, document: dict[str, Any]) -> Entry:
    change = Change(task.number, task.id, task.title, document["before"], document["after"])
    return Entry(
        UUID(document["batch_id"]),
        document["command"],
        datetime.fromisoformat(document["at"]),
        document["undoes"] and UUID(document["undoes"]),
        1,
        [change],
    )


def _entry(row: Any) -> Entry:
    changes = [
        Change(
            document["number"],
            UUID(document["id"]),
            document["title"],
            document["before"],
            document["after"],
        )
        for document in row.documents
    ]
    return Entry(row.batch_id, row.command, row.at, row.undoes, row.count, changes)


_NOTHING = {"undo": "nothing_to_undo", "redo": "nothing_to_redo"}
_REFUSALS = {
    "for_good": ("deleted_for_good", "it deleted {tasks} for good"),
    "from_archive": ("from_archive", "it brought {tasks} back from the archive"),
    "changed": ("changed_since", "{tasks} changed since then"),
    "gone": ("changed_since", "{tasks} no longer exist"),
    "archived": ("now_archived", "{tasks} went to the archive since then"),
}


def _refusal(word: str, answer: dict[str, Any]) -> CannotUndo:
    if answer["refused"] == "nothing":
        return CannotUndo(f"There is nothing to {word}.", reason=_NOTHING[word])
    reason, sentence = _REFUSALS[answer["refused"]]
    why = sentence.format(tasks=_named(answer["numbers"], answer["count"]))
    message = f"Cannot {word} {answer['command']}: {why}."
    return CannotUndo(message, reason=reason, number=answer["numbers"][0])


def _named(numbers: Sequence[int], count: int) -> str:
    listed = ", ".join(str(number) for number in numbers)
    more = f" and {count - len(numbers):,} more" if count > len(numbers) else ""
    return f"task {listed}" if count == 1 else f"tasks {listed}{more}"
