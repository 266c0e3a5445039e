"""The wheel, as it is installed: it holds the migrations and works away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.installed import ROOT, build_wheel
from todo_cli.commands.shells import SCRIPTS
from todo_cli.database.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_brings_migrations_completion_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"todo_cli/alembic.ini", "todo_cli/migrations/env.py", "todo_cli/py.typed"} <= names
    scripts = {f"todo_cli/commands/completion_scripts/{name}" for name in SCRIPTS.values()}
    assert scripts <= names
    versions = {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert {f"todo_cli/migrations/versions/{name}" for name in versions} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_wheel_brings_the_command_ready_to_be_run(wheel: Path) -> None:
    (script,) = [
        info for info in zipfile.ZipFile(wheel).infolist() if info.filename.endswith("scripts/todo")
    ]
    assert script.external_attr >> 16 & 0o111 == 0o111
    # Not `#!python`: pip would put its own interpreter there, and with it `site`.
    assert zipfile.ZipFile(wheel).read(script).startswith(b"#!/bin/sh\n")


def test_the_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    empty = tmp_path / "empty"
    empty.mkdir()
    data_dir = tmp_path / "data"
    environ = {**os.environ, "PYTHONPATH": str(site), "TODO_DATA_DIR": str(data_dir)}
    program = "import sys, todo_cli.__main__ as m; assert {!r} in m.__file__; m.main()"
    try:
        finished = subprocess.run(
            [sys.executable, "-c", program.format(str(site)), "add", "-q", "Buy milk"],
            cwd=empty,
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        )
        assert (finished.stdout, list(empty.iterdir())) == ("1\n", [])
    finally:
        EmbeddedServer(data_dir, {}).stop()
