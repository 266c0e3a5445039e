"""The seven query patterns, measured as the user with the most tasks.

They run under a session that is made for them, in a transaction that is rolled back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from todo_cli.admin.connect import Connection
from todo_cli.admin.explain import Explained, best_plans
from todo_cli.admin.health.check import FAIL, OK, WARN, Check, Limits
from todo_cli.database.session import IDENTITY, identity_values

_REHEARSAL_SECONDS = 30
"""For each statement of the patterns; they take milliseconds."""
_SESSION: LiteralString = """
insert into sessions (user_id, token, expires_at) values (%s, %s, now() + interval '1 hour')
"""


def pattern_checks(
    connection: Connection, busiest: dict[str, Any] | None, limits: Limits
) -> Iterator[Check]:
    """Measure the patterns for the user with the most tasks."""
    if busiest is None:
        return
    try:
        explained = _rehearse(connection, busiest)
    except psycopg.errors.ReadOnlySqlTransaction:
        yield Check("patterns", OK, None, None, None, "Not measured: this database is read only.")
        return
    except psycopg.errors.QueryCanceled:
        said = f"A statement of people's commands took more than {_REHEARSAL_SECONDS} s."
        yield Check("patterns", FAIL, None, None, None, said, reason=_SEE_PLANS)
        return
    except _StatementRefused:
        said = "The database refuses statements of people's commands."
        yield Check("patterns", FAIL, None, None, None, said, reason=_SEE_PLANS)
        return
    for each in explained:
        yield _pattern_check(each, limits.targets[each.pattern])


def _rehearse(connection: Connection, busiest: dict[str, Any]) -> list[Explained]:
    """Run the patterns as the user, then roll back their changes and the session."""
    token = secrets.token_urlsafe(32)
    milliseconds = str(_REHEARSAL_SECONDS * 1000)
    with connection.transaction(force_rollback=True):
        with connection.pipeline():
            connection.execute(_SESSION, (busiest["user"], token))
            connection.execute(IDENTITY, identity_values(token, milliseconds))
        try:
            return best_plans(connection, number=busiest["number"])
        except psycopg.errors.InsufficientPrivilege as error:
            raise _StatementRefused from error


class _StatementRefused(Exception):
    """The database refused a statement that people must be allowed to run."""


_SEE_PLANS = "see_plans"


def _pattern_check(explained: Explained, limit: float) -> Check:
    """A needless scan of a large table is a failure. A missed target is a warning: on a busy
    machine, or with a million tasks, a healthy database can miss it."""
    plan = explained.plan
    spent = plan.milliseconds or 0.0
    status = FAIL if plan.large_scans else WARN if spent > limit else OK
    return Check(
        f"pattern_{explained.pattern.replace(' ', '_')}",
        status,
        round(spent, 3),
        "ms",
        limit,
        f"{spent:.2f} ms by {', '.join(plan.indexes) or 'no index'}, for the busiest user.",
        reason=None if status is OK else _SEE_PLANS,
    )
