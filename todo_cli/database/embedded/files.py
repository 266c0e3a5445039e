"""What the embedded server keeps in the data folder: whose it is, sizes, faults."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from todo_cli.agent import place
from todo_cli.errors import EmbeddedServerError

SOCKET_NAME = ".s.PGSQL.5432"


def can_hold_socket(folder: Path) -> bool:
    """Whether the path of a socket in this folder works for the system, libpq and PostgreSQL.

    libpq splits a host at commas, a URL holds UTF-8, and PostgreSQL writes the path into one line
    of its lock file.
    """
    text = str(folder)
    if "," in text or not text.isprintable():
        return False
    return len(os.fsencode(folder / SOCKET_NAME)) <= place.MAX_SOCKET_PATH_BYTES


def make_private(folder: Path) -> None:
    """Make the socket's folder, or check that the existing one is ours and of mode 0700."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise unless it is a folder of ours with mode 0700. A link to one does not count."""
    if not place.is_private(str(folder)):
        raise EmbeddedServerError(
            f"{folder} is not a folder of yours that is closed to others (mode 0700).",
            hint="Remove it, and try again.",
        )


def check_data_folder(folder: Path) -> None:
    """Raise if another user owns the folder, so that they could not use files that we make."""
    if found := place.foreign(str(folder)):
        raise EmbeddedServerError(found[0], hint=found[1])


def check_owner(path: Path, allowed: set[int]) -> None:
    """Raise if the path exists and belongs to a user who is not allowed."""
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return
    if owner not in allowed:
        raise EmbeddedServerError(
            f"{path} belongs to {place.user(owner)}.",
            hint="Run todo as that user (without sudo), or set TODO_DATA_DIR to another folder.",
        )


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_windows() -> None:
    if os.name == "nt":
        raise EmbeddedServerError(
            "The embedded database does not run on Windows.",
            hint="Set TODO_DATABASE_URL to a PostgreSQL server, or use WSL.",
        )


@contextlib.contextmanager
def os_errors_as_sentences() -> Iterator[None]:
    """Raise an `OSError`, such as a full disk or a missing permission, as an error for people."""
    try:
        yield
    except OSError as error:
        where = f" with {error.filename}" if error.filename else ""
        raise EmbeddedServerError(
            f"The embedded database server cannot work{where}: {error.strerror or error}.",
            hint="Check the folder and the disk, or set TODO_DATA_DIR to another folder.",
        ) from error
