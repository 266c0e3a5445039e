"""One call: a request is read, and the app is run for it in a thread of its own.

Nothing of a run comes from the agent itself: words, environment, streams, working directory and
umask come with the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from todo_cli.agent import wire
from todo_cli.context import HandBack, Invocation, NotMadeYet
from todo_cli.database.target import URL_VARIABLES
from todo_cli.resident import process

if TYPE_CHECKING:
    from todo_cli.resident.databases import DatabasePool, RunDatabases

_RELATIVE_FILE = re.compile(r"(ssl(rootcert|cert|key|crl|crldir)|passfile)=(?!/|%2[Ff]|system)")


class Host(Protocol):
    """What a call needs of the agent. Called from the threads of calls."""

    databases: DatabasePool

    def watch(self, call: Call) -> None: ...

    def unwatch(self, call: Call) -> None: ...

    def finished(self, call: Call) -> None: ...

    def count_command(self) -> None: ...

    def wait_for_starter(self, is_interrupted: Callable[[], bool]) -> None: ...

    def retire(self) -> None: ...

    def info(self) -> dict[str, Any]: ...


class Call:
    """One caller's connection, and the thread that works for it."""

    def __init__(self, agent: Host, connection: socket.socket) -> None:
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
            running.mark_cancelled()  # first: the interrupted thread releases its databases
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
        if not process.own_file_system_state():
            return False
        os.fchdir(self._descriptors[3])
        os.umask(umask)
        return True


def _needs_folder(words: list[str], environ: dict[str, str]) -> bool:
    """Whether the working directory matters: a URL may name files relative to it."""
    urls = [*words, *(environ.get(name, "") for name in URL_VARIABLES)]
    return any(_RELATIVE_FILE.search(url) for url in urls)
