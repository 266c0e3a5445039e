"""A process that keeps its connection, and a compute that falls asleep under it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlmodel import text

from tests.conftest import Cli
from tests.support.neon import Neon
from tests.support.people import Person, sign_up
from tests.support.proxy import Ending
from tests.support.waiting import GUARD_SECONDS, wait_until
from todo_cli.database.session import TAKES_LONG, Database
from todo_cli.errors import DatabaseUnreachable
from todo_cli.tasks.references import LARGE
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskDraft, TaskQuery

ENDINGS: list[Ending] = ["57P01", "fin", "eof", "rst", "blackhole"]
HOSTS = pytest.mark.parametrize("is_pooled", [True, False], ids=["pooled", "direct"])


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: the tests put doubles in its place for the name service."""
    return cli_here


@pytest.fixture
def dora(neon: Neon, neon_database: str) -> Person:
    return sign_up(neon.superuser_url(neon_database), "dora")


@pytest.fixture
def open_tasks(
    neon: Neon, neon_database: str, dora: Person, open_database: Callable[..., Database]
) -> Callable[..., TaskRepository]:
    def open_(*, is_pooled: bool = True, timeout_seconds: float = 20) -> TaskRepository:
        url = neon.url(neon_database, is_pooled=is_pooled)
        return TaskRepository(open_database(url, dora.token, timeout_seconds))

    return open_


class TestIdleConnections:
    @HOSTS
    @pytest.mark.parametrize("how", ENDINGS)
    def test_one_that_died_is_replaced_without_an_error(
        self,
        neon: Neon,
        open_tasks: Callable[..., TaskRepository],
        how: Ending,
        is_pooled: bool,
    ) -> None:
        # Of these seconds a third is given to a connection that says nothing.
        tasks = open_tasks(is_pooled=is_pooled, timeout_seconds=6)
        tasks.add([TaskDraft("before")])
        proxy = neon.pooled if is_pooled else neon.direct
        assert proxy.kill_idle(how) == 1
        tasks.add([TaskDraft("after")])
        titles = [task.title for task in tasks.page(TaskQuery()).tasks]
        assert titles == ["after", "before"]
        assert proxy.stats.connections == 2

    @HOSTS
    def test_a_statement_for_many_is_not_taken_for_a_dead_connection(
        self,
        neon: Neon,
        neon_database: str,
        dora: Person,
        open_database: Callable[..., Database],
        is_pooled: bool,
    ) -> None:
        """It may be silent for longer than the third of the time that a dead one is given."""
        database = open_database(neon.url(neon_database, is_pooled=is_pooled), dora.token, 6)
        slow = text("select 1 from pg_sleep(3)").execution_options(**TAKES_LONG)
        for _ in range(2):
            assert database.run(lambda session: session.execute(slow).scalar()) == 1
        proxy = neon.pooled if is_pooled else neon.direct
        # Two statements and, before the second, the question whether the connection lives.
        assert (proxy.stats.connections, proxy.stats.round_trips) == (1, 3)
        assert sum("pg_sleep" in query for query in proxy.stats.queries) == 2

    @HOSTS
    @pytest.mark.parametrize("how", ENDINGS)
    def test_many_are_not_sent_into_a_connection_that_died(
        self,
        neon: Neon,
        open_tasks: Callable[..., TaskRepository],
        how: Ending,
        is_pooled: bool,
    ) -> None:
        tasks = open_tasks(is_pooled=is_pooled, timeout_seconds=15)
        tasks.add([TaskDraft("before")])
        proxy = neon.pooled if is_pooled else neon.direct
        assert proxy.kill_idle(how) == 1
        assert len(tasks.add([TaskDraft("after")] * LARGE)) == LARGE
        assert proxy.stats.connections == 2
        assert sum("insert into" in query.lower() for query in proxy.stats.queries) == 2

    @HOSTS
    def test_a_compute_that_restarts_behind_it_is_not_noticed(
        self,
        neon: Neon,
        neon_database: str,
        open_tasks: Callable[..., TaskRepository],
        is_pooled: bool,
    ) -> None:
        tasks = open_tasks(is_pooled=is_pooled)
        tasks.add([TaskDraft("before")])
        neon.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            f"where datname = '{neon_database}'"
        )
        tasks.add([TaskDraft("after")])
        titles = [task.title for task in tasks.page(TaskQuery()).tasks]
        assert titles == ["after", "before"]

    def test_every_statement_after_the_first_uses_the_new_one(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository]
    ) -> None:
        tasks = open_tasks()
        tasks.add([TaskDraft("before")])
        neon.pooled.kill_idle("fin")
        for _ in range(5):
            tasks.page(TaskQuery())
        assert neon.pooled.stats.connections == 2
        # One for `add`, five for the pages: the dead connection took none.
        assert neon.pooled.stats.round_trips == 6

    def test_an_open_connection_costs_one_round_trip_and_no_ping(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository]
    ) -> None:
        tasks = open_tasks()
        tasks.page(TaskQuery())
        neon.pooled.stats.reset()
        tasks.page(TaskQuery())
        assert (neon.pooled.stats.connections, neon.pooled.stats.round_trips) == (0, 1)


