"""One statement, one round trip, under the identity of one session token.

The engine runs in AUTOCOMMIT. Each statement is sent in one pipeline behind another that sets the
role, the token, the time limit and how to plan. Until the Sync that ends the pipeline PostgreSQL
treats both as one implicit transaction, so the settings are local to it, it is atomic, and there
is no BEGIN and no COMMIT to wait for. It holds behind PgBouncer in transaction mode, and nothing
leaks to the next client. (psycopg's own BEGIN and `commit()` would each force a round trip.)
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable, Mapping, Sequence
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

T = TypeVar("T")

Waiting = Callable[[Callable[[], str]], AbstractContextManager[None]]
"""What surrounds each wait for the database, given a function that answers what is waited for."""

LONGEST_SILENCE_SECONDS = 10.0
"""How long to wait on a connection that was used before: it may have died without a word, and
then there must be time left for a new one."""

LARGEST_MARGIN_SECONDS = 1.0
"""How much earlier than we do the server gives up a statement, so that it is the one to say so."""

UNCERTAIN_HINT = "It may have been done all the same: look before you repeat it."

CANCEL_TIMEOUT_SECONDS = 5

APP_ROLE = "todo_app"
IDENTITY = """
select pg_catalog.set_config('role', %s, true),
    pg_catalog.set_config('search_path', 'pg_catalog, public, pg_temp', true),
    pg_catalog.set_config('todo.session_token', %s, true),
    pg_catalog.set_config('statement_timeout', %s, true),
    pg_catalog.set_config('enable_sort', %s, true), pg_catalog.set_config('jit', 'off', true),
    todo_auth.resume_session()
"""
"""One row. The last column is the user's id, NULL where the token is of nobody (any more).

A search path and temporary tables that somebody left behind in a pooler's connection shadow
nothing: the path is ours, and everything before the statement is named in full.
"""

IN_INDEX_ORDER = {"in_index_order": True}
"""Execution options of a statement whose order an index of the user's tasks has.

PostgreSQL plans for the tasks of an average user, as it learns whose they are only later. For
somebody with many more it would gather and sort them all to show a page (27 ms at 37,000 tasks);
by the index it takes 0.4 ms. Not for every statement: to save the sorting of three tasks it would
walk the index of everybody's. (Before PostgreSQL 18 a sort that cannot be helped looks costly
enough then to be compiled, for 100 ms; so nothing is.)
"""


TAKES_LONG = {"takes_long": True}
"""Execution options of a statement that may take long because it is for many.

