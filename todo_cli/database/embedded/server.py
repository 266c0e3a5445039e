"""The PostgreSQL server that todo brings along, for people who have none.

`programs` finds PostgreSQL's programs; this module makes a database cluster in the data folder,
starts a server on a Unix socket and stops it. It knows nothing of tables or tasks.

The wheel's own Python code is never imported: it opens the permissions of every folder above the
data and makes a system user. Every command imports this module for the URL, so only light modules
are imported at the top.

Who can connect is decided by folder modes alone: the server listens on no network address, and
its socket lies in a folder of mode 0700. So the cluster trusts whoever reaches the socket.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from todo_cli.agent import place
from todo_cli.database.embedded import files, processes
from todo_cli.database.embedded.programs import MAJOR, Programs, major_of, server_programs
from todo_cli.database.embedded.runner import Runner, choose_runner, nobody
from todo_cli.errors import EmbeddedServerError

SUPERUSER: Final = "todo"
DATABASE: Final = "todo"

LOCK_TIMEOUT_SECONDS = 90
READY_TIMEOUT_SECONDS = 60
"""How long a starting server may say nothing; crash recovery logs its progress every 10 s."""
STOP_TIMEOUT_SECONDS = 30
ORPHANS_TIMEOUT_SECONDS = 10
"""How long the children of a killed server may take to notice; they poll, and end by themselves."""
LOG_MAX_BYTES = 1024 * 1024

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
    "jit": "off",
    # A task that was confirmed survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
}

_SETTINGS_SINCE_18: Final = {"io_method": "sync"}

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
        files.refuse_windows()
        beside = self._data_dir / "run"
        if files.can_hold_socket(beside):
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
            files.check_private(self.socket_dir)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(os.fsencode(self.socket_dir / files.SOCKET_NAME))
        except (OSError, EmbeddedServerError):
            return False
        return True

    def start(self, *, binaries: Path | None = None) -> bool:
        """Make the cluster if there is none, start the server if it is down, wait until ready.

        Any number of processes may call it at once: one does the work, the others wait for it.

        Args:
            binaries: the folder of ``postgres`` and ``initdb``; by default see `programs`.

        Returns:
            True when this call made the cluster.

        Raises:
            EmbeddedServerError: it could not be made or started, or the folder is not ours to use.
        """
        files.refuse_windows()
        with files.os_errors_as_sentences():
            self._refuse_foreign()
            if self._is_ready():
                return False
            programs = self._programs(binaries)
            place.make_folders(str(self._data_dir))
            with self._locked():
                if self._is_ready():
                    return False
                made = self._cluster_major() is None
                if not made:  # perhaps since we looked, by another version's programs
                    programs = self._programs(binaries)
                runner = choose_runner(programs.folder, self._data_dir, self._child_environ())
                if made:
                    self._make_cluster(programs, runner)
                else:
                    self._hand_over(runner)
                files.make_private(self.socket_dir)
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

        files.refuse_windows()
        with files.os_errors_as_sentences():
            if self._server_pid() is None:
                return False
            files.check_data_folder(self._data_dir)
            with self._locked():
                pid = self._server_pid()
                if pid is None:
                    return False
                os.kill(pid, signal.SIGINT)
                if not processes.wait_until(
                    lambda: processes.process_name(pid) is None, STOP_TIMEOUT_SECONDS
                ):
                    raise EmbeddedServerError(
                        f"The embedded database server (process {pid}) did not stop within "
                        f"{STOP_TIMEOUT_SECONDS} seconds.",
                        hint=f"Its log is {self._log}.",
                    )
                return True

    # What is on the disk

    def _refuse_foreign(self) -> None:
        """Raise for a folder of another user, or with something else in it; writes nothing.

        Root does not touch a plain user's folder (``sudo todo``). Running the server as that user
        would be possible, but root would be writing where the user can swap a file for a link.
        """
        me = os.geteuid()
        files.check_data_folder(self._data_dir)
        files.check_owner(self._cluster, {me, nobody()[0]} if me == 0 else {me})
        self._cluster_major()

    def _programs(self, binaries: Path | None) -> Programs:
        """The programs that fit the cluster, or those to make one with."""
        if binaries is None:
            return server_programs(self._environ, self._cluster_major())
        return Programs(binaries, major_of(binaries / "postgres") or MAJOR)

    def _cluster_major(self) -> int | None:
        """The major version that made the cluster; None if there is none yet.

        Raises:
            EmbeddedServerError: something else is in its place.
        """
        try:
            found = (self._cluster / "PG_VERSION").read_text("ascii", "replace").strip()
        except FileNotFoundError:
            if self._cluster.is_dir() and any(self._cluster.iterdir()):
                raise EmbeddedServerError(
                    f"{self._cluster} holds something, but not a PostgreSQL cluster.",
                    hint="Move it away, or set TODO_DATA_DIR to another folder.",
                ) from None
            return None
        if not found.isdecimal():
            raise EmbeddedServerError(
                f"{self._cluster} is damaged: its PG_VERSION holds no version.",
                hint="Restore a backup in another TODO_DATA_DIR.",
            )
        return int(found)

    def _make_cluster(self, programs: Programs, runner: Runner) -> None:
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
        files.sync_folder(self._data_dir)

    def _remove_half_made(self) -> None:
        """Remove what killed calls left; their initdb may still write for a moment, so repeat."""
        import shutil

        def is_removed() -> bool:
            for leftover in self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return not any(self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"))

        processes.wait_until(is_removed, ORPHANS_TIMEOUT_SECONDS)

    def _initdb(self, programs: Programs, runner: Runner, folder: Path) -> None:
        """Fill an empty folder with a cluster that has the database.

        The locale is PostgreSQL's own C.UTF-8, so the order of texts does not depend on the
        operating system, and a cluster can move to a machine that lacks a locale. Before version 17
        there is none: then texts have the same order, and the system says what capitals are.
        """
        if programs.major >= 17:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--lc-ctype=" + ("en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8")]
        self._run(
            [
                *runner.prefix,
                str(programs.folder / "initdb"),
                f"--pgdata={folder}",
                f"--username={SUPERUSER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                *locale,
                "--data-checksums",
                "--no-instructions",
            ]
        )
        # exit_on_error, since single-user mode otherwise ends with 0 after a failed statement.
        postgres = [str(programs.folder / "postgres"), "--single", "-D", str(folder)]
        self._run(
            [*runner.prefix, *postgres, "-c", "exit_on_error=on", "template1"],
            stdin=f"create database {DATABASE}\n",
        )

    def _run(self, command: list[str], *, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs to its end; a failure becomes one sentence."""
        done = processes.run_quietly(command, self._child_environ(), stdin=stdin)
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"The embedded database could not be made: {processes.complaint(done.stderr)}",
                hint="Free some space or check the folder, or set TODO_DATABASE_URL to a server.",
            )

    def _hand_over(self, runner: Runner) -> None:
        """Give the cluster to the user that the server runs as, if it ran as the other one before.

        Happens to root only, after a move between a machine with user namespaces and one without.
        """
        if self._cluster.stat().st_uid == runner.uid:
            return
        # PostgreSQL does not see what holds the shared memory of another user, so look ourselves.
        if not processes.wait_until(
            lambda: not processes.any_process_in(self._cluster), ORPHANS_TIMEOUT_SECONDS
        ):
            raise EmbeddedServerError(
                "Processes of an earlier embedded database server are still running.",
                hint=f"Wait for those that work in {self._cluster} to end, or end them.",
            )
        for folder, _, names in os.walk(self._cluster, topdown=False):
            for path in (*(os.path.join(folder, name) for name in names), folder):
                os.chown(path, runner.uid, runner.gid, follow_symlinks=False)

    # The running server

    def _is_ready(self) -> bool:
        """Whether the server answers and has finished its recovery."""
        return processes.status(self._pid_file)[1] == "ready" and self.is_running()

    def _server_pid(self) -> int | None:
        """The process id of this cluster's server, whatever state it is in."""
        pid, _ = processes.status(self._pid_file)
        return pid if pid is not None and processes.may_be_server(pid, self._cluster) else None

    def _bring_up(self, programs: Programs, runner: Runner) -> None:
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
            said = files.read_from(self._log, log_start)
            if time.monotonic() > deadline or not any(text in said for text in _TRANSIENT):
                # On a full disk its words did not reach the log either.
                full = os.statvfs(self._data_dir).f_bavail == 0
                reason = "the disk is full." if full else processes.complaint(said)
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
            if processes.status(self._pid_file) == (pid, "ready") and self.is_running():
                return True
            if processes.process_name(pid) is None:
                return False
            if (size := files.size(self._log)) != logged:
                logged, deadline = size, time.monotonic() + READY_TIMEOUT_SECONDS
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    "The embedded database server is not ready after "
                    f"{READY_TIMEOUT_SECONDS} silent seconds.",
                    hint=f"Its log is {self._log}.",
                )
            time.sleep(processes.POLL_SECONDS)

    def _remove_locks_of_strangers(self) -> None:
        """Remove PostgreSQL's lock files where it would refuse to start although no server runs.

        It removes those of dead processes itself, after checking the shared memory. It gives up on
        a file cut short by a power failure or a full disk, and when the process id now belongs to
        another process of the same user: common in containers, where ids start from 1 again, and
        the same for a zombie that nobody collects.
        """
        for path in (self._pid_file, self.socket_dir / f"{files.SOCKET_NAME}.lock"):
            pid, _ = processes.status(path)
            if pid is None or (
                processes.process_exists(pid)
                and not processes.may_be_server(abs(pid), self._cluster)
            ):
                path.unlink(missing_ok=True)

    def _prepare_log(self) -> int:
        """Make the log private, put a large one aside; returns where new lines will begin."""
        if files.size(self._log) > LOG_MAX_BYTES:
            os.replace(self._log, self._log.with_name("postgres.log.old"))
        os.close(files.open_private(self._log, os.O_WRONLY | os.O_APPEND))
        return files.size(self._log)

    def _launch(self, programs: Programs, runner: Runner) -> int:
        """Start the server process and return its id; it outlives us, our terminal and our pipes.

        The shell in between makes it a child of init, so that a long-lived caller is not left with
        a zombie that looks alive. It gets the command as arguments: nothing is quoted or expanded.
        """
        import subprocess

        command = [*runner.prefix, str(programs.folder / "postgres"), "-D", str(self._cluster)]
        # PostgreSQL splits this one at commas; double quotes keep a path whole.
        folders = '"' + str(self.socket_dir).replace('"', '""') + '"'
        settings = {**_SETTINGS, "unix_socket_directories": folders}
        if programs.major >= 18:
            settings |= _SETTINGS_SINCE_18
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = files.open_private(self._log, os.O_WRONLY | os.O_APPEND)
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

    def _locked(self) -> AbstractContextManager[None]:
        """Hold the lock that lets one process at a time make, start or stop the server."""
        return locked(self._data_dir / "postgres.lock", hint=f"Its log is {self._log}.")


@contextmanager
def locked(path: Path, *, hint: str | None = None) -> Iterator[None]:
    """Hold a lock of the data folder; one process at a time does.

    Raises:
        EmbeddedServerError: another holds it for too long.
    """
    import fcntl

    def is_taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    # Descriptors of Python are not inherited by other programs, so the server cannot keep it.
    with files.os_errors_as_sentences():
        lock = files.open_private(path, os.O_RDWR)
    try:
        if not processes.wait_until(is_taken, LOCK_TIMEOUT_SECONDS):
            raise EmbeddedServerError(
                "Another command has been starting, stopping or changing the embedded database for "
                f"{LOCK_TIMEOUT_SECONDS} seconds.",
                hint=hint,
            )
        yield
    finally:
        os.close(lock)
