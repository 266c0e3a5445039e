"""Runs the migrations. The only module that imports Alembic, apart from the migrations."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError

from todo_cli.admin import expected
from todo_cli.admin.connect import open_session
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database import connecting, faults, target
from todo_cli.database.connecting import Deadline
from todo_cli.database.retry import retry
from todo_cli.errors import ForeignSchema, Refused, SchemaNewer

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

_PACKAGE = Path(__file__).resolve().parent.parent
_QUOTED = re.compile('"([^"]*)"')
_RELATIVE = re.compile(r"-(\d+)")
_SEES_ALL = """
select not row_security_active('public.tasks') or exists (
    select from pg_catalog.pg_policies
    where schemaname = 'public' and tablename = 'tasks' and policyname = 'tasks_maintenance'
)
"""
"""Before the revision that adds this policy, an owner without BYPASSRLS sees no task."""
UPGRADE_LOCK = 7_307_199_250_321_003_123
"""The key of the advisory lock that lets one migration run at a time: an arbitrary constant."""

_LOCK_TIMEOUT = "-c lock_timeout=1s"
"""While a migration waits for a lock on a table, later statements wait too. So the migration gives
up soon, lets them run, and is retried."""

_POLL_SECONDS = 0.5
_LOOKING_ON_SECONDS = 10
_INDEX_PROGRESS = """
select c.relname, p.phase, greatest(p.blocks_done, p.tuples_done),
    greatest(p.blocks_total, p.tuples_total)
from pg_catalog.pg_stat_progress_create_index as p
left join pg_catalog.pg_class as c on c.oid = p.index_relid
where p.pid = %s
"""


@dataclass(frozen=True)
class Revision:
    """A revision of this program. `title` is the first line of its file."""

    revision: str
    title: str


@dataclass(frozen=True)
class Status:
    """The revision of a database. `current` is None if the database has no schema.

    `is_newer` means that a newer program made the schema: nothing is pending, and `current` is
    above `head`.
    """

    current: str | None
    head: str
    pending: list[Revision]
    is_newer: bool = False


@dataclass(frozen=True)
class Loss:
    """What a downgrade of one revision would delete. `count` is None if it is not known."""

    revision: str
    count: int | None
    what: str


@dataclass(frozen=True)
class IndexProgress:
    """The progress of an index build. `total` is 0 if the server does not know it."""

    index: str | None
    phase: str
    done: int
    total: int


class Watcher(Protocol):
    """Is called while migrations run."""

    def applied(self, revision: Revision, *, is_upgrade: bool) -> None:
        """A revision was upgraded or downgraded."""

    def repaired(self, what: str) -> None:
        """A missing policy or privilege was restored."""

    def building(self, progress: IndexProgress) -> None:
        """An index is being built. Called from another thread, every half second."""


def upgrade(
    url: str,
    revision: str = "head",
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    watcher: Watcher | None = None,
) -> None:
    """Upgrade the schema to a revision: each revision in a transaction, one caller at a time.

    At "head", missing policies and privileges are restored too.

    A lost connection leaves a whole revision, and at most an invalid index, which the next try
    finds. So the upgrade is retried for up to `timeout_seconds`. A try that has begun has no time
    limit.

    Raises:
        SchemaNewer: a newer program made the schema; nothing was changed.
        ForeignSchema: another program's tables are in the way; nothing was changed.
        Refused: there is no such revision.
        TodoError: a revision failed; the revisions before it were committed.
    """

    def work(connection: Connection) -> None:
        at = _current_and_known(connection)
        with _watched(url, connection, watcher), _foreign_tables_told(at):
            command.upgrade(_config(connection, watcher), revision)
        if revision == "head":
            for what in expected.repair(connection):
                if watcher is not None:
                    watcher.repaired(what)

    _run(url, work, timeout_seconds)


def downgrade(
    url: str,
    revision: str,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    watcher: Watcher | None = None,
) -> None:
    """Downgrade the schema to an older revision, each revision in a transaction.

    Raises:
        SchemaNewer: a newer program made the schema, and only that one can downgrade it.
        Refused: there is no such revision below the present one.
        TodoError: a revision failed; the downgrades before it were committed.
    """

    def work(connection: Connection) -> None:
        _current_and_known(connection)
        with _watched(url, connection, watcher):
            command.downgrade(_config(connection, watcher), revision)

    _run(url, work, timeout_seconds)


def upgrade_sql(revision: str = "head", *, in_one_transaction: bool = False) -> str:
    """The statements that upgrade an empty database to a revision.

    `in_one_transaction` leaves out what a transaction cannot contain: BEGIN and COMMIT, and
    CONCURRENTLY, which is of no use to empty tables.

    Raises:
        Refused: this program does not know the revision.
    """
    if not in_one_transaction:
        return _sql(command.upgrade, revision)
    return _CONCURRENTLY.sub(r"\1", _sql(command.upgrade, revision, in_one_transaction=True))


_CONCURRENTLY = re.compile(r"^((?:create(?: unique)?|drop) index) concurrently", re.I | re.M)


def downgrade_sql(revision: str) -> str:
    """The statements that downgrade a database from head to a revision."""
    return _sql(command.downgrade, f"head:{revision}")


def status(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> Status:
    """The database's revision, and the revisions that it lacks.

    Raises:
        DatabaseUnreachable: the database cannot be reached.
        ForeignSchema: the revision is another program's.
    """

    def work(connection: Connection) -> Status:
        try:
            at = _current_and_known(connection)
        except SchemaNewer:
            return Status(current(connection), head(), [], is_newer=True)
        return Status(at, head(), pending(at))

    return _run(url, work, timeout_seconds, needs_session=False)


def losses(
    url: str, revision: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> list[Loss]:
    """What a downgrade to a revision would delete, newest revision first. Changes nothing.

    Each revision declares its losses. Those with a count of 0 are left out.

    Raises:
        SchemaNewer: a newer program made the schema.
        Refused: there is no such revision below the present one.
    """

    def work(connection: Connection) -> list[Loss]:
        at = _current_and_known(connection)
        found = [
            Loss(script.revision, _count(connection, statement), what)
            for script in _to_take_back(at, revision)
            for what, statement in script.module.LOSSES.items()
        ]
        return [loss for loss in found if loss.count != 0]

    return _run(url, work, timeout_seconds, needs_session=False)


def current(connection: Connection) -> str | None:
    """The database's revision, or None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision of this program."""
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


