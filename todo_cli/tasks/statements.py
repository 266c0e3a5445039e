"""Builds the SQL statements on tasks. It does not send them.

No statement names a user: row-level security limits it to the tasks of the logged-in user.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import aliased
from sqlmodel import col

from todo_cli.database.session import IN_INDEX_ORDER
from todo_cli.filters import names_completion, names_trash, names_waiting
from todo_cli.ids import uuid7
from todo_cli.models import Task
from todo_cli.tasks import views
from todo_cli.tasks.days import NOW, is_waiting
from todo_cli.tasks.filters import (
    condition,
    contains,
    depends_on_time,
    is_by_due_day,
    is_in_index,
)
from todo_cli.tasks.orders import is_descending, order, sort_columns
from todo_cli.tasks.references import (
    ARCHIVED,
    TASKS,
    chosen,
    has_id,
    id_of,
    is_meant,
    locked_tasks,
    patience,
    patience_for,
    rows_of,
)
from todo_cli.values import (
    DEFAULT_LIMIT,
    DUE_COLUMNS,
    MAX_TASKS,
    WRITTEN_FIELDS,
    SortKey,
    TaskChanges,
    TaskDraft,
    TaskQuery,
    TaskRef,
    TaskState,
    View,
    clean_search,
    number_ranges,
)

PAGE_BYTES = 4 * 1024 * 1024
"""A page of texts ends after so many bytes of titles and descriptions. A description may have
80,000. With `repository.PAGE_TASKS`, a page takes some 20 MiB of memory at most."""

MAX_SUGGESTIONS = 100
"""How many tasks are suggested for completion."""

MAX_TITLES_SEARCHED = 20_000
"""How many of the newest tasks are searched to complete a title."""

TaskWriter = Callable[[sa.FromClause], sa.ColumnElement[str]]
"""Builds the expression for a task's text from its columns."""

_SORTED_BY_INDEX = frozenset({SortKey.PRIORITY, SortKey.PROJECT})
"""The orders whose columns are in the index of pending tasks."""

_NOT_IN_TRASH = col(Task.deleted_at).is_(None)

IMPORT = "select todo_auth.import_tasks(cast(%(tasks)s as jsonb)) as added"
"""Imports tasks, a JSON array of rows, and returns how many were added."""

_RESTORE_ARCHIVED = sa.text("select * from todo_auth.restore_archived(:ids)").bindparams(
    sa.bindparam("ids", type_=ARRAY(sa.Uuid))
)


def flip(before: Sequence[Task]) -> sa.Executable:
    """Flip all the tasks if none has changed since it was read, else none."""
    seen = sorted(before, key=id_of)
    locked = locked_tasks(has_id([task.id for task in seen]))
    # Not a join: without table statistics the planner would use nested loops.
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
        .execution_options(**patience(len(before)))
    )


def pattern_statements(*, number: int) -> list[tuple[str, sa.Executable]]:
    """The query patterns as the repository sends them, on the task with that number.

    For reading their plans. The next page is a pattern too.
    """
    ref = TaskRef(str(number), number=number)
    everything = TaskQuery(state=TaskState.ALL, limit=DEFAULT_LIMIT)
    by_status = sa.select(col(Task.completed), sa.func.count()).where(_NOT_IN_TRASH)
    return [
        ("list", page(everything)),
        ("next page", page(replace(everything, after=ref))),
        ("pending", page(TaskQuery(limit=DEFAULT_LIMIT))),
        ("create", insert_once([uuid7()], [TaskDraft("A task")])),
        ("update", update([ref], {"title": "Another title"})),
        ("toggle", update([ref], {"completed": sa.not_(col(Task.completed))})),
        ("delete", update([ref], {"deleted_at": sa.func.now()}, from_trash=True)),
        ("count", by_status.group_by(col(Task.completed))),
    ]


