"""How PostgreSQL's own programs reach a database: by TLS, and past no pooler.

The programs of the wheel come with a libpq that was built without OpenSSL. psycopg brings one that
has it and exports the same functions, so the loader is told to take that one. It is also the
library that `connection_parameters` is written for: the same rules for TLS and passwords hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg

from todo_cli.admin.connect import Connection, one
from todo_cli.database import faults
from todo_cli.database.embedded import MAJOR
from todo_cli.database.target import is_neon_direct, is_socket
from todo_cli.errors import Refused, TodoError

_WAS_CUT = re.compile(
    "server closed the connection|SSL connection has been closed|SSL SYSCALL error|unexpected eof"
    "|terminating connection|Connection reset by peer|Broken pipe|Connection timed out"
    "|connection to server was lost|no connection to the server",
    re.IGNORECASE,
)


class Preloading(NamedTuple):
    """What a program has to be started with: variables, and descriptors that it inherits."""

    environ: dict[str, str]
    descriptors: tuple[int, ...]


@contextmanager
def preloading(url: str | None) -> Iterator[Preloading]:
    """Have the loader take this process's libpq for a program that is started inside.

    Not for a program that connects to nothing, or to a socket of this machine; nor on Windows,
    whose loader looks beside the program first.

    Raises:
        Refused: it cannot be found, or is older than the programs.
    """
    if url is None or is_socket(url) or os.name == "nt":
        yield Preloading({}, ())
        return
    library = path()
    if sys.platform == "darwin":
        # Looked in before the place that a program names, by the file's name.
        yield Preloading({"DYLD_LIBRARY_PATH": str(library.parent)}, ())
        return
    # LD_LIBRARY_PATH would come after the program's own RPATH. LD_PRELOAD ends at a space or a
    # colon, which a folder's name may hold: so the folder is named by a descriptor.
    folder = os.open(library.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Preloading({"LD_PRELOAD": f"/proc/self/fd/{folder}/{library.name}"}, (folder,))
    finally:
        os.close(folder)


@cache
def path() -> Path:
    """The file of the libpq that psycopg has loaded.

    Raises:
        Refused: it cannot be found, or is older than the programs, which would miss functions.
    """
    if psycopg.pq.version() // 10_000 >= MAJOR:
        with contextlib.suppress(AttributeError, OSError, TypeError):
            return _file_of_libpq()
    raise Refused(
        f"This needs psycopg's own libpq of version {MAJOR} or newer.",
        hint="Install it with: pip install --upgrade 'psycopg[binary]'",
    )


class _SymbolInfo(ctypes.Structure):
    """`Dl_info` of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _file_of_libpq() -> Path:
    module = sys.modules[psycopg.pq.PGconn.__module__]
    function = ctypes.CDLL(module.__file__).PQlibVersion
    found = _SymbolInfo()
    is_found = ctypes.CDLL(None).dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(found))
    if not is_found:
        raise OSError("dladdr(3) knows no file")
    return Path(os.path.realpath(os.fsdecode(found.file)))


def require_direct(connection: Connection) -> None:
    """See that no pooler stands between this program and the server.

    pg_dump and psql change settings of their session, which a pooler hands on to the next client.
    A pooler gives each client a key of its own to cancel with, which shows that it is there. Neon's
    proxy does so too, but it pools only by the name of the pooled host.

    Raises:
        Refused: there is a pooler.
    """
    if is_neon_direct(connection.info.host):
        return
    if connection.info.backend_pid != one(connection, "select pg_catalog.pg_backend_pid()"):
        raise Refused(
            "The URL leads to a connection pooler; this needs the database server itself.",
            hint="Give the server's own URL with --database-url or TODO_DATABASE_URL_UNPOOLED",
        )


def failure(program: str, complaint: str) -> TodoError:
    """The error for a program's last complaint; of its connection, the same as anywhere else."""
    if complaint.startswith("connection to server") or _WAS_CUT.search(complaint):
        found = faults.translation(psycopg.OperationalError(complaint))
        if isinstance(found, faults.TransientFault):
            return found.final
        if isinstance(found, TodoError):
            return found
    return Refused(f"{program} failed: {complaint}")
