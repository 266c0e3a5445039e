"""Files that only their owner can reach."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def open_private(path: Path, flags: int) -> int:
    """Open a file, and create it with mode 0600 if it is missing. Does not follow a link."""
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all, even if the power fails.

    Raises:
        OSError: the file cannot be written. An older file is unchanged.
    """
    temporary = path.with_name(f"{path.name}.{threading.get_native_id()}")
    temporary.unlink(missing_ok=True)  # left by a killed command, perhaps with another mode
    try:
        with open(open_private(temporary, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
