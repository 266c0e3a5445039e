"""The workspace, which every front end opens: the database, the log-in and the connection.

It takes an environment, a URL and callbacks. It knows neither a command line nor streams: it tells
the user something with the callback `note`, and waits for the database inside `waiting`.
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
    from todo_cli.tasks.history import History
    from todo_cli.tasks.repository import TaskRepository
    from todo_cli.values import Account

OPTION_SOURCE = "--database-url"
"""The source of a URL that was given to the workspace."""


class Databases(Protocol):
    """Where workspaces acquire their databases, and release them."""

    def acquire(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
        command: str = "",
    ) -> Database: ...

    def release(self, database: Database) -> None: ...


class OwnDatabases:
    """Opens a database for each workspace, and closes it."""

    def acquire(
        self,
        url: str,
        *,
        session_token: str | None,
        timeout_seconds: float,
        revive: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
        command: str = "",
    ) -> Database:
        from todo_cli.database.session import Database

        return Database(
            url,
            session_token=session_token,
            timeout_seconds=timeout_seconds,
            revive=revive,
            waiting=waiting,
            command=command,
        )

    def release(self, database: Database) -> None:
        database.close()


@dataclass(frozen=True)
class Login:
    """A session token and its source: a variable, the keyring, or a file."""

    token: str = field(repr=False)
    source: str


@dataclass(frozen=True)
class Callbacks:
    """Functions of a front end that the workspace calls. By default they do nothing."""

    note: Callable[[str], None] = lambda _: None
    """Tells the user something in one sentence."""
    waiting: Waiting | None = None
    """Returns a context manager for a wait. It gets a function that describes the wait."""
    before_preparing: Callable[[], None] = lambda: None
    """Called before the embedded database is created or migrated, which takes a second or more. If
    it raises, nothing was done."""


class Workspace:
    """One database and one user's log-in to it. The caller closes it.

    Nothing is read or opened before it is needed. The database is `database_url`, else the one of
    the environment's variables, else the one that a log-in stored, else the embedded database. The
    embedded database is created and migrated, and logs in, by itself. `command` is the name of the
    changes in the history.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        database_url: str | None = None,
        callbacks: Callbacks | None = None,
        databases: Databases | None = None,
        settings: Settings | None = None,
        command: str = "api",
    ) -> None:
        self._command = command
        self.settings = settings or Settings.from_environment(environ)
        self.timeout_seconds = self.settings.timeout_seconds
        """How long to wait for the database in total."""
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
        """Close the connections. A workspace that is used again opens new ones."""
        opened, self._opened = self._opened, {}
        for database in opened.values():
            self._databases.release(database)

    # --- which database --------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """The chosen database.

        Raises:
            InvalidInput: a URL is not a valid URL of PostgreSQL.
            CredentialStoreError: the URL that a log-in stored cannot be read.
        """
        return self._place.target

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the embedded one."""
        return self.target.is_embedded

    @property
    def logs_in_by_itself(self) -> bool:
        """Whether the database has a local account, which is logged in without a question."""
        return self._place.logs_in_by_itself

    def home_of(self, target: Target) -> EmbeddedHome | None:
        """The data folder of a target that is the embedded database, else None."""
        return self.home if target.is_embedded else None

    def use_database(self, url: str) -> None:
        """Use another database from now on, as if its URL had been given to the constructor.

        Raises:
            InvalidInput: the URL is not a valid URL of PostgreSQL.
        """
        from todo_cli.database.target import Target, checked_url

        target = Target(checked_url(url, "What was typed"), OPTION_SOURCE)
        self.close()
        self._database_url = url
        self._chosen = self._server(target)
        self._given_login = None

    @property
    def keeps_as_default(self) -> bool:
        """Whether `keep_login` makes this the default database, as it does for a given URL."""
        return self._database_url is not None

    @cached_property
    def home(self) -> EmbeddedHome:
        """The data folder of the embedded database, even if another database is in use."""
        from todo_cli.local import EmbeddedHome

        return EmbeddedHome(self.settings.data_dir, self._environ)

    def prepare(self) -> None:
        """Create, start and migrate the embedded database if necessary. Do nothing to a server."""
        self._place.prepare()

    def require_schema(self) -> None:
        """Check that the schema is there. The embedded database creates it when it is needed.

        Raises:
            SchemaBehind: the schema of a server is missing or behind.
        """
        if not self.logs_in_by_itself:
            self.anonymous_accounts.require_schema()

    # --- who is logged in ------------------------------------------------------------------

    @property
    def login(self) -> Login | None:
        """The session in use: the one of `TODO_SESSION_TOKEN`, else the stored one, else None.

        The embedded database always has one. It is created if it does not exist.
        """
        if self._given_login is not None:
            return self._given_login
        if self.settings.session_token:
            self.prepare()
            self._given_login = Login(self.settings.session_token, TOKEN_VARIABLE)
            return self._given_login
        return self._place.login

    def use_token(self, token: str, source: str = "token") -> Accounts:
        """Use the session of a token from now on. Returns the accounts under that session."""
        self.prepare()
        self._given_login = Login(token, source)
        return self.accounts

    def store_kind(self, wanted: StoreKind) -> StoreKind:
        """Where `keep_login` would store a session."""
        return self._place.store_kind(wanted)

    def check_store(self, kind: StoreKind) -> None:
        """Check that `keep_login` can store a session.

        Raises:
            CredentialStoreError: it cannot.
        """
        self._place.check_store(kind)

    def keep_login(self, account: Account, token: str, kind: StoreKind) -> None:
        """Store a log-in for later workspaces.

        Raises:
            CredentialStoreError: it could not be stored.
        """
        self._place.keep(account, token, kind, as_default=self.keeps_as_default)

    def forget_login(self) -> None:
        """Delete the stored log-in and the stored URL of the database."""
        self._place.forget()

    @cached_property
    def credentials(self) -> CredentialBook:
        """The log-ins to servers that are stored on this machine."""
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
        """The tasks of the logged-in user."""
        from todo_cli.tasks.repository import TaskRepository

        return TaskRepository(self.database)

    @property
    def rehearsed_tasks(self) -> TaskRepository:
        """The same tasks. What is done to them is answered as if done, and changes nothing."""
        from todo_cli.database.rehearsal import Rehearsal
        from todo_cli.tasks.repository import TaskRepository

        return TaskRepository(Rehearsal(self.database))

    @property
    def history(self) -> History:
        """The history of the logged-in user's tasks: what was changed, undo, redo."""
        from todo_cli.tasks.history import History

        return History(self.database)

    @property
    def accounts(self) -> Accounts:
        """The accounts of the database, under the current log-in."""
        return self._accounts_of(self.database)

    @property
    def anonymous_accounts(self) -> Accounts:
        """The accounts without a session: to register and to log in."""
        self.prepare()
        return self._accounts_of(self._open(None))

    def _open(self, token: str | None) -> Database:
        if token not in self._opened:
            self._opened[token] = self._databases.acquire(
                self.target.url,
                session_token=token,
                timeout_seconds=self.timeout_seconds,
                revive=self._place.revive,
                waiting=self._callbacks.waiting,
                command=self._command,
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
        """Decide between a server and the embedded database. No other code decides that."""
        from todo_cli.database.target import EMBEDDED, KEPT, Target, checked_url, chosen_url

        chosen = chosen_url(self._database_url, self._environ)
        if chosen is not None:
            return self._server(Target(*chosen))
        kept = self.credentials.default_url()
        if kept is not None:
            target = Target(checked_url(kept, "The URL that was kept"), KEPT)
            return self._server(target)
        target = Target(self.home.url, EMBEDDED)
        return _Embedded(target, self.home, self._callbacks)

    def _server(self, target: Target) -> _Server:
        return _Server(
            target,
            lambda: self.credentials,
            self._callbacks,
            data_dir=self.settings.data_dir,
        )


class _Chosen(Protocol):
    """The chosen database: the differences between a server and the embedded database."""

    logs_in_by_itself: bool

    @property
    def target(self) -> Target: ...

    @property
    def login(self) -> Login | None:
        """The stored log-in."""

    @property
    def revive(self) -> Callable[[], None] | None:
        """Called before another try to reach the database."""

    def prepare(self) -> None: ...

    def store_kind(self, wanted: StoreKind) -> StoreKind: ...

    def check_store(self, kind: StoreKind) -> None: ...

    def keep(self, account: Account, token: str, kind: StoreKind, *, as_default: bool) -> None: ...

    def forget(self) -> None: ...


class _Server:
    """A database server. Its log-ins are stored in the keyring, or on request in a file."""

    logs_in_by_itself = False
    revive: Callable[[], None] | None = None

    def __init__(
        self,
        target: Target,
        credentials: Callable[[], CredentialBook],
        callbacks: Callbacks,
        *,
        data_dir: Path,
    ) -> None:
        self.target = target
        self._credentials = credentials  # not imported before it is needed: a token may be given
        self._callbacks = callbacks
        self._data_dir = data_dir

    @cached_property
    def login(self) -> Login | None:
        found = self._credentials().find(self.target.name)
        return None if found is None else Login(found[0].token, found[1].value)

    def prepare(self) -> None:
        pass

    def store_kind(self, wanted: StoreKind) -> StoreKind:
        return wanted

    def check_store(self, kind: StoreKind) -> None:
        self._credentials().check(kind)

    def keep(self, account: Account, token: str, kind: StoreKind, *, as_default: bool) -> None:
        from todo_cli.credentials import Credential

        credential = Credential(str(account.user_id), account.email, token, self.target.url)
        self._credentials().keep(self.target.name, credential, kind, as_default=as_default)
        if kind is StoreKind.FILE:
            self._callbacks.note(
                f"Warning: the session is stored in a file under {self._data_dir}. "
                "Whoever can read your files can use it."
            )

    def forget(self) -> None:
        self._credentials().forget(self.target.name)


class _Embedded:
    """The embedded database. It stores the log-in in a file, since its own files are no safer."""

    logs_in_by_itself = True

    def __init__(self, target: Target, home: EmbeddedHome, callbacks: Callbacks) -> None:
        self.target = target
        self._home = home
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
        self._callbacks.note("Creating a database for your tasks …")
        token = self._home.prepare()
        self._callbacks.note(f"Your tasks are stored in {self._home.data_dir} (PostgreSQL).")
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
    """The name of this session in the account's list of sessions."""
    import platform

    from todo_cli import __version__
    from todo_cli.values import printable

    return printable(f"todo {__version__} on {platform.node() or 'an unnamed machine'}")
