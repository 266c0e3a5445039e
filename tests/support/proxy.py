"""A proxy in front of a PostgreSQL server, to count, delay, refuse and break what passes.

It knows the framing of protocol version 3 and nothing of SQL, so the server stays the real one.
The client's side may be TLS, which ends here as it does in Neon's proxy; the way to the server is
plain.

**What a round trip is.** One answer that the client has asked the server for and must wait for. It
is read off the messages alone, never off the clock or the order of arrival, so neither latency nor
the way TCP cuts a flight into segments can change it:

- Query, FunctionCall, Sync: one each. A pipeline of statements up to one Sync is one.
- Flush: one if anything came since the last Sync or Flush, else none, for then nothing answers it.
- CopyDone, CopyFail: one, together with the Sync that may follow it at once.
- Terminate: none. It is not waited for.

A client that sends several Syncs without waiting in between would be counted too high, never too
low. psycopg waits after each Sync, also in its pipeline mode, so for it the number is exact.

**While connecting**, up to and including the first ReadyForQuery: one for TCP's handshake (none on
a Unix socket), one for an SSLRequest or GSSENCRequest, one for each flight of the TLS handshake
that the client must wait for (TLS 1.3: one, with a HelloRetryRequest two; TLS 1.2: two, resumed
one), one for the StartupMessage, one for each password or SASL message (SCRAM: two).

**Limits.** As the server sees a plain connection, SCRAM runs without channel binding: a client
with `channel_binding=require` is refused by its own libpq. A "blackhole" still acknowledges TCP
segments, so keepalives and `tcp_user_timeout` find nothing amiss; only the client's own patience
ends it.

The proxy is a thread of the test's process. What waits in C and keeps Python's lock, such as
`get_result()` of psycopg's `pgconn`, stops the proxy as well, and waits for ever. psycopg's own
connections and cursors do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, NamedTuple, Self, TypeVar

if sys.platform == "linux":
    import fcntl
    import termios

T = TypeVar("T")

Ending = Literal["fin", "eof", "rst", "blackhole", "57P01"]
"""How a client loses its connection.

- fin: in good order, with TLS's close_notify if there is TLS.
- eof: a FIN without close_notify; the same as fin if there is no TLS.
- rst: a TCP reset. Not on a Unix socket, which has none.
- blackhole: silence. The connection stays open, nothing comes any more, what is sent is lost.
- 57P01: the words of a server that is being stopped, then fin.
"""

Side = Literal["client", "server"]

POSTGRESQL_PORT = 5432
CONTROL_TIMEOUT_SECONDS = 30.0
"""How long a call from the test may take; it exceeds this only if the server does not finish."""

ALPN = "postgresql"
CANCEL_REQUEST, SSL_REQUEST, GSSENC_REQUEST = 80877102, 80877103, 80877104
"""The codes that stand in place of a protocol version (PostgreSQL's src/include/libpq/pqcomm.h)."""
TLS_HANDSHAKE_RECORD = b"\x16"
AUTHENTICATION_OK, SASL_FINAL = 0, 12

INSECURE = "connection is insecure (try using `sslmode=require`)"
UNREACHABLE = "Couldn't connect to compute node"
ADMIN_SHUTDOWN = "terminating connection due to administrator command"


@dataclass(frozen=True)
class UnixUpstream:
    """A server that listens on a Unix socket in this folder."""

    folder: Path
    port: int = POSTGRESQL_PORT

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.folder / f".s.PGSQL.{self.port}")


@dataclass(frozen=True)
class TcpUpstream:
    """A server, or a pooler, that listens on a TCP port, without TLS."""

    host: str
    port: int = POSTGRESQL_PORT

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)


@dataclass
class Stats:
    """What the server was sent since the start or the last reset, over all connections.

    What a cut kept from the server is not in it. Reset it when no statement is under way.
    """

    connections: int = 0
    """StartupMessages, also those that were refused; no CancelRequests, no failed handshakes."""
    connection_round_trips: int = 0
    round_trips: int = 0
    """After each connection's first ReadyForQuery, as the module defines them."""
    queries: list[str] = field(default_factory=list)
    """The SQL of each Query and Parse. What was prepared earlier is executed without either."""
    idle_flushes: int = 0
    """Flushes with nothing before them to flush. To a pooler one may look like a new transaction,
    that nothing ends."""
    bytes_sent: int = 0
    """Of messages, as the client sent them: without TLS, and without what opens a connection."""
    cuts: int = 0
    """Connections that a `cut` has ended, to tell a cut that came from one that never did."""

    @property
    def statements(self) -> int:
        return len(self.queries)

    def reset(self) -> None:
        self.connections = self.connection_round_trips = self.round_trips = self.cuts = 0
        self.idle_flushes = self.bytes_sent = 0
        self.queries = []


