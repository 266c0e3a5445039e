"""Connections for administration: ordinary transactions under the role in the URL.

Settings are local to a transaction. A pooler in transaction mode gives the session to another
client after each transaction, together with the session's settings.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from todo_cli.admin.tables import FORCED, TASKS, TASKS_ARCHIVE, sql_list
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database import connecting, faults, target
from todo_cli.database.connecting import Deadline
from todo_cli.database.retry import retry
from todo_cli.errors import DatabaseUnreachable, Refused, RuleViolated, SchemaBehind

APPLICATION_NAME = "todo db"
NO_SESSION = "This needs a session of its own, which the connection pooler does not give."
NO_SESSION_HINT = "Give the server's own address: --database-url, or TODO_DATABASE_URL_UNPOOLED"

NOT_OWNER = "not_owner"
"""The reason of an error that the owner of the tables would not get."""

MAINTENANCE = {"todo.maintenance": "on"}
"""With this setting, row-level security lets the tables' owner see every row (migration 0007)."""

_SET_LOCALLY: LiteralString = """
select pg_catalog.set_config(name, value, true)
from unnest(%s::text[], %s::text[]) as local (name, value)
"""


class Connection(connecting.Connection):
    """A connection in autocommit mode. All its transactions begin with the same settings.

    Run everything but VACUUM in a transaction: there is no time limit outside of one.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.local_settings: dict[str, str] = {}

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        is_outermost = self.info.transaction_status is TransactionStatus.IDLE
        with contextlib.ExitStack() as stack:
            with self.pipeline() if is_outermost else contextlib.nullcontext():
                transaction = psycopg.Transaction(self, savepoint_name or "", force_rollback)
                stack.enter_context(transaction)
                if is_outermost:
                    self.set_locally()
            yield transaction

    def set_locally(self, **more: str) -> None:
        """Apply the settings until the end of the transaction or pipeline.

        Pass a setting with a dot in its name, such as `todo.maintenance`, in a mapping: `**{…}`.
        """
        settings = self.local_settings | more
        self.execute(_SET_LOCALLY, (list(settings), list(settings.values())))


@contextmanager
def connected(
    url: str,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    lock_timeout_seconds: float | None = None,
    unreached_seconds: float | None = None,
    needs_session: bool = False,
) -> Iterator[Connection]:
    """A connection in autocommit mode. Connecting is retried until the timeout.

    The timeout also limits how long a statement in a transaction waits for a lock. The server may
    accept no connections, or lack the database, for `unreached_seconds` (by default a few).
    `needs_session` refuses a pooler in transaction mode.

    Raises:
        Refused: a session was needed, and the server is behind a pooler.
        TodoError: the database cannot be reached, or refused a statement.
    """
    limit = timeout_seconds if lock_timeout_seconds is None else lock_timeout_seconds
    try:
        with (
            faults.translated(),
            _opened(
                url, timeout_seconds, unreached_seconds, needs_session=needs_session
            ) as connection,
        ):
            connection.local_settings["lock_timeout"] = str(max(1, int(limit * 1000)))
            yield connection
    except faults.TransientFault as fault:
        raise fault.final from fault
    except RuleViolated as error:
        if error.hint is None and error.reason is None:
            error.reason = NOT_OWNER
        raise


def open_session(
    parameters: Mapping[str, str], deadline: Deadline, *, settings: str = ""
) -> Connection:
    """A connection with a server session of its own, in which settings and locks last.

    `settings` are start-up options of the session: `-c name=value`. A pooler in transaction mode
    refuses or drops start-up options, so a mark among them tells whether there is one.

    Raises:
        Refused: the server is behind a pooler.
        psycopg.OperationalError: no address accepted the connection.
    """
    mark = secrets.token_hex(8)
    given = parameters.get("options") or _default_options()
    marked = {**parameters, "options": f"{given} {settings} -c todo.session_mark={mark}".strip()}
    try:
        connection = connecting.connect(marked, deadline, kind=Connection)
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" in str(error).lower():
            raise Refused(NO_SESSION, hint=NO_SESSION_HINT) from None
        raise
    assert isinstance(connection, Connection)
    row = connection.execute("select current_setting('todo.session_mark', true)").fetchone()
    if row != (mark,):
        connection.close()
        raise Refused(NO_SESSION, hint=NO_SESSION_HINT)
    return connection


def _default_options() -> str:
    """The options from PGOPTIONS. libpq ignores them if a connection has options of its own."""
    found = (each.val for each in psycopg.pq.Conninfo.get_defaults() if each.keyword == b"options")
    return (next(found, None) or b"").decode()


def _opened(
    url: str, timeout_seconds: float, unreached_seconds: float | None, *, needs_session: bool
) -> Connection:
    parameters = {**target.connection_parameters(url), "application_name": APPLICATION_NAME}
    patience = Deadline(timeout_seconds, unreached_seconds=unreached_seconds)

    def open_() -> Connection:
        # A single try may take as long as a suspended compute needs to start.
        deadline = Deadline(max(timeout_seconds, connecting.CONNECT_TIMEOUT_SECONDS))
        try:
            with faults.translated():
                if needs_session:
                    return open_session(parameters, deadline)
                connection = connecting.connect(parameters, deadline, kind=Connection)
                assert isinstance(connection, Connection)
                return connection
        except DatabaseUnreachable as error:
            if unreached_seconds and error.message == faults.NO_SUCH_DATABASE.message:
                raise faults.TransientFault(error, faults.Retry.SOON) from error
            raise

    try:
        return open_()
    except faults.TransientFault as fault:
        return retry(open_, after=fault, deadline=patience, before_retry=lambda _: None)


@contextmanager
def maintaining(connection: Connection) -> Iterator[None]:
    """A transaction in which the owner sees every task in spite of row-level security.

    Migration 0007 defines for whom the policy does that.
    """
    with connection.transaction():
        connection.set_locally(**MAINTENANCE)
        require_full_sight(connection)
        yield


@contextmanager
def telling_if_interrupted(what_is_kept: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C, add a note about what remains. The command shows the note."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        interruption.add_note(what_is_kept())
        raise


def notice_interruptions(connection: Connection) -> None:
    """Make the server end a long statement soon after Ctrl-C closes the connection.

    Otherwise the server keeps the locks until the statement ends. Some systems do not support this.
    """
    connection.local_settings["client_connection_check_interval"] = "1s"
    try:
        with connection.transaction():
            pass
    except psycopg.errors.InvalidParameterValue:
        del connection.local_settings["client_connection_check_interval"]


def tidy(connection: Connection, *tables: str) -> None:
    """Vacuum and analyze tables after many changes, or all tables if none is named.

    Plans and counts of dead rows are then right at once, and counting needs only the index. Locked
    tables are skipped, since a vacuum has no time limit.
    """
    # Otherwise the server adds this session's counts later to those of ANALYZE.
    connection.execute("select pg_stat_force_next_flush()")
    names = sql.SQL(", ").join(sql.Identifier(*table.split(".")) for table in tables)
    connection.execute(sql.SQL("vacuum (analyze, skip_locked) {}").format(names))


def require_full_sight(connection: Connection) -> None:
    """Check that no policy hides a task. A count would be wrong, and a dump incomplete.

    Raises:
        SchemaBehind: the schema is missing, or older than the archive.
        RuleViolated: this role does not own the tables and cannot bypass row-level security.
    """
    row = connection.execute(_FULL_SIGHT).fetchone()
    if row is None or row[0] is None:
        raise SchemaBehind("The database's schema is missing or behind.")
    if not row[0]:
        raise RuleViolated(
            "This role does not own the tables, and row-level security hides tasks from it.",
            reason=NOT_OWNER,
        )


_IN_EVERY_SCHEMA = (TASKS.name, TASKS_ARCHIVE.name)
"""A schema with fewer tables is older than the policies for maintenance."""
_FULL_SIGHT = f"""
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
    and c.relnamespace = 'public'::regnamespace and c.relname in ({sql_list(FORCED)})
having count(*) filter (where c.relname in ({sql_list(_IN_EVERY_SCHEMA)})) = {len(_IN_EVERY_SCHEMA)}
"""  # noqa: S608  # constants


def one(
    connection: psycopg.Connection[tuple[Any, ...]], statement: LiteralString, *values: Any
) -> Any:
    """The first column of the only row."""
    row = connection.execute(statement, values or None).fetchone()
    assert row is not None
    return row[0]
