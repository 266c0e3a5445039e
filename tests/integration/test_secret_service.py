"""A real keyring: gnome-keyring's Secret Service on a message bus of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse"
UNLOCKED = "printf %s unlocking | gnome-keyring-daemon --unlock --components=secrets >/dev/null"
LOCKED = """
printf %s unlocking | gnome-keyring-daemon --unlock --components=secrets >/dev/null
"$PYTHON" -c '
import secretstorage
bus = secretstorage.dbus_init()
secretstorage.get_default_collection(bus).lock()
'
"""
REGISTER = """
printf %s "$PASSWORD" | "$PYTHON" -m todo_cli register --email ada@example.org --name Ada \
    --password-stdin
echo "register: $?"
"""
USE = """
"$PYTHON" -m todo_cli add -q Milk
"$PYTHON" -m todo_cli whoami | grep credential_source
"$PYTHON" -m todo_cli logout
"$PYTHON" -m todo_cli list
echo "list: $?"
"""


def run_on_a_bus(script: str, database_url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a session that has a bus, and neither a desktop nor other services."""
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is needed; on Debian: apt-get install gnome-keyring dbus")
    folder.mkdir(mode=0o700)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "PASSWORD": PASSWORD,
        "TODO_DATABASE_URL": database_url,
        "TODO_AGENT": "0",  # it would outlive the bus
    }
    command = ["dbus-run-session", "--", "sh", "-c", script]
    return subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_session_is_kept_in_the_secret_service(database_url: str, tmp_path: Path) -> None:
    done = run_on_a_bus(UNLOCKED + REGISTER + USE, database_url, tmp_path / "bus")
    assert done.stdout.splitlines() == [
        "register: 0",
        "1",
        "credential_source\tkeyring",
        "list: 4",
    ], done.stderr
    assert PASSWORD not in done.stderr


def test_a_locked_secret_service_with_nobody_to_unlock_it_is_given_up(
    database_url: str, tmp_path: Path
) -> None:
    done = run_on_a_bus(LOCKED + REGISTER, database_url, tmp_path / "bus")
    assert done.stdout.splitlines() == ["register: 4"], done.stderr
    assert "--credential-store=file" in done.stderr
