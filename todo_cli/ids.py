"""Identifiers that are made by the client. Imports nothing of the program."""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562, version 7), made by the client before the first try.

    Ordered keys keep the primary key's index a fifth smaller than random ones. The 12 bits after
    the milliseconds hold their fraction, so that the keys of one process ascend. `uuid.uuid7`
    comes with Python 3.14.
    """
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random_bits = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random_bits)
