"""Tables of tasks, and what is shown of one: what it is, when it is due, where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from todo_cli.documents import compact_json
from todo_cli.render.table import Cell, Column, Table, fit
from todo_cli.render.terminal import BOLD, BOLD_RED, BOLD_YELLOW, COLUMN_GAP, DIM, NARROW, fitted
from todo_cli.render.words import described, due_words, relative_time
from todo_cli.values import (
    SOMEDAY,
    Due,
    GroupCount,
    Priority,
    TaskQuery,
    TaskState,
    View,
    Viewer,
    printable,
)

if TYPE_CHECKING:
    from todo_cli.models import Task

DESCRIPTION_MARK = " ¶"
"""Follows the title of a task that has a description, in a table."""
MIN_TITLE_WIDTH = 10
"""Columns of the terminal that a title always has."""
MIN_TITLE_BESIDE_DUE = 16
"""The same, where there is something to show of when and how urgent."""
MAX_CUT_SHARE = 5
"""A project, and the tags, take a fifth of the terminal at most."""
PRIORITY_MARKS = {Priority.HIGH: "!!!", Priority.MEDIUM: "!!", Priority.LOW: "!"}
_PRIORITY_STYLES = {Priority.HIGH: BOLD, Priority.LOW: DIM}
"""Legible without colours: more marks are more important."""


def task_table(
    tasks: Sequence[Task], query: TaskQuery, now: datetime, width: int, *, is_styled: bool
) -> Table:
    """The tasks of a page, with as much of each as fits.

    What none of them has is no column. The title gets the room that the others leave; where it is
    scarce, first the time goes, then tags, project, priority and waiting day; the due day last.
    """
    with_status = query.view is None and _has_several_states(query)
    numbers = [str(task.number) for task in tasks]
    title = Column("Task", [_title(task) for task in tasks])
    status = Column(" ", [Cell(_status(task)) for task in tasks])
    before = [status] if with_status else []
    taken = max(map(len, numbers)) + COLUMN_GAP + len(before) * (1 + COLUMN_GAP)
    room = width - taken
    said = [column for column in _said(tasks, query, width) if not column.is_empty]
    time = _time(tasks, query, now) if query.view is None and width >= NARROW else None
    if not said:
        # As much of the title as there is room for beside the time.
        kept = fit([(time, MIN_TITLE_WIDTH)], room, title.width) if time else []
    else:
        share = width * 2 // 5
        least = [MIN_TITLE_BESIDE_DUE if one.heading in _FIRST else share for one in said]
        offered = [*zip(said, least, strict=True), *([(time, share)] if time else [])]
        kept = fit(offered, room, title.width)
    room -= sum(column.width + COLUMN_GAP for column in kept)
    title.width = min(title.width, max(MIN_TITLE_WIDTH, room))
    marks = [column for column in kept if column.heading == _PRIORITY]
    columns = [*before, *marks, title, *(column for column in kept if column not in marks)]
    faded = [with_status and task.completed for task in tasks]
    return Table(numbers, columns, faded, is_styled)


def _has_several_states(query: TaskQuery) -> bool:
    """Whether a list may show tasks of several states."""
    if query.filter is None or query.state is not TaskState.PENDING:
        return query.state is TaskState.ALL
    from todo_cli.filters import names_completion

    return names_completion(query.filter)


def _status(task: Task) -> str:
    return "×" if task.deleted_at else "✓" if task.completed else "·"


_DUE, _PRIORITY, _WAITS = "Due", "Pri", "Waits"
_FIRST = frozenset({_DUE, _PRIORITY, _WAITS})


def _said(tasks: Sequence[Task], query: TaskQuery, width: int) -> Iterator[Column]:
    """What was said of the tasks besides their titles, the most important first."""
    if query.viewer is not None:
        viewer = query.viewer
        in_groups = query.view is View.UPCOMING
        yield Column(_DUE, [_due(task, viewer, has_day=not in_groups) for task in tasks])
        yield Column(_WAITS, [_wait(task, viewer) for task in tasks])
    yield Column(_PRIORITY, [_priority(task) for task in tasks])
    widest = width // MAX_CUT_SHARE
    projects = [Cell(printable(task.project or ""), DIM) for task in tasks]
    yield Column("Project", projects, max_width=widest)
    yield Column("Tags", [Cell(printable(tags_text(task))) for task in tasks], max_width=widest)


def _title(task: Task) -> Cell:
    return Cell(printable(task.title), mark=DESCRIPTION_MARK if task.description else "")


def _due(task: Task, viewer: Viewer, *, has_day: bool) -> Cell:
    due = Due.of(task)
    if due is None:
        return Cell()
    local = due.local(viewer)
    if not has_day:
        return Cell(f"{local.time:%H:%M}" if local.time else "")
    is_late = not task.completed and due.is_late(viewer)
    text = due_words(local, viewer.now, is_late=is_late)
    if task.completed:
        return Cell(text)
    is_today = local.day == viewer.today
    return Cell(text, BOLD_RED if is_late else BOLD_YELLOW if is_today else "")


def _wait(task: Task, viewer: Viewer) -> Cell:
    """Until when an open task is hidden, if it still is."""
    if task.completed or task.wait_on is None or task.wait_on <= viewer.today:
        return Cell()
    if task.wait_on == SOMEDAY:
        return Cell("someday", DIM)
    return Cell(due_words(Due(task.wait_on), viewer.now, is_late=False), DIM)


def _priority(task: Task) -> Cell:
    if task.priority is None:
        return Cell()
    priority = Priority(task.priority)
    return Cell(PRIORITY_MARKS[priority], _PRIORITY_STYLES.get(priority, ""))


def tags_text(task: Task) -> str:
    return " ".join(f"@{tag}" for tag in task.tags)


def _time(tasks: Sequence[Task], query: TaskQuery, now: datetime) -> Column:
    cells = [Cell(relative_time(_time_shown(task, query), now), DIM) for task in tasks]
    return Column(_time_heading(query), cells)


def _time_heading(query: TaskQuery) -> str:
    headings = {
        TaskState.DONE: "Completed",
        TaskState.ARCHIVED: "Completed",
        TaskState.TRASH: "Removed",
    }
    return headings.get(query.state, "Created")


def _time_shown(task: Task, query: TaskQuery) -> datetime:
    shown = {
        TaskState.DONE: task.completed_at,
        TaskState.ARCHIVED: task.completed_at,
        TaskState.TRASH: task.deleted_at,
    }
    return shown.get(query.state) or task.created_at


def upcoming_days(tasks: Sequence[Task], viewer: Viewer) -> list[tuple[date, list[Task]]]:
    """Tasks in order of their due days, by the viewer's day."""
    found: dict[date, list[Task]] = {}
    for task in tasks:
        due = Due.of(task)
        if due is not None:
            found.setdefault(due.local(viewer).day, []).append(task)
    return sorted(found.items())


