"""Opens connections, and limits every wait on them to the time that is left.

libpq and psycopg alone would wait without limit for a server that does not answer, would send a
refused password to every address of a host, and would ignore Ctrl-C while they look up a name.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import conninfo_attempts, make_conninfo
from psycopg.generators import send
from psycopg.pq.abc import PGconn

from todo_cli.database import faults

S = TypeVar("S")
T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 15
"""For each address. Long enough for a suspended Neon compute (its guide advises 10 to 15)."""

MIN_CONNECT_TIMEOUT_SECONDS = 2
"""libpq raises a shorter connect_timeout to this."""

MAX_UNREACHED_SECONDS = 4
"""How long the lookup of a host, and the tries until it accepts a connection, may take. A suspended
Neon compute needs longer to start, but Neon's proxy accepts its connections at once."""

NO_ANSWER = "connection timeout expired: no answer in time"
NOT_ACCEPTED = "the host did not accept the connection in time"
NOT_RESOLVED = "failed to resolve host: no answer in time"

POLL_SECONDS = 0.1
"""How often a wait looks for Ctrl-C, as in psycopg."""

# psycopg logs a warning for each error while it cleans up after another. Without a handler Python
# prints these on stderr, next to our one line about what happened.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class AnswerTimeout(psycopg.errors.ConnectionTimeout):
    """The server did not answer in time."""


class Deadline:
    """The end of the time for a piece of work, and of the time that the server may be out of reach.

    The second is counted anew whenever the server was reached.
    """

    def __init__(self, seconds: float, *, unreached_seconds: float | None = None) -> None:
        self._at = monotonic() + seconds
        self._unreached_seconds = (
            MAX_UNREACHED_SECONDS if unreached_seconds is None else unreached_seconds
        )
        self.note_reached()

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self._at - monotonic())

    @property
    def unreached_seconds(self) -> float:
        """How much longer the server may be out of reach."""
        return max(0.0, self._unreached_until - monotonic())

    def note_reached(self) -> None:
        """Record that the server was reached now."""
        self._unreached_until = monotonic() + self._unreached_seconds


class Pipeline(psycopg.Pipeline):
    """A pipeline that is sent whole, and whose last message is its Sync.

    psycopg sends a Flush after the Sync. A pooler in transaction mode may have released the server
    connection by then. It takes the Flush for the start of our next transaction, and reserves a
    server connection for us until we send more.
    """

    def _sync_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        yield from self._communicate_gen()
        # `_communicate_gen` may stop after a part of the last message. Then the server would wait
        # for the rest, and we for the answer.
        yield from send(self.pgconn)
        yield from self._fetch_gen(flush=False)

    def _exit_gen(self) -> PQGen[None]:
        try:
            yield from self._sync_gen()
        except psycopg.Error:
            with contextlib.suppress(psycopg.Error):  # the first one says what happened
                yield from send(self.pgconn)
                yield from self._fetch_gen(flush=False)
            raise


