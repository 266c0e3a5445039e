"""The command line in this process, for benchmarks, which have no fixtures."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

from tests.support.people import Person
from todo_cli.app import run
from todo_cli.context import Invocation


@dataclass(frozen=True)
class Finished:
    """What a command line left behind."""

    exit_code: int
    stdout: str
    stderr: str


def call(*words: str, stdin: str = "", environ: dict[str, str], person: Person) -> Finished:
    """Run one command line as a person."""
    streams = [_stream(stdin), _stream(), _stream()]
    settings = {**os.environ, "TODO_SESSION_TOKEN": person.token, **environ}
    code = run(Invocation(list(words), settings, *streams))
    return Finished(code, _text_in(streams[1]), _text_in(streams[2]))


def _stream(content: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content.encode()), encoding="utf-8", newline="")


def _text_in(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    return str(buffer.getvalue().decode())
