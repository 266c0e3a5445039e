"""The agent: runs the same app, for callers of its own user, a thread for each.

Nothing of a run comes from the agent itself: words, environment, streams, working directory and
umask come with the call. What C libraries read by themselves is the same by construction (see
`place`). It is an accelerator: whatever it cannot do it declines, and the caller does it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import re
import resource
import select
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from todo_cli import __version__
from todo_cli.agent import place, wire
from todo_cli.agent.client import BACKLOG
from todo_cli.context import HandBack, Invocation, NotMadeYet
from todo_cli.database.target import EMBEDDED, URL_VARIABLES, Target
from todo_cli.errors import TodoError

if TYPE_CHECKING:
    from todo_cli.resident.databases import DatabasePool, RunDatabases

IDLE_SECONDS = 900.0
MAX_IDLE_SECONDS = 7 * 86_400.0
PROGRAM_CHECK_SECONDS = 60.0
"""How often the agent looks whether its program is still there and the same."""
MAX_MEMORY_BYTES = 140 * 1024 * 1024
"""An agent that has grown so large makes room for a fresh one when its runs are over."""
WARM_MODULES = (
    *("rich.console", "rich.table", "rich.text", "zoneinfo"),
    *("todo_cli.local", "todo_cli.resident.streams", "todo_cli.tasks.repository"),
)
"""What the commands of every day import; the rest is imported when somebody needs it."""
MEMORY_CHECK_COMMANDS = 64
GROWTH_BYTES = 8 * 1024 * 1024
"""Memory that a large answer took beyond this is given back to the system after the command."""
SPELL_MILLISECONDS = 200

_RELATIVE_FILE = re.compile(r"(ssl(rootcert|cert|key|crl|crldir)|passfile)=(?!/|%2[Ff]|system)")

_CLONE_FS = 0x200
_M_ARENA_MAX = -8


def main() -> None:
    """The process's entry. Arguments: import path, data folder, name, lock and listening socket.

    The last two are descriptors that `client.spawn` made.
    """
    _, _, data_dir, name, lock, listener = sys.argv
    starter = _detach(int(lock), int(listener))
    _limit_memory()
    agent = Agent(data_dir, name, int(lock), int(listener), starter)
    agent.warm_up()
    agent.serve()


class Call:
    """One caller's connection, and the thread that works for it."""

    def __init__(self, agent: Agent, connection: socket.socket) -> None:
        self.connection = connection
        self.interrupted = False
        self._agent = agent
        self._lock = threading.Lock()
        self._running: RunDatabases | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._descriptors: list[int] = []

    def start(self) -> None:
        self._thread.start()

    def hear(self) -> None:
        """The caller has said something, or gone: either way it wants no more."""
        self._agent.unwatch(self)
        threading.Thread(target=self._interrupt, daemon=True).start()

    def _interrupt(self) -> None:
        with self._lock:
            running = self._running
            self.interrupted = True
            if running is None:
                return
            running.mark_cancelled()  # first: the struck thread gives back what it has
            # Delivered as soon as the thread runs Python again; the query's end wakes it.
            thread_id = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                thread_id, ctypes.py_object(KeyboardInterrupt)
            )
        running.cancel()
        # It may have been struck while it tidied up: then that is left to us.
        self._thread.join()
        self._close()

    def _work(self) -> None:
        try:
            self._serve()
        except (OSError, wire.Malformed, KeyboardInterrupt):
            pass  # the caller went, or is none of ours
        finally:
            self._close()

    def _close(self) -> None:
        self._agent.finished(self)
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)
        self.connection.close()

    def _serve(self) -> None:
        kind, payload, self._descriptors = wire.receive_request(self.connection)
        self.connection.settimeout(None)
        if kind == wire.RUN:
            self._run(payload)
        elif kind == wire.INFO:
            self.connection.sendall(json.dumps(self._agent.info()).encode())
        elif kind == wire.QUIT:
            self._agent.retire()

    def _run(self, payload: bytes) -> None:
        from todo_cli.resident.databases import RunDatabases

        words, data_dir, umask, environ = wire.unpack_call(payload)
        if not self._enter(umask) and _needs_folder(words, environ):
            self.connection.sendall(wire.DECLINED)
            return
        if environ.get("TODO_DATA_DIR"):
            environ["TODO_DATA_DIR"] = data_dir  # absolute: ours is another working directory
        self._agent.count_command()
        self._agent.watch(self)
        self.connection.sendall(wire.STARTED)
        databases = RunDatabases(self._agent.databases)
        with self._lock:
            self._running = databases
            if self.interrupted:
                raise KeyboardInterrupt
        try:
            try:
                code = self._run_app(words, environ, databases)
            except NotMadeYet:  # most likely by the command that started us
                self._agent.wait_for_starter(lambda: self.interrupted)
                code = self._run_app(words, environ, databases)
        except HandBack:
            self.connection.sendall(wire.DECLINED)
            return
        except KeyboardInterrupt:
            code = 130
        finally:
            with self._lock:
                self._running = None
        self.connection.sendall(wire.ENDED + bytes([code & 0xFF]))

    def _run_app(self, words: list[str], environ: dict[str, str], databases: RunDatabases) -> int:
        from todo_cli import app
        from todo_cli.resident.streams import Streams

        streams = Streams(self._descriptors, lambda: self.interrupted)
        invocation = Invocation(words, environ, streams.stdin, streams.stdout, streams.stderr)
        try:
            return app.run(invocation, databases)
        except SystemExit as exit_:
            return exit_.code if isinstance(exit_.code, int) else 1
        except Exception as error:  # a bug: the same words as the interpreter's
            with contextlib.suppress(OSError):
                streams.stderr.write("".join(traceback.format_exception(error)))
            return 1
        finally:
            streams.end()

    def _enter(self, umask: int) -> bool:
        """Take the caller's working directory and umask, for this thread alone.

        Threads share both unless they say otherwise, which just Linux lets them, and some
        containers forbid: then it is False, and both stay the agent's, / and 077.
        """
        time.tzset()  # the machine's zone may have changed
        if not _own_file_system_state():
            return False
        os.fchdir(self._descriptors[3])
        os.umask(umask)
        return True


