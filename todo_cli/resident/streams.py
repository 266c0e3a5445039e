"""A caller's standard streams, in the agent: written directly, and given up when the caller goes.

A thread that waits in `read` or `write` cannot be woken, so each waits for its descriptor in short
spells and looks in between whether its run was interrupted.
"""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import Callable

from todo_cli.agent.wire import DESCRIPTORS

SPELL_MILLISECONDS = 200
_PIPE_BYTES = select.PIPE_BUF
"""What a pipe that is ready for writing takes without blocking (poll(2), pipe(7))."""


class Descriptor(io.RawIOBase):
    """One descriptor of the caller. `is_interrupted` is asked before and while it waits."""

    def __init__(self, number: int, *, writes: bool, is_interrupted: Callable[[], bool]) -> None:
        self._number = number
        self._writes = writes
        self._is_interrupted = is_interrupted
        # A plain file never blocks, and cannot be waited for on every system.
        self._may_block = not stat.S_ISREG(os.fstat(number).st_mode)

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def readable(self) -> bool:
        return not self._writes

    def writable(self) -> bool:
        return self._writes

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer type has no name before Python 3.12
        self._wait(select.POLLIN)
        data = os.read(self._number, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]  # as above
        self._wait(select.POLLOUT)
        return os.write(self._number, data[:_PIPE_BYTES] if self._may_block else data)

    def forget(self) -> None:
        """The number will be another caller's: what was left in a buffer must not reach it."""
        self._number = -1

    def _wait(self, event: int) -> None:
        if self._is_interrupted():
            raise KeyboardInterrupt
        if not self._may_block:
            return
        poll = select.poll()
        poll.register(self._number, event)
        while not poll.poll(SPELL_MILLISECONDS):
            if self._is_interrupted():
                raise KeyboardInterrupt


class Streams:
    """stdin, stdout and stderr as the interpreter makes them, over a caller's descriptors."""

    def __init__(self, descriptors: list[int], is_interrupted: Callable[[], bool]) -> None:
        assert len(descriptors) == DESCRIPTORS
        self._raws = raws = [
            Descriptor(number, writes=number != descriptors[0], is_interrupted=is_interrupted)
            for number in descriptors[:3]
        ]
        self.stdin = io.TextIOWrapper(io.BufferedReader(raws[0]), encoding="utf-8")
        self.stdout = _text(raws[1], line_buffering=raws[1].isatty())
        self.stderr = _text(raws[2], line_buffering=True)

    def end(self) -> None:
        """Write what is left, as the interpreter does at its end, and nothing from then on."""
        for stream in (self.stdout, self.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, KeyboardInterrupt):
                continue
        for raw in self._raws:
            raw.forget()


def _text(raw: Descriptor, *, line_buffering: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),  # type: ignore[type-var]  # as `write`
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
