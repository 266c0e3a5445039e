"""Runs each statement in one round trip, with the rights of the user of a session token.

The engine runs in AUTOCOMMIT. One pipeline carries two statements: `IDENTITY`, which sets the role,
the token, the time limit and planner settings, and then the statement itself. PostgreSQL treats a
pipeline up to its Sync as one implicit transaction. So the pair is atomic, the settings end with
it, and there is no BEGIN or COMMIT to wait for: psycopg's own would each cost a round trip. This
works behind PgBouncer in transaction mode, and no setting reaches the next client.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from todo_cli.database import connecting, dialect, faults, target
from todo_cli.database.connecting import Deadline
from todo_cli.errors import (
    DatabaseFault,
    DatabaseUnreachable,
    ExitCode,
    NotLoggedIn,
    SessionEnded,
)
from todo_cli.ids import uuid7

T = TypeVar("T")

Waiting = Callable[[Callable[[], str]], AbstractContextManager[None]]
"""Makes the context manager around each wait for the database, such as a spinner. Its argument is a
function that returns the text to show at that moment."""

MAX_SILENCE_SECONDS = 10.0
"""How long to wait for an answer on a connection that was used before. It may be dead without our
knowing, and then enough time must be left to try on a new one."""

MAX_MARGIN_SECONDS = 1.0
"""The server's time limit ends this much before ours, so that the server reports the timeout."""

UNCERTAIN_HINT = "It may have been done all the same: look first."

CANCEL_TIMEOUT_SECONDS = 5

APP_ROLE = "todo_app"
IDENTITY = """
select pg_catalog.set_config('role', %s, true),
    pg_catalog.set_config('search_path', 'pg_catalog, public, pg_temp', true),
    pg_catalog.set_config('todo.session_token', %s, true),
    pg_catalog.set_config('statement_timeout', %s, true),
    pg_catalog.set_config('todo.batch_id', %s, true),
    pg_catalog.set_config('todo.command', %s, true),
    pg_catalog.set_config('enable_sort', %s, true), pg_catalog.set_config('jit', 'off', true),
    todo_auth.resume_session()
"""
"""`todo.batch_id` and `todo.command` name the command in the history of the tasks that it changes.

Answers one row. Its last column is the user's id, or NULL if the token is unknown or expired.

Another client of the pooler may have left a search path or temporary tables in the connection.
They shadow nothing: every name here is qualified, and the search path is set before the statement.
"""

IN_INDEX_ORDER = {"in_index_order": True}
"""Execution options of a statement whose order is that of an index on the user's tasks.

They switch sorting off. PostgreSQL plans before it knows the user, so it plans for an average
number of tasks. For a user with 37,000 it would sort them all to show a page, in 27 ms; by the
index a page takes 0.4 ms. Other statements keep sorting on: to avoid a sort of three tasks, the
planner would scan an index over the tasks of all users.

Where a sort is needed all the same, PostgreSQL before 18 takes its cost for so high that it
compiles the query, for 100 ms. Therefore `IDENTITY` switches compilation (jit) off.
"""

TAKES_LONG = {"takes_long": True}
"""Execution options of a statement that may run long because it works on many tasks.

`MAX_SILENCE_SECONDS` would be too short for it: it would be sent again while the first try still
runs. So a connection that was used before is first tested, in one more round trip, and then the
statement may take all the time that is left.
"""

ROLLED_BACK = {"is_rolled_back": True}
"""Execution options of a statement that is only rehearsed. BEGIN and ROLLBACK are sent around it in
its pipeline, so it still is one round trip."""


def identity_values(
    session_token: str,
    limit_milliseconds: str,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    batch_id: str = "",
    command: str = "",
) -> tuple[str, ...]:
    """The parameters of `IDENTITY` for a statement with these execution options.

    Without a batch and a command, the history names the transaction and `sql`.
    """
    sorting = "off" if IN_INDEX_ORDER.items() <= options.items() else "on"
    return (APP_ROLE, session_token, limit_milliseconds, batch_id, command, sorting)


@dataclass(frozen=True)
class Call:
    """A statement that calls a function of `todo_auth`, and its parameters by name."""

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)