class Agent:
    """The listening socket, the runs under way, and what they share."""

    def __init__(self, data_dir: str, name: str, lock: int, listener: int, starter: int) -> None:
        from todo_cli.resident.databases import DatabasePool

        self.databases: DatabasePool = DatabasePool()
        self._data_dir = data_dir
        self._folder = place.folder(data_dir)
        self._name = name
        self._fingerprint = place.fingerprint()
        self._hello = wire.hello(self._fingerprint)
        self._lock_file = lock
        self._starter = starter
        """Readable once the command that started this process has ended."""
        self._calls: set[Call] = set()
        self._commands = 0
        self._retired = False
        self._started = self._last_active = time.monotonic()
        self._mutex = threading.RLock()  # a signal's handler may take it too
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._listener = socket.socket(fileno=listener)
        self._inode = self._inode_of_place()
        self._settled_bytes = 0
        self._checked_at = time.monotonic()
        self._idle_seconds = _idle_seconds(os.environ.get("TODO_AGENT_IDLE"))

    def warm_up(self) -> None:
        """Import what commands need, so that the first of them need not."""
        for module in WARM_MODULES:
            importlib.import_module(module)
        from todo_cli import app

        app.command_tree()
        gc.collect()
        gc.freeze()
        self._settled_bytes = memory_bytes()

    def serve(self) -> None:
        """Accept calls until nobody came for a while; then wait for the last to end."""
        self._listen()
        signal.signal(signal.SIGTERM, lambda *_: self.retire())
        try:
            while not self._is_over():
                for key, _ in self._selector.select(self._patience()):
                    if key.data is not None:
                        key.data.hear()
                    elif key.fileobj is self._listener:
                        self._accept()
                    else:
                        os.read(self._wake_reader, 4096)
                self.databases.close_rested()
        finally:
            self._leave()

    # What calls use, from their threads

    def watch(self, call: Call) -> None:
        with self._mutex:
            self._selector.register(call.connection, selectors.EVENT_READ, call)

    def unwatch(self, call: Call) -> None:
        with self._mutex, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(call.connection)

    def finished(self, call: Call) -> None:
        self.unwatch(call)
        with self._mutex:
            self._calls.discard(call)
            self._last_active = time.monotonic()
            is_quiet = not self._calls
        if self._retired or is_quiet:
            self._wake()
        if is_quiet:
            self._give_memory_back()

    def count_command(self) -> None:
        with self._mutex:
            self._commands += 1
            is_due = self._commands % MEMORY_CHECK_COMMANDS == 0
        if is_due and memory_bytes() > MAX_MEMORY_BYTES:
            self.retire()

    def wait_for_starter(self, is_interrupted: Callable[[], bool]) -> None:
        """Wait for the end of the command that started this process.

        Raises:
            KeyboardInterrupt: the caller does not want to wait.
        """
        poll = select.poll()
        poll.register(self._starter, select.POLLIN)  # and POLLHUP, which cannot be left out
        while not poll.poll(SPELL_MILLISECONDS):
            if is_interrupted():
                raise KeyboardInterrupt

    def retire(self) -> None:
        """Take no more calls; end when those under way are over."""
        with self._mutex:
            if not self._retired:
                self._retired = True
                self._give_up_place()
        self._wake()

    def info(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "commands": self._commands,
            "memory_bytes": memory_bytes(),
            "database": self._database_label(),
        }

    def _database_label(self) -> str | None:
        from todo_cli.local import EmbeddedHome

        url = self.databases.last_url
        if url is None:
            return None
        is_embedded = url == EmbeddedHome(Path(self._data_dir), os.environ).url
        return Target(url, EMBEDDED if is_embedded else "").label

    # The socket

    def _listen(self) -> None:
        self._listener.listen(BACKLOG)  # again, so that callers see this process as their peer
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        os.utime(self._lock_file, (0, 0))  # we are ready
        self._last_active = time.monotonic()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went again, or there are no descriptors left for a moment
            time.sleep(0.01)
            return
        connection.settimeout(wire.PATIENCE_SECONDS)
        if self._retired or not wire.is_same_user(connection):
            connection.close()
            return
        try:
            connection.sendall(self._hello)
        except OSError:
            connection.close()
            return
        call = Call(self, connection)
        with self._mutex:
            self._calls.add(call)
        call.start()

    def _is_over(self) -> bool:
        with self._mutex:
            if self._calls:
                return False
            idle = time.monotonic() - self._last_active
        if self._retired or idle >= self._idle_seconds or not self._has_place():
            return True
        return self._is_outdated()

    def _is_outdated(self) -> bool:
        """Whether the program was removed or replaced: no call will ever come."""
        if time.monotonic() - self._checked_at < PROGRAM_CHECK_SECONDS:
            return False
        self._checked_at = time.monotonic()
        try:
            return place.fingerprint() != self._fingerprint
        except OSError:
            return True

    def _patience(self) -> float | None:
        """How long nothing may happen; None for ever, which is while calls are under way."""
        with self._mutex:
            if self._calls:
                return None
            ends_at = self._last_active + self._idle_seconds
        next_at = min(ends_at, self._checked_at + PROGRAM_CHECK_SECONDS) - time.monotonic()
        rest = self.databases.seconds_until_rested()
        return max(0.0, next_at if rest is None else min(next_at, rest))

    def _give_memory_back(self) -> None:
        """After a large answer: free the heap's pages, which Python and glibc would keep."""
        if memory_bytes() > self._settled_bytes + GROWTH_BYTES:
            gc.collect()
            with contextlib.suppress(AttributeError, OSError):
                ctypes.CDLL(None).malloc_trim(0)
            self._settled_bytes = memory_bytes()

    def _inode_of_place(self) -> int:
        try:
            return os.stat(self._path("sock")).st_ino
        except OSError:
            return 0

    def _has_place(self) -> bool:
        """Whether our socket is still where callers look for it."""
        return self._inode_of_place() == self._inode != 0

    def _give_up_place(self) -> None:
        """Remove the socket and let another agent begin."""
        if self._has_place():
            with contextlib.suppress(OSError):
                os.unlink(self._path("sock"))
        fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _leave(self) -> None:
        was_idle = not self._retired and self._has_place()
        self.databases.close_rested(longer_than_seconds=-1)
        if was_idle and not self._others():
            self._stop_embedded_server()
        self.retire()

    def _others(self) -> list[str]:
        mine = f"{self._name}.sock"
        return [n for n in os.listdir(self._folder) if n.endswith(".sock") and n != mine]

    def _stop_embedded_server(self) -> None:
        from todo_cli.local import EmbeddedHome

        with contextlib.suppress(TodoError, OSError):
            EmbeddedHome(Path(self._data_dir), os.environ).stop_if_unused()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"x")

    def _path(self, ending: str) -> str:
        return os.path.join(self._folder, f"{self._name}.{ending}")


