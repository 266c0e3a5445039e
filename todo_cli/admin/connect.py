"""Connections for administration: ordinary transactions under the role that the URL names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database import connecting, faults, target
from todo_cli.database.connecting import Deadline
from todo_cli.database.retry import retry
from todo_cli.errors import RuleViolated, SchemaBehind

APPLICATION_NAME = "todo db"
OWNER_HINT = "Use the URL of the role that ran: todo db upgrade"

Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def connected(
    url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Iterator[Connection]:
    """A connection in autocommit mode; tried again until the timeout where a fault may pass.

    A statement waits for somebody else's lock no longer than that either.

    Raises:
        TodoError: the database cannot be reached, or refused what was done inside.
    """
    try:
        with faults.translated(), _opened(url, timeout_seconds) as connection:
            limit = str(max(1, int(timeout_seconds * 1000)))
            connection.execute("select set_config('lock_timeout', %s, false)", (limit,))
            yield connection
    except faults.TransientFault as fault:
        raise fault.final from fault
    except RuleViolated as error:
        error.hint = error.hint or OWNER_HINT
        raise


def _opened(url: str, timeout_seconds: float) -> Connection:
    parameters = {**target.connection_parameters(url), "application_name": APPLICATION_NAME}
    patience = Deadline(timeout_seconds)

    def open_() -> Connection:
        # A single try takes as long as a sleeping compute needs to wake.
        deadline = Deadline(max(timeout_seconds, connecting.CONNECT_TIMEOUT_SECONDS))
        with faults.translated():
            return connecting.connect(parameters, deadline)

    try:
        return open_()
    except faults.TransientFault as fault:
        return retry(open_, after=fault, deadline=patience, before_retry=lambda _: None)


@contextmanager
def maintaining(connection: Connection) -> Iterator[None]:
    """A transaction in which an owner who is bound by row-level security sees every task.

    The setting ends with the transaction. Migration 0007 says whom the policy lets pass.
    """
    with connection.transaction():
        connection.execute("select set_config('todo.maintenance', 'on', true)")
        require_full_sight(connection)
        yield


def notice_interruptions(connection: Connection) -> None:
    """Have the server end a long statement soon after Ctrl-C closed the connection.

    Else it would hold its locks until the statement ends. Not every system can tell.
    """
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("set client_connection_check_interval = '1s'")


def require_full_sight(connection: Connection) -> None:
    """See that no policy hides a task: a count would be wrong, a dump incomplete.

    Raises:
        SchemaBehind: the archive's revision is not there.
        RuleViolated: this role is not the tables' owner and cannot pass row-level security.
    """
    row = connection.execute(_FULL_SIGHT).fetchone()
    if row is None or row[0] is None:
        raise SchemaBehind("The database's schema is missing or behind.")
    if not row[0]:
        raise RuleViolated(
            "This role does not own the tables, and row-level security hides tasks from it.",
            hint=OWNER_HINT,
        )


_FULL_SIGHT = """
select bool_and(
    role.rolsuper or role.rolbypassrls
    or (
        pg_catalog.pg_get_userbyid(c.relowner) = current_user
        and exists (
            select from pg_catalog.pg_policy as p
            where p.polrelid = c.oid and p.polname = c.relname || '_maintenance'
                and c.relowner = any (p.polroles)
        )
    )
)
from pg_catalog.pg_class as c, pg_catalog.pg_roles as role
where role.rolname = current_user
    and c.oid in (to_regclass('public.tasks'), to_regclass('public.tasks_archive'))
having count(*) = 2
"""


def one(connection: Connection, statement: LiteralString, *values: Any) -> Any:
    """The first column of the only row."""
    row = connection.execute(statement, values or None).fetchone()
    assert row is not None
    return row[0]