def insert_once(ids: list[UUID], drafts: Sequence[TaskDraft]) -> sa.Executable:
    """Insert the clean drafts that do not exist yet, and return all of them.

    Existing tasks are left out before ON CONFLICT sees them, so that a repeated try fires no
    trigger for them.
    """
    sent = dict(_sent_columns(drafts))
    draft = rows_of(
        "draft",
        with_ordinality="position",
        id=(ids, sa.Uuid()),
        **{
            name: (values, sa.Text() if name in _SENT_AS_TEXT else TASKS.c[name].type)
            for name, values in sent.items()
        },
    )
    present = sa.select(TASKS.c.id).where(has_id(ids)).cte("present")
    columns = [_SENT_AS_TEXT.get(name, _as_it_is)(draft.c[name]) for name in sent]
    missing = (
        sa.select(draft.c.id, *columns)
        # Not NOT EXISTS: that is a join, and without statistics the planner uses nested loops.
        .where(draft.c.id.not_in(sa.select(present.c.id)))
        .order_by(draft.c.position)
    )
    inserted = (
        pg_insert(TASKS)
        .from_select(["id", *sent], missing, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(TASKS)
        .cte("inserted")
    )
    there_before = sa.select(TASKS).where(has_id(ids))
    both = sa.select(Task).from_statement(sa.select(inserted).union_all(there_before))
    return both.execution_options(**patience(len(ids)))


def _sent_columns(drafts: Sequence[TaskDraft]) -> Iterator[tuple[str, list[Any]]]:
    """The columns that are sent for drafts, with a value of each. What no draft has is left out."""
    for name in WRITTEN_FIELDS:
        values = [getattr(draft, name) for draft in drafts]
        if name not in _ALWAYS_SENT and not any(values):
            continue
        if name == "due":
            for column, part in DUE_COLUMNS.items():
                yield column, [due and getattr(due, part) for due in values]
        elif name == "tags":
            yield name, [",".join(tags) for tags in values]
        elif name == "extra":
            yield name, [extra and json.dumps(extra) for extra in values]
        else:
            yield name, values


_ALWAYS_SENT = ("title", "description")

_SENT_AS_TEXT: dict[str, Callable[[Any], sa.ColumnElement[Any]]] = {
    # `unnest` would take lists of different lengths apart. A tag has no comma.
    "tags": lambda text: sa.func.string_to_array(text, ","),
    "extra": lambda text: sa.cast(text, JSONB),
}


def _as_it_is(column: Any) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, column.type)


def changed_columns(changes: TaskChanges) -> dict[str, Any]:
    """What clean changes set; tags that are added or removed, from those of the row by then.

    A trigger of the table sorts them, and leaves out what is there already.
    """
    columns = changes.columns
    tags = columns.get("tags", TASKS.c.tags)
    if changes.remove_tags:
        tag = sa.func.unnest(_texts(tags)).column_valued("tag")
        removed = sa.func.unnest(_texts(changes.remove_tags)).column_valued("removed")
        is_kept = sa.func.lower(tag).not_in(sa.select(sa.func.lower(removed)))
        tags = sa.func.array(sa.select(tag).where(is_kept).scalar_subquery(), type_=ARRAY(sa.Text))
    if changes.add_tags:
        tags = sa.func.array_cat(_texts(tags), _texts(changes.add_tags))
    if changes.remove_tags or changes.add_tags:
        columns["tags"] = tags
    return columns


def _texts(texts: Any) -> Any:
    return sa.literal(list(texts), ARRAY(sa.Text)) if isinstance(texts, list | tuple) else texts


def update(
    refs: Sequence[TaskRef],
    changes: dict[str, Any],
    *,
    from_trash: bool = False,
    and_also: sa.ColumnElement[bool] | None = None,
) -> sa.Executable:
    conditions = chosen(refs, from_trash=from_trash)
    if and_also is not None:
        conditions.append(and_also)
    changed = sa.update(Task).where(*conditions).values(**changes)
    return changed.returning(Task, sa.func.now()).execution_options(**patience_for(refs))


def delete(refs: Sequence[TaskRef]) -> sa.Executable:
    deleted = sa.delete(Task).where(*chosen(refs, from_trash=True))
    return deleted.returning(Task).execution_options(**patience_for(refs))