def day_heading(day: date, viewer: Viewer) -> str:
    return described(Due(day), viewer.now)


def group_lines(
    groups: Sequence[GroupCount], heading: str, width: int, *, is_tree: bool
) -> Iterator[str]:
    """Projects as a tree, or tags: a heading, then a line each. A count of 0 is not shown."""
    names = [_tree_name(group.name) if is_tree else f"@{group.name}" for group in groups]
    counts = [(group.open, group.done, group.late) for group in groups]
    titles = ("Open", "Done", "Late")
    texts = [[f"{count:,}" if count else "" for count in each] for each in counts]
    widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]
    cells = [Cell(printable(name)) for name in names]
    room = max(MIN_TITLE_WIDTH, width - sum(widths) - len(widths) * COLUMN_GAP)
    name_width = min(room, max(len(heading), *(cell.width for cell in cells)))
    for name, each in zip([heading, *(cell.text for cell in cells)], [titles, *texts], strict=True):
        numbers = [text.rjust(size) for text, size in zip(each, widths, strict=True)]
        yield (" " * COLUMN_GAP).join([fitted(name, name_width), *numbers])


def _tree_name(path: str) -> str:
    *above, name = path.split(".")
    return "  " * len(above) + name


def sum_lines(terms: Mapping[str, float], number_width: int, width: int) -> list[str]:
    """Of what an urgency is the sum: the terms that are not 0, the largest first."""
    from textwrap import wrap

    shown = {name: value for name, value in terms.items() if round(value, 1)}
    ordered = sorted(shown.items(), key=lambda term: -term[1])
    summands = " + ".join(f"{name} {value:.1f}" for name, value in ordered)
    text = f"{sum(terms.values()):.1f}" + (f" = {summands}" if summands else "")
    indent = " " * (number_width + COLUMN_GAP)
    return wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ")


def task_details(task: Task, viewer: Viewer) -> Iterator[tuple[str, str]]:
    """Everything about a task but its texts, each with its label."""
    yield "Number", str(task.number)
    yield "UUID", str(task.id)
    yield "Status", "done" if task.completed else "pending"
    yield from _written_details(task, viewer)
    for name, instant in (
        ("Created", task.created_at),
        ("Changed", task.updated_at),
        ("Completed", task.completed_at),
        ("In the trash since", task.deleted_at),
    ):
        if instant is not None:
            local = instant.astimezone().strftime("%Y-%m-%d %H:%M")
            yield name, f"{local} ({relative_time(instant, viewer.now)})"


def _written_details(task: Task, viewer: Viewer) -> Iterator[tuple[str, str]]:
    """What somebody said of the task besides its texts."""
    if (due := Due.of(task)) is not None:
        yield "Due", _due_detail(due, viewer, is_done=task.completed)
    if task.wait_on is not None:
        yield "Waits until", described(Due(task.wait_on), viewer.now)
    if task.priority is not None:
        yield "Priority", Priority(task.priority).word
    if task.project:
        yield "Project", printable(task.project)
    if task.tags:
        yield "Tags", printable(tags_text(task))
    if task.extra:
        yield "Extra", printable(compact_json(task.extra))


def _due_detail(due: Due, viewer: Viewer, *, is_done: bool) -> str:
    local = due.local(viewer)
    text = described(local, viewer.now)
    if local != Due(due.day, due.time):
        text += f"; {due.time:%H:%M} in {due.zone}"
    return text if is_done or not due.is_late(viewer) else f"late: {text}"