A connection that was used before is asked first whether it still lives, with a round trip of its
own. After that the statement gets all the time that is left: its silence is work. Cut short, it
would be sent again while the first try still runs.
"""


def identity_values(
    session_token: str, limit_milliseconds: str, options: Mapping[str, Any] = MappingProxyType({})
) -> tuple[str, ...]:
    """The parameters of `IDENTITY`, before a statement with these execution options."""
    sorting = "off" if IN_INDEX_ORDER.items() <= options.items() else "on"
    return (APP_ROLE, session_token, limit_milliseconds, sorting)


@dataclass(frozen=True)
class Call:
    """One statement that calls a function of `todo_auth`; `values` by the names in it."""

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)


class Database:
    """A connection for one person's commands; opened when first used, safe to share by threads.

    `session_token` None means that nobody is logged in. `timeout_seconds` is the time that one
    `run` may take in all: connecting, waking up, trying again, and the statement. `revive` is
    called before a repeated try when the database could not be reached: the embedded server is
    started there. `waiting` is entered around each wait, for whoever wants to tell a person.
    """

    def __init__(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._parameters = target.connection_parameters(target.pooled_url(url))
        self._session_token = session_token
        self._timeout_seconds = timeout_seconds
        self._revive = revive
        self._waiting: Waiting = waiting or _in_silence
        self._engine_lock = threading.Lock()
        self._engine: Engine | None = None
        self._connection: connecting.Connection | None = None
        self._is_cancelled = False
        self._current = _CurrentTry(timeout_seconds)

    def run(self, work: Callable[[Session], T], *, writes: bool = False) -> T:
        """Do the work in a session; again where a fault passes. The work must bear repeating.

        `writes` says that it changes something, for the hint where it may have been in vain.

        Raises:
            DatabaseUnreachable: also after trying again until the timeout. What was sent last may
                have been done, and the hint says so.
            NotLoggedIn: the session token is missing, unknown or expired; nothing was changed.
            TodoError: the database refused; nothing was changed.
        """
        if self._session_token is None:
            raise NotLoggedIn("Nobody is logged in.")
        return self._persistently(work, writes=writes)

    def call(
        self, *calls: Call, as_nobody: bool = False, writes: bool = False
    ) -> list[dict[str, Any]]:
        """Make calls of `todo_auth`, each in a transaction of its own; answer the last one's rows.

        One round trip, however many. Every call must bear repeating. With `as_nobody` no token is
        needed, as for logging in; a token that is there must be somebody's all the same.

        Raises: as `run`.
        """
        if self._session_token is None and not as_nobody:
            raise NotLoggedIn("Nobody is logged in.")
        return self._persistently(lambda session: self._send_calls(session, calls), writes=writes)

    def rehearse(self, work: Callable[[psycopg.Cursor[Any]], T]) -> T:
        """Do several statements as the person, in one transaction that is rolled back.

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
        """Give back the connections. The next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()

    def lend(self, revive: Callable[[], None] | None, waiting: Waiting | None) -> None:
        """Get ready for another run, after a rest in which the server may have hung up.

        A server says nothing to a resting connection but farewell: what can be read from one means
        that it is over. That is known without asking the server, which would be a round trip.
        """
        self._revive = revive
        self._waiting = waiting or _in_silence
        connection = self._connection
        if connection is not None and (connection.closed or _has_something_to_read(connection)):
            self.close()

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def cancel(self) -> None:
        """Have the server give up what it is doing for us, for good. Called by another thread.

        What the thread that waits for it makes of that may look like a fault that passes, so it is
        not left to that whether the work is tried again.
        """
        self._is_cancelled = True
        connection = self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)

    def _attempt_until(
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
        """Send all in one pipeline: `commit` as a statement is one that nobody waits for."""
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

    def _persistently(self, work: Callable[[Session], T], *, writes: bool) -> T:
        """Do the work until it succeeds, a fault is final, or the time is over."""
        # A server that `revive` starts may need longer than one that just is not there.
        unreached_seconds = None if self._revive is None else self._timeout_seconds
        deadline = Deadline(self._timeout_seconds, unreached_seconds=unreached_seconds)
        # Read by the thread that draws, hence not from what belongs to this one.
        progress = _Progress()
        with self._waiting(progress.describe):
            try:
                return self._attempt_until(deadline, work, progress)
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
            max_overflow=-1,  # who comes when all are in use gets one more, not a wait
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
        """Send identity and statement in one pipeline; in place of the dialect's own execute."""
        connection = cursor.connection
        assert isinstance(connection, connecting.Connection)
        remaining = self._current.use(connection)
        if connection.has_answered and TAKES_LONG.items() <= context.execution_options.items():
            connection.execute("select 1")
            remaining = self._current.use(connection, is_alive=True)
        identity = connection.cursor()
        limit = _milliseconds_for_server(remaining)
        try:
            with connection.pipeline():
                self._identify(identity, limit, context.execution_options)
                cursor.execute(statement.encode(), parameters)
        except psycopg.Error:
            # The statement may have failed just because it was nobody's.
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
        values = identity_values(self._session_token or "", limit_milliseconds, options)
        identity.execute(IDENTITY, values)


def _in_silence(_: Callable[[], str]) -> AbstractContextManager[None]:
    return nullcontext()


def _has_something_to_read(connection: psycopg.Connection[Any]) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Progress:
    """What is being waited for, in words for a person."""

    def __init__(self) -> None:
        self.is_connected = False
        self.has_sent = False
        """Whether a statement was ever on its way, so that it may have been carried out."""

    def describe(self) -> str:
        return "Waiting for the database…" if self.is_connected else "Waking the database…"


class _CurrentTry(threading.local):
    """What the thread's present try may take, for the pool's and the cursor's callbacks."""

    def __init__(self, timeout_seconds: float) -> None:
        self.deadline = Deadline(timeout_seconds)
        self.is_on_old_connection = False
        self._progress = _Progress()

    def begin(self, deadline: Deadline, progress: _Progress) -> None:
        self.deadline = deadline
        self.is_on_old_connection = False
        self._progress = progress

    def use(self, connection: connecting.Connection, *, is_alive: bool = False) -> float:
        """Give the connection its deadline for a statement; answer the seconds that are left.

        A used one may have died unnoticed, unless it `is_alive`, having answered just now.
        """
        self._progress.is_connected = self._progress.has_sent = True
        self.is_on_old_connection = connection.has_answered and not is_alive
        remaining = self.deadline.remaining_seconds
        if self.is_on_old_connection:
            connection.deadline = Deadline(min(remaining / 3, LONGEST_SILENCE_SECONDS))
        else:
            connection.deadline = self.deadline
        return remaining


def _milliseconds_for_server(remaining_seconds: float) -> str:
    margin = min(LARGEST_MARGIN_SECONDS, remaining_seconds / 10)
    return str(max(1, int((remaining_seconds - margin) * 1000)))  # 0 would mean: no limit


def only(rows: Sequence[T]) -> T:
    """The row of a statement that must answer one.

    Raises:
        DatabaseFault: there is none. Something that the statement reads through is damaged.
    """
    if not rows:
        raise DatabaseFault(
            "The database did not answer what it must.", hint="Look for damage with: todo db health"
        )
    return rows[0]


def _require_user(identity: psycopg.Cursor[Any]) -> None:
    row = identity.fetchone()
    if row is not None and row[-1] is None:
        raise SessionEnded("The session has ended, or its token is unknown.")
