"""Real client processes and a real agent, in a home of their own; nothing is left running."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until
from todo_cli.agent import peers, place

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What a process left behind."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass
class AgentHome:
    """A home folder whose commands are answered by an agent."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return Path(self.settings.get("TODO_DATA_DIR", self.folder / "data"))

    @property
    def agent_dir(self) -> Path:
        return Path(place.folder(str(self.data_dir)))

    def environ(self, **settings: str) -> dict[str, str]:
        """Few variables, and the same in every test: each other set would get its own agent."""
        own = {
            "PATH": os.environ["PATH"],
            "TZ": "UTC",
            "HOME": str(self.folder),
            "TODO_DATA_DIR": str(self.data_dir),
            "PYTHONPATH": str(ROOT),
        }
        return {**own, **self.settings, **settings}

    def start(self, *words: str, environ: dict[str, str] | None = None, **pipes: Any) -> Process:
        """Start a command; standard streams are pipes unless told otherwise."""
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "todo_cli", *words],
            env=self.environ(**(environ or {})),
            **{**given, **pipes},
        )

    def todo(
        self,
        *words: str,
        stdin: bytes = b"",
        environ: dict[str, str] | None = None,
        columns: int | None = None,
        **pipes: Any,
    ) -> Answer:
        """Run a command to its end; on a terminal of `columns` where given."""
        if columns is not None:
            return self._on_terminal(words, stdin, columns, environ or {})
        process = self.start(*words, environ=environ, **{"stdin": subprocess.PIPE, **pipes})
        out, err = process.communicate(stdin, timeout=PATIENCE_SECONDS)
        return Answer(process.returncode, (out or b"").decode(), (err or b"").decode())

    def begin(self) -> int:
        """Have an agent running; answer its process id."""
        assert self.todo("agent", "start").exit_code == 0
        return self.pid()

    def pid(self) -> int:
        """The process id of the only agent."""
        found = peers.find_all(str(self.data_dir))
        assert len(found) == 1
        return found[0].pid

    def info(self) -> dict[str, Any]:
        (found,) = peers.find_all(str(self.data_dir))
        return found.info()

    def wait_for_agent(self) -> None:
        """Wait for the agent that a command has started in the background."""
        wait_until(lambda: any(peer.answers for peer in peers.find_all(str(self.data_dir))))

    def end(self) -> None:
        """Stop every agent of this home, whatever state it is in."""
        # One that was started in the background may still be on its way.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (pids := agents_of(self.data_dir)) and time.monotonic() < deadline:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _on_terminal(
        self, words: Sequence[str], stdin: bytes, columns: int, environ: dict[str, str]
    ) -> Answer:
        terminals = [Terminal(columns) for _ in range(3)]
        process = self.start(
            *words,
            environ=environ,
            stdin=terminals[0].inside,
            stdout=terminals[1].inside,
            stderr=terminals[2].inside,
        )
        os.write(terminals[0].outside, stdin)
        for terminal in terminals:
            os.close(terminal.inside)
        code = process.wait(timeout=PATIENCE_SECONDS)
        _, out, err = [terminal.said() for terminal in terminals]
        return Answer(code, out, err)


Process = subprocess.Popen[bytes]


class Terminal:
    """A pseudo terminal that changes nothing of what passes, and keeps what was written to it."""

    def __init__(self, columns: int) -> None:
        self.outside, self.inside = pty.openpty()
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        attributes = termios.tcgetattr(self.inside)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.inside, termios.TCSANOW, attributes)
        self._text = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def said(self) -> str:
        """All that was written, when nobody has it open any more."""
        self._reader.join(PATIENCE_SECONDS)
        os.close(self.outside)
        return self._text.decode()

    def _read(self) -> None:
        try:
            while part := os.read(self.outside, 65_536):
                self._text += part
        except OSError:  # Linux's way to say that the other end is closed
            return


def agents_of(data_dir: Path) -> list[int]:
    """The process ids of the agents of a data folder, also of those that do not listen yet."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(data_dir) in words and any(b"resident.server" in word for word in words):
                found.append(int(name))
    return found


RECORDER = """
import atexit, os, sys
def record(what):
    log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, what.encode() + b"\\n")
    os.close(log)
if any("resident.server" in word for word in sys.orig_argv):
    record("agent")
else:
    for module in ("todo_cli.app", "alembic"):
        atexit.register(lambda module=module: module in sys.modules and record(module))
"""


@dataclass(frozen=True)
class Recording:
    """Counts the agents that were started, and the modules that other processes imported."""

    folder: Path

    def environ(self) -> dict[str, str]:
        """What the processes need to be recorded."""
        self.folder.mkdir()
        recorder = RECORDER.format(log=str(self.folder / "log"))
        (self.folder / "sitecustomize.py").write_text(recorder)
        return {"PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}"}

    def count(self, what: str) -> int:
        return (self.folder / "log").read_text().splitlines().count(what)
