"""One statement, one round trip, under the identity of one session token.

The engine runs in AUTOCOMMIT. Each statement is sent in one pipeline behind another that sets the
role, the token and the time limit. Until the Sync that ends the pipeline PostgreSQL treats both as
one implicit transaction, so the settings are local to it, it is atomic, and there is no BEGIN and
no COMMIT to wait for. It holds behind PgBouncer in transaction mode, and nothing leaks to the
next client. (psycopg's own BEGIN and `commit()` would each force a round trip.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from todo_cli.database import dialect, faults
from todo_cli.errors import NotLoggedIn, SessionEnded

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 15
"""For each address. Long enough for a suspended Neon compute (its guide advises 10 to 15)."""

APP_ROLE = "todo_app"
IDENTITY = """
select pg_catalog.set_config('role', %s, true),
    pg_catalog.set_config('search_path', 'pg_catalog, public, pg_temp', true),
    pg_catalog.set_config('todo.session_token', %s, true),
    pg_catalog.set_config('statement_timeout', %s, true), todo_auth.resume_session()
"""
"""One row. The last column is the user's id, NULL where the token is of nobody (any more).

A search path and temporary tables that somebody left behind in a pooler's connection shadow
nothing: the path is ours, and everything before the statement is named in full.
"""


@dataclass(frozen=True)
class Call:
    """One statement that calls a function of `todo_auth`; `values` by the names in it."""

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)


class Database:
    """A connection for one person's commands; opened when first used, safe to share by threads.

    `session_token` None means that nobody is logged in. `revive` is called before a repeated try
    when the database could not be reached: the embedded server is started there.
    """

    def __init__(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
    ) -> None:
        self._url = url
        self._session_token = session_token
        self._timeout_seconds = timeout_seconds
        self._revive = revive
        self._engine_lock = threading.Lock()
        self._engine: Engine | None = None

    def run(self, work: Callable[[Session], T]) -> T:
        """Do the work in a session; again where a fault passes. The work must bear repeating.

        Raises:
            DatabaseUnreachable: also after trying again until the timeout.
            NotLoggedIn: the session token is missing, unknown or expired; nothing was changed.
            TodoError: the database refused; nothing was changed.
        """
        if self._session_token is None:
            raise NotLoggedIn("Nobody is logged in.")
        return self._patiently(lambda: self._attempt(work))

    def call(self, *calls: Call, as_nobody: bool = False) -> list[dict[str, Any]]:
        """Make calls of `todo_auth`, each in a transaction of its own; answer the last one's rows.

        One round trip, however many. Every call must bear repeating. With `as_nobody` no token is
        needed, as for logging in; a token that is there must be somebody's all the same.

        Raises: as `run`.
        """
        if self._session_token is None and not as_nobody:
            raise NotLoggedIn("Nobody is logged in.")
        return self._patiently(lambda: self._attempt_calls(calls))

    def close(self) -> None:
        """Give back the connections. The next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()

    def _attempt(self, work: Callable[[Session], T]) -> T:
        with faults.translated(), Session(self._connected_engine(), autoflush=False) as session:
            return work(session)

    def _attempt_calls(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        with faults.translated():
            pooled = self._connected_engine().raw_connection()
            connection = pooled.driver_connection
            assert isinstance(connection, psycopg.Connection)
            try:
                rows = self._send_calls(connection, calls)
            except BaseException:
                pooled.invalidate()  # a transaction may have been left open
                raise
            pooled.close()
            return rows

    def _send_calls(
        self, connection: psycopg.Connection[Any], calls: Sequence[Call]
    ) -> list[dict[str, Any]]:
        """Send all in one pipeline: `commit` as a statement is one that nobody waits for."""
        identity = connection.cursor()
        cursor = connection.cursor(row_factory=dict_row)
        with connection.pipeline():
            for call in calls[:-1]:
                connection.execute("begin")
                self._identify(connection.cursor())
                connection.execute(call.sql.encode(), call.values)
                connection.execute("commit")
            self._identify(identity)
            cursor.execute(calls[-1].sql.encode(), calls[-1].values)
        if self._session_token is not None:
            _require_user(identity)
        return cursor.fetchall()

    def _patiently(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except faults.TransientFault:
            return self._retry(work)

    def _retry(self, work: Callable[[], T]) -> T:
        from todo_cli.database.retry import retry

        def before_retry(fault: faults.TransientFault) -> None:
            if self._revive is not None and fault.final.exit_code == 3:
                self._revive()

        return retry(
            work,
            timeout_seconds=self._timeout_seconds,
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
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        event.listen(engine, "do_execute", self._execute_as_user)
        return engine

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="todo",
        )

    def _execute_as_user(
        self, cursor: psycopg.Cursor[Any], statement: str, parameters: Any, context: Any
    ) -> bool:
        """Send identity and statement in one pipeline; in place of the dialect's own execute."""
        connection = cursor.connection
        identity = connection.cursor()
        try:
            with connection.pipeline():
                self._identify(identity)
                cursor.execute(statement.encode(), parameters)
        except psycopg.Error:
            # The statement may have failed just because it was nobody's.
            if identity.pgresult is not None and identity.rownumber is not None:
                _require_user(identity)
            raise
        _require_user(identity)
        return True

    def _identify(self, identity: psycopg.Cursor[Any]) -> None:
        limit_milliseconds = str(int(self._timeout_seconds * 1000))
        identity.execute(IDENTITY, (APP_ROLE, self._session_token or "", limit_milliseconds))


def _require_user(identity: psycopg.Cursor[Any]) -> None:
    row = identity.fetchone()
    if row is not None and row[-1] is None:
        raise SessionEnded("The session has ended, or its token is unknown.")