def memory_bytes() -> int:
    """The memory that this process holds now; where the system does not say, the most it held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _detach(*kept: int) -> int:
    """Leave the starter's session, folder and descriptors: who reads a pipe waits for its end.

    Returns:
        The pipe that the starter holds the other end of.
    """
    before = 2
    for descriptor in (*sorted(kept), 65_536):
        os.closerange(before + 1, descriptor)
        before = descriptor
    for descriptor in kept:
        os.set_inheritable(descriptor, False)
    starter = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    with contextlib.suppress(OSError):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # tokens do not belong in a core file
    sys.setswitchinterval(0.001)
    return starter


def _limit_memory() -> None:
    """Two heaps for all threads: by default glibc takes eight for each core and keeps them."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _own_file_system_state() -> bool:
    """Give this thread a working directory and umask of its own (unshare(2))."""
    try:
        return bool(ctypes.CDLL(None).unshare(_CLONE_FS) == 0)
    except AttributeError:
        return False


def _needs_folder(words: list[str], environ: dict[str, str]) -> bool:
    """Whether the working directory matters: a URL may name files relative to it."""
    urls = [*words, *(environ.get(name, "") for name in URL_VARIABLES)]
    return any(_RELATIVE_FILE.search(url) for url in urls)


def _idle_seconds(text: str | None) -> float:
    try:
        seconds = float(text or IDLE_SECONDS)
    except ValueError:
        return IDLE_SECONDS
    return seconds if 0 < seconds <= MAX_IDLE_SECONDS else IDLE_SECONDS
