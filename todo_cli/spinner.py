"""A word on a terminal for who waits: nothing for the first half second, then a turning sign."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

SILENCE_SECONDS = 0.5
"""Until then a wait is not worth a word."""

FRAME_SECONDS = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def spinning(
    stream: TextIO, describe: Callable[[], str], *, is_animated: bool = True
) -> Iterator[None]:
    """Say on the stream what is waited for, as long as the block takes; then wipe it away.

    Rich's spinner would do the same after an import that takes longer than most waits. Without
    animation (a terminal that cannot move its cursor) it is said once, on a line of its own.
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