def restore_archived(ids: Sequence[UUID]) -> sa.Executable:
    restored = sa.select(Task).from_statement(_RESTORE_ARCHIVED.bindparams(ids=ids))
    return restored.execution_options(**patience(len(ids)))


def source_of(query: TaskQuery) -> Any:
    """The table of the query's tasks."""
    return ARCHIVED if query.state is TaskState.ARCHIVED else Task


def _conditions(query: TaskQuery, of: Any) -> list[sa.ColumnElement[bool]]:
    """The conditions of the query, on the columns of `of`."""
    conditions = _state_conditions(query, of)
    if query.search:
        conditions.append(contains(of, clean_search(query.search)))
    if query.filter is not None:
        assert query.viewer is not None
        conditions.append(condition(query.filter, of, query.viewer))
    return conditions


def _state_conditions(query: TaskQuery, of: Any) -> list[sa.ColumnElement[bool]]:
    """Which states the list shows. Of pending tasks, a filter may name others instead."""
    is_kept = col(of.deleted_at).is_(None)
    states: dict[TaskState, list[sa.ColumnElement[bool]]] = {
        TaskState.DONE: [is_kept, col(of.completed).is_(True)],
        TaskState.ALL: [is_kept],
        TaskState.TRASH: [col(of.deleted_at).is_not(None)],
        TaskState.ARCHIVED: [],
    }
    if query.state in states:
        return states[query.state]
    named = query.filter
    conditions: list[sa.ColumnElement[bool]] = []
    if not (named and names_trash(named)):
        conditions.append(is_kept)
    if not (named and names_completion(named)):
        conditions.append(sa.not_(col(of.completed)))
    if query.viewer is not None and not (named and names_waiting(named)):
        conditions.append(sa.not_(is_waiting(of, query.viewer)))
    if query.view is not None:
        conditions += views.conditions(query, of)
    return conditions


def page(query: TaskQuery, *, following: int | None = None) -> sa.Select[Any]:
    """A page. With `following`, the page after that number, in order of creation."""
    of = source_of(query)
    if _is_page_by_due_day(query):
        return _page_by_due_day(query)
    if query.limit is not None and _is_in_index(query):
        return _page_by_index(query, following)
    return (
        sa.select(of)
        .where(*_conditions(query, of), *_after(query, of, following))
        .order_by(*order(query, of))
        .limit(query.limit)
        .execution_options(**_index_options(query))
    )


def _is_pending(query: TaskQuery) -> bool:
    """Whether all tasks of the query are in the indexes of pending tasks."""
    return query.state is TaskState.PENDING and not (
        query.filter is not None and names_completion(query.filter)
    )


def _is_in_index(query: TaskQuery) -> bool:
    """Whether the index of pending tasks has all that chooses and sorts these, and it helps.

    Without a filter, the newest tasks of the table itself are the page.
    """
    is_sorted_so = query.sort in _SORTED_BY_INDEX
    is_numbered_so = query.sort is SortKey.CREATED and query.filter is not None
    is_chosen_so = query.filter is None or is_in_index(query.filter)
    has_all = (is_sorted_so or is_numbered_so) and is_chosen_so and not query.search
    return has_all and _is_pending(query)


def _page_by_index(query: TaskQuery, following: int | None) -> sa.Select[Any]:
    """A page whose numbers come from the index alone, and only then the tasks themselves.

    OFFSET 0 keeps the planner from joining the two, and so from reading each task for its tags.
    """
    of = aliased(Task, name="indexed")
    numbers = (
        sa.select(col(of.number))
        .where(*_conditions(query, of), *_after(query, of, following))
        .order_by(*order(query, of))
        .limit(query.limit)
        .subquery("numbers")
    )
    found = sa.select(Task).where(col(Task.number) == numbers.c.number).offset(0).lateral("found")
    task = aliased(Task, found, adapt_on_names=True)
    return (
        sa.select(task)
        .select_from(sa.join(numbers, found, sa.true()))
        .order_by(*order(query, task))
        .execution_options(**_index_options(query))
    )


