"""Open databases between runs: each is lent to one run at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from todo_cli.database.session import Database, Waiting

MAX_IDLE_CONNECTIONS = 8
"""So many connections are kept for the next burst; others are closed after their run."""
REST_SECONDS = 300
"""A connection that nobody used so long is closed: a suspended Neon compute has ended it anyway."""


@dataclass(frozen=True)
class _Key:
    """What has to be the same for a database to be used again: never another person's."""

    url: str
    session_token: str | None
    timeout_seconds: float


class DatabasePool:
    """Databases that rest between runs, the last used first. Safe to share by threads."""

    def __init__(self) -> None:
        self.last_url: str | None = None
        self._lock = threading.Lock()
        self._resting: list[tuple[_Key, Database, float]] = []

    def lend(
        self, key: _Key, revive: Callable[[], None] | None, waiting: Waiting | None
    ) -> Database:
        with self._lock:
            found = next((rest for rest in reversed(self._resting) if rest[0] == key), None)
            if found is not None:
                self._resting.remove(found)
        self.last_url = key.url
        if found is None:
            return Database(
                key.url,
                session_token=key.session_token,
                timeout_seconds=key.timeout_seconds,
                revive=revive,
                waiting=waiting,
            )
        found[1].prepare_for_run(revive, waiting)
        return found[1]

    def take_back(self, key: _Key, database: Database) -> None:
        """Keep it for the next run; one that was cancelled is so for good, and closed."""
        if database.is_cancelled:
            database.close()
            return
        with self._lock:
            self._resting.append((key, database, time.monotonic()))
            closing, self._resting = (
                self._resting[:-MAX_IDLE_CONNECTIONS],
                self._resting[-MAX_IDLE_CONNECTIONS:],
            )
        _close(closing)

    def close_rested(self, *, longer_than_seconds: float = REST_SECONDS) -> None:
        """Close what nobody used for so long."""
        limit = time.monotonic() - longer_than_seconds
        with self._lock:
            closing = [rest for rest in self._resting if rest[2] <= limit]
            self._resting = [rest for rest in self._resting if rest[2] > limit]
        _close(closing)

    def seconds_until_rested(self) -> float | None:
        """How long until `close_rested` has something to do; None while nothing rests."""
        with self._lock:
            oldest = min((since for _, _, since in self._resting), default=None)
        return None if oldest is None else max(0.0, oldest + REST_SECONDS - time.monotonic())


def _close(resting: list[tuple[_Key, Database, float]]) -> None:
    for _, database, _ in resting:
        database.close()


class RunDatabases:
    """What one run has borrowed. An interrupted run gives nothing back: who knows its state."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        """Held while databases change hands: one is either cancelled or given back, never both."""
        self._lent: list[tuple[_Key, Database]] = []
        self._is_cancelled = False

    def lend(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
    ) -> Database:
        key = _Key(url, session_token, timeout_seconds)
        database = self._pool.lend(key, revive, waiting)
        with self._lock:
            self._lent.append((key, database))
        return database

    def take_back(self, database: Database) -> None:
        with self._lock:
            for key, lent in self._lent:
                if lent is database:
                    if self._is_cancelled:
                        database.close()
                    else:
                        self._pool.take_back(key, database)
            self._lent = [(key, lent) for key, lent in self._lent if lent is not database]

    def mark_cancelled(self) -> None:
        """Let nothing go back to the pool from now on. Called before the run is interrupted."""
        with self._lock:
            self._is_cancelled = True

    def cancel(self) -> None:
        """Have the servers give up this run's queries. Called by another thread."""
        with self._lock:
            self._is_cancelled = True
            lent = list(self._lent)
        for _, database in lent:
            database.cancel()
