"""Running the migrations. The only room, with the helper beside it, that imports Alembic."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError

from todo_cli.database import faults
from todo_cli.errors import Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_PACKAGE = Path(__file__).resolve().parent.parent
_POLL_SECONDS = 0.5
_INDEX_PROGRESS = """
select c.relname, p.phase, greatest(p.blocks_done, p.tuples_done),
    greatest(p.blocks_total, p.tuples_total)
from pg_catalog.pg_stat_progress_create_index as p
left join pg_catalog.pg_class as c on c.oid = p.index_relid
where p.pid = %s
"""


@dataclass(frozen=True)
class Revision:
    """A revision that this program brings; `title` is the first line of its file."""

    revision: str
    title: str


@dataclass(frozen=True)
class Status:
    """Where a database stands. `current` None means that nothing was ever made there."""

    current: str | None
    head: str
    pending: list[Revision]


@dataclass(frozen=True)
class IndexProgress:
    """How far an index build is, as the server says it; `total` 0 where it does not know."""

    index: str | None
    phase: str
    done: int
    total: int


class Watcher(Protocol):
    """Somebody who looks on."""

    def applied(self, revision: Revision, *, is_upgrade: bool) -> None:
        """Be told that a revision is there now, or gone."""

    def building(self, progress: IndexProgress) -> None:
        """Be told how far an index is; called from another thread, every half second."""


def upgrade(url: str, revision: str = "head", watcher: Watcher | None = None) -> None:
    """Bring the schema to a revision: each in a transaction, one caller at a time.

    Repeating it does no harm; one that was interrupted is taken up where it stopped.

    Raises:
        Refused: there is no such revision, or the database is at one that is not known here.
        TodoError: it failed; the revisions before the failing one stand.
    """
    _migrate(url, command.upgrade, revision, watcher)


def downgrade(url: str, revision: str, watcher: Watcher | None = None) -> None:
    """Bring the schema back to an older revision.

    Raises:
        Refused: there is no such revision below the present one.
        TodoError: it failed; the newer revision stands.
    """
    _migrate(url, command.downgrade, revision, watcher)


def upgrade_sql(revision: str = "head") -> str:
    """The statements that bring an empty database to a revision."""
    return _sql(command.upgrade, revision)


def downgrade_sql(revision: str) -> str:
    """The statements that bring a database from head back to a revision."""
    return _sql(command.downgrade, f"head:{revision}")


def status(url: str) -> Status:
    """Where the database stands, and what it lacks.

    Raises:
        Refused: it is at a revision that is not known here.
        DatabaseUnreachable: it cannot be asked.
    """
    engine = _engine(url)
    with _sentences(), faults.translated():
        try:
            with engine.connect() as connection:
                at = current(connection)
            return Status(at, head(), pending(at))
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


def pending(at: str | None) -> list[Revision]:
    """The revisions above one, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    above = list(scripts.iterate_revisions("head", at or "base"))
    return [
        Revision(script.revision, _title(script))
        for script in reversed(above)
        if script is not None
    ]


def _title(script: Any) -> str:
    return str(script.doc).splitlines()[0].rstrip(".:")


def _migrate(
    url: str, work: Callable[[Config, str], None], revision: str, watcher: Watcher | None
) -> None:
    engine = _engine(url)

    def on_version_apply(*, step: Any, **_: Any) -> None:
        if watcher is not None:
            script = step.up_revision
            watcher.applied(
                Revision(script.revision, _title(script)), is_upgrade=bool(step.is_upgrade)
            )

    try:
        with _sentences(), faults.translated(), engine.connect() as connection:
            config = _config(connection)
            config.attributes["on_version_apply"] = (on_version_apply,)
            with _watched(url, connection, watcher):
                work(config, revision)
    finally:
        engine.dispose()


def _sql(work: Callable[..., None], revision: str) -> str:
    config = _config()
    written = io.StringIO()
    config.attributes["output_buffer"] = written
    with _sentences():
        work(config, revision, sql=True)
    return written.getvalue()


@contextmanager
def _sentences() -> Iterator[None]:
    """What Alembic and a passing fault say, as this program's errors."""
    try:
        yield
    except faults.TransientFault as fault:
        raise fault.final from fault
    except (CommandError, RevisionError) as error:
        raise Refused(
            f"The migrations cannot do that: {error}.".replace("..", "."),
            hint="See the revisions with: todo db status. A newer program may have made this "
            "database.",
        ) from error


@contextmanager
def _watched(url: str, connection: Connection, watcher: Watcher | None) -> Iterator[None]:
    """Tell the watcher how far the connection's index builds are, asked on another connection."""
    if watcher is None:
        yield
        return
    driver: Any = connection.connection.driver_connection
    over = threading.Event()
    looking = threading.Thread(
        target=_look_on, args=(url, driver.info.backend_pid, watcher, over), daemon=True
    )
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def _look_on(url: str, pid: int, watcher: Watcher, over: threading.Event) -> None:
    if over.wait(_POLL_SECONDS):  # most upgrades are over before there is something to tell
        return
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            while not over.wait(_POLL_SECONDS):
                row = connection.execute(_INDEX_PROGRESS, (pid,)).fetchone()
                if row is not None:
                    watcher.building(IndexProgress(*row))
    except psycopg.Error:
        return  # who only looks on does not stop the work


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