def _page_by_due_day(query: TaskQuery) -> sa.Select[Any]:
    """A page in order of the due day: as many tasks with a day by their index, and without one."""
    day, clock, number = col(Task.due_on), col(Task.due_time), col(Task.number)
    chosen = sa.select(Task).where(*_conditions(query, Task), *_after(query, Task, None))
    dated = chosen.where(day.is_not(None))
    undated = chosen.where(day.is_(None))
    if query.after is not None:
        # The index knows days alone. The rest of the condition is in `_after`.
        at_day = sa.func.min(sa.func.coalesce(day, sa.literal(date.max, sa.Date)))
        start = sa.select(at_day).where(is_meant(query.after, Task)).scalar_subquery()
        dated = dated.where(day <= start if is_descending(query) else day >= start)
    if is_descending(query):
        dated = dated.order_by(day.desc(), clock.desc().nulls_first(), number.desc())
        undated = undated.order_by(number.desc())
    else:
        dated = dated.order_by(day, clock.asc().nulls_last(), number)
        undated = undated.order_by(number)
    parts = [sa.select(part.limit(query.limit).subquery()) for part in (dated, undated)]
    both = sa.union_all(*parts).subquery("both")
    task = aliased(Task, both, adapt_on_names=True)
    return (
        sa.select(task)
        .order_by(*order(query, task))
        .limit(query.limit)
        .execution_options(**_index_options(query))
    )


def page_with_total(query: TaskQuery, limit: int) -> sa.Select[Any]:
    """The page, with the count of all tasks beside each, or NULL if the page has them all.

    One row more than the limit tells whether there are more. The counts are sub-selects in CASE, so
    that PostgreSQL evaluates them only if they are needed. To be run with `present(query)`.
    """
    built: sa.Select[Any] = _page_with_total(_at_midnight(query), limit)
    return built


def present(query: TaskQuery) -> dict[str, Any]:
    """The present moment, for a statement that may have been built earlier on the day."""
    return {} if query.viewer is None else {NOW: query.viewer.now}


@functools.lru_cache(maxsize=16)  # building it takes as long as running it; the agent keeps some
def _page_with_total(query: TaskQuery, limit: int) -> sa.Select[Any]:
    rows = page(replace(query, limit=limit + 1)).cte("page")
    task = aliased(Task, rows, adapt_on_names=True)
    most = sa.literal(limit, sa.BigInteger)  # beside a count, its type would be integer
    is_cut = sa.select(sa.func.count() > most).select_from(rows).scalar_subquery()
    of = source_of(query)
    counted = sa.select(sa.func.count()).select_from(of).where(*_conditions(query, of))
    total = sa.case((is_cut, counted.scalar_subquery())).label("total")
    columns: list[Any] = [task, total]
    if query.view is View.NEXT and query.viewer is not None:
        columns.append(views.urgency_terms(task, query.viewer).label("terms"))
    elif query.viewer is not None and (query.view or query.has_all_pending):
        due = views.due_counts(query.viewer)
        columns.append((due if query.view else sa.case((is_cut, due))).label("due"))
    selected = sa.select(*columns)
    if query.view is not None:
        # One row without a task where the view has none: the counts are told all the same.
        selected = selected.select_from(_one_row().outerjoin(task, sa.true()))
    return selected.order_by(*order(query, task)).execution_options(**_index_options(query))


def _one_row() -> sa.Subquery:
    return sa.select(sa.literal(1).label("one")).subquery("one_row")


def numbered(digits: str, state: TaskState, excluded: Sequence[int]) -> sa.Select[tuple[int, str]]:
    """The tasks of each range of numbers, from the index. Each range is limited."""
    of = source_of(TaskQuery(state=state))
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


def titled(text: str, state: TaskState, excluded: Sequence[int]) -> sa.Select[tuple[int, str]]:
    of = source_of(TaskQuery(state=state))
    newest = _suggestions(of, state, excluded).order_by(col(of.number).desc())
    searched = newest.limit(MAX_TITLES_SEARCHED).subquery("searched")
    statement = sa.select(searched.c.number, searched.c.title)
    if text:
        statement = statement.where(searched.c.title.icontains(clean_search(text), autoescape=True))
    ordered = statement.order_by(searched.c.number.desc()).limit(MAX_SUGGESTIONS)
    return ordered.execution_options(**IN_INDEX_ORDER)


