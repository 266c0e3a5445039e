"""What tests share: a real PostgreSQL, a database of its own for each test, and the command line.

The server is made from the embedded PostgreSQL; a template database is built by the migrations
once, and cloned for each test. Nothing is skipped where a program is missing: it fails.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keyring
import keyring.backends.fail
import psycopg
import pytest

from tests.support import older
from tests.support.agent import AgentHome
from tests.support.keyrings import WorkingKeyring
from tests.support.neon import Neon, running_neon
from tests.support.people import Person, sign_up
from tests.support.streams import Result as Result
from tests.support.streams import run_here
from todo_cli.admin import migrate
from todo_cli.agent import client
from todo_cli.database import embedded
from todo_cli.database.embedded import EmbeddedServer
from todo_cli.database.embedded.programs import VARIABLE
from todo_cli.database.session import Database
from todo_cli.tasks.repository import TaskRepository

_CLEARED = ("TODO_", "XDG_", "DATABASE_URL", "PG", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS")
_names = itertools.count(1)

pytest_plugins = ["tests.support.memory", "tests.support.time_limit"]


@pytest.fixture(scope="session", autouse=True)
def heeded_ctrl_c() -> None:
    """Tests and the processes that they start heed SIGINT.

    `nohup … &` starts the suite with SIGINT ignored, which every child inherits.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing of the machine's user reaches a test, and nothing of a test reaches them."""
    for name in list(os.environ):
        if name.startswith(_CLEARED):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TODO_AGENT", "0")  # no test leaves an agent behind
    return home


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the keyring of the machine's user; one that needs one brings it."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    absent = keyring.backends.fail.Keyring()  # type: ignore[no-untyped-call]  # untyped library
    keyring.set_keyring(absent)


@pytest.fixture
def working_keyring(no_keyring: None) -> WorkingKeyring:
    backend = WorkingKeyring()
    keyring.set_keyring(backend)
    return backend


@dataclass(frozen=True)
class Postgres:
    """A running server and how its superuser reaches a database of it."""

    socket_dir: Path
    user: str = embedded.SUPERUSER

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@/{database}?host={self.socket_dir}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--older-server",
        action="store_true",
        help="Run on the oldest PostgreSQL that is installed, from 15 on.",
    )


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """One server for the whole run."""
    # Not pytest's folder: its path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="todo-test-"))
    is_older = request.config.getoption("--older-server")
    server = EmbeddedServer(folder, {VARIABLE: str(older.programs())} if is_older else {})
    server.start()
    try:
        yield Postgres(server.socket_dir)
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A database that the migrations made."""
    postgres.execute("create database template_todo")
    migrate.upgrade(postgres.url("template_todo"))
    return "template_todo"


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, its superuser's."""
    name = f"test_{next(_names)}"
    postgres.execute(f"create database {name}")
    yield postgres.url(name)
    postgres.execute(f"drop database {name} with (force)")


@pytest.fixture
def database_url(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a migrated database without a row, its superuser's."""
    name = f"test_{next(_names)}"
    postgres.execute(f"create database {name} template {template} strategy file_copy")
    yield postgres.url(name)
    postgres.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def neon_server() -> Iterator[Neon]:
    """One stand-in for Neon for the whole run."""
    with running_neon() as neon:
        yield neon


@pytest.fixture
def neon(neon_server: Neon) -> Iterator[Neon]:
    """The stand-in, in good health before and after."""
    neon_server.heal()
    yield neon_server
    neon_server.heal()


@pytest.fixture
def neon_database(neon: Neon) -> Iterator[str]:
    """The name of a migrated database of the stand-in."""
    with neon.database(f"neon_{next(_names)}") as name:
        yield name


@pytest.fixture
def alice(database_url: str) -> Person:
    return sign_up(database_url, "alice")


@pytest.fixture
def bob(database_url: str) -> Person:
    return sign_up(database_url, "bob")


@pytest.fixture
def open_database() -> Iterator[Callable[..., Database]]:
    """Make `Database` objects that are closed at the end of the test."""
    opened: list[Database] = []

    def open_(url: str, token: str | None, timeout_seconds: float = 10) -> Database:
        database = Database(url, session_token=token, timeout_seconds=timeout_seconds)
        opened.append(database)
        return database

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def tasks(
    database_url: str, alice: Person, open_database: Callable[..., Database]
) -> TaskRepository:
    """Alice's tasks."""
    return TaskRepository(open_database(database_url, alice.token))


@pytest.fixture
def tasks_of_bob(
    database_url: str, bob: Person, open_database: Callable[..., Database]
) -> TaskRepository:
    return TaskRepository(open_database(database_url, bob.token))


@pytest.fixture
def server_socket_dir(postgres: Postgres) -> Path:
    return postgres.socket_dir


@pytest.fixture
def server_user(postgres: Postgres) -> str:
    return postgres.user


@pytest.fixture
def server_database() -> str:
    return "postgres"


Cli = Callable[..., Result]


@pytest.fixture(scope="session")
def agent_home() -> Iterator[AgentHome]:
    """A home with an agent, for all tests: only the databases of its callers differ."""
    folder = Path(tempfile.mkdtemp(prefix="todo-agent-"))
    home = AgentHome(folder)
    try:
        home.begin()
        yield home
    finally:
        home.end()
        shutil.rmtree(folder)


@pytest.fixture(params=["here", "agent"])
def cli(request: pytest.FixtureRequest, database_url: str, alice: Person) -> Cli:
    """Run a command line as Alice; on a terminal of `columns` where given.

    Once in this process, and once as a process of its own that the agent answers.
    """
    run = run_here if request.param == "here" else _RunByAgent(request)
    return _typed_by(alice, database_url, run)


@pytest.fixture
def cli_here(database_url: str, alice: Person) -> Cli:
    """As `cli`, in this process alone: for tests that put a double in the place of a keyring or of
    the name service, which another process does not see."""
    return _typed_by(alice, database_url, run_here)


def _typed_by(alice: Person, database_url: str, run: Callable[..., Result]) -> Cli:
    def call(
        *words: str,
        stdin: str | bytes = "",
        columns: int | None = None,
        environ: dict[str, str] | None = None,
        person: Person | None = None,
    ) -> Result:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        settings = {
            "TODO_DATABASE_URL": database_url,
            "TODO_SESSION_TOKEN": (person or alice).token,
            "COLUMNS": str(columns or ""),
            **(environ or {}),
        }
        return run(words, content, columns, settings)

    return call


class _RunByAgent:
    """The same by a client process and the agent.

    What such a process does itself, and what cannot be typed, is done in this process: to start
    another one for it tells no more. `tests/places` starts a process for every command.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._home: AgentHome = request.getfixturevalue("agent_home")

    def __call__(
        self, words: Sequence[str], stdin: bytes, columns: int | None, environ: dict[str, str]
    ) -> Result:
        is_clients_own = any(word in client.OWN_PROCESS for word in words[:1])
        if is_clients_own or not _can_be_typed([*words, *environ.values()]):
            return run_here(words, stdin, columns, environ)
        here = {name: os.environ[name] for name in ("VISUAL", "EDITOR") if name in os.environ}
        answer = self._home.todo(
            *words, stdin=stdin, columns=columns, environ={"TERM": "xterm", **here, **environ}
        )
        return Result(answer.exit_code, answer.stdout, answer.stderr)


def _can_be_typed(words: Sequence[str]) -> bool:
    """Whether the system can hand them to a process: no zero bytes, nothing but text."""
    try:
        return not any(b"\0" in os.fsencode(word) for word in words)
    except UnicodeEncodeError:
        return False
