"""Explains the seven query patterns with the statements of the commands.

They run in one transaction that is rolled back, under `todo_app` and the user's own session, so
that the plans include row-level security.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Executable

from todo_cli.admin.plan import Plan
from todo_cli.database.dialect import TodoDialect
from todo_cli.database.session import Database, identity_values
from todo_cli.tasks.statements import pattern_statements

READ_TARGET_MILLISECONDS = 100.0
WRITE_TARGET_MILLISECONDS = 50.0
"""Both from the specification of the seven query patterns (migrations/README.md)."""

RUNS = 3

TARGETS = {
    "list": READ_TARGET_MILLISECONDS,
    "next page": READ_TARGET_MILLISECONDS,
    "pending": READ_TARGET_MILLISECONDS,
    "create": WRITE_TARGET_MILLISECONDS,
    "update": WRITE_TARGET_MILLISECONDS,
    "toggle": WRITE_TARGET_MILLISECONDS,
    "delete": WRITE_TARGET_MILLISECONDS,
    "count": READ_TARGET_MILLISECONDS,
}


@dataclass(frozen=True)
class Explained:
    """One pattern and its plan."""

    pattern: str
    plan: Plan

    @property
    def target_milliseconds(self) -> float:
        return TARGETS[self.pattern]

    @property
    def ok(self) -> bool:
        spent = self.plan.milliseconds or 0.0
        return spent <= self.target_milliseconds and not self.plan.large_scans


def explain(database: Database) -> list[Explained]:
    """Explain each pattern on the user's own tasks. Changes nothing.

    Raises:
        NotLoggedIn: nobody is logged in.
    """

    def look(cursor: Any) -> list[Explained]:
        row = cursor.execute("select number from tasks order by number desc limit 1").fetchone()
        return best_plans(cursor.connection, number=row[0] if row else 0)

    return database.rehearse(look)


def best_plans(connection: psycopg.Connection[Any], *, number: int) -> list[Explained]:
    """The fastest of three runs of each pattern, on the task with that number. One round trip.

    The connection is in a transaction under the user's session, which the caller rolls back. A
    first run is slower, since it also reads the catalog and uncached pages.
    """
    runs = [
        (
            name,
            _compiled(statement),
            _sorting(statement),
            [connection.cursor() for _ in range(RUNS)],
        )
        for name, statement in pattern_statements(number=number)
    ]
    with connection.pipeline():
        for _, compiled, sorting, cursors in runs:
            for cursor in cursors:
                connection.execute("savepoint run")
                connection.execute(
                    "select pg_catalog.set_config('enable_sort', %s, true)", (sorting,)
                )
                explained = f"explain (analyze, buffers, format json) {compiled}"
                cursor.execute(explained.encode(), compiled.params)
                connection.execute("rollback to savepoint run")
    return [
        Explained(name, min(map(_plan, cursors), key=lambda plan: plan.milliseconds or 0.0))
        for name, _, _, cursors in runs
    ]


def _compiled(statement: Executable) -> Any:
    return statement.compile(  # type: ignore[attr-defined]  # SQLAlchemy's Executable hides it
        dialect=TodoDialect(), compile_kwargs={"render_postcompile": True}
    )


def _sorting(statement: Executable) -> str:
    *_, sorting = identity_values("", "", statement.get_execution_options())
    return sorting


def _plan(cursor: psycopg.Cursor[Any]) -> Plan:
    (document,) = cursor.fetchone() or (None,)
    return Plan.of(document)
