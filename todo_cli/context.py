"""One run of the program: its streams, options, clock and questions, and the workspace it opens.

All that a command takes from the outside world comes through here, so that the same code runs in
the caller's process or for a call that came from elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TextIO, TypeVar

from todo_cli.config import Settings
from todo_cli.errors import InvalidInput, NotLoggedIn
from todo_cli.render import Renderer

if TYPE_CHECKING:
    from todo_cli.render_database import DatabaseRenderer
    from todo_cli.workspace import Databases, Workspace

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
        # A closed stream is none at all: what would be written there goes nowhere.
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the end
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - open until the end
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="backslashreplace")
        return cls(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)


class HandBack(BaseException):
    """A run that came from elsewhere needs its caller's own process; nothing was done yet.

    No Exception: nobody on the way may take it for a failure.
    """


class NotMadeYet(HandBack):
    """There is no embedded database. Another process may be making it."""


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
    """One run. Whoever makes it closes it. A guest runs in a process that is not its caller's."""

    invocation: Invocation
    options: Options = field(default_factory=Options)
    databases: Databases | None = None
    """Where the workspace takes its databases from; None: it opens its own."""
    is_guest: bool = False
    command: str = "todo"
    """The command as it was typed, without its arguments, for hints."""
    has_read_stdin: bool = False
    is_completing: bool = False
    """A shell asks for completions: nothing is made, asked or said."""
    _workspace: Workspace | None = field(default=None, init=False, repr=False)

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

    @property
    def workspace(self) -> Workspace:
        """The database and the log-in that this run works with. Opened when first used."""
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
        )

    def _before_preparing(self) -> None:
        if self.is_completing:
            raise NotLoggedIn("There is no database yet.")
        if self.is_guest:
            raise NotMadeYet

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

    def stdin_text(self, what: str) -> str:
        """All of standard input, as UTF-8. On a terminal it is said that `what` is read.

        Raises:
            InvalidInput: it is closed or not valid UTF-8.
        """
        stdin = self.invocation.stdin
        if stdin is None or stdin.closed:
            raise InvalidInput("There is no standard input to read.")
        if stdin.isatty():
            self.require_own_process()
            end = "Ctrl-Z and Enter end it" if os.name == "nt" else "Ctrl-D ends it"
            self.render.note(f"Reading {what}; {end}.")
        if self.is_guest:
            self.workspace.prepare()  # handed back after the reading, it would find nothing to read
        self.has_read_stdin = True
        try:
            return stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                "Standard input is not valid UTF-8.",
                hint="Convert it first, for example with iconv.",
            ) from error

    def require_terminal(self, *, instead: str) -> TextIO:
        """The terminal to read an answer from. Called before anything is looked up for a question.

        Raises:
            InvalidInput: there is no terminal; the hint says what to type instead.
        """
        self.require_own_process()
        stdin = self.invocation.stdin
        if stdin is None or not self.has_terminal:
            is_input = stdin is not None and stdin.isatty()
            name = "standard error" if is_input else "standard input"
            raise InvalidInput(f"Cannot ask: {name} is not a terminal.", hint=instead)
        return stdin

    def confirm(self, question: str, *, option: str, about: Sequence[str] = ()) -> bool:
        """Ask on the terminal, below the lines that say what it is about.

        Raises:
            InvalidInput: there is no terminal; the hint names the option that confirms.
        """
        stdin = self.require_terminal(instead=confirming(option))
        self.render.prompt(f"{question} [y/N] ", about)
        return stdin.readline().strip().lower() in ("y", "yes")

    def ask(self, question: str, *, option: str) -> str:
        """A line from the terminal.

        Raises:
            InvalidInput: there is no terminal, or no answer; the hint names the option for it.
        """
        stdin = self.require_terminal(instead=f"Pass {option}.")
        self.render.prompt(question)
        answer = stdin.readline()
        if not answer:
            raise InvalidInput("Nothing was answered.", hint=f"Pass {option}.")
        return answer.rstrip("\r\n")

    def ask_secret(self, question: str, *, option: str) -> str:
        """A line from the terminal that is not shown there.

        Raises:
            InvalidInput: as `ask`.
        """
        stdin = self.require_terminal(instead=f"Pass {option}.")
        if os.name == "nt":
            import getpass

            return getpass.getpass(question)
        with _without_echo(stdin):
            answer = self.ask(question, option=option)
        self.invocation.stderr.write("\n")
        return answer

    @property
    def has_terminal(self) -> bool:
        """Whether somebody is there to answer a question."""
        stdin = self.invocation.stdin
        return stdin is not None and stdin.isatty() and self.invocation.stderr.isatty()

    def require_own_process(self) -> None:
        """Before a prompt, an editor or a long work: go back to the caller's process, if elsewhere.

        Called before anything is changed, since the command is then run again from its start.
        """
        if self.is_guest:
            raise HandBack

    def close(self) -> None:
        if self._workspace is not None:
            self._workspace.close()


def confirming(option: str) -> str:
    """The hint where a question cannot be asked."""
    return f"Pass {option} to confirm."


@contextmanager
def _without_echo(stdin: TextIO) -> Iterator[None]:
    """Keep a terminal from showing what is typed. A stream in memory shows nothing anyway."""
    try:
        import termios

        descriptor = stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError):
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


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
