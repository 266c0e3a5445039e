"""Running the migrations. The only room that imports Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from todo_cli.database import faults

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_PACKAGE = Path(__file__).resolve().parent.parent


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to a revision: in one transaction, one caller at a time.

    Raises:
        TodoError: it failed; the old revision stands.
    """
    engine = _engine(url)
    try:
        with faults.translated(), engine.connect() as connection:
            command.upgrade(_config(connection), revision)
    except faults.TransientFault as fault:
        raise fault.final from fault
    finally:
        engine.dispose()


def downgrade(url: str, revision: str) -> None:
    """Bring the schema back to an older revision, in one transaction.

    Raises:
        TodoError: it failed; the newer revision stands.
    """
    engine = _engine(url)
    try:
        with faults.translated(), engine.connect() as connection:
            command.downgrade(_config(connection), revision)
    except faults.TransientFault as fault:
        raise fault.final from fault
    finally:
        engine.dispose()


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision that this program brings."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _engine(url: str) -> Engine:
    address = url.partition("://")[2]
    return sa.create_engine(
        f"postgresql+psycopg://{address}", poolclass=sa.NullPool, hide_parameters=True
    )


def _config(connection: Connection | None = None) -> Config:
    """Alembic's settings: beside the package in a checkout, inside it where it was installed."""
    installed = _PACKAGE / "alembic.ini"
    config = Config(installed if installed.exists() else _PACKAGE.parent / "alembic.ini")
    config.attributes["connection"] = connection
    return config