def _current_and_known(connection: Connection) -> str | None:
    """The database's revision, if this program knows it, or None if the database is empty.

    Raises:
        SchemaNewer: a newer program made the schema.
        ForeignSchema: the revision is another program's.
    """
    with connection.begin():
        at = current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if at is None or at in known:
        return at
    # Revisions of this project are numbered. Alembic's default is random hexadecimal names.
    if at.isdecimal() and at > head():
        raise SchemaNewer(
            f"The database's schema (revision {at}) is newer than this program ({head()})."
        )
    raise ForeignSchema(
        f"The database belongs to another program: it is at that program's revision {at}."
    )


@contextmanager
def _foreign_tables_told(at: str | None) -> Iterator[None]:
    """Report a table of another program that has the name of one of ours."""
    try:
        yield
    except sa.exc.ProgrammingError as error:
        if at is None and isinstance(error.orig, psycopg.errors.DuplicateTable):
            found = _QUOTED.search(error.orig.diag.message_primary or "")
            table = f" named {found[1]}" if found else ""
            raise ForeignSchema(
                f"The database has a table{table} that another program made."
            ) from None
        raise


def _to_take_back(at: str | None, revision: str) -> list[Any]:
    """The revisions above the target revision, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    steps = _RELATIVE.fullmatch(revision)
    if steps:
        return list(scripts.iterate_revisions(at or "base", "base"))[: int(steps[1])]
    return list(scripts.iterate_revisions(at or "base", revision))


def _count(connection: Connection, statement: str) -> int | None:
    """The count of a loss, or None if row-level security hides rows from this role."""
    with connection.begin():
        maintenance = "select set_config('todo.maintenance', 'on', true)"
        connection.execute(sa.text(maintenance))
        if not connection.execute(sa.text(_SEES_ALL)).scalar():
            return None
        return int(connection.execute(sa.text(statement)).scalar_one())


def _run(
    url: str, work: Callable[[Connection], T], timeout_seconds: float, *, needs_session: bool = True
) -> T:
    """Do the work on Neon's direct host, and retry it after a transient fault."""
    deadline = Deadline(timeout_seconds)

    def attempt() -> T:
        with (
            _sentences(),
            faults.translated(),
            connected(url, deadline, needs_session=needs_session) as connection,
        ):
            return work(connection)

    try:
        return attempt()
    except faults.TransientFault as fault:
        return retry(attempt, after=fault, deadline=deadline, before_retry=lambda _: None)


