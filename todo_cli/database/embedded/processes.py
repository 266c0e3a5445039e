"""Looks up processes, reads PostgreSQL's lock files, and runs its programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

POLL_SECONDS = 0.02
MAX_POLL_SECONDS = 0.25


def status(lock_file: Path) -> tuple[int | None, str]:
    """The process id and the last line of one of PostgreSQL's lock files (miscadmin.h).

    In postmaster.pid the last line is the state: starting, ready, stopping. The id is negative
    for a single-user server, and None when there is no file or nothing readable in it.
    """
    try:
        lines = lock_file.read_text("utf-8", "surrogateescape").splitlines()
        return int(lines[0]), lines[-1].strip()
    except (FileNotFoundError, ValueError, IndexError):
        return None, ""


def process_name(pid: int) -> str | None:
    """The name of a process's program, or None if it has ended. A zombie counts as ended."""
    if not sys.platform.startswith("linux"):
        command = ["/bin/ps", "-p", str(pid), "-o", "stat=,comm="]
        state, _, program = run_quietly(command, {}).stdout.strip().partition(" ")
        return os.path.basename(program.strip()) if state and state[0] != "Z" else None
    try:
        # proc(5): "pid (name) state …"; the name may hold parentheses itself.
        head, _, tail = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if tail.split()[0] in "ZX" else head.partition("(")[2]


def process_exists(pid: int) -> bool:
    """Whether PostgreSQL would take the process of a lock file for alive. True for zombies.

    Like PostgreSQL, this is False for a process that we may not signal: it is another user's.
    """
    try:
        os.kill(abs(pid), 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def may_be_server(pid: int, cluster: Path) -> bool:
    """Whether a live process is a server of this cluster, or cannot be ruled out to be one.

    The working directory of a server is its cluster.
    """
    if pid <= 0 or process_name(pid) != "postgres":
        return False
    return works_in(pid, cluster, when_unknown=True)


def any_process_in(folder: Path) -> bool:
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return any(works_in(pid, folder, when_unknown=False) for pid in pids)


def works_in(pid: int, folder: Path, *, when_unknown: bool) -> bool:
    """Whether a process's working directory is this one."""
    if not sys.platform.startswith("linux"):
        return when_unknown
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except FileNotFoundError:
        return False
    except OSError:
        return when_unknown


def run_quietly(
    command: list[str], environ: Mapping[str, str], *, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    import subprocess

    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environ,
        cwd="/",
        check=False,
    )


def complaint(output: str, *, last: bool = False) -> str:
    """The line of a program's output that says why it failed: the first error, or the last one."""
    import re

    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = re.findall(r"\b(?:FATAL|PANIC|ERROR|error):\s+(.+)", "\n".join(lines))
    return (errors or lines or ["it ended without a message."])[-1 if last else 0]


def complaint_in_log(log: str) -> str:
    """The line of a server's log that says why it did not start.

    Lines with "terminating connection" are left out. They come from the children of an earlier
    server, which may still write to the same log.
    """
    lines = [line for line in log.splitlines() if "terminating connection" not in line]
    return complaint("\n".join(lines), last=True)


def wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Poll the condition, with growing pauses, until it holds. False if the time is over first."""
    deadline = time.monotonic() + timeout_seconds
    pause = POLL_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.25, MAX_POLL_SECONDS)
    return True
