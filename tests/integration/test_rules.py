"""The rules of the repository hold for every caller: it cleans texts, and takes empty lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import pytest

from todo_cli.database.session import Database
from todo_cli.errors import InvalidDraft, InvalidInput, TaskNotFound
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import (
    MAX_TASKS,
    MAX_TITLE_LENGTH,
    TaskChanges,
    TaskDraft,
    TaskQuery,
    TaskRef,
    TaskState,
)

ONE = TaskRef.parse("1")
UNPRINTABLE = ["a\0b", "a\x1b[2Jb", "a\udcffb"]


@pytest.fixture
def unreachable(open_database: Callable[..., Database]) -> TaskRepository:
    """A repository whose every statement would fail."""
    return TaskRepository(open_database("postgresql://nobody@127.0.0.1:1/none", "token", 0.1))


@pytest.mark.parametrize(
    "method",
    [
        lambda tasks: tasks.add([]),
        lambda tasks: tasks.get([]),
        lambda tasks: tasks.set_completed([], True),
        lambda tasks: tasks.toggle([]),
        lambda tasks: tasks.trash([]),
        lambda tasks: tasks.restore([]),
        lambda tasks: tasks.restore_archived([]),
        lambda tasks: tasks.delete([]),
    ],
)
def test_no_tasks_need_no_statement(
    unreachable: TaskRepository, method: Callable[[TaskRepository], list[object]]
) -> None:
    assert method(unreachable) == []


@pytest.mark.parametrize(
    ("title", "stored"), [("  two \t words\n", "two words"), ("\u00a0x\u2003y", "x y")]
)
def test_a_title_is_folded_whoever_adds_or_edits(
    tasks: TaskRepository, title: str, stored: str
) -> None:
    assert tasks.add([TaskDraft(title, "a\r\nb\rc")])[0].title == stored
    assert tasks.get([ONE])[0].description == "a\nb\nc"
    assert tasks.edit(ONE, TaskChanges(title=f" {title}{title}"))[0].title == f"{stored} {stored}"
    assert tasks.edit(ONE, TaskChanges(description=" \n")).unchanged == frozenset()
    assert tasks.get([ONE])[0].description is None


@pytest.mark.parametrize("title", ["", " \n\t ", "x" * (MAX_TITLE_LENGTH + 1), *UNPRINTABLE])
def test_a_title_that_cannot_be_is_refused_before_the_database_is_asked(
    unreachable: TaskRepository, title: str
) -> None:
    with pytest.raises(InvalidDraft) as refused:
        unreachable.add([TaskDraft("one"), TaskDraft(title)])
    assert refused.value.position == 1
    with pytest.raises(InvalidInput):
        unreachable.edit(ONE, TaskChanges(title=title))
    assert refused.value.code == "invalid_input"


def test_more_drafts_than_a_command_takes_are_refused(unreachable: TaskRepository) -> None:
    with pytest.raises(InvalidInput, match="too many at once"):
        unreachable.add([TaskDraft("x")] * (MAX_TASKS + 1))


def test_an_edit_without_a_change_leaves_the_task(tasks: TaskRepository) -> None:
    (task,) = tasks.add([TaskDraft("one", "about")])
    edited = tasks.edit(ONE, TaskChanges())
    assert (list(edited), edited.unchanged) == ([task], frozenset([task.id]))
    tasks.trash([ONE])
    with pytest.raises(TaskNotFound):
        tasks.edit(ONE, TaskChanges())


def test_what_is_not_given_is_told_from_what_is_cleared(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft("one", "about")])
    assert tasks.edit(ONE, TaskChanges(title="uno"))[0].description == "about"
    assert tasks.edit(ONE, TaskChanges(description=None))[0].description is None


@pytest.mark.parametrize("text", UNPRINTABLE)
@pytest.mark.parametrize(
    "search",
    [
        lambda tasks, text: tasks.page(TaskQuery(search=text)),
        lambda tasks, text: tasks.page(TaskQuery(search=text, limit=3), with_total=True),
        lambda tasks, text: list(tasks.documents(TaskQuery(search=text))),
        lambda tasks, text: list(tasks.records(TaskQuery(search=text))),
        lambda tasks, text: tasks.titled(text, TaskState.ALL),
    ],
)
def test_a_search_that_cannot_be_is_one_clear_error(
    unreachable: TaskRepository,
    search: Callable[[TaskRepository, str], Iterable[object]],
    text: str,
) -> None:
    with pytest.raises(InvalidInput, match="search text"):
        search(unreachable, text)


@pytest.mark.parametrize("limit", [-1, 2**63])
def test_a_limit_that_cannot_be_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        TaskQuery(limit=limit)


@pytest.mark.parametrize("days", [-1, 0, 3651])
def test_statistics_of_days_that_cannot_be_are_refused(
    unreachable: TaskRepository, days: int
) -> None:
    with pytest.raises(InvalidInput, match="days"):
        unreachable.stats(date(2026, 3, 12), days, "UTC")