class Database:
    """Runs one person's statements. Connects on first use; threads may share it.

    `session_token` is None when nobody is logged in. `timeout_seconds` limits one `run` in all:
    connecting, waking the database, retries and the statement. `revive` is called before a retry
    when the database could not be reached; it starts the embedded server. `waiting` makes the
    context manager around each wait. `command` is the name in the history of what `run` changes.
    """

    def __init__(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
        command: str = "",
    ) -> None:
        self._command = command
        self._parameters = target.connection_parameters(target.pooled_url(url))
        self._session_token = session_token
        self._timeout_seconds = timeout_seconds
        self._revive = revive
        self._waiting: Waiting = waiting or _show_nothing
        self._engine_lock = threading.Lock()
        self._engine: Engine | None = None
        self._connection: connecting.Connection | None = None
        self._is_cancelled = False
        self._current = _CurrentTry(timeout_seconds)

    def run(self, work: Callable[[Session], T], *, writes: bool = False) -> T:
        """Do the work in a session, and retry after a transient fault.

        The work must be safe to repeat. All that it changes is one batch of the history, which is
        named before the first try. With `writes`, it changes something: if the outcome of
        the last try is unknown, the hint of the error says so.

        Raises:
            DatabaseUnreachable: there was no answer until the timeout, retries included. The last
                try may have taken effect.
            NotLoggedIn: the session token is missing, unknown or expired; nothing was changed.
            TodoError: the database refused; nothing was changed.
        """
        if self._session_token is None:
            raise NotLoggedIn("Nobody is logged in.")
        return self._run_until_deadline(work, writes=writes)

    def call(
        self, *calls: Call, as_nobody: bool = False, writes: bool = False
    ) -> list[dict[str, Any]]:
        """Call functions of `todo_auth`, each in its own transaction; return the last one's rows.

        All calls take one round trip together, and each must be safe to repeat. With `as_nobody`
        no token is needed, for example to log in. A token that is given must be valid even then.

        Raises: as `run`.
        """
        if self._session_token is None and not as_nobody:
            raise NotLoggedIn("Nobody is logged in.")
        return self._run_until_deadline(
            lambda session: self._send_calls(session, calls), writes=writes
        )

    def transact(
        self, calls: Callable[[], Iterable[Call]], *, is_rehearsal: bool = False
    ) -> list[list[dict[str, Any]]]:
        """Call functions of `todo_auth` in one transaction, and return the rows of each call.

        Each call takes a round trip, and may take as long as a whole run. All together must be safe
        to repeat: `calls` is called again for each try. A rehearsal is rolled back.

        Raises: as `run`.
        """
        if self._session_token is None:
            raise NotLoggedIn("Nobody is logged in.")
        return self._run_until_deadline(
            lambda session: self._send_transaction(session, calls(), is_rehearsal),
            writes=not is_rehearsal,
        )

    def rehearse(self, work: Callable[[psycopg.Cursor[Any]], T]) -> T:
        """Run statements as the user in one transaction, and roll it back.

        Raises:
            NotLoggedIn: the session token is missing, unknown or expired.
            TodoError: the database cannot be reached, or refused.
        """
        if self._session_token is None:
            raise NotLoggedIn("Nobody is logged in.")
        limit_milliseconds = str(int(self._timeout_seconds * 1000))
        try:
            with (
                faults.translated(),
                connecting.connect(self._parameters, Deadline(self._timeout_seconds)) as connection,
                connection.transaction(force_rollback=True),
                connection.cursor() as cursor,
            ):
                cursor.execute(IDENTITY, identity_values(self._session_token, limit_milliseconds))
                _require_user(cursor)
                return work(cursor)
        except faults.TransientFault as fault:
            raise fault.final from fault

    def close(self) -> None:
        """Close the connections. The next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()

    def prepare_for_run(
        self, revive: Callable[[], None] | None, waiting: Waiting | None, command: str = ""
    ) -> None:
        """Prepare for another run, and close the connection if the server has closed its end.

        If an idle connection is readable, the server has closed it. That is checked without a
        round trip.
        """
        self._revive = revive
        self._waiting = waiting or _show_nothing
        self._command = command
        connection = self._connection
        if connection is not None and (connection.closed or _is_readable(connection)):
            self.close()

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def cancel(self) -> None:
        """Cancel the running statement, and allow no further try. Called by another thread.

        The thread that waits for the statement may see the cancellation as a transient fault.
        `is_cancelled` keeps it from trying again.
        """
        self._is_cancelled = True
        connection = self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)

    def _attempt_with_retries(
        self, deadline: Deadline, work: Callable[[Session], T], progress: _Progress
    ) -> T:
        try:
            return self._attempt(work, deadline, progress)
        except faults.TransientFault as fault:
            return self._retry(work, fault, deadline, progress)

    def _attempt(self, work: Callable[[Session], T], deadline: Deadline, progress: _Progress) -> T:
        if self._is_cancelled:
            raise KeyboardInterrupt
        self._current.begin(deadline, progress)
        try:
            with faults.translated(), Session(self._connected_engine(), autoflush=False) as session:
                return work(session)
        except faults.TransientFault as fault:
            was_cut = fault.final.exit_code == ExitCode.UNREACHABLE
            fault.is_stale = was_cut and self._current.is_on_old_connection
            raise

    def _send_calls(self, session: Session, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Send all calls in one pipeline. BEGIN and COMMIT are sent as statements in it, since
        psycopg's own would each wait for an answer."""
        pooled = session.connection()
        connection = pooled.connection.driver_connection
        assert isinstance(connection, connecting.Connection)
        limit = _milliseconds_for_server(self._current.use(connection))
        identity = connection.cursor()
        cursor = connection.cursor(row_factory=dict_row)
        try:
            with connection.pipeline():
                for call in calls[:-1]:
                    connection.execute("begin")
                    self._identify(connection.cursor(), limit)
                    connection.execute(call.sql.encode(), call.values)
                    connection.execute("commit")
                self._identify(identity, limit)
                cursor.execute(calls[-1].sql.encode(), calls[-1].values)
        except BaseException:
            pooled.invalidate()  # a transaction may have been left open
            raise
        connection.has_answered = True
        if self._session_token is not None:
            _require_user(identity)
        return cursor.fetchall()

    def _send_transaction(
        self, session: Session, calls: Iterable[Call], is_rehearsal: bool
    ) -> list[list[dict[str, Any]]]:
        pooled = session.connection()
        connection = pooled.connection.driver_connection
        assert isinstance(connection, connecting.Connection)
        self._current.use(connection)
        rows = []
        try:
            with connection.transaction(force_rollback=is_rehearsal):
                for call in calls:
                    self._current.deadline = Deadline(self._timeout_seconds)
                    limit = _milliseconds_for_server(self._current.use(connection, is_alive=True))
                    identity = connection.cursor()
                    cursor = connection.cursor(row_factory=dict_row)
                    with connection.pipeline():
                        self._identify(identity, limit)
                        cursor.execute(call.sql.encode(), call.values)
                    _require_user(identity)
                    rows.append(cursor.fetchall())
        except BaseException:
            pooled.invalidate()
            raise
        connection.has_answered = True
        return rows

    def _run_until_deadline(self, work: Callable[[Session], T], *, writes: bool) -> T:
        """Do the work until it succeeds, a fault is final, or the time is over."""
        # A server that `revive` starts needs time before it accepts connections.
        unreached_seconds = None if self._revive is None else self._timeout_seconds
        deadline = Deadline(self._timeout_seconds, unreached_seconds=unreached_seconds)
        # Not in `_current`, which is thread-local: the thread of the spinner reads it.
        progress = _Progress()
        self._current.batch_id = str(uuid7())
        with self._waiting(progress.describe):
            try:
                return self._attempt_with_retries(deadline, work, progress)
            except DatabaseUnreachable as error:
                if writes and progress.has_sent:
                    error.hint = UNCERTAIN_HINT
                raise

    def _retry(
        self,
        work: Callable[[Session], T],
        fault: faults.TransientFault,
        deadline: Deadline,
        progress: _Progress,
    ) -> T:
        from todo_cli.database.retry import retry

        def before_retry(fault: faults.TransientFault) -> None:
            progress.is_connected = False
            if self._revive is not None and fault.final.exit_code == ExitCode.UNREACHABLE:
                self._revive()

        return retry(
            lambda: self._attempt(work, deadline, progress),
            after=fault,
            deadline=deadline,
            before_retry=before_retry,
        )

    def _connected_engine(self) -> Engine:
        with self._engine_lock:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def _make_engine(self) -> Engine:
        engine = create_engine(
            f"{dialect.NAME.replace('.', '+')}://",
            creator=self._connect,
            max_overflow=-1,  # never wait for a free connection: open another
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        event.listen(engine, "do_execute", self._execute_as_user)
        return engine

    def _connect(self) -> connecting.Connection:
        self._connection = connecting.connect(self._parameters, self._current.deadline)
        return self._connection

    def _execute_as_user(
        self, cursor: psycopg.Cursor[Any], statement: str, parameters: Any, context: Any
    ) -> bool:
        """Send `IDENTITY` and the statement in one pipeline. Replaces the dialect's execute."""
        connection = cursor.connection
        assert isinstance(connection, connecting.Connection)
        remaining = self._current.use(connection)
        if connection.has_answered and TAKES_LONG.items() <= context.execution_options.items():
            connection.execute("select 1")
            remaining = self._current.use(connection, is_alive=True)
        identity = connection.cursor()
        limit = _milliseconds_for_server(remaining)
        is_rolled_back = ROLLED_BACK.items() <= context.execution_options.items()
        try:
            with connection.pipeline():
                if is_rolled_back:
                    connection.execute("begin")
                self._identify(identity, limit, context.execution_options)
                cursor.execute(statement.encode(), parameters)
                if is_rolled_back:
                    connection.execute("rollback")
        except psycopg.Error:
            if is_rolled_back:
                _end_transaction(connection)
            # If the token is not valid, that is why the statement failed.
            if identity.pgresult is not None and identity.rownumber is not None:
                _require_user(identity)
            raise
        connection.has_answered = True
        _require_user(identity)
        return True

    def _identify(
        self,
        identity: psycopg.Cursor[Any],
        limit_milliseconds: str,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        values = identity_values(
            self._session_token or "",
            limit_milliseconds,
            options,
            batch_id=self._current.batch_id,
            command=self._command,
        )
        identity.execute(IDENTITY, values)


def _show_nothing(_: Callable[[], str]) -> AbstractContextManager[None]:
    return nullcontext()


def _is_readable(connection: psycopg.Connection[Any]) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Progress:
    """How far a run has come. Shared with the thread that shows it to a person."""

    def __init__(self) -> None:
        self.is_connected = False
        self.has_sent = False
        """Whether a statement was sent, so that it may have taken effect."""

    def describe(self) -> str:
        return "Waiting for the database…" if self.is_connected else "Waking the database…"


class _CurrentTry(threading.local):
    """The time limits of this thread's current try, for the callbacks of pool and cursor."""

    def __init__(self, timeout_seconds: float) -> None:
        self.deadline = Deadline(timeout_seconds)
        self.is_on_old_connection = False
        self.batch_id = ""
        self._progress = _Progress()

    def begin(self, deadline: Deadline, progress: _Progress) -> None:
        self.deadline = deadline
        self.is_on_old_connection = False
        self._progress = progress

    def use(self, connection: connecting.Connection, *, is_alive: bool = False) -> float:
        """Set the connection's deadline for a statement; return the seconds that are left.

        A connection that was used before gets a shorter one, since it may be dead without our
        knowing. Not if it `is_alive`: it has answered just now.
        """
        self._progress.is_connected = self._progress.has_sent = True
        self.is_on_old_connection = connection.has_answered and not is_alive
        remaining = self.deadline.remaining_seconds
        if self.is_on_old_connection:
            connection.deadline = Deadline(min(remaining / 3, MAX_SILENCE_SECONDS))
        else:
            connection.deadline = self.deadline
        return remaining


def _milliseconds_for_server(remaining_seconds: float) -> str:
    margin = min(MAX_MARGIN_SECONDS, remaining_seconds / 10)
    return str(max(1, int((remaining_seconds - margin) * 1000)))  # 0 would mean: no limit


def only(rows: Sequence[T]) -> T:
    """The row of a statement that always returns one.

    Raises:
        DatabaseFault: there is none, so a policy, view or function of the schema is damaged.
    """
    if not rows:
        raise DatabaseFault("The database did not answer what it must.", reason="unexpected_answer")
    return rows[0]


def _end_transaction(connection: connecting.Connection) -> None:
    """Roll back the transaction that a failed statement has left open."""
    with contextlib.suppress(psycopg.Error):
        connection.execute("rollback")


def _require_user(identity: psycopg.Cursor[Any]) -> None:
    row = identity.fetchone()
    if row is not None and row[-1] is None:
        raise SessionEnded("The session has ended, or its token is unknown.")
