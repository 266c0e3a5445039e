"""Checks of the connection (time, clock, host, encryption) and of this machine's disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from todo_cli.admin.connect import one
from todo_cli.admin.health.check import FAIL, OK, WARN, Check, Limits, at_least, at_most
from todo_cli.admin.target import is_pooled


def connection_checks(
    connection: psycopg.Connection[Any],
    url: str,
    limits: Limits,
    now: Callable[[], datetime],
    connect_seconds: float,
) -> Iterator[Check]:
    yield at_most(
        "connect",
        round(connect_seconds * 1000, 1),
        limits.connect_milliseconds,
        "ms",
        "to connect, waking up included",
        "The compute may have slept; run it again. Otherwise the way to it is slow.",
    )
    for name in ("first_query", "second_query"):
        started = time.perf_counter()
        clock = one(connection, "select clock_timestamp()")
        spent = time.perf_counter() - started
        difference = abs((now() - clock).total_seconds())
        yield at_most(
            name,
            round(spent * 1000, 2),
            limits.query_milliseconds,
            "ms",
            "for a query that asks nothing",
            "The way to the server is long: choose a region nearby.",
        )
    yield at_most(
        "clock",
        round(max(0.0, difference - spent), 3),
        limits.clock_seconds,
        "s",
        "between this clock and the server's",
        "Set this machine's clock by NTP.",
    )
    yield Check(
        "host",
        WARN if is_pooled(url) else OK,
        "pooled" if is_pooled(url) else "direct",
        None,
        "direct",
        "Administration needs the direct host.",
        "Set TODO_DATABASE_URL_UNPOOLED to the direct host." if is_pooled(url) else None,
    )
    yield _tls(connection)


def _tls(connection: psycopg.Connection[Any]) -> Check:
    host = connection.info.host
    is_local = not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")
    in_use = bool(connection.pgconn.ssl_in_use)
    return Check(
        "tls",
        OK if in_use or is_local else FAIL,
        in_use,
        None,
        True,
        "The connection is encrypted."
        if in_use
        else "The connection stays on this machine."
        if is_local
        else "Passwords and tasks cross the network unencrypted.",
        None if in_use or is_local else "Add ?sslmode=require (better: verify-full) to the URL.",
    )


def disk_free(data_dir: Path, limits: Limits) -> Check:
    usage = shutil.disk_usage(data_dir)
    return at_least(
        "disk_free",
        round(usage.free / usage.total, 3),
        limits.disk_free_ratio,
        "share",
        "of the disk is free",
        f"Free some space on the disk of {data_dir}.",
    )