def frequent_tags(beginning: str) -> sa.Select[Any]:
    tags = sa.func.unnest(col(Task.tags)).table_valued("name").lateral("tags")
    with_tags = sa.join(Task, tags, sa.true())
    return _frequent(sa.select(tags.c.name).select_from(with_tags), beginning)


def frequent_projects(beginning: str) -> sa.Select[Any]:
    return _frequent(sa.select(col(Task.project).label("name")), beginning)


def _frequent(names: sa.Select[Any], beginning: str) -> sa.Select[Any]:
    """The names that pending tasks have, and begin so; each with the number of its tasks."""
    pending = names.where(*_conditions(TaskQuery(), Task)).subquery("pending")
    begins_so = sa.func.starts_with(
        sa.func.lower(pending.c.name), sa.func.lower(clean_search(beginning))
    )
    number_of = sa.func.count().label("number_of")
    return (
        sa.select(pending.c.name, number_of)
        .where(begins_so)
        .group_by(pending.c.name)
        .order_by(number_of.desc(), pending.c.name)
        .limit(MAX_SUGGESTIONS)
    )


def _suggestions(of: Any, state: TaskState, excluded: Sequence[int]) -> sa.Select[tuple[int, str]]:
    fitting = _conditions(TaskQuery(state=state), of)
    statement = sa.select(col(of.number), col(of.title)).where(*fitting)
    return statement.where(col(of.number).not_in(excluded)) if excluded else statement


def texts(
    query: TaskQuery, size: int, write: TaskWriter, *, following: int | None = None
) -> sa.Select[Any]:
    """A page of texts. With `following`, the page after that number, in order of creation."""
    built: sa.Select[Any]
    built = _page_of_texts(_of_the_day(query), size, write, following, PAGE_BYTES)
    return built


def _of_the_day(query: TaskQuery) -> TaskQuery:
    """The query at the beginning of its day, unless it depends on the time of the day."""
    if query.viewer is None or query.view is View.UPCOMING:
        return query
    if query.filter is not None and depends_on_time(query.filter):
        return query
    return _at_midnight(query)


def _at_midnight(query: TaskQuery) -> TaskQuery:
    if query.viewer is None:
        return query
    midnight = query.viewer.start_of(query.viewer.today)
    return replace(query, viewer=replace(query.viewer, now=midnight))


@functools.lru_cache(maxsize=16)  # building it takes as long as running it; the agent keeps some
def _page_of_texts(
    query: TaskQuery, size: int, write: TaskWriter, following: int | None, page_bytes: int
) -> sa.Select[Any]:
    limit = size if query.limit is None else min(size, query.limit)
    selected = page(replace(query, limit=limit), following=following).subquery("page")
    texts = _bounded_texts(selected, lambda columns: order(query, columns), write, page_bytes)
    return texts.execution_options(**_index_options(query))


def texts_of(numbers: list[int], query: TaskQuery, write: TaskWriter) -> sa.Select[Any]:
    """The texts of the tasks with these numbers, in this order, if the query still includes them.

    OFFSET 0 keeps the planner from merging the sub-select, so that it uses the index of numbers.
    Else the planner, which does not know how many tasks the user has, may read all of them for each
    page or even for each number.
    """
    asked = (
        sa.func.unnest(sa.bindparam(None, numbers, ARRAY(sa.BigInteger)))
        .table_valued(sa.column("number", sa.BigInteger), with_ordinality="position")
        .render_derived(name="asked")
    )
    of = source_of(query)
    task = sa.select(of).where(col(of.number) == asked.c.number).offset(0).lateral("task")
    selected = (
        sa.select(*task.c, asked.c.position)
        .select_from(asked.join(task, sa.true()))
        .where(*_conditions(query, task.c))
        .subquery("page")
    )
    return _bounded_texts(selected, lambda columns: [columns.position.asc()], write, PAGE_BYTES)


