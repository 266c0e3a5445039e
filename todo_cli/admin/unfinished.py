"""A file that gets its name when it is finished. A killed program leaves no unfinished file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from todo_cli.errors import Refused

CHUNK_BYTES = 1024 * 1024
_READ_AND_WRITE = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
_WITHOUT_NAME: int = getattr(os, "O_TMPFILE", 0)
"""Linux only."""
_FOR_ITS_OWNER = 0o600


@dataclass(frozen=True)
class Unfinished:
    """An open file that only its owner can read. `part` is its temporary name, if it has one."""

    file: IO[bytes]
    part: Path | None

    def publish(self, name: Path) -> None:
        """Write the file to the disk and give it its name.

        Raises:
            Refused: the name is taken, or the file cannot be written.
        """
        descriptor = self.file.fileno()
        try:
            self.file.flush()
            os.fsync(descriptor)
            if self.part is None:
                # The absolute path makes the descriptor useless, but with it Python calls
                # linkat(2). link(2) would not follow this symbolic link.
                path = f"/proc/self/fd/{descriptor}"
                os.link(path, name, src_dir_fd=descriptor, follow_symlinks=True)
            else:
                os.link(self.part, name)
        except FileExistsError:
            raise name_taken(name) from None
        except OSError as error:
            raise _not_written(name, error) from error


def name_taken(name: Path) -> Refused:
    return Refused(f"{name} already exists.", hint="Give another name.")


@contextmanager
def unfinished(name: Path) -> Iterator[Unfinished]:
    """A new file in the folder of `name`. It is deleted afterwards unless it was published.

    The file has no name, so a killed program leaves nothing to delete. If the file system does not
    support that, the file is hidden, and the next run for the same `name` reuses it.

    Raises:
        Refused: the folder is not writable, or another run writes the same file.
    """
    try:
        with _without_name(name.parent) or _with_name(name) as made:
            yield made
    except OSError as error:
        raise _not_written(name, error) from error


def _without_name(folder: Path) -> contextlib.AbstractContextManager[Unfinished] | None:
    if not _WITHOUT_NAME:
        return None
    try:
        descriptor = os.open(folder, _READ_AND_WRITE | _WITHOUT_NAME, _FOR_ITS_OWNER)
    except OSError as error:
        if _is_about_kind(error):
            return None
        raise
    return _opened(descriptor, None)


def _is_about_kind(error: OSError) -> bool:
    """Whether the file system or the kernel does not support files without a name."""
    return error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


def _with_name(name: Path) -> contextlib.AbstractContextManager[Unfinished]:
    part = name.with_name(f".{name.name}.part")
    descriptor = os.open(part, _READ_AND_WRITE | os.O_CREAT | os.O_NOFOLLOW, _FOR_ITS_OWNER)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Refused(f"Another run is writing {name}.") from None
    os.fchmod(descriptor, _FOR_ITS_OWNER)
    os.ftruncate(descriptor, 0)
    return _opened(descriptor, part)


@contextmanager
def _opened(descriptor: int, part: Path | None) -> Iterator[Unfinished]:
    try:
        with open(descriptor, "r+b") as file:
            yield Unfinished(file, part)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _not_written(name: Path, error: OSError) -> Refused:
    return Refused(f"{name} cannot be written: {error.strerror}.")


def size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def checksum(file: IO[bytes]) -> str:
    """The SHA-256 of the whole file. The file's position does not matter and does not change."""
    digest = hashlib.sha256()
    position = 0
    while chunk := os.pread(file.fileno(), CHUNK_BYTES, position):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()