def _sql(work: Callable[..., None], revision: str, *, in_one_transaction: bool = False) -> str:
    config = _config()
    config.attributes["in_one_transaction"] = in_one_transaction
    written = io.StringIO()
    config.attributes["output_buffer"] = written
    with _sentences():
        work(config, revision, sql=True)
    return written.getvalue()


@contextmanager
def _sentences() -> Iterator[None]:
    """Raise Alembic's errors as errors of this program."""
    try:
        yield
    except (CommandError, RevisionError) as error:
        raise Refused(
            f"The migration is not possible: {error}.".replace("..", "."),
            reason="impossible_migration",
        ) from error


@contextmanager
def _watched(url: str, connection: Connection, watcher: Watcher | None) -> Iterator[None]:
    """Tell the watcher the progress of index builds, read on another connection."""
    if watcher is None:
        yield
        return
    # Not the connection's own value, which is another number behind Neon's proxy.
    pid = connection.execute(sa.text("select pg_backend_pid()")).scalar_one()
    connection.rollback()
    over = threading.Event()
    looking = threading.Thread(target=_look_on, args=(url, pid, watcher, over), daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def _look_on(url: str, pid: int, watcher: Watcher, over: threading.Event) -> None:
    if over.wait(_POLL_SECONDS):  # most upgrades end sooner
        return
    try:
        parameters = target.connection_parameters(target.direct_url(url))
        with connecting.connect(parameters, Deadline(_LOOKING_ON_SECONDS)) as connection:
            while not over.wait(_POLL_SECONDS):
                row = connection.execute(_INDEX_PROGRESS, (pid,)).fetchone()
                if row is not None:
                    watcher.building(IndexProgress(*row))
    except psycopg.Error:
        return  # the upgrade goes on without progress


@contextmanager
def connected(url: str, deadline: Deadline, *, needs_session: bool = True) -> Iterator[Connection]:
    """A connection to the database's direct host, for Alembic.

    Raises:
        Refused: a session was needed, for the lock that lets one migration run at a time, and the
            server is behind a pooler.
    """
    parameters = target.connection_parameters(target.direct_url(url))

    def connect() -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any]
        if needs_session:
            connection = open_session(parameters, deadline, settings=_LOCK_TIMEOUT)
        else:
            connection = connecting.connect(parameters, deadline)
        connection.autocommit = False
        return connection

    engine = sa.create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=sa.NullPool, hide_parameters=True
    )
    with engine.connect() as connection:
        yield connection


def _config(connection: Connection | None = None, watcher: Watcher | None = None) -> Config:
    """Alembic's settings. They are beside the package in a checkout, else inside the package."""
    installed = _PACKAGE / "alembic.ini"
    config = Config(installed if installed.exists() else _PACKAGE.parent / "alembic.ini")
    config.attributes["connection"] = connection

    def on_version_apply(*, step: Any, **_: Any) -> None:
        if watcher is not None:
            applied = Revision(step.up_revision.revision, _title(step.up_revision))
            watcher.applied(applied, is_upgrade=bool(step.is_upgrade))

    config.attributes["on_version_apply"] = (on_version_apply,)
    return config
