"""A workspace: which database, who is logged in, and the connection. What any front end opens.

It takes an environment, a URL, and callbacks; it knows neither a command line nor a stream. What it
tells a person goes through `note`, and each wait for the database through `waiting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from todo_cli.config import TOKEN_VARIABLE, Settings
from todo_cli.values import StoreKind

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from todo_cli.accounts import Accounts
    from todo_cli.credentials import CredentialBook
    from todo_cli.database.session import Database, Waiting
    from todo_cli.database.target import Target
    from todo_cli.local import EmbeddedHome
    from todo_cli.tasks.repository import TaskRepository
    from todo_cli.values import Account

OPTION_SOURCE = "--database-url"
"""The source of a URL that was given to the workspace itself."""


class Databases(Protocol):
    """Where workspaces take their databases from, and give them back."""

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
    """Each workspace opens its own and closes it."""

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


@dataclass(frozen=True)
class Login:
    """A session token, and where it came from: a variable, the keyring, a file."""

    token: str = field(repr=False)
    source: str


@dataclass(frozen=True)
class Callbacks:
    """What a front end does at certain moments; by default nothing."""

    note: Callable[[str], None] = lambda _: None
    """Tells a person something, in one sentence."""
    waiting: Waiting | None = None
    """Is entered around each wait for the database, with a function that says what it is for."""
    before_preparing: Callable[[], None] = lambda: None
    """Is called before the embedded database is made or migrated, which takes a second or more. It
    may raise, and then nothing was done."""


class Workspace:
    """One database and one person's log-in to it. Whoever makes it closes it.

    Nothing is read, asked or opened before it is needed. `database_url` goes before the
    environment's variables, and these before the URL that a log-in kept; without any it is the
    embedded database, which makes, migrates and logs in by itself.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        database_url: str | None = None,
        callbacks: Callbacks | None = None,
        databases: Databases | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings.from_environment(environ)
        self.timeout_seconds = self.settings.timeout_seconds
        """How long to wait for the database in all."""
        self._environ = environ
        self._database_url = database_url
        self._callbacks = callbacks or Callbacks()
        self._databases: Databases = databases or OwnDatabases()
        self._opened: dict[str | None, Database] = {}
        self._chosen: _Chosen | None = None
        self._given_login: Login | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The workspace can be used again, and then opens new ones."""
        opened, self._opened = self._opened, {}
        for database in opened.values():
            self._databases.take_back(database)

    # --- which database --------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """The database: the one given, the environment's, the one a log-in kept, the embedded.

        Raises:
            InvalidInput: a URL cannot be one of PostgreSQL.
            CredentialStoreError: what a log-in kept cannot be read.
        """
        return self._place.target

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded database, for what a person is told about it."""
        return self.target.is_embedded

    def use_database(self, url: str) -> None:
        """Go to another database from now on, as if its URL had been given at first.

        Raises:
            InvalidInput: the URL cannot be one of PostgreSQL.
        """
        from todo_cli.database.target import Target, checked_url

        target = Target(checked_url(url, "What was typed"), OPTION_SOURCE)
        self.close()
        self._database_url = url
        self._chosen = _Server(target, self.credentials)
        self._given_login = None

    @property
    def keeps_as_default(self) -> bool:
        """Whether `keep_login` makes this the default database: it does for one that was given."""
        return self._database_url is not None

    @cached_property
    def home(self) -> EmbeddedHome:
        """The embedded database's data folder, also where another database is used."""
        from todo_cli.local import EmbeddedHome

        return EmbeddedHome(self.settings.data_dir, self._environ)

    def prepare(self) -> None:
        """Make, start and migrate the database if it is the embedded one and needs it."""
        self._place.prepare()

    # --- who is logged in ------------------------------------------------------------------

    @property
    def login(self) -> Login | None:
        """The session in use and where it is known from: `TODO_SESSION_TOKEN`, or what is kept.

        On the embedded database, which is made where there is none, somebody always is.
        """
        if self._given_login is not None:
            return self._given_login
        if self.settings.session_token:
            self.prepare()
            self._given_login = Login(self.settings.session_token, TOKEN_VARIABLE)
            return self._given_login
        return self._place.login

    def use_token(self, token: str, source: str = "token") -> Accounts:
        """Be logged in by a session's token from now on; answer the accounts as it sees them."""
        self.prepare()
        self._given_login = Login(token, source)
        return self.accounts

    def store_kind(self, wanted: StoreKind) -> StoreKind:
        """Where `keep_login` would keep a session."""
        return self._place.store_kind(wanted)

    def check_store(self, kind: StoreKind) -> None:
        """See that `keep_login` could keep a session.

        Raises:
            CredentialStoreError: it could not.
        """
        self._place.check_store(kind)

    def keep_login(self, account: Account, token: str, kind: StoreKind) -> None:
        """Keep a log-in for the next workspace.

        Raises:
            CredentialStoreError: it could not be kept.
        """
        self._place.keep(account, token, kind, as_default=self.keeps_as_default)

    def forget_login(self) -> None:
        """Keep neither the log-in nor the database's URL any more."""
        self._place.forget()

    @cached_property
    def credentials(self) -> CredentialBook:
        """What log-ins to servers have kept on this machine."""
        from todo_cli.credentials import CredentialBook

        return CredentialBook(self.settings.data_dir)

    # --- connected -------------------------------------------------------------------------

    @property
    def database(self) -> Database:
        """The database under the current log-in. It connects when it is first used."""
        login = self.login
        return self._open(login.token if login else None)

    @property
    def tasks(self) -> TaskRepository:
        """The tasks of whoever is logged in."""
        from todo_cli.tasks.repository import TaskRepository

        return TaskRepository(self.database)

    @property
    def accounts(self) -> Accounts:
        """The accounts of the database, as whoever is logged in sees them."""
        return self._accounts_of(self.database)

    @property
    def anonymous_accounts(self) -> Accounts:
        """The accounts without a session: to register and to log in."""
        self.prepare()
        return self._accounts_of(self._open(None))

    def _open(self, token: str | None) -> Database:
        if token not in self._opened:
            self._opened[token] = self._databases.lend(
                self.target.url,
                session_token=token,
                timeout_seconds=self.timeout_seconds,
                revive=self._place.revive,
                waiting=self._callbacks.waiting,
            )
        return self._opened[token]

    def _accounts_of(self, database: Database) -> Accounts:
        from todo_cli.accounts import Accounts

        return Accounts(database, user_agent=_user_agent())

    @property
    def _place(self) -> _Chosen:
        if self._chosen is None:
            self._chosen = self._choose()
        return self._chosen

    def _choose(self) -> _Chosen:
        """Decide between a server and the embedded database: here and nowhere else."""
        from todo_cli.database.target import EMBEDDED, KEPT, Target, checked_url, chosen_url

        chosen = chosen_url(self._database_url, self._environ)
        if chosen is not None:
            return _Server(Target(*chosen), self.credentials)
        kept = self.credentials.default_url()
        if kept is not None:
            target = Target(checked_url(kept, "The URL that was kept"), KEPT)
            return _Server(target, self.credentials)
        target = Target(self.home.url, EMBEDDED)
        return _Embedded(target, self.home, self._callbacks, data_dir=self.settings.data_dir)


