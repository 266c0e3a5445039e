"""Keeps databases open between runs. One run at a time uses each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from todo_cli.database.session import Database, Waiting

MAX_IDLE_CONNECTIONS = 8
"""How many connections are kept for the next burst. Others are closed after their run."""
MAX_IDLE_SECONDS = 300
"""A connection that nobody used for so long is closed: a suspended Neon compute has ended it."""


@dataclass(frozen=True)
class _Key:
    """What has to be the same for a database to be used again, so that no person gets another's."""

    url: str
    session_token: str | None
    timeout_seconds: float


class DatabasePool:
    """Databases that no run uses at the moment. The one used last is taken first. Thread-safe."""

    def __init__(self) -> None:
        self.last_url: str | None = None
        self._lock = threading.Lock()
        self._idle: list[tuple[_Key, Database, float]] = []

    def acquire(
        self,
        key: _Key,
        revive: Callable[[], None] | None,
        waiting: Waiting | None,
        command: str = "",
    ) -> Database:
        with self._lock:
            found = next((idle for idle in reversed(self._idle) if idle[0] == key), None)
            if found is not None:
                self._idle.remove(found)
        self.last_url = key.url
        if found is None:
            return Database(
                key.url,
                session_token=key.session_token,
                timeout_seconds=key.timeout_seconds,
                revive=revive,
                waiting=waiting,
                command=command,
            )
        found[1].prepare_for_run(revive, waiting, command)
        return found[1]

    def release(self, key: _Key, database: Database) -> None:
        """Keep it for the next run. A cancelled one cannot be used again, and is closed."""
        if database.is_cancelled:
            database.close()
            return
        with self._lock:
            self._idle.append((key, database, time.monotonic()))
            closing, self._idle = (
                self._idle[:-MAX_IDLE_CONNECTIONS],
                self._idle[-MAX_IDLE_CONNECTIONS:],
            )
        _close(closing)

    def close_idle(self, *, longer_than_seconds: float = MAX_IDLE_SECONDS) -> None:
        """Close those that nobody used for so long."""
        limit = time.monotonic() - longer_than_seconds
        with self._lock:
            closing = [idle for idle in self._idle if idle[2] <= limit]
            self._idle = [idle for idle in self._idle if idle[2] > limit]
        _close(closing)

    def seconds_until_close(self) -> float | None:
        """How long until `close_idle` has something to do; None if there is nothing to close."""
        with self._lock:
            oldest = min((since for _, _, since in self._idle), default=None)
        return None if oldest is None else max(0.0, oldest + MAX_IDLE_SECONDS - time.monotonic())


def _close(idle: list[tuple[_Key, Database, float]]) -> None:
    for _, database, _ in idle:
        database.close()


class RunDatabases:
    """The databases that one run uses. Those of an interrupted run are closed and not used again:
    their state is unknown."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        """Held while a database is released or cancelled, so that never both happen to one."""
        self._acquired: list[tuple[_Key, Database]] = []
        self._is_cancelled = False

    def acquire(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
        command: str = "",
    ) -> Database:
        key = _Key(url, session_token, timeout_seconds)
        database = self._pool.acquire(key, revive, waiting, command)
        with self._lock:
            self._acquired.append((key, database))
        return database

    def release(self, database: Database) -> None:
        with self._lock:
            for key, acquired in self._acquired:
                if acquired is database:
                    if self._is_cancelled:
                        database.close()
                    else:
                        self._pool.release(key, database)
            self._acquired = [
                (key, acquired) for key, acquired in self._acquired if acquired is not database
            ]

    def mark_cancelled(self) -> None:
        """Let no database go back to the pool from now on. Called before the run is interrupted."""
        with self._lock:
            self._is_cancelled = True

    def cancel(self) -> None:
        """Have the servers cancel this run's queries. Called by another thread."""
        with self._lock:
            self._is_cancelled = True
            acquired = list(self._acquired)
        for _, database in acquired:
            database.cancel()
