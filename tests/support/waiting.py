"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

GUARD_SECONDS = 60
"""A test that waits longer than this has found a hang."""


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + GUARD_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it never came"
        time.sleep(0.01)
