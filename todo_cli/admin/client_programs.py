"""Runs PostgreSQL's own programs, which connect to databases with TLS.

The programs of the wheel come with a libpq without OpenSSL. psycopg's libpq has it and exports the
same functions, so the loader is told to use that one. The rules of `connection_parameters` for TLS
and passwords then hold for the programs too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from todo_cli.database import faults
from todo_cli.database.connecting import CONNECT_TIMEOUT_SECONDS
from todo_cli.database.embedded import programs
from todo_cli.database.embedded.processes import complaint
from todo_cli.database.target import connection_parameters, is_socket
from todo_cli.errors import InvalidInput, Refused, TodoError

_POLL_SECONDS = 0.2

_WAS_CUT = re.compile(
    "server closed the connection|SSL connection has been closed|SSL SYSCALL error|unexpected eof"
    "|terminating connection|Connection reset by peer|Broken pipe|Connection timed out"
    "|connection to server was lost|no connection to the server",
    re.IGNORECASE,
)


@contextmanager
def program(
    name: str,
    arguments: list[str],
    *,
    environ: Mapping[str, str],
    url: str | None = None,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, connected to `url` if it is given. On exit, wait for it to succeed.

    Its output can be read from the process, unless it goes to a file.

    Raises:
        TodoError: the program failed (with its own message), or could not connect.
    """
    variables, address = access(url)
    found = programs.client_programs(environ)
    command = [str(found.folder / name), *arguments]
    if address:
        command.append(f"--dbname={address}")
    with tempfile.TemporaryFile() as said, preloading(url, found.major) as preloaded:
        running = subprocess.Popen(
            command,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=said,
            env={**_kept(environ), **variables, **preloaded.environ},
            pass_fds=preloaded.descriptors,
        )
        try:
            yield running
            code = running.wait()
        finally:
            if running.poll() is None:
                running.kill()
            running.wait()
            if running.stdout is not None:
                running.stdout.close()
        if code != 0:
            said.seek(0)
            raise failure(name, complaint(said.read().decode("utf-8", "replace")))


def has_ended(running: subprocess.Popen[bytes]) -> bool:
    """Whether a program has ended. Waits briefly for that."""
    try:
        running.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def access(url: str | None) -> tuple[dict[str, str], str | None]:
    """The environment with the secret, and the connection string for the command line.

    Everybody on the machine can read the command line.

    Raises:
        InvalidInput: the URL has a secret that libpq cannot read from a variable.
    """
    if url is None:
        return {}, None
    parts = connection_parameters(url)
    if "sslpassword" in parts:
        raise InvalidInput(
            "The database URL has an sslpassword, which everybody on this machine could read.",
            hint="Leave it out, and use a key file without a password that only you can read.",
        )
    password = parts.pop("password", None)
    parts.setdefault("connect_timeout", str(CONNECT_TIMEOUT_SECONDS))
    # With this setting, the policy of migration 0007 lets the owner see all rows.
    parts["options"] = f"{parts.get('options', '')} -c todo.maintenance=on".strip()
    secret = {"PGAPPNAME": "todo db"}
    if password is not None:
        secret["PGPASSWORD"] = str(password)
    return secret, make_conninfo("", **parts)


def _kept(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that programs need, and those of libpq, which psycopg reads too."""
    names = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
    kept = {
        name: value for name, value in environ.items() if name in names or name.startswith("PG")
    }
    return kept | {"LC_ALL": "C"}


class Preloading(NamedTuple):
    """Variables and inherited descriptors to start a program with."""

    environ: dict[str, str]
    descriptors: tuple[int, ...]


@contextmanager
def preloading(url: str | None, major: int = programs.MAJOR) -> Iterator[Preloading]:
    """Make the loader use this process's libpq for a program that is started inside.

    A program without a connection does not need it. Windows cannot do it: its loader looks beside
    the program first. A program of the newest `major` version connects to a local socket with its
    own libpq. Older versions do not know all parameters of `access`.

    Raises:
        Refused: psycopg's libpq cannot be found, or is older than the programs.
    """
    needs_none = url is None or (is_socket(url) and major == programs.MAJOR)
    if needs_none or os.name == "nt":
        yield Preloading({}, ())
        return
    library = path()
    if sys.platform == "darwin":
        # The loader looks here first, by the name of the file.
        yield Preloading({"DYLD_LIBRARY_PATH": str(library.parent)}, ())
        return
    # LD_LIBRARY_PATH would come after the program's own RPATH. LD_PRELOAD is separated by spaces
    # and colons, which a folder's name may contain, so the folder is named by a descriptor.
    folder = os.open(library.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Preloading({"LD_PRELOAD": f"/proc/self/fd/{folder}/{library.name}"}, (folder,))
    finally:
        os.close(folder)


@cache
def path() -> Path:
    """The file of the libpq that psycopg has loaded.

    Raises:
        Refused: it cannot be found, or is older than the programs and so lacks functions.
    """
    if psycopg.pq.version() // 10_000 >= programs.MAJOR:
        with contextlib.suppress(AttributeError, OSError, TypeError):
            return _file_of_libpq()
    raise Refused(
        f"This needs psycopg's own libpq of version {programs.MAJOR} or newer.",
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


def failure(program: str, line: str) -> TodoError:
    """The error for a program's complaint. A fault of the connection is translated as usual."""
    if line.startswith("connection to server") or _WAS_CUT.search(line):
        found = faults.translation(psycopg.OperationalError(line))
        if isinstance(found, faults.TransientFault):
            return found.final
        if isinstance(found, TodoError):
            return found
    return Refused(f"{program} failed: {line}")
