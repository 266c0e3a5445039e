"""Urgency as PostgreSQL sums it, term by term."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from sqlmodel import col

from todo_cli.models import Task
from todo_cli.tasks.repository import TaskRepository
from todo_cli.tasks.urgency import Term, terms, urgency
from todo_cli.values import Due, Priority, TaskDraft, Viewer

TODAY = date(2026, 11, 24)
VIEWER = Viewer(datetime(2026, 11, 24, 10, tzinfo=UTC), "UTC")


def due(days: int) -> TaskDraft:
    return TaskDraft("due", due=Due(TODAY + timedelta(days=days)))


EXPECTED: list[tuple[TaskDraft, dict[Term, float]]] = [
    (TaskDraft("plain"), {}),
    (due(-400), {Term.DUE: 12.0}),
    (due(-7), {Term.DUE: 12.0}),
    (due(-6), {Term.DUE: 11.543}),
    (due(0), {Term.DUE: 8.8}),
    (due(13), {Term.DUE: 2.857}),
    (due(14), {Term.DUE: 2.4}),
    (due(3000), {Term.DUE: 2.4}),
    (TaskDraft("high", priority=Priority.HIGH), {Term.PRIORITY: 6.0}),
    (TaskDraft("medium", priority=Priority.MEDIUM), {Term.PRIORITY: 4.0}),
    (TaskDraft("low", priority=Priority.LOW), {Term.PRIORITY: 2.0}),
    (TaskDraft("project", project="house.garden"), {Term.PROJECT: 1.0}),
    (TaskDraft("one", tags=["a"]), {Term.TAGS: 0.8}),
    (TaskDraft("two", tags=["a", "b"]), {Term.TAGS: 0.9}),
    (TaskDraft("four", tags=["a", "b", "c", "d"]), {Term.TAGS: 1.0}),
    (
        TaskDraft("all", due=Due(TODAY), priority=Priority.LOW, tags=["a"], project="p"),
        {Term.DUE: 8.8, Term.PRIORITY: 2.0, Term.TAGS: 0.8, Term.PROJECT: 1.0},
    ),
]
BY_AGE = {-1: 0.0, 0: 0.0, 73: 0.4, 365: 2.0, 4000: 2.0}


def test_each_term_is_what_it_says(tasks: TaskRepository) -> None:
    tasks.add([draft for draft, _ in EXPECTED])
    for (draft, expected), (found, total) in zip(EXPECTED, weigh(tasks), strict=True):
        assert (draft.title, found) == (draft.title, {**dict.fromkeys(Term, 0.0), **expected})
        assert total == pytest.approx(sum(found.values()), abs=0.01)


def test_a_task_grows_more_urgent_for_a_year(tasks: TaskRepository, database_url: str) -> None:
    tasks.add([TaskDraft("old") for _ in BY_AGE])
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number, days in enumerate(BY_AGE, start=1):
            made_at = datetime(2026, 11, 24, 23, tzinfo=UTC) - timedelta(days=days)
            connection.execute(
                "update tasks set created_at = %s where number = %s", (made_at, number)
            )
    assert [found[Term.AGE] for found, _ in weigh(tasks)] == list(BY_AGE.values())


def weigh(tasks: TaskRepository) -> list[tuple[dict[Term, float], float]]:
    """The terms of each task, and their sum, in the order of the numbers."""
    columns = [term.label(name) for name, term in terms(Task, VIEWER).items()]
    statement = sa.select(*columns, urgency(Task, VIEWER)).order_by(col(Task.number))
    rows = tasks._database.run(lambda session: list(session.execute(statement)))
    return [
        ({name: round(value, 3) for name, value in zip(Term, each, strict=True)}, total)
        for *each, total in rows
    ]
