"""Running the migrations. The only room that imports Alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database import connecting, faults, target
from todo_cli.database.connecting import Deadline
from todo_cli.database.retry import retry

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_PACKAGE = Path(__file__).resolve().parent.parent


def upgrade(
    url: str, revision: str = "head", *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> None:
    """Bring the schema to a revision: in one transaction, one caller at a time.

    A cut leaves the old revision or the new one, so it is tried again like any statement, for
    `timeout_seconds` in all; a try that has begun takes the time that it needs. A schema that is
    newer than this program already is at "head": newer ones only add.

    Raises:
        TodoError: it failed; the old revision stands.
    """

    def work(connection: Connection) -> None:
        if revision != "head" or not _is_newer(connection):
            command.upgrade(_config(connection), revision)

    _run(url, work, timeout_seconds)


def downgrade(url: str, revision: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Bring the schema back to an older revision, in one transaction.

    Raises:
        TodoError: it failed; the newer revision stands.
    """
    _run(
        url,
        lambda connection: command.downgrade(_config(connection), revision),
        timeout_seconds,
    )


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision that this program brings."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _is_newer(connection: Connection) -> bool:
    """Whether the schema is at a revision that this program does not know."""
    with connection.begin():
        revision = current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision is not None and revision not in known


def _run(url: str, work: Callable[[Connection], None], timeout_seconds: float) -> None:
    """Do the work on Neon's direct host; again where a fault passes."""
    parameters = target.connection_parameters(target.direct_url(url))
    deadline = Deadline(timeout_seconds)

    def attempt() -> None:
        engine = _engine(parameters, deadline)
        with faults.translated(), engine.connect() as connection:
            work(connection)

    try:
        attempt()
    except faults.TransientFault as fault:
        retry(attempt, after=fault, deadline=deadline, before_retry=lambda _: None)


def _engine(parameters: dict[str, str], deadline: Deadline) -> Engine:
    def connect() -> psycopg.Connection[Any]:
        connection = connecting.connect(parameters, deadline)
        connection.autocommit = False
        return connection

    return sa.create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=sa.NullPool, hide_parameters=True
    )


def _config(connection: Connection | None = None) -> Config:
    """Alembic's settings: beside the package in a checkout, inside it where it was installed."""
    installed = _PACKAGE / "alembic.ini"
    config = Config(installed if installed.exists() else _PACKAGE.parent / "alembic.ini")
    config.attributes["connection"] = connection
    return config
