"""Real interactive shells on a pseudo terminal: type, press Tab, read the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 2.0
"""Between the end of `todo` and what a busy machine's shell makes of its answer."""
COLUMNS, ROWS = 100, 50
STOCK = {
    "bash": ["bash", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "-i"],
}
"""Each shell as Debian installs it: its system-wide start files are read, and the person's own."""
_PROMPT = {
    "bash": r"[$#] $",
    "zsh": r"[%#] $",
    "fish": r"[>#] ?$",
}
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles
    r"|\x1b[\[?][0-9;:?<=>]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|\x1b[()][A-Z0-9]"
    r"|\x1b[=>78MPc]"
    r"|\x0f|\x0e"
)


@dataclass
class Shell:
    """One interactive shell. Its folder is empty: what turns up there was made by the shell."""

    name: str
    home: Path
    folder: Path
    environ: dict[str, str]
    log: Path
    """Grows by a byte when a `todo` that this shell started has ended."""
    text: str = ""
    _seen: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _terminal: int = -1

    def __enter__(self) -> Shell:
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            STOCK[self.name],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=self.folder,
            env={**self.environ, "HOME": str(self.home), "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inside)
        self.wait_for(_PROMPT[self.name])
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)
        os.close(self._terminal)

    def type(self, keys: str) -> None:
        """Type; what the shell says from now on is what `wait_for` looks at."""
        self._seen = len(self.text)
        os.write(self._terminal, keys.encode())

    def tab(self, line: str) -> str:
        """Type a line and press Tab until all is shown; answer what was shown, as text."""
        self.type(line)
        self.settle()
        shown = ""
        for _ in range(2 if self.name == "bash" else 1):  # bash lists at the second one
            answers = self._answers()
            self.type("\t")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self._answers() == answers:
                assert time.monotonic() < deadline, f"todo was not asked: {self.text[-2000:]!r}"
                self._read(0.02)
            if not self.text[self._seen :]:
                self._read(LONGEST_PAUSE_SECONDS)  # fish says nothing at all where nothing fits
            shown += self.settle(0.2)
        return shown

    def words(self) -> list[str]:
        """The words of the line as the shell reads them. The line is done with."""
        self.type("\x01printf '<%s>' \r")
        self.wait_for("<todo>")
        self.settle()
        found = re.search("<todo>(?:<[^>]*>)*", plain(self.text[self._seen :]))
        assert found is not None
        return found[0][1:-1].split("><")

    def _answers(self) -> int:
        """How often `todo` has come to its end in this shell."""
        return self.log.stat().st_size

    def clear(self) -> None:
        """Leave a menu and drop the line."""
        self.type("\x03")
        self.settle()

    def run(self, line: str) -> str:
        """Run a command line to its end; answer what it wrote."""
        done = f"done-{len(self.text)}"
        self.type(f"{line}; echo {done[:3]}''{done[3:]}\r")
        self.wait_for(done)
        return plain(self.text[self._seen :])

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not re.search(pattern, plain(self.text[self._seen :]).rstrip("\r\n")):
            assert time.monotonic() < deadline, f"{pattern} never came: {self.text[-2000:]!r}"
            self._read(0.1)

    def settle(self, quiet_seconds: float = 0.1) -> str:
        """What the shell says until it says nothing for so long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(quiet_seconds):
            assert time.monotonic() < deadline, f"no end: {self.text[-2000:]!r}"
        return plain(self.text[self._seen :])

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return False
        with contextlib.suppress(OSError):
            self.text += os.read(self._terminal, 65_536).decode(errors="replace")
            if self.text.endswith("\x1b[c"):  # a shell asks what terminal this is
                os.write(self._terminal, b"\x1b[?6c")
            return True
        return False


def plain(text: str) -> str:
    """The text without what steers a terminal."""
    return _ESCAPES.sub("", text)
