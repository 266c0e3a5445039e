"""The proxy that the other tests trust to count, delay and break: does it do exactly what it says?

What got through is read off a second proxy, behind or in front of the one that is tested.
"""

import contextlib
import os
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from psycopg import errors, sql

from tests.support.proxy import Ending, TcpUpstream, UnixUpstream, WireProxy

Connection = psycopg.Connection[tuple[Any, ...]]
Connect = Callable[..., Connection]

LATENCY_SECONDS = 0.05
SCHEMA = f"proxy_{os.getpid()}"
"""Its own for each process: tests may run in parallel, in one database."""
SESSION = f"-c search_path={SCHEMA} -c lock_timeout=10s"
SELECT_MESSAGES = [b"T", b"D", b"C", b"Z"]
"""RowDescription, DataRow, CommandComplete, ReadyForQuery: what answers the simple protocol."""
PARAMETERS_SENT = [b"P", b"B", b"D", b"E", b"S"]
"""Parse, Bind, Describe, Execute, Sync: a statement with parameters, unprepared."""


@pytest.fixture
def upstream(server_socket_dir: Path) -> UnixUpstream:
    return UnixUpstream(server_socket_dir)


@pytest.fixture
def proxy(upstream: UnixUpstream) -> Iterator[WireProxy]:
    with WireProxy(upstream=upstream) as proxy:
        yield proxy


@pytest.fixture
def connect(server_user: str, server_database: str) -> Iterator[Connect]:
    """Connect in autocommit to a proxy, without TLS; all connections are closed at the end."""
    with contextlib.ExitStack() as opened:

        def connect(proxy: WireProxy, **options: Any) -> Connection:
            defaults: dict[str, Any] = {
                "host": proxy.host,
                "port": proxy.port,
                "user": server_user,
                "dbname": server_database,
                "sslmode": "disable",
                "gssencmode": "disable",
                "options": SESSION,
                "autocommit": True,
            }
            connection: Connection = psycopg.connect(**(defaults | options))
            opened.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def direct(server_socket_dir: Path, server_user: str, server_database: str) -> Iterator[Connection]:
    """A connection that passes no proxy, with an empty table `arrivals` for the others to fill."""
    with psycopg.connect(
        host=str(server_socket_dir),
        user=server_user,
        dbname=server_database,
        options=SESSION,
        autocommit=True,
    ) as connection:
        schema = sql.Identifier(SCHEMA)
        connection.execute(sql.SQL("create schema {}").format(schema))
        connection.execute("create table arrivals (name text)")
        yield connection
        connection.execute(sql.SQL("drop schema {} cascade").format(schema))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """What makes `connect` use TLS and check the certificate."""
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    return {"sslmode": "verify-full", "sslrootcert": str(roots), "channel_binding": "prefer"}


@pytest.fixture
def tls_proxy(upstream: UnixUpstream, server_tls: ssl.SSLContext) -> Iterator[WireProxy]:
    with WireProxy(upstream=upstream, tls=server_tls, tls_required=True) as proxy:
        yield proxy


def names_in(direct: Connection) -> list[str]:
    return [name for (name,) in direct.execute("select name from arrivals order by name")]


def startup_round_trips(connection: Connection) -> int:
    """The StartupMessage and, if the server has asked for a password, SCRAM's two messages."""
    return 3 if connection.pgconn.used_password else 1


def receives_within(connection: Connection, seconds: float) -> bool:
    readable, _, _ = select.select([connection.pgconn.socket], [], [], seconds)
    return bool(readable)


def borrowed_socket(connection: Connection) -> socket.socket:
    """The socket under the connection, to see what libpq would hide. To be closed on its own."""
    borrowed = socket.socket(fileno=os.dup(connection.pgconn.socket))
    borrowed.settimeout(10)
    return borrowed