class Connection(psycopg.Connection[Any]):
    """A connection whose waits end at its deadline, and at once on Ctrl-C.

    Both close it, since it is not known whether the server has run the statement. psycopg itself
    would cancel the statement on Ctrl-C and wait for the answer. That needs another connection,
    and takes long if the network is down.
    """

    deadline: Deadline | None = None
    has_answered = False
    """Whether a statement was answered on it. If so, it may have died unnoticed since."""

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        self._check_connection_ok()
        pipeline = self._pipeline = self._pipeline or Pipeline(self)
        try:
            with pipeline:
                yield pipeline
        finally:
            if pipeline.level == 0:
                self._pipeline = None

    def wait(self, gen: Any, interval: float = POLL_SECONDS, timeout: float | None = None) -> Any:
        if self.deadline is not None:
            gen = answered_in_time(gen, self.deadline)
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (AnswerTimeout, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise


def connect(
    parameters: Mapping[str, str], deadline: Deadline, *, kind: type[Connection] = Connection
) -> Connection:
    """Open a connection in autocommit mode, at the first address of the host that accepts one.

    A final refusal, such as a wrong password, ends the tries: the other addresses belong to the
    same server, which would count one more failure for each.

    Raises:
        psycopg.OperationalError: no address accepted the connection, or one refused it for good.
    """
    failure: psycopg.OperationalError | None = None
    attempts = _attempts(parameters, deadline)
    for number, attempt in enumerate(attempts):
        try:
            connection = kind(_opened(attempt, deadline, addresses_left=len(attempts) - number))
        except psycopg.OperationalError as error:
            failure = error
            if faults.is_final(error) or not deadline.remaining_seconds:
                break
        else:
            connection.autocommit = True
            connection.prepare_threshold = None
            return connection
    assert failure is not None
    raise failure


def _opened(parameters: Mapping[str, Any], deadline: Deadline, *, addresses_left: int) -> PGconn:
    """Open a connection at one address. The time to accept is divided among the addresses left."""
    limit = min(deadline.unreached_seconds, MAX_UNREACHED_SECONDS) / addresses_left
    timeout = _connect_timeout(parameters, deadline)
    opening = answered_in_time(
        accepted_in_time(
            generators.connect(make_conninfo("", **parameters)),
            Deadline(limit),
            deadline.note_reached,
        ),
        Deadline(timeout),
    )
    with contextlib.closing(opening):
        opened: PGconn = waiting.wait_conn(opening, interval=POLL_SECONDS)
    return opened


def answered_in_time(steps: Generator[S, int, T], limit: Deadline) -> Generator[S, int, T]:
    """A generator of psycopg that waits for the server, with a time limit.

    psycopg's own limit raises an exception that has no public name.

    Raises:
        AnswerTimeout: the limit was reached.
    """
    with contextlib.closing(steps):
        try:
            step = next(steps)
            while True:
                step = steps.send((yield step))
                if not limit.remaining_seconds:
                    raise AnswerTimeout(NO_ANSWER)
        except StopIteration as end:
            answer: T = end.value
            return answer


def accepted_in_time(
    opening: PQGenConn[T], limit: Deadline, note_reached: Callable[[], None]
) -> PQGenConn[T]:
    """A generator of psycopg that opens a connection, with a time limit until the host accepts it.

    `note_reached` is called when the generator ends, in success or failure, if the host accepted.

    Raises:
        psycopg.OperationalError: the host did not accept in time, or connecting failed.
    """
    is_accepted = False
    try:
        step = next(opening)
        while True:
            ready = yield step
            if not ready and not is_accepted and not limit.remaining_seconds:
                raise psycopg.OperationalError(NOT_ACCEPTED)
            step = opening.send(ready)
            is_accepted = is_accepted or bool(ready)
    except StopIteration as end:
        opened: T = end.value
        return opened
    finally:
        if is_accepted:
            note_reached()


def _connect_timeout(parameters: Mapping[str, Any], deadline: Deadline) -> int:
    limit = int(parameters.get("connect_timeout", 0))
    if limit <= 0:  # libpq's words for no limit
        limit = CONNECT_TIMEOUT_SECONDS
    return max(MIN_CONNECT_TIMEOUT_SECONDS, min(limit, math.ceil(deadline.remaining_seconds)))


def _attempts(parameters: Mapping[str, str], deadline: Deadline) -> list[dict[str, Any]]:
    """The parameters, once for each address of the host.

    The name is looked up in a daemon thread, since the C library's lookup can be interrupted
    neither by Ctrl-C nor by our deadline. It may go on after us, until the process ends.
    """
    if not _has_name(parameters):
        return conninfo_attempts(parameters)
    answers: queue.SimpleQueue[list[dict[str, Any]] | BaseException] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(conninfo_attempts(parameters))
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=look_up, name="todo-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=min(deadline.remaining_seconds, deadline.unreached_seconds))
    except queue.Empty:
        raise psycopg.OperationalError(NOT_RESOLVED) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _has_name(parameters: Mapping[str, str]) -> bool:
    host = parameters.get("host", "")
    return bool(host) and not host.startswith(("/", "@")) and not parameters.get("hostaddr")
