"""The command line in this process, on streams in memory that can pretend to be a terminal."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass


class _Stream(io.TextIOWrapper):
    """A stream in memory that can pretend to be a terminal."""

    def __init__(self, content: bytes = b"", *, is_terminal: bool = False) -> None:
        self.memory = io.BytesIO(content)
        super().__init__(self.memory, encoding="utf-8", errors="backslashreplace", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.flush()
        return self.memory.getvalue().decode()


@dataclass(frozen=True)
class Result:
    """What a command line left behind."""

    exit_code: int
    stdout: str
    stderr: str


def run_here(
    words: Sequence[str], stdin: bytes, columns: int | None, environ: dict[str, str]
) -> Result:
    from todo_cli.app import run
    from todo_cli.context import Invocation

    is_terminal = columns is not None
    streams = [
        _Stream(stdin, is_terminal=is_terminal),
        _Stream(is_terminal=is_terminal),
        _Stream(is_terminal=is_terminal),
    ]
    code = run(Invocation(list(words), {**os.environ, **environ}, *streams))
    return Result(code, streams[1].text(), streams[2].text())
