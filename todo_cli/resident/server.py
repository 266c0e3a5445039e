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
import os
import select
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from todo_cli import __version__
from todo_cli.agent import place, wire
from todo_cli.agent.client import BACKLOG
from todo_cli.database.target import EMBEDDED, Target
from todo_cli.errors import TodoError
from todo_cli.resident import process
from todo_cli.resident.call import Call

IDLE_SECONDS = 900.0
MAX_IDLE_SECONDS = 7 * 86_400.0
PROGRAM_CHECK_SECONDS = 60.0
"""How often the agent looks whether its program is still there and the same."""
MAX_MEMORY_BYTES = 140 * 1024 * 1024
"""An agent that has grown so large makes room for a fresh one when its runs are over."""
WARM_MODULES = (
    *("rich.console", "rich.table", "rich.text", "zoneinfo"),
    *("todo_cli.local", "todo_cli.resident.streams", "todo_cli.tasks.repository"),
    *("todo_cli.render.table", "todo_cli.render.tasks"),
)
"""What the commands of every day import; the rest is imported when somebody needs it."""
MEMORY_CHECK_COMMANDS = 64
GROWTH_BYTES = 8 * 1024 * 1024
"""Memory that a large answer took beyond this is given back to the system after the command."""
SPELL_MILLISECONDS = 200


def main() -> None:
    """The process's entry. Arguments: import path, data folder, name, lock and listening socket.

    The last two are descriptors that `client.spawn` made.
    """
    _, _, data_dir, name, lock, listener = sys.argv
    starter = process.detach(int(lock), int(listener))
    process.limit_memory()
    agent = Agent(data_dir, name, int(lock), int(listener), starter)
    agent.warm_up()
    agent.serve()


class Agent:
    """The listening socket, the runs under way, and what they share."""

    def __init__(self, data_dir: str, name: str, lock: int, listener: int, starter: int) -> None:
        # Not at the top: the process has to be detached before it imports much.
        from todo_cli.resident.databases import DatabasePool

        self.databases = DatabasePool()
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
        self._settled_bytes = process.memory_bytes()

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
                self.databases.close_idle()
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
        if is_due and process.memory_bytes() > MAX_MEMORY_BYTES:
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
            "memory_bytes": process.memory_bytes(),
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
        rest = self.databases.seconds_until_close()
        return max(0.0, next_at if rest is None else min(next_at, rest))

    def _give_memory_back(self) -> None:
        """After a large answer: free the heap's pages, which Python and glibc would keep."""
        if process.memory_bytes() > self._settled_bytes + GROWTH_BYTES:
            gc.collect()
            with contextlib.suppress(AttributeError, OSError):
                ctypes.CDLL(None).malloc_trim(0)
            self._settled_bytes = process.memory_bytes()

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
        self.databases.close_idle(longer_than_seconds=-1)
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


def _idle_seconds(text: str | None) -> float:
    try:
        seconds = float(text or IDLE_SECONDS)
    except ValueError:
        return IDLE_SECONDS
    return seconds if 0 < seconds <= MAX_IDLE_SECONDS else IDLE_SECONDS
