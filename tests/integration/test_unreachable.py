"""A server that nobody reaches is told of in seconds; one that accepted is waited for.

The clock is the test's own where it matters: what is decided is looked at, not how long it took.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.abc import PQGenConn
from psycopg.waiting import WAIT_W

from tests.conftest import Cli
from tests.support.neon import Neon
from tests.support.people import sign_up
from tests.support.waiting import GUARD_SECONDS
from todo_cli.admin.connect import connected
from todo_cli.database import connecting
from todo_cli.database.connecting import MAX_UNREACHED_SECONDS, Deadline
from todo_cli.database.session import Database
from todo_cli.errors import DatabaseUnreachable, TodoError
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskQuery

TIMEOUT_SECONDS = 30


class Clock:
    """Goes on only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(connecting, "monotonic", clock)
    monkeypatch.setattr("todo_cli.database.retry.sleep", clock.sleep)
    return clock


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine's at which nobody listens; nobody else gets it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def look(database: Database) -> object:
    return TaskRepository(database).page(TaskQuery())


def test_a_refused_connection_is_tried_for_some_seconds_only(
    closed_port: int, clock: Clock, open_database: Callable[..., Database]
) -> None:
    database = open_database(f"postgresql://u@localhost:{closed_port}/d", "token", TIMEOUT_SECONDS)
    with pytest.raises(DatabaseUnreachable, match="accepts connections") as raised:
        look(database)
    assert clock.pauses > 2
    assert MAX_UNREACHED_SECONDS / 2 < clock.now <= MAX_UNREACHED_SECONDS
    assert "host and the port" in (raised.value.hint or "")


def test_administration_gives_up_alike(closed_port: int, clock: Clock) -> None:
    url = f"postgresql://u@localhost:{closed_port}/d"
    with pytest.raises(DatabaseUnreachable, match="accepts connections"), connected(url):
        pass
    assert MAX_UNREACHED_SECONDS / 2 < clock.now <= MAX_UNREACHED_SECONDS


def test_who_asks_to_wait_is_waited_for(closed_port: int, clock: Clock) -> None:
    url = f"postgresql://u@localhost:{closed_port}/d"
    with (
        pytest.raises(DatabaseUnreachable),
        connected(url, timeout_seconds=60, unreached_seconds=60),
    ):
        pass
    assert clock.now > 50


def test_a_server_that_is_started_meanwhile_is_waited_for(closed_port: int, clock: Clock) -> None:
    revived = []
    database = Database(
        f"postgresql://u@localhost:{closed_port}/d",
        session_token="token",
        timeout_seconds=TIMEOUT_SECONDS,
        revive=lambda: revived.append(clock.now),
    )
    with pytest.raises(DatabaseUnreachable):
        look(database)
    assert revived[-1] > 2 * MAX_UNREACHED_SECONDS


def opening(steps: int, clock: Clock) -> PQGenConn[Any]:
    """As libpq's steps, each of which takes a second: what it was told is its answer."""
    told = []
    for _ in range(steps):
        told.append((yield (0, WAIT_W)))
        clock.now += 1
    return told


def drive(generator: PQGenConn[Any], ready: list[int]) -> Any:
    try:
        next(generator)
        for one in ready:
            generator.send(one)
    except StopIteration as end:
        return end.value
    raise AssertionError("it has not ended")


def test_a_host_that_does_not_accept_is_given_up(clock: Clock) -> None:
    steps = connecting.accepted_in_time(opening(100, clock), Deadline(4), pytest.fail)
    with pytest.raises(psycopg.OperationalError, match="did not accept"):
        drive(steps, [0] * 100)
    assert clock.now == 4


def test_a_host_that_accepted_is_waited_for(clock: Clock) -> None:
    reached: list[float] = []
    steps = connecting.accepted_in_time(
        opening(100, clock), Deadline(4), lambda: reached.append(clock.now)
    )
    assert drive(steps, [0, 1] + [0] * 98) == [0, 1] + [0] * 98
    assert reached == [100]


def test_a_compute_that_accepted_and_wakes_slowly_is_waited_for(
    neon: Neon, neon_database: str, cli_here: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "MAX_UNREACHED_SECONDS", 0.2)
    dora = sign_up(neon.superuser_url(neon_database), "dora")
    neon.pooled.wake_seconds = 1.0
    neon.pooled.sleep()
    environ = {"TODO_DATABASE_URL": neon.url(neon_database)}
    assert cli_here("list", environ=environ, person=dora).exit_code == 0
    assert neon.pooled.stats.connections == 1


def test_a_fault_of_a_server_that_is_there_gives_it_time_anew(
    closed_port: int, clock: Clock
) -> None:
    deadline = Deadline(TIMEOUT_SECONDS)
    clock.now = 10
    assert deadline.unreached_seconds == 0
    deadline.note_reached()
    assert deadline.unreached_seconds == MAX_UNREACHED_SECONDS


def test_a_name_that_is_not_looked_up_in_time_is_told(
    monkeypatch: pytest.MonkeyPatch, open_database: Callable[..., Database]
) -> None:
    is_over = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        is_over.wait(GUARD_SECONDS)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(connecting, "MAX_UNREACHED_SECONDS", 0.2)
    try:
        with pytest.raises(TodoError, match="host name is not known"):
            look(open_database("postgresql://u:p@db.example/d", "token", 3600))
    finally:
        is_over.set()


def test_each_address_gets_its_share_and_the_last_may_be_the_one(
    neon: Neon,
    neon_database: str,
    cli_here: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first address takes no connection: its queue is full."""
    dora = sign_up(neon.superuser_url(neon_database), "dora")
    port = neon.pooled.port

    def two_addresses(host: str, port: str, **_: object) -> list[object]:
        addresses = ["127.0.0.3", "127.0.0.1"]
        return [(socket.AF_INET, 1, 6, "", (address, int(port))) for address in addresses]

    with socket.socket() as full:
        full.bind(("127.0.0.3", port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.3", port))
        monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
        monkeypatch.setattr(connecting, "MAX_UNREACHED_SECONDS", 2)
        url = neon.url(neon_database).replace("hostaddr=127.0.0.1&", "")
        result = cli_here("list", environ={"TODO_DATABASE_URL": url}, person=dora)
        for one in waiting:
            one.close()
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_command_says_what_to_check(cli: Cli, closed_port: int) -> None:
    environ = {"TODO_DATABASE_URL": f"postgresql://u@localhost:{closed_port}/d"}
    refused = cli("add", "Milk", environ=environ)
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr.startswith("Error: No database server accepts connections")
