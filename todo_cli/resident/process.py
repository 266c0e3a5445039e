"""The agent's process: detached from the one that started it, and small."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

_CLONE_FS = 0x200
_M_ARENA_MAX = -8


def detach(*kept: int) -> int:
    """Leave the starter's session, folder and descriptors: who reads a pipe waits for its end.

    Returns:
        The pipe that the starter holds the other end of.
    """
    before = 2
    for descriptor in (*sorted(kept), 65_536):
        os.closerange(before + 1, descriptor)
        before = descriptor
    for descriptor in kept:
        os.set_inheritable(descriptor, False)
    starter = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    with contextlib.suppress(OSError):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # tokens do not belong in a core file
    sys.setswitchinterval(0.001)
    return starter


def limit_memory() -> None:
    """Two heaps for all threads: by default glibc takes eight for each core and keeps them."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def own_file_system_state() -> bool:
    """Give this thread a working directory and umask of its own (unshare(2))."""
    try:
        return bool(ctypes.CDLL(None).unshare(_CLONE_FS) == 0)
    except AttributeError:
        return False


def memory_bytes() -> int:
    """The memory that this process holds now; where the system does not say, the most it held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
