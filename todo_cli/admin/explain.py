"""The seven query patterns as the logged-in user runs them: the very statements of the commands.

They run in one transaction that is rolled back, under `todo_app` and the user's own session, so
that what is seen is what row-level security lets through and what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable

from todo_cli.admin.plan import Plan
from todo_cli.database.dialect import TodoDialect
from todo_cli.database.session import Database, identity_values
from todo_cli.repository import pattern_statements

READ_TARGET_MILLISECONDS = 100.0
WRITE_TARGET_MILLISECONDS = 50.0
"""Both from the specification of the seven query patterns (migrations/README.md)."""

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
    """Explain each pattern on the user's own tasks; nothing is changed.

    Raises:
        NotLoggedIn: the patterns are somebody's.
    """

    def look(cursor: Any) -> list[Explained]:
        row = cursor.execute("select number from tasks order by number desc limit 1").fetchone()
        statements = pattern_statements(number=row[0] if row else 0)
        return [Explained(name, _plan(cursor, statement)) for name, statement in statements]

    return database.rehearse(look)


def _plan(cursor: Any, statement: Executable) -> Plan:
    """The plan of the second run: the first one also loads the catalog into a new connection."""
    compiled = statement.compile(  # type: ignore[attr-defined]  # SQLAlchemy's Executable hides it
        dialect=TodoDialect(), compile_kwargs={"render_postcompile": True}
    )
    explained = f"explain (analyze, buffers, format json) {compiled}"
    *_, sorting = identity_values("", "", statement.get_execution_options())
    for _ in range(2):
        with cursor.connection.transaction(force_rollback=True):
            cursor.execute("select pg_catalog.set_config('enable_sort', %s, true)", (sorting,))
            cursor.execute(explained, compiled.params)
            (document,) = cursor.fetchone()
    return Plan.of(document)
