"""Opening connections, and waiting for their answers no longer than the time that is left.

libpq and psycopg would wait for ever for an answer that never comes, try a refused password again
at each address of a host, and be deaf to Ctrl-C while a host's name is looked up.
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

SHORTEST_CONNECT_TIMEOUT_SECONDS = 2
"""As in libpq, which takes less for this."""

MAX_UNREACHED_SECONDS = 4
"""How long to look up a host and to try until it accepts a connection. Whoever has to wake first,
as a Neon compute, has accepted the connection by then: its proxy does so at once."""

NO_ANSWER = "connection timeout expired: no answer in time"
NOT_ACCEPTED = "the host did not accept the connection in time"
NOT_RESOLVED = "failed to resolve host: no answer in time"

POLL_SECONDS = 0.1
"""How often a wait looks for Ctrl-C, as in psycopg."""

# psycopg warns of each error that it meets while it cleans up after another; a person would read
# that on stderr, beside the one line that says what happened.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class AnswerTimeout(psycopg.errors.ConnectionTimeout):
    """The server did not answer in time."""


class Deadline:
    """A moment on the monotonic clock, and how long a server may be out of reach until then."""

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
        """The server was there just now: count anew how long it is out of reach."""
        self._unreached_until = monotonic() + self._unreached_seconds


class Pipeline(psycopg.Pipeline):
    """A pipeline that is sent whole, and whose last message is its Sync.

    psycopg sends a Flush after the Sync. When that comes late, a pooler in transaction mode has
    already given the server connection to somebody else, takes the Flush for the start of our next
    transaction, and keeps a server connection for us until we send more.
    """

    def _sync_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        yield from self._communicate_gen()
        # `_communicate_gen` stops as soon as the socket took a part of the last message. The
        # server would wait for the rest of it, and we for an answer.
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
    """A connection that gives up at its deadline, and at once on Ctrl-C.

    In both cases it is closed: whether the server has done what it was sent is not known, so it
    can be used for nothing any more. psycopg itself would ask the server to cancel the statement
    and wait for the answer, which takes a new connection and, over a dead line, long.
    """

    deadline: Deadline | None = None
    has_answered = False
    """Whether a statement came back on it: if so it may have died unnoticed since."""

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
    """Open a connection in autocommit, at the first address of the host that takes one.

    Raises:
        psycopg.OperationalError: no address took one, or one refused for good: the others would
            refuse in the same words, and a password would count as tried several times.
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
    """Open a connection at one address, which gets its share of the time to accept one."""
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
    """psycopg's steps of a wait, given up at the limit.

    psycopg's own time limit raises an exception that has no public name.

    Raises:
        AnswerTimeout: the limit came first.
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
    """libpq's steps of connecting, given up where the host has not accepted until the limit.

    `note_reached` is called at the end of what the host has accepted, however that ended.

    Raises:
        psycopg.OperationalError: it has not, or libpq's own error.
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
    if limit <= 0:  # which for libpq means: for ever
        limit = CONNECT_TIMEOUT_SECONDS
    return max(SHORTEST_CONNECT_TIMEOUT_SECONDS, min(limit, math.ceil(deadline.remaining_seconds)))


def _attempts(parameters: Mapping[str, str], deadline: Deadline) -> list[dict[str, Any]]:
    """The parameters once for each address of the host.

    A name is looked up in a thread: the C library hears neither Ctrl-C nor our deadline. The
    thread that is left behind by either ends with the process at the latest.
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
