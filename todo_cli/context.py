"""One run of the program: its streams, options, clock and settings; the database when first used.

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
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar

from todo_cli.config import TOKEN_VARIABLE, Settings
from todo_cli.errors import InvalidInput, NotLoggedIn
from todo_cli.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from todo_cli.accounts import Accounts
    from todo_cli.credentials import CredentialBook
    from todo_cli.database.session import Database, Waiting
    from todo_cli.database.target import Target
    from todo_cli.local import EmbeddedHome
    from todo_cli.render_database import DatabaseRenderer
    from todo_cli.tasks.repository import TaskRepository
    from todo_cli.values import Account, StoreKind

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


class Databases(Protocol):
    """Where runs take their databases from, and give them back."""

    def lend(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
    ) -> Database: ...

    def take_back(self, database: Database) -> None: ...


class OwnDatabases:
    """Each run opens its own and closes it."""

    def lend(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
    ) -> Database:
        from todo_cli.database.session import Database

        return Database(
            url,
            session_token=session_token,
            timeout_seconds=timeout_seconds,
            revive=revive,
            waiting=waiting,
        )

    def take_back(self, database: Database) -> None:
        database.close()


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


@dataclass(frozen=True)
class Login:
    """A session token, and where it came from: a variable, the keyring, a file."""

    token: str = field(repr=False)
    source: str


@dataclass
class Run:
    """One run. Whoever makes it closes it. A guest runs in a process that is not its caller's."""

    invocation: Invocation
    options: Options = field(default_factory=Options)
    databases: Databases = field(default_factory=OwnDatabases)
    is_guest: bool = False
    command: str = "todo"
    """The command as it was typed, without its arguments, for hints."""
    has_read_stdin: bool = False
    is_completing: bool = False
    """A shell asks for completions: nothing is made, asked or said."""

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
    def credentials(self) -> CredentialBook:
        from todo_cli.credentials import CredentialBook

        return CredentialBook(self.settings.data_dir)

    @cached_property
    def target(self) -> Target:
        """Which database: the flag's, the environment's, the one kept by a log-in, the embedded."""
        from todo_cli.database.target import EMBEDDED, KEPT, Target, checked_url, chosen_url

        chosen = chosen_url(self.options.database_url, self.invocation.environ)
        if chosen is not None:
            return Target(*chosen)
        kept = self.credentials.default_url()
        if kept is not None:
            return Target(checked_url(kept, "The URL that was kept"), KEPT)
        return Target(self.home.url, EMBEDDED)

    @cached_property
    def login(self) -> Login | None:
        """Who is logged in and how that is known: `TODO_SESSION_TOKEN`, or what a store keeps.

        On the embedded database, which is made where there is none, always somebody.
        """
        if self.settings.session_token:
            self.prepare_embedded()
            return Login(self.settings.session_token, TOKEN_VARIABLE)
        if self.target.is_embedded:
            return Login(self.prepare_embedded(), "file")
        found = self.credentials.find(self.target.name)
        return None if found is None else Login(found[0].token, found[1].value)

    @cached_property
    def database(self) -> Database:
        return self._make_database(self.login.token if self.login else None)

    @cached_property
    def accounts(self) -> Accounts:
        """The accounts of the database, as who is logged in sees them."""
        return self._make_accounts(self.database)

    @cached_property
    def door(self) -> Accounts:
        """The accounts of the database, as seen by nobody: to come in by."""
        self.prepare_embedded()
        return self._make_accounts(self._nobodys_database)

    def use_database(self, url: str) -> None:
        """Let the rest of the run go to the database that was typed, as if it were a flag's."""
        from todo_cli.database.target import Target, checked_url

        self.options.database_url = checked_url(url, "What was typed")
        self.__dict__["target"] = Target(url, "--database-url")

    def use_token(self, token: str, source: str) -> Accounts:
        """Let the rest of the run be of whose session the token is."""
        self.prepare_embedded()
        self.__dict__["login"] = Login(token, source)
        return self.accounts

    def keep_login(
        self, account: Account, token: str, kind: StoreKind, *, as_default: bool
    ) -> None:
        """Keep who has logged in for the next commands; the embedded database has its own file.

        Raises:
            CredentialStoreError: it could not be kept.
        """
        from todo_cli.credentials import Credential

        url = None if self.target.is_embedded else self.target.url
        credential = Credential(str(account.user_id), account.email, token, url)
        if self.target.is_embedded:
            self.home.keep(credential)
        else:
            self.credentials.keep(self.target.name, credential, kind, as_default=as_default)

    def forget_login(self) -> None:
        """Keep nothing of who was logged in, nor the database's URL."""
        if self.target.is_embedded:
            self.home.forget()
        else:
            self.credentials.forget(self.target.name)

    @cached_property
    def tasks(self) -> TaskRepository:
        from todo_cli.tasks.repository import TaskRepository

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
            self.prepare_embedded()  # handed back after the reading, it would find nothing to read
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
        for name in ("database", "_nobodys_database"):
            if name in self.__dict__:
                self.databases.take_back(self.__dict__[name])

    @cached_property
    def home(self) -> EmbeddedHome:
        from todo_cli.local import EmbeddedHome

        return EmbeddedHome(self.settings.data_dir, self.invocation.environ)

    @cached_property
    def _nobodys_database(self) -> Database:
        return self._make_database(None)

    def prepare_embedded(self) -> str:
        """See that the embedded database is there, if it is the target; answer its own token."""
        if not self.target.is_embedded:
            return ""
        token = self.home.session_token()
        if token is not None:
            return token
        if self.is_completing:
            raise NotLoggedIn("There is no database yet.")
        if self.is_guest:
            raise NotMadeYet
        if self.home.is_made:
            return self.home.prepare()
        self.render.note("Making a database for your tasks …")
        token = self.home.prepare()
        self.render.note(f"Your tasks live in {self.settings.data_dir} (PostgreSQL).")
        return token

    def _make_database(self, token: str | None) -> Database:
        return self.databases.lend(
            self.target.url,
            session_token=token,
            timeout_seconds=self.settings.timeout_seconds,
            revive=self.home.start if self.target.is_embedded else None,
            waiting=self.render.waiting,
        )

    def _make_accounts(self, database: Database) -> Accounts:
        from todo_cli.accounts import Accounts

        return Accounts(database, user_agent=_user_agent())


def confirming(option: str) -> str:
    """The hint where a question cannot be asked."""
    return f"Pass {option} to confirm."


def _user_agent() -> str:
    """How the account's list of sessions names this one."""
    import platform

    from todo_cli import __version__
    from todo_cli.values import printable

    return printable(f"todo {__version__} on {platform.node() or 'an unnamed machine'}")


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
