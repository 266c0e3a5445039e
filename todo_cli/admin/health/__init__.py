"""Checks whether a database is fit for use. Each check has a value, a limit and a hint.

A few statements gather the facts, in a read-only transaction. Each is one round trip. The facts are
judged without the database. `check.py` describes how to add a check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg

from todo_cli.admin.connect import MAINTENANCE, Connection, connected, one
from todo_cli.admin.health.check import (
    FAIL,
    OK,
    WARN,
    Check,
    CheckStatus,
    Facts,
    Limits,
    Subject,
    sees_less,
)
from todo_cli.admin.health.connection import connection_checks, disk_free
from todo_cli.admin.health.data import DATA
from todo_cli.admin.health.objects import OBJECTS
from todo_cli.admin.health.patterns import pattern_checks
from todo_cli.admin.health.people import PEOPLE
from todo_cli.admin.health.security import SECURITY
from todo_cli.admin.health.server import server_checks
from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.errors import SchemaBehind

__all__ = ["Check", "CheckStatus", "Health", "Limits", "examine", "schema_checks"]

SCHEMA = Subject(SECURITY, PEOPLE, OBJECTS)
SCHEMA.needs(revision="(select max(version_num) from public.alembic_version)")


@dataclass(frozen=True)
class Health:
    checks: list[Check]

    @property
    def status(self) -> CheckStatus:
        found = {check.status for check in self.checks}
        return next(status for status in (FAIL, WARN, OK) if status in found)


def examine(
    url: str,
    *,
    now: Callable[[], datetime],
    limits: Limits | None = None,
    wait_seconds: float = 0.0,
    data_dir: Path | None = None,
) -> Health:
    """Check a database. `data_dir` is the data folder of the embedded database, else None.

    Raises:
        DatabaseUnreachable: the database did not answer within `wait_seconds`.
    """
    held = limits or Limits()
    with ExitStack() as stack:
        started = time.perf_counter()
        connection = stack.enter_context(
            connected(
                url,
                timeout_seconds=wait_seconds,
                lock_timeout_seconds=LOCK_SECONDS,
                unreached_seconds=wait_seconds,
            )
        )
        spent = time.perf_counter() - started
        checks = [] if data_dir is None else [disk_free(data_dir, held)]
        try:
            with _reading(connection):
                checks += connection_checks(connection, url, held, now, spent)
                checks += server_checks(connection, held)
                checks += schema_checks(connection, held)
                facts = DATA.ask(connection, held)
            checks += DATA.judge(facts)
            checks += pattern_checks(connection, facts["busiest"], held)
        except SchemaBehind:
            pass  # the check of the migrations reports it
        except psycopg.errors.InsufficientPrivilege:
            checks.append(sees_less())
        except psycopg.errors.LockNotAvailable:
            checks.append(_LOCKED)
    return Health(checks)


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    """A read-only transaction in which the owner sees every task."""
    with connection.transaction():
        connection.set_locally(transaction_read_only="on", **MAINTENANCE)
        yield


LOCK_SECONDS = 3
"""How long a check waits for somebody else's lock."""

_LOCKED = Check(
    "locked",
    FAIL,
    True,
    None,
    False,
    f"Somebody has locked a table for more than {LOCK_SECONDS} s; some checks were left out.",
    reason="locked",
)

_HAS_SCHEMA: LiteralString = """
select to_regclass('public.alembic_version') is not null
    and to_regclass('public.tasks') is not null
"""


def schema_checks(connection: Connection, limits: Limits) -> Iterator[Check]:
    """Compare the schema in the catalog with the one that this program expects.

    Raises:
        SchemaBehind: there is no schema; raised after the check of the migrations.
    """
    has_schema = one(connection, _HAS_SCHEMA)
    facts = SCHEMA.ask(connection, limits) if has_schema else Facts(limits, revision=None)
    at_head = facts["revision"] == SCHEMA_HEAD
    yield Check(
        "migrations",
        OK if at_head else FAIL,
        facts["revision"],
        "revision",
        SCHEMA_HEAD,
        "The schema is the newest." if at_head else "The schema is not the program's.",
        reason=None if at_head else "see_pending",
    )
    if not has_schema:
        raise SchemaBehind("The schema is missing.")
    yield from SCHEMA.judge(facts)