class _Message(NamedTuple):
    kind: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[5:]

    @property
    def sql(self) -> str | None:
        """The statement in a Query or Parse, else None."""
        if self.kind == b"Q":
            return self.body.split(b"\0", 1)[0].decode(errors="replace")
        if self.kind == b"P":
            return self.body.split(b"\0", 2)[1].decode(errors="replace")
        return None

    @property
    def ends_authentication(self) -> bool:
        """True for the server's answer to the last of SASL's messages, or to none or a password."""
        code = int.from_bytes(self.body[:4])
        return self.kind == b"R" and code in (AUTHENTICATION_OK, SASL_FINAL)


async def _read_message(read_exactly: Callable[[int], Awaitable[bytes]]) -> _Message:
    head = await read_exactly(5)
    return _Message(head[:1], head + await read_exactly(int.from_bytes(head[1:]) - 4))


def _error_response(text: str, sqlstate: str) -> bytes:
    fields = (b"SFATAL", b"VFATAL", b"C" + sqlstate.encode(), b"M" + text.encode())
    body = b"".join(part + b"\0" for part in fields) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


class _Dialogue:
    """Keeps count of the answers that one client has asked for."""

    def __init__(self) -> None:
        self.outstanding = 0
        """ReadyForQuery messages that the server still owes."""
        self._is_flushable = False
        self._has_ended_copy = False

    def is_idle_flush(self, kind: bytes) -> bool:
        """True for a Flush that nothing will answer.

        psycopg sends one at the end of a pipeline, or not, depending on what has arrived by then.
        """
        return kind == b"H" and not self._is_flushable

    def note_sent(self, kind: bytes) -> bool:
        """Note a client's message; return whether it asks for an answer, which is a round trip."""
        follows_copy, self._has_ended_copy = self._has_ended_copy, kind in (b"c", b"f")
        was_flushable = self._is_flushable
        self._is_flushable = kind in (b"P", b"B", b"D", b"E", b"C")
        if kind == b"H":
            return was_flushable
        # In a COPY of the extended protocol, Sync only completes what CopyDone has asked for.
        if kind not in (b"Q", b"F", b"S", b"c", b"f") or (kind == b"S" and follows_copy):
            return False
        self.outstanding += 1
        return True

    def note_received(self, kind: bytes) -> None:
        """Note a server's message."""
        if kind == b"Z":
            self.outstanding = max(0, self.outstanding - 1)
        elif kind in (b"G", b"W"):
            # The server waits for the client's data now. It ignores the Sync it has had before.
            self.outstanding = 0


