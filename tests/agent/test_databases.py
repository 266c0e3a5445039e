"""Ctrl-C while a database is released: it is cancelled or used again, never both."""

from __future__ import annotations

import ctypes
import socket
import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from todo_cli.database.session import Database
from todo_cli.resident.call import Call
from todo_cli.resident.databases import DatabasePool, RunDatabases

URL = "postgresql://nobody@127.0.0.1/never_asked"


def acquire(pool: DatabasePool) -> tuple[RunDatabases, Database]:
    databases = RunDatabases(pool)
    return databases, databases.acquire(URL, session_token="token", timeout_seconds=1)


def is_usable(database: Database) -> bool:
    """Whether a command could run; of a cancelled one it would end as if by Ctrl-C."""
    try:
        return database.run(lambda _: True)
    except KeyboardInterrupt:
        return False


class InterruptedPool(DatabasePool):
    """Somebody cancels the run just before or after a database has come back."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment
        self.run: RunDatabases
        self.canceller: threading.Thread

    def release(self, key: Any, database: Database) -> None:
        self.canceller = threading.Thread(target=self.run.cancel)
        if self.moment == "before":
            self._cancel()
        super().release(key, database)
        if self.moment == "after":
            self._cancel()

    def _cancel(self) -> None:
        self.canceller.start()
        self.canceller.join(0.2)  # it may have to wait until the database is back


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_database_that_is_released_during_ctrl_c_harms_no_later_run(moment: str) -> None:
    pool = InterruptedPool(moment)
    pool.run, database = acquire(pool)
    pool.run.release(database)
    pool.canceller.join()
    assert is_usable(acquire(pool)[1])


def test_a_pool_keeps_no_cancelled_database() -> None:
    pool = DatabasePool()
    databases, database = acquire(pool)
    database.cancel()
    databases.release(database)
    assert is_usable(acquire(pool)[1])


def test_the_databases_of_an_interrupted_thread_are_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is struck, and tidies up, before the one who interrupts it comes to the next line."""
    pool = DatabasePool()
    databases, database = acquire(pool)

    def strike(*_: object) -> None:
        databases.release(database)

    monkeypatch.setattr(ctypes, "pythonapi", SimpleNamespace(PyThreadState_SetAsyncExc=strike))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call(Mock(), ours)
        call._running = databases
        call._thread = threading.Thread()
        call._thread.start()
        call._interrupt()
    assert acquire(pool)[1] is not database
