"""Checks of the server: version, load, memory and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg

from todo_cli.admin.connect import Connection, one
from todo_cli.admin.health.check import (
    FAIL,
    OK,
    SEES_ALL_HINT,
    WARN,
    Check,
    Facts,
    Limits,
    Subject,
    at_least,
    at_most,
    sees_less,
)

SERVER = Subject()


def server_checks(connection: Connection, limits: Limits) -> Iterator[Check]:
    facts = SERVER.ask(connection, limits)
    if facts["is_neon"]:
        facts.update(_neon_cache(connection))
    yield from SERVER.judge(facts)


@SERVER.check(version="current_setting('server_version_num')::int / 10000")
def server_version(facts: Facts) -> Check:
    version = facts["version"]
    supported = f"{facts.limits.oldest_server} to {facts.limits.newest_server}"
    return Check(
        "server_version",
        FAIL
        if version < facts.limits.oldest_server
        else WARN
        if version > facts.limits.newest_server
        else OK,
        version,
        "major",
        supported,
        f"PostgreSQL {version}; tested are {supported}.",
    )


@SERVER.check(
    max_connections="current_setting('max_connections')::int",
    connections="(select sum(numbackends) from pg_catalog.pg_stat_database)",
)
def connections(facts: Facts) -> Check:
    return at_most(
        "connections",
        round(facts["connections"] / facts["max_connections"], 3),
        facts.limits.connections_ratio,
        "share",
        f"of {facts['max_connections']} connections are in use",
        "Let people use the pooled host.",
    )


_OF_THIS_DATABASE = "from pg_catalog.pg_stat_database where datname = current_database()"


@SERVER.check(
    hits=f"(select blks_hit {_OF_THIS_DATABASE})",
    reads=f"(select blks_read {_OF_THIS_DATABASE})",
    is_neon="exists (select from pg_catalog.pg_proc where proname = 'neon_get_lfc_stats')",
)
def cache_hit(facts: Facts) -> Check:
    blocks = facts["hits"] + facts["reads"]
    if blocks < facts.limits.cache_blocks:
        return Check(
            "cache_hit",
            OK,
            None,
            "share",
            facts.limits.cache_hit_ratio,
            "Too little was read to tell.",
        )
    return at_least(
        "cache_hit",
        round(facts["hits"] / blocks, 4),
        facts.limits.cache_hit_ratio,
        "share",
        "of the blocks were in memory",
        "After a load it takes a while. If it lasts, the tables do not fit: take a larger compute.",
    )


_NEON_CACHE: LiteralString = """
select jsonb_object_agg(lfc_key, lfc_value) from neon_get_lfc_stats() as s (lfc_key, lfc_value)
where lfc_key in ('file_cache_hits', 'file_cache_misses')
"""


def _neon_cache(connection: Connection) -> dict[str, int]:
    """Neon keeps pages in a file of its own, below the shared buffers."""
    try:
        with connection.transaction():  # a savepoint: the checks go on if this is refused
            found: dict[str, int] = one(connection, _NEON_CACHE) or {}
    except psycopg.Error:
        return {}
    hits, misses = found.get("file_cache_hits"), found.get("file_cache_misses")
    return {} if hits is None or misses is None else {"hits": hits, "reads": misses}


@SERVER.check(transaction_age="(select max(age(datfrozenxid)) from pg_catalog.pg_database)")
def transaction_age(facts: Facts) -> Check:
    return at_most(
        "transaction_age",
        facts["transaction_age"],
        facts.limits.transaction_age,
        "transactions",
        "since the oldest row was frozen",
        reason="inspect_tables",
    )


def _longest(since: str, condition: str) -> str:
    """The longest time in seconds since an instant, over the sessions of this database."""
    return (
        f"coalesce((select max(extract(epoch from now() - {since}))"  # noqa: S608  # constants
        " from pg_catalog.pg_stat_activity"
        f" where datname = current_database() and {condition}), 0)"
    )


@SERVER.check(
    long=_longest("query_start", "pid <> pg_backend_pid() and state = 'active'"),
)
def long_statement(facts: Facts) -> Check:
    return at_most(
        "long_statement",
        round(float(facts["long"]), 3),
        facts.limits.long_statement_seconds,
        "s",
        "is the age of the longest running statement",
        reason="inspect_long_running",
    )


@SERVER.check(idle=_longest("xact_start", "state like 'idle in transaction%'"))
def idle_in_transaction(facts: Facts) -> Check:
    return at_most(
        "idle_in_transaction",
        round(float(facts["idle"]), 3),
        facts.limits.long_statement_seconds,
        "s",
        "is the age of the oldest idle transaction",
        "It keeps dead rows and a Neon compute awake.",
        reason="inspect_connections",
    )


@SERVER.check(blocked=_longest("query_start", "cardinality(pg_blocking_pids(pid)) > 0"))
def blocked_statement(facts: Facts) -> Check:
    return at_most(
        "blocked_statement",
        round(float(facts["blocked"]), 3),
        facts.limits.blocked_seconds,
        "s",
        "is the longest wait for a lock",
        reason="locked",
    )


@SERVER.check(
    bytes="pg_database_size(current_database())",
    size="pg_size_pretty(pg_database_size(current_database()))",
    neon_limit="current_setting('neon.max_cluster_size', true)",
)
def database_size(facts: Facts) -> Check:
    allowed = _bytes(facts["neon_limit"])
    if allowed is None:
        return Check(
            "database_size", OK, facts["bytes"], "bytes", None, f"{facts['size']} on disk."
        )
    return at_most(
        "database_size",
        facts["bytes"],
        int(allowed * facts.limits.database_ratio),
        "bytes",
        "of the plan's storage are used",
        "Archive and purge, or take a larger plan.",
    )


def _bytes(setting: str | None) -> int | None:
    """PostgreSQL's way to write a size; None for no limit."""
    if not setting:
        return None
    number = setting.rstrip("kMGTB ")
    unit = setting[len(number) :].strip() or "MB"
    if not number.isdigit() or int(number) <= 0:
        return None
    power = {"B": 0, "kB": 1, "MB": 2, "GB": 3, "TB": 4}.get(unit)
    return None if power is None else int(number) * 1024**power


@SERVER.check(
    passes="(select rolsuper or rolbypassrls from pg_catalog.pg_roles"
    " where rolname = current_user)",
)
def login_role(facts: Facts) -> Check:
    return Check(
        "login_role",
        OK,
        "passes" if facts["passes"] else "bound",
        None,
        None,
        "This login can pass row-level security; people's commands do not run under it."
        if facts["passes"]
        else "Row-level security binds this login.",
    )


@SERVER.check(sees_all="pg_has_role(current_user, 'pg_read_all_stats', 'usage')")
def sight(facts: Facts) -> Check | None:
    return None if facts["sees_all"] else sees_less(SEES_ALL_HINT)