class _DelayLine(Generic[T]):
    """A queue whose items come out in order, each as late as the delay was when it went in."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay
        self._due = 0.0
        self._items: asyncio.Queue[tuple[float, T]] = asyncio.Queue()

    def hold(self, seconds: float) -> None:
        """Let nothing out before this many seconds have passed."""
        self._due = asyncio.get_running_loop().time() + seconds

    def put(self, item: T) -> None:
        self._due = max(self._due, asyncio.get_running_loop().time() + self._delay())
        self._items.put_nowait((self._due, item))

    async def get(self) -> T:
        due, item = await self._items.get()
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return item


class _Wire:
    """The bytes between a client and the proxy, late by half of the latency in each direction."""

    def __init__(self, sock: socket.socket, latency: Callable[[], float]) -> None:
        self._sock = sock
        self._arriving: _DelayLine[bytes] = _DelayLine(lambda: latency() / 2)
        self._leaving: _DelayLine[bytes | Ending] = _DelayLine(lambda: latency() / 2)
        self._has_ended = asyncio.Event()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel has shaken hands at once: make up for that full round trip.
            self._arriving.hold(1.5 * latency())
        self._receiving = asyncio.create_task(self._receive())
        self._transmitting = asyncio.create_task(self._transmit())

    async def receive(self) -> bytes:
        """The next bytes from the client, empty when it has closed the connection."""
        return await self._arriving.get()

    def send(self, data: bytes) -> None:
        if data:
            self._leaving.put(data)

    async def end(self, how: Ending) -> None:
        """End the connection behind everything sent so far; return when the client can tell."""
        self._leaving.put(how)
        await self._has_ended.wait()

    async def close(self) -> None:
        await _cancel(self._receiving, self._transmitting)
        self._sock.close()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                while chunk := await loop.sock_recv(self._sock, 65536):
                    self._arriving.put(chunk)
        finally:
            self._arriving.put(b"")

    async def _transmit(self) -> None:
        loop = asyncio.get_running_loop()
        while isinstance(item := await self._leaving.get(), bytes):
            with contextlib.suppress(OSError):
                await loop.sock_sendall(self._sock, item)
        with contextlib.suppress(OSError):
            await self._carry_out(item)
        self._has_ended.set()

    async def _carry_out(self, how: Ending) -> None:
        if how == "rst":
            await self._reset()
        elif how != "blackhole":
            # Not closed: with unread bytes of the client in it, closing would send a reset.
            self._sock.shutdown(socket.SHUT_WR)

    async def _reset(self) -> None:
        while _unacknowledged_bytes(self._sock):  # which a reset would throw away
            await asyncio.sleep(0.001)
        await _cancel(self._receiving)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def _unacknowledged_bytes(sock: socket.socket) -> int:
    """What was sent and is not yet in the receiver's hands; 0 where that cannot be asked."""
    if sys.platform == "linux":
        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, sys.byteorder)
    return 0


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # asyncio forgets a socket it waits on one turn after the cancellation. Whoever closes the
    # socket earlier may have it forget the next socket of the same number.
    await asyncio.sleep(0)


class _Tls:
    """The server's side of TLS, apart from any socket, so that its flights can be counted."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def alpn(self) -> str | None:
        return self._ssl.selected_alpn_protocol()

    def shake_hands(self, data: bytes) -> tuple[bool, bool]:
        """Take in what came; return whether that was all, and whether the client awaits an answer.

        What TLS 1.3 sends at the end are session tickets, which nobody waits for.
        """
        self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.pending > 0
        return True, self._outgoing.pending > 0 and self._ssl.version() != "TLSv1.3"

    def decipher(self, data: bytes) -> bytes:
        self._incoming.write(data)
        plain = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while chunk := self._ssl.read(65536):
                plain += chunk
        return plain

    def encipher(self, data: bytes) -> bytes:
        self._ssl.write(data)
        return self.take_outgoing()

    def say_farewell(self) -> bytes:
        """TLS's close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()
        return self.take_outgoing()

    def take_outgoing(self) -> bytes:
        return self._outgoing.read()