class TestCounting:
    def test_a_statement_is_one_round_trip(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        proxy.stats.reset()
        connection.execute("select 1")
        assert (proxy.stats.round_trips, proxy.stats.statements) == (1, 1)
        assert proxy.stats.queries == ["select 1"]
        assert proxy.server_messages_seen == SELECT_MESSAGES

    def test_a_statement_with_parameters_is_one(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        connection.execute("select %s::int", (1,))
        assert proxy.stats.round_trips == 1
        assert proxy.stats.queries == ["select $1::int"]
        assert proxy.client_messages_seen == PARAMETERS_SENT

    def test_a_transaction_adds_begin_and_commit(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy, autocommit=False)
        connection.execute("select 1")
        connection.execute("select 2")
        connection.commit()
        assert proxy.stats.round_trips == 4
        assert proxy.stats.queries == ["BEGIN", "select 1", "select 2", "COMMIT"]

    @pytest.mark.parametrize("latency_seconds", [0.0, 0.02])
    def test_a_pipeline_is_one_whatever_the_latency(
        self, proxy: WireProxy, connect: Connect, latency_seconds: float
    ) -> None:
        connection = connect(proxy)
        proxy.latency_seconds = latency_seconds
        with connection.pipeline():
            connection.execute("select 1")
            connection.execute("select 2")
        assert (proxy.stats.round_trips, proxy.stats.statements) == (1, 2)

    def test_a_result_wanted_within_a_pipeline_is_one_more(
        self, proxy: WireProxy, connect: Connect
    ) -> None:
        connection = connect(proxy)
        with connection.pipeline():
            assert connection.execute("select 1").fetchone() == (1,)
            connection.execute("select 2")
        assert proxy.stats.round_trips == 2

    def test_each_sync_is_one(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        with connection.pipeline() as pipeline:
            connection.execute("select 1")
            pipeline.sync()
            connection.execute("select 2")
        assert proxy.stats.round_trips == 2

    def test_many_rows_are_one(self, proxy: WireProxy, connect: Connect) -> None:
        rows = connect(proxy).execute("select repeat('x', 1000) from generate_series(1, 5000)")
        assert len(rows.fetchall()) == 5000
        assert proxy.stats.round_trips == 1

    def test_a_long_statement_is_one(self, proxy: WireProxy, connect: Connect) -> None:
        connect(proxy).execute("select %s::text", ("x" * 3_000_000,))
        assert proxy.stats.round_trips == 1

    def test_copying_in_is_two_and_copying_out_is_one(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        with connection.cursor().copy("copy arrivals from stdin") as copy:
            for name in ("one", "two"):
                copy.write_row((name,))
        assert proxy.stats.round_trips == 2
        with connection.cursor().copy("copy arrivals to stdout") as copy:
            assert list(copy.rows()) == [("one",), ("two",)]
        assert proxy.stats.round_trips == 3
        connection.execute("select %s::int", (1,))
        assert proxy.stats.round_trips == 4
        assert names_in(direct) == ["one", "two"]

    def test_terminating_is_none(self, proxy: WireProxy, connect: Connect) -> None:
        connect(proxy).close()
        connect(proxy).execute("select 1")
        assert proxy.stats.connections == 2
        assert proxy.stats.round_trips == 1

    def test_connecting_over_tcp(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        assert proxy.stats.connection_round_trips == 1 + startup_round_trips(connection)

    def test_connecting_over_a_unix_socket(self, upstream: UnixUpstream, connect: Connect) -> None:
        # Not pytest's folder: its path may be too long for a socket.
        with (
            tempfile.TemporaryDirectory() as folder,
            WireProxy(upstream=upstream, listen=Path(folder)) as proxy,
        ):
            connection = connect(proxy)
            assert connection.execute("select 1").fetchone() == (1,)
            assert proxy.stats.connection_round_trips == startup_round_trips(connection)
            with pytest.raises(ValueError, match="cannot be reset"):
                proxy.kill_idle("rst")


class TestTls:
    def test_asked_for(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str]
    ) -> None:
        connection = connect(tls_proxy, **client_tls)
        assert connection.execute("select 1").fetchone() == (1,)
        assert connection.pgconn.ssl_in_use
        # TCP, the SSLRequest, one flight of TLS 1.3.
        expected = 3 + startup_round_trips(connection)
        assert tls_proxy.stats.connection_round_trips == expected

    def test_begun_directly(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str]
    ) -> None:
        connection = connect(tls_proxy, **client_tls, sslnegotiation="direct")
        assert connection.execute("select 1").fetchone() == (1,)
        assert connection.pgconn.ssl_in_use
        expected = 2 + startup_round_trips(connection)
        assert tls_proxy.stats.connection_round_trips == expected

    def test_tls_1_2_takes_one_more(
        self,
        tls_proxy: WireProxy,
        server_tls: ssl.SSLContext,
        connect: Connect,
        client_tls: dict[str, str],
    ) -> None:
        server_tls.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = connect(tls_proxy, **client_tls)
        expected = 4 + startup_round_trips(connection)
        assert tls_proxy.stats.connection_round_trips == expected

    def test_without_tls_is_refused_where_it_is_required(
        self, tls_proxy: WireProxy, connect: Connect
    ) -> None:
        with pytest.raises(psycopg.OperationalError, match="connection is insecure") as caught:
            connect(tls_proxy)
        assert "FATAL:  connection is insecure (try using `sslmode=require`)" in str(caught.value)

    def test_begun_directly_without_naming_the_protocol_is_refused(
        self, tls_proxy: WireProxy, authority: trustme.CA
    ) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with (
            socket.create_connection((tls_proxy.host, tls_proxy.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
            contextlib.suppress(ConnectionResetError),
        ):
            assert encrypted.recv(1) == b""
        assert tls_proxy.stats.connections == 0

    def test_an_unknown_authority_is_not_trusted(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str], tmp_path: Path
    ) -> None:
        stranger = tmp_path / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(str(stranger))
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            connect(tls_proxy, **(client_tls | {"sslrootcert": str(stranger)}))
        assert tls_proxy.stats.connections == 0

    def test_much_passes_in_both_directions(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str]
    ) -> None:
        text = "x" * 3_000_000
        rows = connect(tls_proxy, **client_tls).execute("select %s::text", (text,))
        assert rows.fetchone() == (text,)

    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ("fin", "SSL connection has been closed unexpectedly"),
            ("eof", "SSL error: unexpected eof while reading|SSL SYSCALL error: EOF detected"),
            ("rst", "server closed the connection unexpectedly"),
        ],
    )
    def test_cut(
        self,
        tls_proxy: WireProxy,
        connect: Connect,
        client_tls: dict[str, str],
        how: Ending,
        words: str,
    ) -> None:
        connection = connect(tls_proxy, **client_tls)
        tls_proxy.cut(before_server_message=1, how=how)
        with pytest.raises(psycopg.OperationalError, match=words):
            connection.execute("select 1")


class TestLatency:
    """Only lower bounds, but for one that is many times what it takes: a clock is no measure."""

    def test_connecting_takes_as_many_as_are_counted(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str]
    ) -> None:
        tls_proxy.latency_seconds = LATENCY_SECONDS
        start = time.monotonic()
        connect(tls_proxy, **client_tls)
        elapsed = time.monotonic() - start
        assert elapsed >= tls_proxy.stats.connection_round_trips * LATENCY_SECONDS

    def test_a_statement_takes_one(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        proxy.latency_seconds = LATENCY_SECONDS
        start = time.monotonic()
        connection.execute("select 1")
        connection.execute("select 2")
        assert time.monotonic() - start >= 2 * LATENCY_SECONDS

    def test_pipelined_statements_overlap(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        proxy.latency_seconds = LATENCY_SECONDS
        start = time.monotonic()
        with connection.pipeline():
            for _ in range(200):
                connection.execute("select 1")
        assert LATENCY_SECONDS <= time.monotonic() - start < 100 * LATENCY_SECONDS


class TestRefusing:
    def test_the_next_connections_get_the_words(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.refuse("Control plane request failed", times=2)
        proxy.refuse("sorry, too many clients already", "53300")
        for words in ["Control plane request failed"] * 2 + ["sorry, too many clients already"]:
            with pytest.raises(psycopg.OperationalError, match=f"FATAL:  {words}"):
                connect(proxy)
        assert connect(proxy).execute("select 1").fetchone() == (1,)
        assert proxy.stats.connections == 4

    def test_healing_forgets_it(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.refuse("Control plane request failed")
        proxy.cut(before_server_message=1)
        proxy.heal()
        assert connect(proxy).execute("select 1").fetchone() == (1,)

    def test_a_server_that_cannot_be_reached(self, connect: Connect) -> None:
        with (
            tempfile.TemporaryDirectory() as nowhere,
            WireProxy(upstream=UnixUpstream(Path(nowhere))) as proxy,
            pytest.raises(psycopg.OperationalError, match="Couldn't connect to compute node"),
        ):
            connect(proxy)


class TestSleeping:
    def test_the_first_connection_waits(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.wake_seconds = 0.3
        proxy.sleep()
        start = time.monotonic()
        connect(proxy)
        assert time.monotonic() - start >= 0.3
        proxy.wake_seconds = 3600.0
        connect(proxy)

    def test_the_client_may_lose_patience(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.wake_seconds = 3600.0
        proxy.sleep()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            connect(proxy, connect_timeout=2)  # libpq takes less for 2

    def test_healing_wakes_it_up(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.wake_seconds = 3600.0
        proxy.sleep()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            connect(proxy, connect_timeout=2)
        proxy.heal()
        connect(proxy)


class TestCutting:
    @pytest.mark.parametrize("message", [1, 2, 3, 4])
    @pytest.mark.parametrize("how", ["fin", "rst"])
    def test_before_a_servers_message(
        self, proxy: WireProxy, connect: Connect, message: int, how: Ending
    ) -> None:
        with WireProxy(upstream=TcpUpstream(proxy.host, proxy.port)) as observer:
            connection = connect(observer)
            proxy.cut(before_server_message=message, how=how)
            with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
                connection.execute("select 1")
            assert observer.server_messages_seen == SELECT_MESSAGES[: message - 1]
        assert proxy.server_messages_seen == SELECT_MESSAGES[:message]
        assert proxy.stats.cuts == 1

    @pytest.mark.parametrize("message", [1, 2, 3])
    @pytest.mark.parametrize("how", ["fin", "rst"])
    def test_after_a_servers_message(
        self, proxy: WireProxy, connect: Connect, message: int, how: Ending
    ) -> None:
        with WireProxy(upstream=TcpUpstream(proxy.host, proxy.port)) as observer:
            connection = connect(observer)
            proxy.cut(after_server_message=message, how=how)
            with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
                connection.execute("select 1")
            assert observer.server_messages_seen == SELECT_MESSAGES[:message]

    def test_after_the_last_message_the_answer_is_whole_and_no_more_gets_through(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        proxy.cut(after_server_message=4)
        assert connection.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("insert into arrivals values ('late')")
        assert names_in(direct) == []

    @pytest.mark.parametrize("message", [1, 2, 3, 4, 5])
    def test_before_a_clients_message(
        self, proxy: WireProxy, connect: Connect, direct: Connection, message: int
    ) -> None:
        with WireProxy(upstream=TcpUpstream(proxy.host, proxy.port)) as cutter:
            connection = connect(cutter)
            cutter.cut(before_client_message=message)
            with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
                connection.execute("insert into arrivals values (%s)", ("lost",))
        assert proxy.client_messages_seen == PARAMETERS_SENT[: message - 1]
        assert names_in(direct) == []

    @pytest.mark.parametrize("message", [1, 2, 3, 4, 5])
    def test_after_a_clients_message(
        self, proxy: WireProxy, connect: Connect, direct: Connection, message: int
    ) -> None:
        with (
            WireProxy(upstream=TcpUpstream(proxy.host, proxy.port)) as cutter,
            WireProxy(upstream=TcpUpstream(cutter.host, cutter.port)) as observer,
        ):
            connection = connect(observer)
            cutter.cut(after_client_message=message)
            with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
                connection.execute("insert into arrivals values (%s)", ("there",))
            assert observer.server_messages_seen == []
        assert proxy.client_messages_seen == PARAMETERS_SENT[:message]
        assert names_in(direct) == (["there"] if PARAMETERS_SENT[message - 1] == b"S" else [])

    def test_the_server_has_finished_when_the_client_learns_of_it(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        proxy.cut(before_server_message=1)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("insert into arrivals select 'there' from pg_sleep(0.3)")
        assert names_in(direct) == ["there"]

    def test_an_open_transaction_is_undone_when_the_client_learns_of_it(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy, autocommit=False)
        connection.execute("insert into arrivals values ('lost')")
        process = connection.info.backend_pid
        proxy.cut(before_client_message=1)
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        alive = direct.execute("select from pg_stat_activity where pid = %s", (process,))
        assert alive.fetchall() == []
        assert names_in(direct) == []

    def test_every_message_of_a_transaction_can_be_cut(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        self._add(connect(proxy, autocommit=False), "whole")
        messages = proxy.server_messages_seen
        commit_reported = len(messages) - 1
        for message in range(1, len(messages) + 1):
            proxy.cut(before_server_message=message)
            with pytest.raises(psycopg.OperationalError):
                self._add(connect(proxy, autocommit=False), f"cut {message}")
        assert proxy.stats.cuts == len(messages)
        # The server had carried out what was cut in the answer to COMMIT, and only that.
        kept = [f"cut {message}" for message in (commit_reported, commit_reported + 1)]
        assert names_in(direct) == [*sorted(kept), "whole"]

    def _add(self, connection: Connection, name: str) -> None:
        connection.execute("insert into arrivals values (%s)", (name,))
        connection.commit()

    def test_as_often_as_ordered(self, proxy: WireProxy, connect: Connect) -> None:
        proxy.cut(before_server_message=1, times=2)
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                connect(proxy).execute("select 1")
        assert connect(proxy).execute("select 1").fetchone() == (1,)

    def test_a_blackhole_is_silent(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        proxy.cut(before_server_message=1, how="blackhole")
        connection.pgconn.send_query(b"insert into arrivals values ('there')")
        connection.pgconn.flush()
        assert not receives_within(connection, 0.5)
        assert names_in(direct) == ["there"]

    def test_a_server_that_waits_need_not_finish(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        with direct.transaction():
            direct.execute("lock table arrivals")
            proxy.cut(after_client_message=1, let_server_finish=False)
            with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
                connection.execute("insert into arrivals values ('perhaps')")

    def test_pipelined_statements_without_sync_are_undone(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        connection = connect(proxy)
        proxy.cut(before_client_message=9)  # the Sync behind two statements of four messages
        with pytest.raises(psycopg.OperationalError):
            self._add_in_a_pipeline(connection, "one", "two")
        assert proxy.client_messages_seen == [b"P", b"B", b"D", b"E"] * 2 + [b"S"]
        assert names_in(direct) == []

    def _add_in_a_pipeline(self, connection: Connection, *names: str) -> None:
        with connection.pipeline():
            for name in names:
                connection.execute("insert into arrivals values (%s)", (name,))

    def test_copying_in_can_be_cut(
        self, proxy: WireProxy, connect: Connect, direct: Connection
    ) -> None:
        proxy.cut(before_client_message=3)  # CopyDone, behind the Query and the data
        with pytest.raises(psycopg.OperationalError):
            self._copy_in(connect(proxy), "lost")
        assert proxy.client_messages_seen == [b"Q", b"d", b"c"]
        assert names_in(direct) == []

    def _copy_in(self, connection: Connection, name: str) -> None:
        with connection.cursor().copy("copy arrivals from stdin") as copy:
            copy.write_row((name,))

    def test_needs_just_one_message(self, proxy: WireProxy) -> None:
        mistakes: list[dict[str, Any]] = [
            {},
            {"before_server_message": 0},
            {"before_server_message": 1, "after_client_message": 1},
        ]
        for mistaken in mistakes:
            with pytest.raises(ValueError, match="needs one message"):
                proxy.cut(**mistaken)


class TestKilling:
    @pytest.mark.parametrize("how", ["fin", "eof", "rst"])
    def test_idle_connections_are_lost(
        self, proxy: WireProxy, connect: Connect, how: Ending
    ) -> None:
        connections = [connect(proxy), connect(proxy)]
        connect(proxy).close()
        assert proxy.kill_idle(how) >= 2
        for connection in connections:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        assert connect(proxy).execute("select 1").fetchone() == (1,)

    def test_a_reset_is_one(self, proxy: WireProxy, connect: Connect) -> None:
        # libpq has the same words for both.
        lost, reset = connect(proxy), connect(proxy)
        proxy.cut(before_server_message=2, how="rst")
        reset.pgconn.send_query(b"select 1")
        reset.pgconn.flush()
        with borrowed_socket(reset) as plain:
            assert plain.recv(1000).startswith(b"T")
            with pytest.raises(ConnectionResetError):
                plain.recv(1)
        proxy.kill_idle("fin")
        with borrowed_socket(lost) as plain:
            assert plain.recv(1) == b""

    def test_in_the_words_of_a_server_that_stops(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        assert proxy.kill_idle("57P01") == 1
        with pytest.raises(errors.AdminShutdown, match="terminating connection due to admin"):
            connection.execute("select 1")
        assert proxy.kill_idle() == 0

    def test_into_a_blackhole(self, proxy: WireProxy, connect: Connect) -> None:
        connection = connect(proxy)
        proxy.kill_idle("blackhole")
        connection.pgconn.send_query(b"select 1")
        connection.pgconn.flush()
        assert not receives_within(connection, 0.5)
        assert proxy.stats.round_trips == 0

    def test_with_tls(
        self, tls_proxy: WireProxy, connect: Connect, client_tls: dict[str, str]
    ) -> None:
        connection = connect(tls_proxy, **client_tls)
        tls_proxy.kill_idle("57P01")
        with pytest.raises(errors.AdminShutdown):
            connection.execute("select 1")


class TestLeavingNothingBehind:
    def test_after_stopping(self, upstream: UnixUpstream, connect: Connect) -> None:
        threads = set(threading.enumerate())
        with WireProxy(upstream=upstream) as proxy:
            idle, lost = connect(proxy), connect(proxy)
            proxy.kill_idle("blackhole")
            connect(proxy)
        assert set(threading.enumerate()) == threads
        for connection in (idle, lost):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((proxy.host, proxy.port))

    def test_a_statement_can_be_cancelled_through_it(
        self, proxy: WireProxy, connect: Connect
    ) -> None:
        connection = connect(proxy)
        with ThreadPoolExecutor(1) as thread:
            sleeping = thread.submit(connection.execute, "select pg_sleep(3600)")
            # The server forgets a request that comes before the statement has begun.
            while not futures.wait([sleeping], timeout=0.1).done:
                connection.cancel_safe()
        assert isinstance(sleeping.exception(), errors.QueryCanceled)
        assert proxy.stats.connections == 1
