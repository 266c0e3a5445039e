"""One run of the program: its streams, options and clock, and the workspace that it opens.

Commands take everything from the outside world through `Run`, so that the same code runs in the
caller's process and in the agent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TextIO, TypeVar

from todo_cli.config import Settings
from todo_cli.errors import InvalidInput, NotLoggedIn
from todo_cli.render import Renderer

if TYPE_CHECKING:
    from todo_cli.questions import Questions
    from todo_cli.render_database import DatabaseRenderer
    from todo_cli.render_history import HistoryRenderer
    from todo_cli.values import Viewer
    from todo_cli.workspace import Databases, Workspace

AnyRenderer = TypeVar("AnyRenderer", bound=Renderer)


@dataclass(frozen=True)
class Invocation:
    """The input of a run: words, environment, streams."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    stdin: TextIO | None
    stdout: TextIO
    stderr: TextIO

    @classmethod
    def of_this_process(cls) -> Invocation:
        # Python sets a closed stream to None.
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the end
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - open until the end
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="backslashreplace")
        return cls(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)


class HandBack(BaseException):
    """The agent cannot run this: it needs the caller's own process. Nothing was done yet.

    Not an Exception, so that no handler on the way takes it for a failure.
    """


class NotMadeYet(HandBack):
    """The embedded database does not exist yet. Another process may be making it."""


@dataclass
class Options:
    """The options that every command takes, before or after its name."""

    json: bool = False
    quiet: bool = False
    debug: bool = False
    database_url: str | None = None

    def add(self, *, json: bool, quiet: bool, debug: bool, database_url: str | None) -> None:
        """Merge the options from one place of the command line. The later URL wins."""
        self.json |= json
        self.quiet |= quiet
        self.debug |= debug
        self.database_url = self.database_url if database_url is None else database_url


@dataclass
class Run:
    """One run. The caller closes it. A guest runs in the agent, for another process."""

    invocation: Invocation
    options: Options = field(default_factory=Options)
    databases: Databases | None = None
    """Where the workspace gets its databases. None: the workspace opens its own."""
    is_guest: bool = False
    command: str = "todo"
    """The typed command without its arguments, for hints."""
    has_read_stdin: bool = False
    is_completing: bool = False
    """Whether a shell asks for completions. The run then creates, asks and says nothing."""
    _workspace: Workspace | None = field(default=None, init=False, repr=False)

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environment(self.invocation.environ)

    @cached_property
    def render(self) -> Renderer:
        return self._make_renderer(Renderer)

    @cached_property
    def database_render(self) -> DatabaseRenderer:
        """The renderer of the `todo db` commands."""
        from todo_cli.render_database import DatabaseRenderer

        return self._make_renderer(DatabaseRenderer)

    @cached_property
    def history_render(self) -> HistoryRenderer:
        """The renderer of the commands on the history."""
        from todo_cli.render_history import HistoryRenderer

        return self._make_renderer(HistoryRenderer)

    def _make_renderer(self, kind: type[AnyRenderer]) -> AnyRenderer:
        return kind(
            stdout=self.invocation.stdout,
            stderr=self.invocation.stderr,
            environ=self.invocation.environ,
            json=self.options.json,
            quiet=self.options.quiet,
            now=self.now(),
        )

    @property
    def workspace(self) -> Workspace:
        """The database and the log-in of this run. Opened when first used."""
        if self._workspace is None:
            self._workspace = self._make_workspace()
        return self._workspace

    def _make_workspace(self) -> Workspace:
        from todo_cli.workspace import Callbacks, Workspace

        callbacks = Callbacks(
            note=self.render.note,
            waiting=self.render.waiting,
            before_preparing=self._before_preparing,
        )
        return Workspace(
            self.invocation.environ,
            database_url=self.options.database_url,
            callbacks=callbacks,
            databases=self.databases,
            settings=self.settings,
            command=self.command.removeprefix("todo "),
        )

    def _before_preparing(self) -> None:
        if self.is_completing:
            raise NotLoggedIn("There is no database yet.")
        if self.is_guest:
            raise NotMadeYet

    def now(self) -> datetime:
        return datetime.now(UTC)

    def local_now(self) -> datetime:
        """The present moment in the user's time zone."""
        from zoneinfo import ZoneInfo

        return self.now().astimezone(ZoneInfo(self.zone_name) if self.zone_name else None)

    def today(self) -> date:
        """The present day in the user's time zone."""
        return self.local_now().date()

    @property
    def zone_name(self) -> str | None:
        """The IANA name of the user's time zone; None if only its offset is known."""
        return None if self.time_zone.startswith("<") else self.time_zone

    def viewer(self) -> Viewer:
        """The user, who looks at tasks now and in the user's time zone."""
        from todo_cli.values import Viewer

        return Viewer(self.local_now(), self.time_zone)

    @cached_property
    def time_zone(self) -> str:
        """The user's time zone in a form that PostgreSQL accepts: its IANA name, if known."""
        return local_time_zone(self.invocation.environ)

    @cached_property
    def questions(self) -> Questions:
        from todo_cli.questions import Questions

        return Questions(
            self.invocation.stdin,
            self.invocation.stderr,
            self.render,
            require_own_process=self.require_own_process,
        )

    def stdin_text(self, what: str) -> str:
        """All of standard input, as UTF-8. On a terminal, a note says that `what` is read.

        Raises:
            InvalidInput: standard input is closed or not valid UTF-8.
        """
        stdin = self.invocation.stdin
        if stdin is None or stdin.closed:
            raise InvalidInput("There is no standard input to read.")
        if stdin.isatty():
            self.require_own_process()
            end = "Ctrl-Z and Enter end it" if os.name == "nt" else "Ctrl-D ends it"
            self.render.note(f"Reading {what}; {end}.")
        if self.is_guest:
            self.workspace.prepare()  # may raise HandBack, which has to come before the reading
        self.has_read_stdin = True
        try:
            return stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                "Standard input is not valid UTF-8.",
                hint="Convert it first, for example with iconv.",
            ) from error

    def require_own_process(self) -> None:
        """Hand a guest back to its caller's process: before a question, an editor or long work.

        The command then starts again, so call this before it changes anything.
        """
        if self.is_guest:
            raise HandBack

    def close(self) -> None:
        if self._workspace is not None:
            self._workspace.close()


_NOT_IN_POSTGRESQL = frozenset({"localtime", "posixrules"})
"""Files that systems keep among the time zones."""


def local_time_zone(environ: Mapping[str, str]) -> str:
    """The time zone's IANA name from `TZ` or the system, else its present offset from UTC.

    The system's zone is a link into the zone database. An offset is wrong for days beyond a change
    to or from summer time.
    """
    from zoneinfo import ZoneInfo

    named = environ.get("TZ", "").removeprefix(":")
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    for path in (named, "" if named else linked):
        # Copies of all zones, with and without leap seconds, which PostgreSQL does not have.
        name = path.removeprefix("posix/").removeprefix("right/")
        try:
            if name and name not in _NOT_IN_POSTGRESQL:
                return str(ZoneInfo(name))
        except (KeyError, ValueError, OSError):  # no such zone, or a path
            continue
    offset = datetime.now().astimezone().strftime("%z")
    # The POSIX sign, which PostgreSQL takes here, counts west of Greenwich.
    sign = "-" if offset.startswith("+") else "+"
    return f"<{offset[:3]}>{sign}{offset[1:3]}:{offset[3:5]}"
