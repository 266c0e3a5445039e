"""Makes a PostgreSQL cluster in the data folder, starts its server on a Unix socket, and stops it.

This module knows nothing of tables or tasks. `programs` finds PostgreSQL's programs. The wheel's
own Python code is never imported: it would open the permissions of every folder above the data,
and make a system user.

Every command imports this module for the URL, so it imports only light modules at its top.

Folder modes alone decide who can connect: the server listens on no network address, and its socket
is in a folder of mode 0700. Therefore the cluster trusts every client of the socket.
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
from todo_cli.private_files import open_private

SUPERUSER: Final = "todo"
DATABASE: Final = "todo"

LOCK_TIMEOUT_SECONDS = 90
READY_TIMEOUT_SECONDS = 60
"""How long a starting server may log nothing. Crash recovery logs its progress every 10 s."""
STOP_TIMEOUT_SECONDS = 30
ORPHANS_TIMEOUT_SECONDS = 10
"""How long the children of a killed server may take to notice, by polling, and to end."""
MAX_LOG_BYTES = 1024 * 1024

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
    # One person's tasks need few processes: no replication.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",
    # A confirmed task survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
}

_SETTINGS_SINCE_18: Final = {"io_method": "sync"}
"""Without the worker processes that read for others."""

_TRANSIENT = ("pre-existing shared memory block", "lock file")
"""Parts of PostgreSQL's messages while children of a killed server are still ending."""


