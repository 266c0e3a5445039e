"""PgBouncer in transaction mode in front of a server, as Neon's pooled hosts have it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

START_TIMEOUT_SECONDS = 30


@contextmanager
def pooled(socket_dir: Path, user: str, database: str, *, pool_size: int) -> Iterator[str]:
    """Run PgBouncer; answer the URL of the database through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail("PgBouncer is needed; on Debian: apt-get install pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="todo-pool-"))
    config = folder / "pgbouncer.ini"
    config.write_text(_CONFIG.format(host=socket_dir, user=user, folder=folder, size=pool_size))
    process = subprocess.Popen([*_not_as_root(), program, str(config)], stderr=subprocess.DEVNULL)
    url = f"postgresql://{user}@/{database}?host={folder}&port=6432"
    try:
        _wait_until_it_answers(url, process, folder)
        yield url
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


_CONFIG = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
logfile = {folder}/log
"""


def _not_as_root() -> list[str]:
    """PgBouncer refuses to run as root; in a user namespace our uid reads as nobody's."""
    if os.geteuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = folder / "log"
                words = log.read_text() if log.exists() else "it wrote no log"
                raise AssertionError(f"PgBouncer does not answer: {words}") from error
            time.sleep(0.05)