class _Chosen(Protocol):
    """The database that was chosen, with all in which a server and the embedded one differ."""

    @property
    def target(self) -> Target: ...

    @property
    def login(self) -> Login | None:
        """The log-in that is kept."""

    @property
    def revive(self) -> Callable[[], None] | None:
        """Called before another try to reach the database."""

    def prepare(self) -> None: ...

    def store_kind(self, wanted: StoreKind) -> StoreKind: ...

    def check_store(self, kind: StoreKind) -> None: ...

    def keep(self, account: Account, token: str, kind: StoreKind, *, as_default: bool) -> None: ...

    def forget(self) -> None: ...


class _Server:
    """A database that somebody else runs. Its log-ins are in the keyring, or in a file if asked."""

    revive: Callable[[], None] | None = None

    def __init__(self, target: Target, credentials: CredentialBook) -> None:
        self.target = target
        self._credentials = credentials

    @cached_property
    def login(self) -> Login | None:
        found = self._credentials.find(self.target.name)
        return None if found is None else Login(found[0].token, found[1].value)

    def prepare(self) -> None:
        pass

    def store_kind(self, wanted: StoreKind) -> StoreKind:
        return wanted

    def check_store(self, kind: StoreKind) -> None:
        self._credentials.check(kind)

    def keep(self, account: Account, token: str, kind: StoreKind, *, as_default: bool) -> None:
        from todo_cli.credentials import Credential

        credential = Credential(str(account.user_id), account.email, token, self.target.url)
        self._credentials.keep(self.target.name, credential, kind, as_default=as_default)

    def forget(self) -> None:
        self._credentials.forget(self.target.name)


class _Embedded:
    """The embedded database. It keeps the log-in in a file beside its own, which are no safer."""

    def __init__(
        self, target: Target, home: EmbeddedHome, callbacks: Callbacks, *, data_dir: Path
    ) -> None:
        self.target = target
        self._home = home
        self._data_dir = data_dir
        self._callbacks = callbacks
        self.revive: Callable[[], None] | None = home.start

    @cached_property
    def login(self) -> Login | None:
        return Login(self._prepared_token(), StoreKind.FILE)

    def prepare(self) -> None:
        self._prepared_token()

    def _prepared_token(self) -> str:
        token = self._home.session_token()
        if token is not None:
            return token
        self._callbacks.before_preparing()
        if self._home.is_made:
            return self._home.prepare()
        self._callbacks.note("Making a database for your tasks …")
        token = self._home.prepare()
        self._callbacks.note(f"Your tasks live in {self._data_dir} (PostgreSQL).")
        return token

    def store_kind(self, wanted: StoreKind) -> StoreKind:
        return StoreKind.FILE

    def check_store(self, kind: StoreKind) -> None:
        pass

    def keep(self, account: Account, token: str, kind: StoreKind, *, as_default: bool) -> None:
        from todo_cli.credentials import Credential

        self._home.keep(Credential(str(account.user_id), account.email, token, None))

    def forget(self) -> None:
        self._home.forget()


def _user_agent() -> str:
    """How the account's list of sessions names this one."""
    import platform

    from todo_cli import __version__
    from todo_cli.values import printable

    return printable(f"todo {__version__} on {platform.node() or 'an unnamed machine'}")