class EmbeddedServer:
    """One cluster in ``data_dir/postgres`` and the server that runs on it."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str]) -> None:
        self._given_data_dir = data_dir
        self._environ = environ

    @functools.cached_property
    def _data_dir(self) -> Path:
        """Absolute, without symbolic links, so that every process computes the same socket folder.

        Cached, since the working directory may change later.
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
        """The folder of the server's socket, computed from the path of the data folder alone.

        It is ``data_dir/run`` if that path can hold a socket, and otherwise a folder with a short
        path in /tmp. XDG_RUNTIME_DIR will not do: a cron job and ``su`` have none, and it is
        removed at the last log-out, while the server runs on.
        """
        files.refuse_windows()
        in_data_dir = self._data_dir / "run"
        if files.can_hold_socket(in_data_dir):
            return in_data_dir
        import hashlib

        digest = hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:16]
        return Path(f"/tmp/todo-{os.geteuid()}-{digest}")  # noqa: S108 - its owner and mode are checked

    @property
    def url(self) -> str:
        """The URL of the database, for libpq and psycopg."""
        from urllib.parse import quote

        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self.socket_dir), safe='')}"

    def is_running(self) -> bool:
        """Whether a server of ours accepts connections on the socket.

        The folder's owner and mode are checked, since another user could run a server in a folder
        of that name in /tmp.
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
        """Make the cluster if there is none, start the server if needed, and wait until ready.

        Many processes may call it at once: one does the work, and the others wait for it.

        Args:
            binaries: the folder of ``postgres`` and ``initdb``; by default see `programs`.

        Returns:
            True when this call made the cluster.

        Raises:
            EmbeddedServerError: it could not be made or started, or the folder is not ours.
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
                if not made:  # another process may have made it meanwhile, with other programs
                    programs = self._programs(binaries)
                runner = choose_runner(programs.folder, self._data_dir, self._child_environ())
                if made:
                    self._make_cluster(programs, runner)
                else:
                    self._change_owner(runner)
                files.make_private(self.socket_dir)
                self._bring_up(programs, runner)
                return made

    def stop(self) -> bool:
        """Shut the server down and end open connections. Afterwards all data is on disk.

        Returns:
            True if one was running.

        Raises:
            EmbeddedServerError: we may not signal it, or it did not end in time.
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
        """Raise if another user owns the folder, or if something else is in it. Writes nothing.

        Root does not use the folder of another user (``sudo todo``). It could run the server as
        that user, but it would write where the user can replace a file by a link.
        """
        me = os.geteuid()
        files.check_data_folder(self._data_dir)
        files.check_owner(self._cluster, {me, nobody()[0]} if me == 0 else {me})
        self._cluster_major()

    def _programs(self, binaries: Path | None) -> Programs:
        """The programs for the cluster, or to make one with."""
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
        """Make the cluster and its database in a temporary folder, and rename that when complete.

        A call that is killed half-way leaves only a temporary folder, which the next call removes.
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
        """Remove the temporary folders of killed calls, again while their initdb still writes."""
        import shutil

        def is_removed() -> bool:
            for leftover in self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return not any(self._data_dir.glob(f"{_HALF_MADE_PREFIX}*"))

        processes.wait_until(is_removed, ORPHANS_TIMEOUT_SECONDS)

    def _initdb(self, programs: Programs, runner: Runner, folder: Path) -> None:
        """Fill an empty folder with a cluster that has the database.

        The locale is PostgreSQL's own C.UTF-8, so that texts are sorted alike on every system, and
        the cluster does not need a locale of the system. Versions before 17 lack it: there texts
        are sorted the same way, but upper and lower case are those of the system's locale.
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
        # Without exit_on_error, single-user mode exits with 0 after a failed statement.
        postgres = [str(programs.folder / "postgres"), "--single", "-D", str(folder)]
        self._run(
            [*runner.prefix, *postgres, "-c", "exit_on_error=on", "template1"],
            stdin=f"create database {DATABASE}\n",
        )

    def _run(self, command: list[str], *, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs, and raise its complaint if it fails."""
        done = processes.run_quietly(command, self._child_environ(), stdin=stdin)
        if done.returncode != 0:
            reason = processes.complaint(done.stderr, last=True)
            raise EmbeddedServerError(
                f"The embedded database could not be made: {reason}",
                hint="Free some space or check the folder, or set TODO_DATABASE_URL to a server.",
            )

    def _change_owner(self, runner: Runner) -> None:
        """Give the cluster to the user that the server will run as.

        Needed by root only, when the data moved between a machine with user namespaces and one
        without.
        """
        if self._cluster.stat().st_uid == runner.uid:
            return
        # PostgreSQL cannot see whether another user's processes hold the shared memory.
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
        """Start the server, or wait for one that is starting or stopping. Needs the lock."""
        deadline = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
        while True:
            if (pid := self._server_pid()) is not None:
                if self._wait_until_ready(pid):
                    return
                continue
            self._remove_stale_locks()
            log_start = self._prepare_log()
            if self._wait_until_ready(self._launch(programs, runner)):
                return
            said = files.read_from(self._log, log_start)
            if time.monotonic() > deadline or not any(text in said for text in _TRANSIENT):
                # If the disk is full, the log may lack the message.
                full = os.statvfs(self._data_dir).f_bavail == 0
                reason = "the disk is full." if full else processes.complaint_in_log(said)
                raise EmbeddedServerError(
                    f"The embedded database server did not start: {reason}",
                    hint=f"Its log is {self._log}.",
                )
            time.sleep(0.2)

    def _wait_until_ready(self, pid: int) -> bool:
        """Wait for the server. False if the process ended before it was ready.

        Raises:
            EmbeddedServerError: it still runs, but is not ready and has stopped logging.
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

    def _remove_stale_locks(self) -> None:
        """Remove lock files that would keep PostgreSQL from starting although no server runs.

        PostgreSQL itself removes those of dead processes, after a check of the shared memory. It
        refuses to start on a truncated file, left by a power failure or a full disk. It also
        refuses if the process id now belongs to another process of the same user. That is common
        in containers, where ids start from 1 again, and for a zombie that no parent waits for.
        """
        for path in (self._pid_file, self.socket_dir / f"{files.SOCKET_NAME}.lock"):
            pid, _ = processes.status(path)
            if pid is None or (
                processes.process_exists(pid)
                and not processes.may_be_server(abs(pid), self._cluster)
            ):
                path.unlink(missing_ok=True)

    def _prepare_log(self) -> int:
        """Make the log private, and rename a large one. Returns the offset of new lines."""
        if files.size(self._log) > MAX_LOG_BYTES:
            os.replace(self._log, self._log.with_name("postgres.log.old"))
        os.close(open_private(self._log, os.O_WRONLY | os.O_APPEND))
        return files.size(self._log)

    def _launch(self, programs: Programs, runner: Runner) -> int:
        """Start the server process and return its id. It outlives us, our terminal and our pipes.

        It is started by a shell, which ends at once, so that init becomes its parent. As our child
        it would stay a zombie when it ends, and look alive. The shell gets the command as its
        arguments, so nothing is quoted or expanded.
        """
        import subprocess

        command = [*runner.prefix, str(programs.folder / "postgres"), "-D", str(self._cluster)]
        # PostgreSQL splits this setting at commas outside of double quotes.
        folders = '"' + str(self.socket_dir).replace('"', '""') + '"'
        settings = {**_SETTINGS, "unix_socket_directories": folders}
        if programs.major >= 18:
            settings |= _SETTINGS_SINCE_18
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = open_private(self._log, os.O_WRONLY | os.O_APPEND)
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
        """The environment of PostgreSQL's programs, without our secrets and the PG* variables."""
        kept = {name: self._environ[name] for name in ("LD_LIBRARY_PATH",) if name in self._environ}
        path = self._environ.get("PATH", os.defpath)
        return {**kept, "PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def _locked(self) -> AbstractContextManager[None]:
        """Hold the lock for making, starting and stopping the server."""
        return locked(self._data_dir / "postgres.lock", hint=f"Its log is {self._log}.")


@contextmanager
def locked(path: Path, *, hint: str | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a file of the data folder.

    Raises:
        EmbeddedServerError: another process holds it for too long.
    """
    import fcntl

    def is_taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    # Python's descriptors are not inherited, so the server that we start cannot hold the lock.
    with files.os_errors_as_sentences():
        lock = open_private(path, os.O_RDWR)
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
