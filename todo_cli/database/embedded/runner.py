"""Chooses the user that PostgreSQL's programs run as.

They refuse to run as root, and `initdb` also as a uid without a passwd entry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from todo_cli.database.embedded import processes
from todo_cli.errors import EmbeddedServerError


class Runner(NamedTuple):
    """A command prefix to run PostgreSQL's programs with, and the owner that the cluster needs,
    as seen from outside of a user namespace."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


def choose_runner(programs: Path, folder: Path, environ: Mapping[str, str]) -> Runner:
    """The first runner that works here. Each is tried with the real program and folder."""
    own = Runner((), os.geteuid(), os.getegid())
    if os.geteuid() != 0 and is_in_passwd(os.geteuid()):
        return own
    for runner in runners_as_nobody():
        if works(runner, programs, folder, environ):
            return runner
    if os.geteuid() != 0:
        # The server starts without a passwd entry. If initdb is needed, its error says why not.
        return own
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and root may not start it as another user here.",
        hint="Run todo as an ordinary user, or set TODO_DATABASE_URL to a server.",
    )


def runners_as_nobody() -> tuple[Runner, ...]:
    """The runners for root and for a user without a passwd entry. Both keep the process id.

    The first is a user namespace that maps our uid to the user `nobody`, who has the passwd entry
    that initdb needs. Outside of it the process and its files are ours, and no owner or permission
    changes. Docker's default profile forbids user namespaces.

    The second, for root only, is to run as `nobody`, with the capability dac_override to pass the
    folders above the cluster, which stay closed to others. The cluster is given to `nobody`, since
    PostgreSQL must own it. If the data folder existed before and is open to others, processes of
    `nobody` can read it.
    """
    uid, gid = nobody()
    if uid <= 0 or not sys.platform.startswith("linux"):
        return ()
    namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--")
    in_namespace = Runner(namespace, os.geteuid(), os.getegid())
    if os.geteuid() != 0:
        return (in_namespace,)
    identity = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--no-new-privs")
    return in_namespace, Runner((*identity, *capability, "--"), uid, gid)


def works(runner: Runner, programs: Path, folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether PostgreSQL runs with this runner, and can then write into the data folder."""
    check = '"$1" --version >/dev/null && test -w "$2" && test -x "$2"'
    command = [
        *runner.prefix,
        "/bin/sh",
        "-c",
        check,
        "sh",
        str(programs / "postgres"),
        str(folder),
    ]
    try:
        return processes.run_quietly(command, environ).returncode == 0
    except OSError:
        return False


def is_in_passwd(uid: int) -> bool:
    import pwd

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def nobody() -> tuple[int, int]:
    """The uid and gid of the user `nobody`, or (-1, -1) if there is none."""
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return -1, -1
    return entry.pw_uid, entry.pw_gid
