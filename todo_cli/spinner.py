"""A spinner with a message on a terminal. It appears after half a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

SILENCE_SECONDS = 0.5
"""Shorter waits show no spinner."""

FRAME_SECONDS = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def spinning(
    stream: TextIO, describe: Callable[[], str], *, is_animated: bool = True
) -> Iterator[None]:
    """Show a spinner with a description while the block runs, then clear it.

    The import of Rich's spinner takes longer than most waits. Without animation (for a terminal
    that cannot move its cursor), the description is written once, on a line of its own.
    """
    is_over = threading.Event()

    def draw() -> None:
        if is_over.wait(SILENCE_SECONDS):
            return
        if not is_animated:
            stream.write(describe() + "\n")
            stream.flush()
            return
        frame = 0
        while not is_over.is_set():
            stream.write(f"{_CLEAR_LINE}{FRAMES[frame % len(FRAMES)]} {describe()}")
            stream.flush()
            frame += 1
            is_over.wait(FRAME_SECONDS)
        stream.write(_CLEAR_LINE)
        stream.flush()

    drawer = threading.Thread(target=draw, name="todo-spinner", daemon=True)
    drawer.start()
    try:
        yield
    finally:
        is_over.set()
        drawer.join()
