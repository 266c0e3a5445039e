"""One statement, one round trip, under the identity of one session token.

The engine runs in AUTOCOMMIT. Each statement is sent in one pipeline behind another that sets the
role, the token and the time limit. Until the Sync that ends the pipeline PostgreSQL treats both as
one implicit transaction, so the settings are local to it, it is atomic, and there is no BEGIN and
no COMMIT to wait for. It holds behind PgBouncer in transaction mode, and nothing leaks to the
next client. (psycopg's own BEGIN and `commit()` would each force a round trip.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from todo_cli.database import dialect, faults
from todo_cli.errors import NotLoggedIn

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 15
"""For each address. Long enough for a suspended Neon compute (its guide advises 10 to 15)."""

APP_ROLE = "todo_app"
IDENTITY = """
select set_config('role', %s, true), set_config('todo.session_token', %s, true),
    set_config('statement_timeout', %s, true), todo_auth.resume_session()
"""
"""One row. The last column is the user's id, NULL where the token is of nobody (any more)."""


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
        try:
            return self._attempt(work)
        except faults.TransientFault:
            return self._retry(work)

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
                self._connect() as connection,
                connection.transaction(force_rollback=True),
                connection.cursor() as cursor,
            ):
                cursor.execute(IDENTITY, (APP_ROLE, self._session_token, limit_milliseconds))
                _require_user(cursor)
                return work(cursor)
        except faults.TransientFault as fault:
            raise fault.final from fault

    def close(self) -> None:
        """Give back the connections. The next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()

    def _attempt(self, work: Callable[[Session], T]) -> T:
        with faults.translated(), Session(self._connected_engine(), autoflush=False) as session:
            return work(session)

    def _retry(self, work: Callable[[Session], T]) -> T:
        from todo_cli.database.retry import retry

        def before_retry(fault: faults.TransientFault) -> None:
            if self._revive is not None and fault.final.exit_code == 3:
                self._revive()

        return retry(
            lambda: self._attempt(work),
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
        limit_milliseconds = str(int(self._timeout_seconds * 1000))
        try:
            with connection.pipeline():
                identity.execute(IDENTITY, (APP_ROLE, self._session_token, limit_milliseconds))
                cursor.execute(statement.encode(), parameters)
        except psycopg.Error:
            # The statement may have failed just because it was nobody's.
            if identity.pgresult is not None and identity.rownumber is not None:
                _require_user(identity)
            raise
        _require_user(identity)
        return True


def _require_user(identity: psycopg.Cursor[Any]) -> None:
    row = identity.fetchone()
    if row is not None and row[-1] is None:
        raise NotLoggedIn("The session has ended, or its token is unknown.")
