"""Runs statements and takes back what they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from todo_cli.database.session import ROLLED_BACK, Database

T = TypeVar("T")


class Rehearsal:
    """A database whose statements are rolled back: each answers as if it had been done.

    So what is shown is what PostgreSQL would do, its triggers and refusals included.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, work: Callable[[Session], T], *, writes: bool = False) -> T:
        """As `Database.run`, without a change. Each statement still is one round trip."""

        def rehearsed(session: Session) -> T:
            session.connection(execution_options=ROLLED_BACK)
            return work(session)

        return self._database.run(rehearsed)
