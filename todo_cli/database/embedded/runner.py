"""As whom PostgreSQL's programs run: not as root, nor `initdb` as a uid without a name."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from todo_cli.database.embedded import processes
from todo_cli.errors import EmbeddedServerError


class Runner(NamedTuple):
    """How PostgreSQL's programs are run, and who must own the cluster for it (seen from here)."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


def choose_runner(programs: Path, folder: Path, environ: Mapping[str, str]) -> Runner:
    """The first way that works here, tried out with the real program and the real folder."""
    own = Runner((), os.geteuid(), os.getegid())
    if os.geteuid() != 0 and is_in_passwd(os.geteuid()):
        return own
    for runner in runners_as_nobody():
        if works(runner, programs, folder, environ):
            return runner
    if os.geteuid() != 0:
        # A server starts without a passwd entry; only initdb refuses, and says so.
        return own
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and root may not start it as another user here.",
        hint="Run todo as an ordinary user, or set TODO_DATABASE_URL to a server.",
    )


def runners_as_nobody() -> tuple[Runner, ...]:
    """The ways for root and for a user without a passwd entry; both keep the process id.

    A user namespace in which our uid reads as nobody's: for everyone else the process and its
    files are ours, and no permission or owner is changed. Docker's default profile forbids it.

    For root also: being nobody in truth, with the one capability to pass the folders above, which
    stay closed to all others. Only the cluster is given to nobody, because PostgreSQL wants to own
    it; where the data folder was there before and is open, processes of nobody can read it.

    It has to be a user with a passwd entry, without which initdb refuses.
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
    """Whether PostgreSQL can be run this way, and could then write into the data folder."""
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
    """The uid and gid of the user nobody; (-1, -1) on a system without."""
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return -1, -1
    return entry.pw_uid, entry.pw_gid
