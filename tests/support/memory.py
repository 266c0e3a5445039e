"""Temporary files in memory: a pytest plugin.

A test's database is some 300 files, which the server writes to the disk before it goes on. In
memory they cost a tenth. A folder that TMPDIR names is used as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
MIN_FREE_BYTES = 4 * 1024**3
"""Two workers use up to a fifth of this at a time."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have every temporary folder made there, also by pytest and by the processes of tests."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _has_room() -> bool:
    return (
        os.access(MEMORY, os.W_OK | os.X_OK)
        and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # tests start scripts of their own
        and shutil.disk_usage(MEMORY).free >= MIN_FREE_BYTES
    )
