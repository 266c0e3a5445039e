"""An older PostgreSQL: Debian's, or the one whose `pg_config` is on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SUPPORTED = range(15, 18)


def programs() -> Path:
    """The folder of an older server's programs; the test fails where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if shutil.which("pg_config"):
        shown = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True)
        folders.append(Path(shown.stdout.decode().strip()))
    for folder in folders:
        if (folder / "postgres").exists() and major(folder) in SUPPORTED:
            return folder
    pytest.fail("No server of PostgreSQL 15 to 17. On Debian: apt-get install postgresql")


def major(folder: Path) -> int:
    shown = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True)
    found = re.search(r"\) (\d+)", shown.stdout.decode())
    return int(found[1]) if found else 0