class _Client:
    """The client as a stream of plain bytes, whether there is TLS or not."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._tls: _Tls | None = None
        self._plain = bytearray()
        self._is_given_up = False

    @property
    def is_encrypted(self) -> bool:
        return self._tls is not None

    @property
    def alpn(self) -> str | None:
        return self._tls.alpn if self._tls else None

    async def peek(self) -> bytes:
        """The first byte that is not yet read."""
        while not self._plain:
            await self._fill()
        return bytes(self._plain[:1])

    async def read_exactly(self, size: int) -> bytes:
        """Raises EOFError if the client closes the connection before."""
        while len(self._plain) < size:
            await self._fill()
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def write(self, data: bytes) -> None:
        self._wire.send(self._tls.encipher(data) if self._tls else data)

    async def start_tls(self, context: ssl.SSLContext) -> int:
        """Shake hands; return the round trips that took.

        Raises:
            ssl.SSLError: the client does not trust the certificate, or speaks no TLS.
        """
        tls = _Tls(context)
        chunk, round_trips, is_done = bytes(self._plain), 0, False
        self._plain.clear()
        while not is_done:
            chunk = chunk or await self._receive()
            is_done, is_awaited = tls.shake_hands(chunk)
            round_trips += is_awaited
            self._wire.send(tls.take_outgoing())
            chunk = b""
        self._tls = tls
        self._plain += tls.decipher(b"")  # what came along with the last of the handshake
        return round_trips

    async def hang_up(self, how: Ending) -> None:
        """End the connection; from now on everything the client sends is thrown away."""
        self._is_given_up = True
        if how == "57P01":
            self.write(_error_response(ADMIN_SHUTDOWN, "57P01"))
        if self._tls and how in ("fin", "57P01"):
            self._wire.send(self._tls.say_farewell())
        await self._wire.end(how)

    async def wait_closed(self) -> None:
        """Wait until the client closes the connection on its side."""
        with contextlib.suppress(EOFError):
            while True:
                await self._fill()

    async def _receive(self) -> bytes:
        if chunk := await self._wire.receive():
            return chunk
        raise EOFError

    async def _fill(self) -> None:
        chunk = await self._receive()
        if self._is_given_up:
            return
        if self._tls:
            chunk = self._tls.decipher(chunk)
            self._wire.send(self._tls.take_outgoing())  # an answer to a KeyUpdate
        self._plain += chunk


@dataclass
class _Refusal:
    text: str
    sqlstate: str
    times: int


@dataclass(eq=False)
class _Cut:
    side: Side
    is_before: bool
    index: int
    how: Ending
    times: int
    let_server_finish: bool
    already: dict[_Connection, int]
    """What the connections that were open when the cut was ordered had seen until then."""

    def is_due(self, connection: _Connection, message_count: int) -> bool:
        return message_count == self.index + self.already.get(connection, 0)


class _Orders:
    """What the test wants to go wrong, until it has."""

    def __init__(self) -> None:
        self.refusals: list[_Refusal] = []
        self.cuts: list[_Cut] = []
        self.is_asleep = False
        self.awake_at = 0.0

    def due_cut(self, connection: _Connection, side: Side) -> _Cut | None:
        """The cut that is due now that the connection has seen one more message, used up once."""
        count = len(connection.seen[side])
        for cut in self.cuts:
            if cut.side == side and cut.is_due(connection, count):
                cut.times -= 1
                self.cuts = [each for each in self.cuts if each.times > 0]
                return cut
        return None

    def due_refusal(self) -> _Refusal | None:
        """The refusal for a connection that begins now, used up once."""
        if not self.refusals:
            return None
        refusal = self.refusals[0]
        refusal.times -= 1
        if refusal.times < 1:
            self.refusals.remove(refusal)
        return refusal

    async def wake_up(self, seconds: float) -> None:
        """Wait until the server is awake; if it sleeps, that is so many seconds from now."""
        now = asyncio.get_running_loop().time()
        if self.is_asleep:
            self.is_asleep = False
            self.awake_at = now + seconds
        await asyncio.sleep(max(0.0, self.awake_at - now))


class _Connection:
    """One client's connection, from the first byte to the last."""

    def __init__(self, proxy: WireProxy, sock: socket.socket) -> None:
        self._proxy = proxy
        self._opening_round_trips = 0 if sock.family == socket.AF_UNIX else 1
        self._wire = _Wire(sock, lambda: proxy.latency_seconds)
        self._client = _Client(self._wire)
        self._dialogue = _Dialogue()
        self._upstream: asyncio.StreamWriter | None = None
        self._is_ready = False
        self._ending: Ending | None = None
        self.seen: dict[Side, list[bytes]] = {"client": [], "server": []}
        """The types of the messages since the first ReadyForQuery."""
        self.has_ended = asyncio.Event()
        self._service = asyncio.create_task(self._serve())

    @property
    def is_established(self) -> bool:
        return self._is_ready and self._ending is None and not self.has_ended.is_set()

    async def serve(self) -> None:
        """Do everything there is to do for this client, and leave nothing open."""
        await asyncio.wait([self._service])
        self.has_ended.set()
        await self._wire.close()
        await self._close_upstream()
        if not self._service.cancelled():
            self._service.result()

    def abandon(self) -> None:
        """Let `serve` come to its end now.

        It is not cancelled itself: it may be about to close things, and has to finish that.
        """
        self._service.cancel()

    async def _serve(self) -> None:
        with contextlib.suppress(EOFError, OSError):  # ssl.SSLError is an OSError
            await self._serve_first_packet(await self._negotiate())

    # Connecting.

    async def _negotiate(self) -> bytes:
        """Agree on TLS, or not; return the first packet that is about something else."""
        if await self._client.peek() == TLS_HANDSHAKE_RECORD:
            await self._start_tls()
            # As PostgreSQL does: who comes without asking must say which protocol it will be.
            if self._client.alpn != ALPN:
                raise ConnectionError
        while True:
            packet = await self._read_packet()
            code = int.from_bytes(packet[4:8])
            if code not in (SSL_REQUEST, GSSENC_REQUEST):
                return packet
            self._opening_round_trips += 1
            if code == SSL_REQUEST and self._proxy.tls and not self._client.is_encrypted:
                self._client.write(b"S")
                await self._start_tls()
            else:
                self._client.write(b"N")

    async def _read_packet(self) -> bytes:
        head = await self._client.read_exactly(4)
        return head + await self._client.read_exactly(int.from_bytes(head) - 4)

    async def _start_tls(self) -> None:
        if self._proxy.tls is None:
            raise ConnectionError
        self._opening_round_trips += await self._client.start_tls(self._proxy.tls)

    async def _serve_first_packet(self, packet: bytes) -> None:
        if int.from_bytes(packet[4:8]) == CANCEL_REQUEST:
            await self._pass_on_cancel_request(packet)
            return
        self._proxy.stats.connections += 1
        self._proxy.stats.connection_round_trips += self._opening_round_trips + 1
        self._proxy.newest = self
        if refusal := self._refusal():
            await self._refuse(refusal.text, refusal.sqlstate)
            return
        try:
            reader, self._upstream = await self._proxy.upstream.open()
        except OSError:
            await self._refuse(UNREACHABLE, "XX000")
            return
        self._upstream.write(packet)
        await self._converse(reader)

    def _refusal(self) -> _Refusal | None:
        if self._proxy.tls_required and not self._client.is_encrypted:
            return _Refusal(INSECURE, "XX000", 1)
        return self._proxy.orders.due_refusal()

    async def _pass_on_cancel_request(self, packet: bytes) -> None:
        """The server answers with nothing but the end of the connection."""
        reader, self._upstream = await self._proxy.upstream.open()
        self._upstream.write(packet)
        await reader.read()
        await self._client.hang_up("fin")
        await self._client.wait_closed()

    async def _refuse(self, text: str, sqlstate: str) -> None:
        self._client.write(_error_response(text, sqlstate))
        await self._client.hang_up("fin")
        await self._client.wait_closed()

    # Passing messages on.

    async def _converse(self, reader: asyncio.StreamReader) -> None:
        pump = asyncio.create_task(self._pump_client())
        try:
            await self._pump_server(reader)
            await self._client.hang_up(self._ending or "fin")
            self.has_ended.set()
            await pump
        finally:
            await _cancel(pump)

    async def _pump_client(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = await _read_message(self._client.read_exactly)
                if self._ending is None:
                    await self._take_from_client(message)
        self._half_close_upstream()

    async def _pump_server(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                await self._take_from_server(await _read_message(reader.readexactly))

    async def _take_from_client(self, message: _Message) -> None:
        if not self._is_ready:
            self._proxy.stats.connection_round_trips += message.kind == b"p"
            await self._send_upstream(message)
            return
        cut = None
        if message.kind != b"X" and not self._dialogue.is_idle_flush(message.kind):
            cut = self._due_cut("client", message)
        if cut and cut.is_before:
            self.sever(cut.how, let_server_finish=cut.let_server_finish)
            return
        self._count(message)
        if cut:
            self._ending = cut.how  # before anything is sent: no answer may slip through
        await self._send_upstream(message)
        if cut:
            self.sever(cut.how, let_server_finish=cut.let_server_finish)

    def _count(self, message: _Message) -> None:
        self._proxy.stats.idle_flushes += self._dialogue.is_idle_flush(message.kind)
        self._proxy.stats.round_trips += self._dialogue.note_sent(message.kind)
        self._proxy.stats.bytes_sent += len(message.raw)
        if (sql := message.sql) is not None:
            self._proxy.stats.queries.append(sql)

    async def _take_from_server(self, message: _Message) -> None:
        if self._is_ready:
            self._dialogue.note_received(message.kind)
            self._deliver(message)
        else:
            if message.ends_authentication:
                await self._proxy.orders.wake_up(self._proxy.wake_seconds)
            self._is_ready = message.kind == b"Z"
            self._client.write(message.raw)

    def _deliver(self, message: _Message) -> None:
        if self._ending is not None:
            self._half_close_upstream_if_finished()
            return
        cut = self._due_cut("server", message)
        if cut:
            self.sever(cut.how, let_server_finish=cut.let_server_finish)
        if cut is None or not cut.is_before:
            self._client.write(message.raw)

    def _due_cut(self, side: Side, message: _Message) -> _Cut | None:
        self.seen[side].append(message.kind)
        cut = self._proxy.orders.due_cut(self, side)
        self._proxy.stats.cuts += cut is not None
        return cut

    # Ending.

    def sever(self, how: Ending, *, let_server_finish: bool) -> None:
        """Pass nothing on any more in either direction.

        The client's end follows when the server has closed its own: half closed, the server still
        carries out what it has got, then undoes an open transaction, and only then is gone.
        """
        self._ending = how
        if let_server_finish:
            self._half_close_upstream_if_finished()
        elif self._upstream:
            self._upstream.close()

    def _half_close_upstream_if_finished(self) -> None:
        # PostgreSQL could be half closed at once; PgBouncer would drop the statement under way.
        if not self._dialogue.outstanding:
            self._half_close_upstream()

    def _half_close_upstream(self) -> None:
        if self._upstream and not self._upstream.is_closing():
            with contextlib.suppress(OSError):
                self._upstream.write_eof()

    async def _send_upstream(self, message: _Message) -> None:
        if self._upstream:
            self._upstream.write(message.raw)
            await self._upstream.drain()

    async def _close_upstream(self) -> None:
        if self._upstream:
            self._upstream.close()
            with contextlib.suppress(OSError):
                await self._upstream.wait_closed()


class WireProxy:
    """A proxy that is started by `with` or `start()` and leaves nothing behind after `stop()`.

    Its methods may be called from the test's thread at any time; what they order is in force when
    they return.

    Args:
        upstream: the server.
        listen: a folder for a Unix socket; without it, a free port of 127.0.0.1.
        tls: ends TLS here, asked for by SSLRequest or begun directly. The proxy sets its ALPN.
        tls_required: refuse plain connections in Neon's words.
        latency_seconds: the time of a round trip, half of it in each direction. It delays and does
            not throttle. It may be changed while the proxy runs.
        wake_seconds: what the first connection after `sleep()` waits.
    """

    def __init__(
        self,
        *,
        upstream: UnixUpstream | TcpUpstream,
        listen: Path | None = None,
        tls: ssl.SSLContext | None = None,
        tls_required: bool = False,
        latency_seconds: float = 0.0,
        wake_seconds: float = 0.0,
    ) -> None:
        self.upstream = upstream
        self.listen = listen
        self.tls = tls
        self.tls_required = tls_required
        self.latency_seconds = latency_seconds
        self.wake_seconds = wake_seconds
        self.stats = Stats()
        self.orders = _Orders()
        self.newest: _Connection | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._failures: list[BaseException] = []

    # Starting and stopping.

    def start(self) -> Self:
        if self.tls:
            self.tls.set_alpn_protocols([ALPN])
        self._listener = _listener(self.listen)
        self._address = self._listener.getsockname()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire-proxy")
        self._thread.start()
        self._accepting = self._call(self._start_accepting())
        return self

    def stop(self) -> None:
        """Close everything.

        Raises:
            BaseException: whatever went wrong in the proxy itself and would else pass unseen.
        """
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()
        if self.listen:
            Path(self._address).unlink(missing_ok=True)
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """What libpq takes as `host`: an address, or the folder of the Unix socket."""
        return str(self.listen) if self.listen else str(self._address[0])

    @property
    def port(self) -> int:
        return POSTGRESQL_PORT if self.listen else int(self._address[1])

    # What has been seen.

    @property
    def server_messages_seen(self) -> list[bytes]:
        """The types of the server's messages to the newest connection.

        Those up to the first ReadyForQuery are not among them. Message k of a cut is at k - 1 here.
        """
        return list(self.newest.seen["server"]) if self.newest else []

    @property
    def client_messages_seen(self) -> list[bytes]:
        """The same for the client's messages.

        Terminate is not among them, nor is a Flush that nothing answers, as not every run has it.
        """
        return list(self.newest.seen["client"]) if self.newest else []

    # What is to go wrong.

    def refuse(self, text: str, sqlstate: str = "XX000", *, times: int = 1) -> None:
        """Refuse the next connections in these words, after their StartupMessage.

        With `sslmode=prefer`, libpq tries again without TLS after a refusal, which uses up another.
        """
        self.orders.refusals.append(_Refusal(text, sqlstate, times))

    def sleep(self) -> None:
        """Fall asleep: who connects next waits until the server is awake, `wake_seconds` later.

        As at Neon, the wait is before the answer to the last of SCRAM's messages. Open connections
        stay; to lose them too, call `kill_idle`.
        """
        self.orders.is_asleep = True

    def cut(
        self,
        *,
        before_server_message: int | None = None,
        after_server_message: int | None = None,
        before_client_message: int | None = None,
        after_client_message: int | None = None,
        how: Ending = "fin",
        times: int = 1,
        let_server_finish: bool = True,
    ) -> None:
        """Cut the next connections that get as far as one of these messages. Give just one.

        Messages are counted from 1, after a connection's first ReadyForQuery; on a connection that
        is open already, from now on. Notices and reports of a changed setting count as well.

        - before_server_message=k: the client gets k - 1 messages of the server, whole.
        - after_server_message=k: the client gets k messages; nothing it sends then reaches the
          server.
        - before_client_message=k: the server gets k - 1 messages of the client, and of their
          answers the client gets none that was not on its way already.
        - after_client_message=k: the server gets k messages; the client gets no answer to the last.

        Unless `let_server_finish` is False, the server is done before the client learns of it: with
        what it got, and with undoing a transaction that was open. Do not let it finish if it waits
        for a lock that the test holds. Behind PgBouncer, the end of an open transaction is not
        waited for.
        """
        points: dict[tuple[Side, bool], int | None] = {
            ("server", True): before_server_message,
            ("server", False): after_server_message,
            ("client", True): before_client_message,
            ("client", False): after_client_message,
        }
        given = [(point, index) for point, index in points.items() if index is not None]
        if len(given) != 1 or given[0][1] < 1:
            raise ValueError("a cut needs one message, counted from 1")
        self._check(how)
        ((side, is_before), index) = given[0]
        self._call(self._add_cut(_Cut(side, is_before, index, how, times, let_server_finish, {})))

    def kill_idle(self, how: Ending = "fin", *, let_server_finish: bool = True) -> int:
        """End all connections that are open now; return how many. The client can tell by then."""
        self._check(how)
        return self._call(self._kill(how, let_server_finish=let_server_finish))

    def heal(self) -> None:
        """Forget refusals and cuts that have not come yet, and be awake."""
        self.orders.refusals.clear()
        self.orders.cuts.clear()
        self.orders.is_asleep = False
        self.orders.awake_at = 0.0

    def _check(self, how: Ending) -> None:
        if how == "rst" and self.listen:
            raise ValueError("a Unix socket cannot be reset")

    # In the proxy's thread.

    def _call(self, coroutine: Coroutine[object, object, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(CONTROL_TIMEOUT_SECONDS)

    async def _start_accepting(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._listener)
            sock.setblocking(False)
            connection = _Connection(self, sock)
            task = asyncio.create_task(connection.serve())
            self._connections[connection] = task
            task.add_done_callback(functools.partial(self._forget, connection))

    def _forget(self, connection: _Connection, task: asyncio.Task[None]) -> None:
        self._connections.pop(connection, None)
        if failure := task.exception():
            self._failures.append(failure)

    async def _close(self) -> None:
        await _cancel(self._accepting)
        for connection in self._connections:
            connection.abandon()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)

    async def _add_cut(self, cut: _Cut) -> None:
        cut.already = {each: len(each.seen[cut.side]) for each in self._connections}
        self.orders.cuts.append(cut)

    async def _kill(self, how: Ending, *, let_server_finish: bool) -> int:
        victims = [each for each in self._connections if each.is_established]
        for victim in victims:
            victim.sever(how, let_server_finish=let_server_finish)
        for victim in victims:
            await victim.has_ended.wait()
        return len(victims)


def through(proxy: WireProxy, url: str) -> str:
    """The same database, reached through the proxy."""
    name = url.partition("@/")[2].partition("?")[0]
    return f"postgresql://todo@{proxy.host}:{proxy.port}/{name}"


def _listener(folder: Path | None) -> socket.socket:
    """A socket that clients can connect to from now on, even before anybody accepts them."""
    if folder is None:
        listener = socket.create_server(("127.0.0.1", 0))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / f".s.PGSQL.{POSTGRESQL_PORT}"))
        listener.listen()
    listener.setblocking(False)
    return listener