class TestSilence:
    def test_a_line_that_stays_silent_is_given_up_within_the_timeout(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository]
    ) -> None:
        tasks = open_tasks(timeout_seconds=2)
        neon.pooled.cut(before_server_message=1, how="blackhole", times=1000)
        with pytest.raises(DatabaseUnreachable, match="did not answer in time"):
            tasks.page(TaskQuery())
        assert neon.pooled.stats.connections == 1

    def test_a_server_that_hangs_up_is_tried_until_the_time_is_over(
        self, open_database: Callable[..., Database]
    ) -> None:
        hung_up = 0
        is_over = threading.Event()

        def hang_up() -> None:
            nonlocal hung_up
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    hung_up += 1

        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.1)
            thread = threading.Thread(target=hang_up)
            thread.start()
            url = f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/db"
            tasks = TaskRepository(open_database(url, "token", 1))
            with pytest.raises(DatabaseUnreachable, match="was cut"):
                tasks.page(TaskQuery())
            is_over.set()
            thread.join()
        assert hung_up > 1

    def test_a_server_that_takes_connections_and_says_nothing(
        self, open_database: Callable[..., Database]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/db"
            tasks = TaskRepository(open_database(url, "token", 2))
            with pytest.raises(DatabaseUnreachable, match="did not answer in time"):
                tasks.page(TaskQuery())


class TestWakingUp:
    @HOSTS
    def test_is_waited_for(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository], is_pooled: bool
    ) -> None:
        proxy = neon.pooled if is_pooled else neon.direct
        proxy.wake_seconds = 1.5
        proxy.sleep()
        assert open_tasks(is_pooled=is_pooled).page(TaskQuery()).tasks == []
        assert proxy.stats.connections == 1

    @pytest.mark.parametrize(
        "text",
        [
            "Control plane request failed",
            "Couldn't connect to compute node",
            "Authentication timed out",
        ],
    )
    def test_a_refusal_that_passes_is_waited_out(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository], text: str
    ) -> None:
        neon.pooled.refuse(text, times=2)
        assert open_tasks().page(TaskQuery()).tasks == []
        assert neon.pooled.stats.connections == 3

    @pytest.mark.parametrize(
        "text",
        [
            "The requested endpoint could not be found, or you don't have access to it",
            "Your account or project has exceeded the compute time quota",
            "This IP address 192.0.2.1 is not allowed to connect to this endpoint.",
            "Control plane request failed: The endpoint has been disabled",
        ],
    )
    def test_a_refusal_for_good_is_told_at_once(
        self, neon: Neon, open_tasks: Callable[..., TaskRepository], text: str
    ) -> None:
        neon.pooled.refuse(text, times=1000)
        with pytest.raises(DatabaseUnreachable, match="Neon"):
            open_tasks().page(TaskQuery())
        assert neon.pooled.stats.connections == 1

    def test_the_terminal_is_told_and_wiped(
        self, neon: Neon, neon_database: str, dora: Person, cli: Cli
    ) -> None:
        neon.pooled.wake_seconds = 1.2
        neon.pooled.sleep()
        environ = {"TODO_DATABASE_URL": neon.url(neon_database), "TERM": "xterm"}
        result = cli("list", environ=environ, person=dora, columns=80)
        assert result.exit_code == 0
        assert "⠋ Waking the database…" in result.stderr
        lines = result.stderr.split("\r\x1b[K")
        assert lines[-1] == "Nothing to do. Add a task with: todo add TITLE\n"

    @pytest.mark.parametrize(
        ("words", "columns"), [(["list"], None), (["list", "-q"], 80)], ids=["a pipe", "--quiet"]
    )
    def test_nobody_else_is(
        self,
        neon: Neon,
        neon_database: str,
        dora: Person,
        cli: Cli,
        words: list[str],
        columns: int | None,
    ) -> None:
        neon.pooled.wake_seconds = 0.8
        neon.pooled.sleep()
        environ = {"TODO_DATABASE_URL": neon.url(neon_database)}
        result = cli(*words, environ=environ, person=dora, columns=columns)
        assert result.exit_code == 0
        assert "Waking" not in result.stderr


