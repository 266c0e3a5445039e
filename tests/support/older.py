"""A server of an older PostgreSQL: Debian's, or the one whose `pg_config` is on the PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from todo_cli.database.embedded.runner import choose_runner

SUPPORTED = range(15, 18)


def programs() -> Path:
    """The folder of an older server's programs; the test fails where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if shutil.which("pg_config"):
        shown = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True)
        folders.append(Path(shown.stdout.decode().strip()))
    for folder in folders:
        if (folder / "postgres").exists() and _major(folder) in SUPPORTED:
            return folder
    pytest.fail("No server of PostgreSQL 15 to 17. On Debian: apt-get install postgresql")


@contextmanager
def running() -> Iterator[str]:
    """The URL of the superuser of a server that lives as long as this."""
    binaries = programs()
    folder = Path(tempfile.mkdtemp(prefix="todo-older-"))
    prefix = choose_runner(binaries, folder, {"PATH": os.environ["PATH"]}).prefix
    data = folder / "data"
    options = ["-U", "todo", "--auth=trust", "--locale=C", "--encoding=UTF8"]
    subprocess.run(
        [*prefix, binaries / "initdb", "-D", data, *options],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*prefix, binaries / "postgres", "-D", data, *options], stderr=log, cwd=folder
        )
    try:
        url = f"postgresql://todo@/postgres?host={folder}"
        _wait_for(url)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _major(folder: Path) -> int:
    shown = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True)
    found = re.search(r"\) (\d+)", shown.stdout.decode())
    return int(found[1]) if found else 0


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    pytest.fail("The older server did not start.")
