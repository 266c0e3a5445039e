"""One run of the program: its streams, options, clock and settings; the database when first used.

All that a command takes from the outside world comes through here, so that the same code runs in
the caller's process or for a call that came from elsewhere.
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
from todo_cli.errors import InvalidInput
from todo_cli.render import Renderer

if TYPE_CHECKING:
    from todo_cli.database.session import Database
    from todo_cli.render_database import DatabaseRenderer
    from todo_cli.repository import TaskRepository

AnyRenderer = TypeVar("AnyRenderer", bound=Renderer)


@dataclass(frozen=True)
class Invocation:
    """What the caller gave: words, environment, streams."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    stdin: TextIO | None
    stdout: TextIO
    stderr: TextIO

    @classmethod
    def of_this_process(cls) -> Invocation:
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="backslashreplace")
        return cls(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)


@dataclass
class Options:
    """The options that every command takes, before or after its name."""

    json: bool = False
    quiet: bool = False
    debug: bool = False
    database_url: str | None = None

    def add(self, *, json: bool, quiet: bool, debug: bool, database_url: str | None) -> None:
        """Take in what stood at one place of the command line; the later URL wins."""
        self.json |= json
        self.quiet |= quiet
        self.debug |= debug
        self.database_url = self.database_url if database_url is None else database_url


@dataclass
class Run:
    """One run. Whoever makes it closes it."""

    invocation: Invocation
    options: Options = field(default_factory=Options)

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environment(self.invocation.environ)

    @cached_property
    def render(self) -> Renderer:
        return self._make_renderer(Renderer)

    @cached_property
    def database_render(self) -> DatabaseRenderer:
        """What the `todo db` commands write with."""
        from todo_cli.render_database import DatabaseRenderer

        return self._make_renderer(DatabaseRenderer)

    def _make_renderer(self, kind: type[AnyRenderer]) -> AnyRenderer:
        return kind(
            stdout=self.invocation.stdout,
            stderr=self.invocation.stderr,
            environ=self.invocation.environ,
            json=self.options.json,
            quiet=self.options.quiet,
            now=self.now(),
        )

    @cached_property
    def database(self) -> Database:
        from todo_cli.database.session import Database
        from todo_cli.database.target import chosen_url

        chosen = chosen_url(self.options.database_url, self.invocation.environ)
        if chosen is None:
            return self._embedded_database()
        url, _ = chosen
        return Database(
            url,
            session_token=self.settings.session_token,
            timeout_seconds=self.settings.timeout_seconds,
            waiting=self.render.waiting,
        )

    @cached_property
    def tasks(self) -> TaskRepository:
        from todo_cli.repository import TaskRepository

        return TaskRepository(self.database)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def today(self) -> date:
        """The day it is in the user's time zone."""
        from zoneinfo import ZoneInfo

        if self.time_zone.startswith("<"):
            return self.now().astimezone().date()
        return self.now().astimezone(ZoneInfo(self.time_zone)).date()

    @cached_property
    def time_zone(self) -> str:
        """The user's time zone by its IANA name, as PostgreSQL takes it."""
        return local_time_zone(self.invocation.environ)

    def stdin_text(self) -> str:
        """All of standard input, as UTF-8.

        Raises:
            InvalidInput: it is closed or not valid UTF-8.
        """
        stdin = self.invocation.stdin
        if stdin is None or stdin.closed:
            raise InvalidInput("There is no standard input to read.")
        try:
            return stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                "Standard input is not valid UTF-8.",
                hint="Convert it first, for example with iconv.",
            ) from error

    def confirm(self, question: str, *, option: str) -> bool:
        """Ask on the terminal.

        Raises:
            InvalidInput: nobody is there to answer; the hint names the option that answers.
        """
        stdin = self.invocation.stdin
        if stdin is None or not stdin.isatty() or not self.invocation.stderr.isatty():
            raise InvalidInput(
                f"{question} Nobody is there to answer.", hint=f"Answer with {option}"
            )
        self.render.prompt(f"{question} [y/N] ")
        return stdin.readline().strip().lower() in ("y", "yes")

    def close(self) -> None:
        if "database" in self.__dict__:
            self.database.close()

    def _embedded_database(self) -> Database:
        from todo_cli.admin.home import EmbeddedHome
        from todo_cli.database.session import Database

        home = EmbeddedHome(self.settings.data_dir, self.invocation.environ)
        token = home.session_token()
        if token is None:
            self.render.note("Making a database for your tasks …")
            token = home.prepare()
            self.render.note(f"Your tasks live in {self.settings.data_dir} (PostgreSQL).")
        return Database(
            home.url,
            session_token=self.settings.session_token or token,
            timeout_seconds=self.settings.timeout_seconds,
            revive=home.start,
            waiting=self.render.waiting,
        )


def local_time_zone(environ: Mapping[str, str]) -> str:
    """The time zone's IANA name from `TZ` or the system; else its present offset from UTC.

    The system's zone is a link into the zone database. An offset is exact but for days on the
    other side of a change to or from summer time.
    """
    from zoneinfo import ZoneInfo

    named = environ.get("TZ", "").removeprefix(":")
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    for name in (named, "" if named else linked):
        try:
            if name:
                return str(ZoneInfo(name))
        except (KeyError, ValueError, OSError):  # no such zone, or a path
            continue
    offset = datetime.now().astimezone().strftime("%z")
    # The POSIX sign, which PostgreSQL takes here, counts west of Greenwich.
    sign = "-" if offset.startswith("+") else "+"
    return f"<{offset[:3]}>{sign}{offset[1:3]}:{offset[3:5]}"