class TestWrongPassword:
    def test_is_tried_once(self, neon: Neon, neon_database: str, dora: Person, cli: Cli) -> None:
        environ = {"TODO_DATABASE_URL": neon.url(neon_database, password="not-the-password")}
        result = cli("list", environ=environ, person=dora)
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.startswith("Error: The database refused the user name or password")
        assert "not-the-password" not in result.stderr
        assert neon.pooled.stats.connections == 1

    def test_is_tried_once_for_all_addresses_of_a_host(
        self,
        neon: Neon,
        neon_database: str,
        dora: Person,
        cli: Cli,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        looked_up: list[str] = []

        def three_addresses(host: str, port: str, **_: object) -> list[object]:
            looked_up.append(host)
            return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", int(port)))] * 3

        monkeypatch.setattr(socket, "getaddrinfo", three_addresses)
        url = neon.url(neon_database, password="wrong").replace("hostaddr=127.0.0.1&", "")
        result = cli("list", environ={"TODO_DATABASE_URL": url}, person=dora)
        assert result.exit_code == 4
        assert len(looked_up) == 1
        assert neon.pooled.stats.connections == 1

    def test_the_next_address_is_tried_where_one_is_closed(
        self,
        neon: Neon,
        neon_database: str,
        dora: Person,
        cli: Cli,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def two_addresses(host: str, port: str, **_: object) -> list[object]:
            addresses = ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first
            return [(socket.AF_INET, 1, 6, "", (address, int(port))) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
        url = neon.url(neon_database).replace("hostaddr=127.0.0.1&", "")
        result = cli("list", environ={"TODO_DATABASE_URL": url}, person=dora)
        assert (result.exit_code, result.stderr) == (0, "")


class TestCtrlC:
    @pytest.fixture
    def start(
        self, neon: Neon, neon_database: str, dora: Person
    ) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
        """Start a command that would wait for an hour."""
        started: list[subprocess.Popen[bytes]] = []

        def start(url: str | None = None) -> subprocess.Popen[bytes]:
            environ = {
                **os.environ,
                "TODO_DATABASE_URL": url or neon.url(neon_database),
                "TODO_SESSION_TOKEN": dora.token,
                "TODO_TIMEOUT": "3600",
                "TODO_AGENT": "0",
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "todo_cli", "list"],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            started.append(process)
            return process

        yield start
        for process in started:
            process.kill()
            process.communicate()

    def interrupt(self, process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=GUARD_SECONDS)
        return process.returncode, stdout, stderr

    def test_ends_a_wait_for_a_connection(
        self, start: Callable[..., subprocess.Popen[bytes]]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = start(f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/db")
            with listener.accept()[0]:
                assert self.interrupt(process) == (130, b"", b"")

    def test_ends_a_wait_for_an_answer(
        self, neon: Neon, start: Callable[..., subprocess.Popen[bytes]]
    ) -> None:
        neon.pooled.cut(before_server_message=1, how="blackhole")
        process = start()
        wait_until(lambda: neon.pooled.stats.cuts == 1)
        assert self.interrupt(process) == (130, b"", b"")

    def test_ends_a_pause_between_two_tries(
        self, neon: Neon, start: Callable[..., subprocess.Popen[bytes]]
    ) -> None:
        neon.pooled.refuse("Too many connections attempts", times=1000)
        process = start()
        wait_until(lambda: neon.pooled.stats.connections >= 2)
        assert self.interrupt(process) == (130, b"", b"")

    def test_ends_the_lookup_of_a_name(
        self, dora: Person, monkeypatch: pytest.MonkeyPatch, open_database: Callable[..., Database]
    ) -> None:
        is_asked, is_over = threading.Event(), threading.Event()

        def never(*_: object, **__: object) -> list[object]:
            is_asked.set()
            is_over.wait(GUARD_SECONDS)
            raise OSError

        monkeypatch.setattr(socket, "getaddrinfo", never)
        tasks = TaskRepository(open_database("postgresql://u:p@db.example/d", "token", 3600))

        def press() -> None:
            is_asked.wait(GUARD_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)

        presser = threading.Thread(target=press)
        presser.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                tasks.page(TaskQuery())
        finally:
            is_over.set()
            presser.join()