def _bounded_texts(
    page: sa.Subquery,
    order: Callable[[Any], list[sa.ColumnElement[Any]]],
    write: TaskWriter,
    page_bytes: int,
) -> sa.Select[Any]:
    """One row: the numbers and texts of the page's tasks up to `page_bytes`, and their full count.

    The texts are one value, one line each: neither documents nor records have line breaks.
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
    ).where(task.c.bytes_before < page_bytes)
    return texts


def numbers(query: TaskQuery) -> sa.Select[Any]:
    """The numbers of the query's tasks, in order, as one value of big-endian bigints."""
    selected = page(query).subquery("page")
    return sa.select(_packed(selected, *order(query, selected.c)))


def matching(query: TaskQuery, titles: int) -> sa.Select[Any]:
    """One row: the numbers of the query's tasks, packed, and so many titles; newest first.

    The limit is one more than a command takes.
    """
    of = source_of(query)
    newest_first = col(of.number).desc()
    found = (
        sa.select(of.number, of.title)
        .where(*_conditions(query, of))
        .order_by(newest_first)
        .limit(MAX_TASKS + 1)
        .cte("found")
    )
    named = sa.select(found).order_by(found.c.number.desc()).limit(titles).subquery("named")
    title = aggregate_order_by(named.c.title, named.c.number.desc())
    texts = sa.select(sa.func.array_agg(title, type_=ARRAY(sa.Text))).scalar_subquery()
    packed = _packed(found, found.c.number.desc())
    return sa.select(packed.label("numbers"), texts.label("titles"))


def _packed(rows: sa.FromClause, *order: sa.ColumnElement[Any]) -> sa.ColumnElement[bytes]:
    """The numbers of rows as one value of big-endian bigints."""
    number = sa.func.int8send(rows.c.number, type_=sa.LargeBinary)
    nothing = aggregate_order_by(sa.literal(b"", sa.LargeBinary), *order)
    return sa.func.string_agg(number, nothing, type_=sa.LargeBinary)


def after_reading(query: TaskQuery, count: int) -> TaskQuery:
    """The query with its limit reduced by the tasks that were read."""
    return query if query.limit is None else replace(query, limit=max(0, query.limit - count))


def _index_options(query: TaskQuery) -> dict[str, bool]:
    """An order is better taken from an index, unless the due day finds fewer tasks by its own."""
    if query.sort is SortKey.DUE:
        has_index = _is_page_by_due_day(query)
    else:
        by_day = query.filter is not None and is_by_due_day(query.filter)
        has_index = query.is_by_creation and not by_day
    return IN_INDEX_ORDER if has_index else {}


def _is_page_by_due_day(query: TaskQuery) -> bool:
    return query.sort is SortKey.DUE and query.limit is not None and _is_pending(query)


def _after(query: TaskQuery, of: Any, following: int | None) -> list[sa.ColumnElement[bool]]:
    """That a task comes after the page before: after that number, or `query.after`."""
    if following is not None:
        position: Any = sa.tuple_(sa.literal(following, sa.BigInteger))
    elif query.after is not None:
        position = _position_meant(query.after, query)
    else:
        return []
    columns = sa.tuple_(*sort_columns(query, of))
    return [columns < position if is_descending(query) else columns > position]


def _position_meant(after: TaskRef, query: TaskQuery) -> Any:
    """The sort columns of the task that `after` means, or no row if that is not one task."""
    of = source_of(query)
    return (
        sa.select(*(sa.func.min(column) for column in sort_columns(query, of)))
        .select_from(of)
        .where(is_meant(after, of))
        .having(sa.func.count() == 1)
        .scalar_subquery()
    )


STATS = sa.text(
    """
    -- One pass counts by quarters of an hour. Since 1972 the days of every time zone consist of
    -- them. To convert the instants of every task to a day would double the time.
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
    -- Consecutive days have the same distance to their rank. A streak may end yesterday, since
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
"""All the statistics. Parameters: `today` (date), `days`, `time_zone` (its IANA name)."""
