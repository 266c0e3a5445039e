"""Is this database fit for use? Each check with a value, a limit and what to do about it.

Facts are gathered in a few statements, each a round trip, and judged afterwards without the
database, in a transaction that can only read. The seven query patterns run as the user with the
most tasks, under a session that is made for them, in a transaction that is rolled back.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from sqlalchemy import Index
from sqlalchemy.schema import CreateIndex

from todo_cli.admin import expected
from todo_cli.admin.connect import MAINTENANCE, OWNER_HINT, Connection, connected, one
from todo_cli.admin.explain import TARGETS, Explained, best_plans
from todo_cli.admin.target import is_pooled
from todo_cli.database.dialect import TodoDialect
from todo_cli.database.revision import SCHEMA_HEAD
from todo_cli.database.session import IDENTITY, identity_values
from todo_cli.errors import SchemaBehind
from todo_cli.models import METADATA


class CheckStatus(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


OK, WARN, FAIL = CheckStatus.OK, CheckStatus.WARN, CheckStatus.FAIL


@dataclass(frozen=True)
class Check:
    """One finding. `limit` is what `value`, in `unit`, is held against; None for neither."""

    name: str
    status: CheckStatus
    value: Any
    unit: str | None
    limit: Any
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Limits:
    """From where on something is wrong. Each with its source."""

    connect_milliseconds: float = 10_000
    """Neon wakes a sleeping compute in a few hundred milliseconds, sometimes in 8 to 10 s."""
    query_milliseconds: float = 100
    """The specification's target for a read; `select 1` may not use it up alone."""
    oldest_server: int = 15
    newest_server: int = 18
    """The majors that the tests run on."""
    dead_ratio: float = 0.2
    """PostgreSQL's autovacuum_vacuum_scale_factor: beyond it autovacuum should have come."""
    dead_rows: int = 10_000
    """Below so many dead rows a share says nothing."""
    cache_hit_ratio: float = 0.99
    """Neon's target for its local file cache; usual for shared buffers too."""
    cache_blocks: int = 100_000
    """Blocks asked for (800 MB) before a ratio says something: every cache starts empty."""
    connections_ratio: float = 0.8
    long_statement_seconds: float = 300
    """Neon's own inspector calls long what runs over five minutes."""
    blocked_seconds: float = 30
    """And stalled what is blocked over 30 s."""
    transaction_age: int = 200_000_000
    """autovacuum_freeze_max_age: from there on autovacuum runs against wraparound."""
    disk_free_ratio: float = 0.1
    database_ratio: float = 0.9
    """Of the size that Neon's plan allows."""
    clock_seconds: float = 2
    targets: dict[str, float] = field(default_factory=lambda: dict(TARGETS))
    """Milliseconds of the seven query patterns: 100 to read, 50 to write (migrations/README.md)."""


@dataclass(frozen=True)
class Health:
    checks: list[Check]

    @property
    def status(self) -> CheckStatus:
        found = {check.status for check in self.checks}
        return next(status for status in (FAIL, WARN, OK) if status in found)


def examine(
    url: str,
    *,
    now: Callable[[], datetime],
    limits: Limits | None = None,
    wait_seconds: float = 0.0,
    data_dir: Path | None = None,
) -> Health:
    """Look at a database. `data_dir` is where it lies, if it is the embedded one.

    Raises:
        DatabaseUnreachable: it did not answer, not within `wait_seconds` either.
    """
    held = limits or Limits()
    with ExitStack() as stack:
        started = time.perf_counter()
        connection = stack.enter_context(
            connected(
                url,
                timeout_seconds=wait_seconds,
                lock_timeout_seconds=LOCK_SECONDS,
                unreached_seconds=wait_seconds,
            )
        )
        spent = time.perf_counter() - started
        checks = [] if data_dir is None else [_disk(data_dir, held)]
        try:
            with _reading(connection):
                checks += _connection_checks(connection, url, held, now, spent)
                checks += _server_checks(connection, held)
                checks += schema_checks(connection)
                facts: dict[str, Any] = one(connection, _DATA)
            checks += _data_checks(facts, held)
            checks += _pattern_checks(connection, facts["busiest"], held)
        except SchemaBehind:
            pass  # the check of the migrations has said so
        except psycopg.errors.InsufficientPrivilege:
            checks.append(_SEES_LESS)
        except psycopg.errors.LockNotAvailable:
            checks.append(_LOCKED)
    return Health(checks)


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    """A transaction that can change nothing, in which a bound owner sees every task."""
    with connection.transaction():
        connection.set_locally(transaction_read_only="on", **MAINTENANCE)
        yield


LOCK_SECONDS = 3
"""How long a check waits for somebody else's lock."""

_LOCKED = Check(
    "locked",
    FAIL,
    True,
    None,
    False,
    f"Somebody has locked a table for more than {LOCK_SECONDS} s; some checks were left out.",
    "See who with: todo db inspect locks",
)

_SEES_LESS = Check(
    "sight",
    WARN,
    False,
    None,
    True,
    "This role may not look at everything; some checks were left out.",
    OWNER_HINT,
)


# --- the connection --------------------------------------------------------------------------


def _connection_checks(
    connection: psycopg.Connection[Any],
    url: str,
    limits: Limits,
    now: Callable[[], datetime],
    connect_seconds: float,
) -> Iterator[Check]:
    yield _at_most(
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
        yield _at_most(
            name,
            round(spent * 1000, 2),
            limits.query_milliseconds,
            "ms",
            "for a query that asks nothing",
            "The way to the server is long: choose a region nearby.",
        )
    yield _at_most(
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


def _disk(data_dir: Path, limits: Limits) -> Check:
    usage = shutil.disk_usage(data_dir)
    return _at_least(
        "disk_free",
        round(usage.free / usage.total, 3),
        limits.disk_free_ratio,
        "share",
        "of the disk is free",
        f"Free some space on the disk of {data_dir}.",
    )


# --- the server ------------------------------------------------------------------------------

_SERVER: LiteralString = """
select jsonb_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'max_connections', current_setting('max_connections')::int,
    'connections', (select sum(numbackends) from pg_catalog.pg_stat_database),
    'transaction_age', (select max(age(datfrozenxid)) from pg_catalog.pg_database),
    'hits', (select blks_hit from pg_catalog.pg_stat_database where datname = current_database()),
    'reads', (select blks_read from pg_catalog.pg_stat_database where datname = current_database()),
    'bytes', pg_database_size(current_database()),
    'size', pg_size_pretty(pg_database_size(current_database())),
    'neon_limit', current_setting('neon.max_cluster_size', true),
    'is_neon', exists (select from pg_catalog.pg_proc where proname = 'neon_get_lfc_stats'),
    'long', coalesce((
        select max(extract(epoch from now() - query_start)) from pg_catalog.pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state = 'active'
    ), 0),
    'idle', coalesce((
        select max(extract(epoch from now() - xact_start)) from pg_catalog.pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'
    ), 0),
    'blocked', coalesce((
        select max(extract(epoch from now() - query_start)) from pg_catalog.pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
    ), 0),
    'passes', (
        select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user
    ),
    'sees_all', pg_has_role(current_user, 'pg_read_all_stats', 'usage')
)
"""
_NEON_CACHE: LiteralString = """
select jsonb_object_agg(lfc_key, lfc_value) from neon_get_lfc_stats() as s (lfc_key, lfc_value)
where lfc_key in ('file_cache_hits', 'file_cache_misses')
"""


def _server_checks(connection: Connection, limits: Limits) -> Iterator[Check]:
    facts: dict[str, Any] = one(connection, _SERVER)
    if facts["is_neon"]:
        facts |= _neon_cache(connection)
    version = facts["version"]
    supported = f"{limits.oldest_server} to {limits.newest_server}"
    yield Check(
        "server_version",
        FAIL if version < limits.oldest_server else WARN if version > limits.newest_server else OK,
        version,
        "major",
        supported,
        f"PostgreSQL {version}; tested are {supported}.",
    )
    yield _at_most(
        "connections",
        round(facts["connections"] / facts["max_connections"], 3),
        limits.connections_ratio,
        "share",
        f"of {facts['max_connections']} connections are in use",
        "Let people use the pooled host.",
    )
    yield _cache(facts, limits)
    yield _at_most(
        "transaction_age",
        facts["transaction_age"],
        limits.transaction_age,
        "transactions",
        "since the oldest row was frozen",
        "See why autovacuum does not come through: todo db inspect tables",
    )
    yield from _activity_checks(facts, limits)
    yield _database_size(facts, limits)
    yield Check(
        "login_role",
        OK,
        "passes" if facts["passes"] else "bound",
        None,
        None,
        "This login can pass row-level security; people's commands do not run under it."
        if facts["passes"]
        else "Row-level security binds this login.",
    )
    if not facts["sees_all"]:
        yield replace(_SEES_LESS, hint="Grant it the role pg_read_all_stats.")


def _neon_cache(connection: Connection) -> dict[str, int]:
    """Neon keeps pages in a file of its own, below the shared buffers."""
    try:
        with connection.transaction():  # a savepoint: the checks go on where this is refused
            found: dict[str, int] = one(connection, _NEON_CACHE) or {}
    except psycopg.Error:
        return {}
    hits, misses = found.get("file_cache_hits"), found.get("file_cache_misses")
    return {} if hits is None or misses is None else {"hits": hits, "reads": misses}


def _cache(facts: dict[str, Any], limits: Limits) -> Check:
    blocks = facts["hits"] + facts["reads"]
    if blocks < limits.cache_blocks:
        return Check(
            "cache_hit", OK, None, "share", limits.cache_hit_ratio, "Too little was read to tell."
        )
    return _at_least(
        "cache_hit",
        round(facts["hits"] / blocks, 4),
        limits.cache_hit_ratio,
        "share",
        "of the blocks were in memory",
        "After a load it takes a while. If it lasts, the tables do not fit: take a larger compute.",
    )


def _activity_checks(facts: dict[str, Any], limits: Limits) -> Iterator[Check]:
    for name, fact, limit, what, hint in (
        (
            "long_statement",
            "long",
            limits.long_statement_seconds,
            "runs the longest statement",
            "See it with: todo db inspect long-running",
        ),
        (
            "idle_in_transaction",
            "idle",
            limits.long_statement_seconds,
            "has a transaction been open without a word",
            "It keeps dead rows, and a Neon compute awake: todo db inspect connections",
        ),
        (
            "blocked_statement",
            "blocked",
            limits.blocked_seconds,
            "does somebody wait for a lock",
            "See who holds it with: todo db inspect locks",
        ),
    ):
        yield _at_most(name, round(float(facts[fact]), 3), limit, "s", what, hint)


def _database_size(facts: dict[str, Any], limits: Limits) -> Check:
    allowed = _bytes(facts["neon_limit"])
    if allowed is None:
        return Check(
            "database_size", OK, facts["bytes"], "bytes", None, f"{facts['size']} on disk."
        )
    return _at_most(
        "database_size",
        facts["bytes"],
        int(allowed * limits.database_ratio),
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


# --- the schema ------------------------------------------------------------------------------

FORCED = ("tasks", "tasks_archive")
SHIELDED = ("users", "sessions", "accounts", "verifications")
"""Row-level security is enabled; the web application, their owner, is not bound."""
TRIGGERS = ("tasks_admit_writer", "tasks_assign_number", "tasks_count_numbers", "tasks_stamp")

_HAS_SCHEMA: LiteralString = """
select to_regclass('public.alembic_version') is not null
    and to_regclass('public.tasks') is not null
"""
_SCHEMA: LiteralString = f"""
select jsonb_build_object(
    'revision', (select max(version_num) from public.alembic_version),
    'tables', (
        select jsonb_object_agg(relname, jsonb_build_object(
            'enabled', relrowsecurity, 'forced', relforcerowsecurity,
            'owner', pg_get_userbyid(relowner)))
        from pg_catalog.pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    ),
    'columns', (
        select jsonb_object_agg(attrelid::regclass::text || '.' || attname,
            format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end)
        from pg_catalog.pg_attribute
        where attrelid in (
            select oid from pg_catalog.pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'r'
        ) and attnum > 0 and not attisdropped
    ),
    'policies', {expected.FOUND_POLICIES},
    'privileges', {expected.FOUND_PRIVILEGES},
    'statistics', {expected.FOUND_STATISTICS},
    'extended_statistics', {expected.FOUND_EXTENDED_STATISTICS},
    'functions', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', proname, 'definer', prosecdef, 'owner', pg_get_userbyid(proowner),
            'settings', coalesce(array_to_string(proconfig, ';'), ''),
            'public', has_function_privilege('public', oid, 'execute'))), '[]')
        from pg_catalog.pg_proc where pronamespace = to_regnamespace('todo_auth')
    ),
    'indexes', (
        select jsonb_object_agg(c.relname, i.indisvalid and i.indisready)
        from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indexrelid
        where c.relnamespace = 'public'::regnamespace
    ),
    'constraints', (
        select jsonb_object_agg(conname, convalidated)
        from pg_catalog.pg_constraint where connamespace = 'public'::regnamespace
    ),
    'triggers', (
        select coalesce(jsonb_object_agg(tgname, tgenabled), '{{}}') from pg_catalog.pg_trigger
        where tgrelid = to_regclass('public.tasks') and not tgisinternal
    ),
    'objects', (
        -- What belongs to todo_app, or to a role that `todo db grant` made, by its mark.
        select coalesce(jsonb_agg(distinct what order by what), '[]')
        from (
            select pg_describe_object(classid, objid, objsubid) || ' of ' || refobjid::regrole
            from pg_catalog.pg_shdepend
            where refclassid = 'pg_authid'::regclass and deptype = 'o'
                and dbid in (
                    0, (select oid from pg_catalog.pg_database where datname = current_database())
                )
                and refobjid in (
                    select oid from pg_catalog.pg_roles
                    where rolname = 'todo_app'
                        or shobj_description(oid, 'pg_authid') = 'todo: for people'
                )
        ) as owned (what)
    ),
    'app', (
        select jsonb_build_object(
            'passes', rolsuper or rolbypassrls, 'login', rolcanlogin,
            'owner', exists (
                select from pg_catalog.pg_class
                where relname in ('tasks', 'tasks_archive')
                    and relnamespace = 'public'::regnamespace
                    and pg_has_role('todo_app', relowner, 'member')
            ),
            'secrets', (
                select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
                from pg_catalog.pg_class as c
                where (
                        c.relnamespace = to_regnamespace('todo_auth')
                            and c.relkind in ('r', 'p', 'v', 'm', 'f')
                        or c.relnamespace = 'public'::regnamespace
                            and c.relname in ('sessions', 'accounts', 'verifications')
                    )
                    and has_any_column_privilege('todo_app', c.oid, 'select, insert, update')
            ),
            'temporary', has_database_privilege('todo_app', current_database(), 'temporary'),
            'too_much', (
                select coalesce(jsonb_agg(what order by what), '[]')
                from (
                    select c.relname || ' (' || privilege || ')' as what
                    from pg_catalog.pg_class as c,
                        unnest(array['truncate', 'trigger', 'references']) as privilege
                    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                        and has_table_privilege('todo_app', c.oid, privilege)
                    union all
                    select c.relname || ' (write)'
                    from pg_catalog.pg_class as c
                    where c.relnamespace = 'public'::regnamespace
                        and c.relname in ('users', 'tasks_archive')
                        and (
                            has_any_column_privilege('todo_app', c.oid, 'insert, update')
                            or has_table_privilege('todo_app', c.oid, 'delete')
                        )
                    union all
                    -- Roles that `todo db grant` made, by its mark.
                    select r.rolname || ' (passes row-level security)'
                    from pg_catalog.pg_roles as r
                    where (r.rolsuper or r.rolbypassrls)
                        and shobj_description(r.oid, 'pg_authid') = 'todo: for people'
                ) as found
            ))
        from pg_catalog.pg_roles where rolname = 'todo_app'
    )
)
"""  # noqa: S608  # constants of `expected`


def schema_checks(connection: Connection) -> Iterator[Check]:
    """What the catalog says about the schema, held against what this program expects.

    Raises:
        SchemaBehind: there is no schema; said after the check of the migrations.
    """
    has_schema = one(connection, _HAS_SCHEMA)
    facts: dict[str, Any] = one(connection, _SCHEMA) if has_schema else {"revision": None}
    at_head = facts["revision"] == SCHEMA_HEAD
    yield Check(
        "migrations",
        OK if at_head else FAIL,
        facts["revision"],
        "revision",
        SCHEMA_HEAD,
        "The schema is the newest." if at_head else "The schema is not the program's.",
        None if at_head else "See what is pending: todo db status",
    )
    if not has_schema:
        raise SchemaBehind("The schema is missing.")
    yield _listed("models", _drift(facts), "differ from the program's models", "todo db status")
    yield _listed(
        "row_security", _unforced(facts), "lack row-level security", "todo db schema --format sql"
    )
    yield _policies(facts)
    yield _statistics(facts)
    yield _app_role(facts)
    yield _listed(
        "missing_privileges",
        expected.missing_privileges(facts["privileges"]),
        "is denied to todo_app, so people's commands fail",
        _REPAIR,
    )
    yield _listed(
        "people_objects",
        facts["objects"],
        "belongs to a role that people can be, who may drop it",
        "Give it to the tables' owner: reassign owned by ROLE to OWNER. Never drop what todo_app "
        "owns: that also takes away its privileges.",
        status=WARN,
    )
    yield _listed(
        "people_privileges",
        facts["app"]["too_much"] if facts["app"] else [],
        "is more than people's commands need",
        "Revoke it from todo_app, from public, or from the role.",
    )
    yield _temporary_objects(facts)
    yield _listed("functions", _loose_functions(facts), "could be abused", _FUNCTION_HINT)
    bad_indexes = _bad_indexes(facts)
    yield _listed("indexes", bad_indexes, "are missing or invalid", _index_hint(bad_indexes, facts))
    missing = [name for name in _constraint_names() if name not in facts["constraints"]]
    yield _listed("constraints", missing, "are missing", "Restore the schema from a backup.")
    loose = sorted(name for name, valid in facts["constraints"].items() if not valid)
    yield _listed(
        "constraint_validity",
        loose,
        "were never held against old rows",
        "alter table … validate constraint …",
        status=WARN,
    )
    off = [name for name in TRIGGERS if facts["triggers"].get(name) != "O"]
    yield _listed("triggers", off, "are missing or off", "alter table tasks enable trigger user")


_REPAIR = "Bring it back with: todo db upgrade"
_FUNCTION_HINT = (
    "A definer's function needs the tables' owner, a pinned search_path, and no PUBLIC."
)


def _drift(facts: dict[str, Any]) -> list[str]:
    """Columns that are not in the catalog as the models have them. Others may have more."""
    return [name for name, kind in model_columns().items() if facts["columns"].get(name) != kind]


def model_columns() -> dict[str, str]:
    """`table.column` and its type, as the catalog writes it."""
    from sqlalchemy import DateTime
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy types no dialect
    columns = {}
    for table in METADATA.sorted_tables:
        for column in table.columns:
            is_instant = isinstance(column.type, DateTime)
            kind = "timestamp with time zone" if is_instant else str(column.type.compile(dialect))
            suffix = "" if column.nullable else " not null"
            columns[f"{table.name}.{column.name}"] = kind.lower() + suffix
    return columns


def _unforced(facts: dict[str, Any]) -> list[str]:
    def is_loose(table: str) -> bool:
        found = facts["tables"].get(table, {"enabled": False, "forced": False})
        return not found["enabled"] or (table in FORCED and not found["forced"])

    return [table for table in (*FORCED, *SHIELDED) if is_loose(table)]


def _policies(facts: dict[str, Any]) -> Check:
    """Policies on what is people's that are missing, changed, or too many."""
    wrong = expected.wrong_policies(facts["policies"], facts["tables"]["tasks"]["owner"])
    known = {(policy.table, policy.name) for policy in expected.POLICIES}
    extra = [
        (one["table"], one["name"])
        for one in facts["policies"]
        if one["table"] in (*FORCED, *SHIELDED) and (one["table"], one["name"]) not in known
    ]
    names = [(policy.table, policy.name) for policy in wrong] + extra
    hints = ([_REPAIR] if wrong else []) + [
        f"drop policy {name} on {table}" for table, name in extra
    ]
    return _listed(
        "policies",
        [f"{table}.{name}" for table, name in names],
        "are not as expected",
        "; ".join(hints),
    )


def _statistics(facts: dict[str, Any]) -> Check:
    """Values of people's columns that `explain` would tell by its estimates."""
    columns = expected.readable_statistics(facts["statistics"])
    extended = facts["extended_statistics"]
    hints = [hint for _, hint in columns]
    hints += [f"drop statistics {name.rpartition('.')[2]}" for name in extended]
    return _listed(
        "planner_statistics",
        [name for name, _ in columns] + extended,
        "has values that explain tells to everybody",
        "; ".join(hints),
    )


def _app_role(facts: dict[str, Any]) -> Check:
    role = facts["app"]
    secrets = role["secrets"] if role else []
    passes = role is None or role["passes"] or role["login"] or role["owner"] or bool(secrets)
    return Check(
        "people_role",
        FAIL if passes else OK,
        "missing" if role is None else "passes" if passes else "bound",
        None,
        "bound",
        f"The role of people's commands may reach {', '.join(secrets)}."
        if secrets
        else "The role of people's commands could pass row-level security."
        if passes
        else "Row-level security binds people's commands.",
        "todo_app must own nothing, not log in, and have neither SUPERUSER nor BYPASSRLS."
        if passes
        else None,
    )


def _temporary_objects(facts: dict[str, Any]) -> Check:
    may = bool(facts["app"] and facts["app"]["temporary"])
    return Check(
        "temporary_objects",
        FAIL if may else OK,
        may,
        None,
        False,
        "People's commands may make temporary tables, which could hide the real ones."
        if may
        else "People's commands can make no temporary objects.",
        "As the database's owner: revoke temporary on database … from public" if may else None,
    )


def _loose_functions(facts: dict[str, Any]) -> list[str]:
    owner = facts["tables"]["tasks"]["owner"]
    return sorted(
        one["name"]
        for one in facts["functions"]
        if one["public"]
        or (
            one["definer"]
            and (one["owner"] != owner or not one["settings"].startswith("search_path=pg_catalog"))
        )
    )


def _indexes() -> dict[str, Index]:
    return {str(index.name): index for table in METADATA.sorted_tables for index in table.indexes}


def _bad_indexes(facts: dict[str, Any]) -> list[str]:
    invalid = {name for name, valid in facts["indexes"].items() if not valid}
    return sorted(invalid | (set(_indexes()) - set(facts["indexes"])))


def _index_hint(names: list[str], facts: dict[str, Any]) -> str:
    """The statements that make them again."""
    expected = _indexes()
    return "; ".join(
        f"reindex index concurrently {name}"
        if name in facts["indexes"]
        else " ".join(str(CreateIndex(expected[name]).compile(dialect=TodoDialect())).split())
        for name in names
    )


def _constraint_names() -> list[str]:
    return sorted(
        str(constraint.name)
        for table in METADATA.sorted_tables
        for constraint in table.constraints
        if constraint.name is not None
    )


# --- the data --------------------------------------------------------------------------------

_DATA: LiteralString = """
select jsonb_build_object(
    'seeded', (select count(*) from users where right(email, 17) = '.seed.example.com'),
    'real', exists (select from users where right(email, 17) <> '.seed.example.com'),
    'busiest', (
        select jsonb_build_object('user', user_id, 'number', (
            select coalesce(max(number), 0) from tasks where tasks.user_id = counters.user_id
        ))
        from todo_auth.task_counters as counters order by last_number desc limit 1
    ),
    'tables', (
        select jsonb_agg(jsonb_build_object('table', relname, 'live', n_live_tup,
            'dead', n_dead_tup, 'vacuum', to_char(greatest(last_vacuum, last_autovacuum)
                at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')))
        from pg_catalog.pg_stat_user_tables where schemaname = 'public'
    )
)
"""


def _data_checks(facts: dict[str, Any], limits: Limits) -> Iterator[Check]:
    for table in facts["tables"]:
        if table["table"] in FORCED:
            yield _dead_rows(table, limits)
    yield _at_most(
        "seeded_data",
        facts["seeded"] if facts["real"] else 0,
        0,
        "users",
        "of demonstration data stand beside real ones",
        "Remove them with: todo db cleanup",
    )


def _dead_rows(table: dict[str, Any], limits: Limits) -> Check:
    dead, live = table["dead"], table["live"]
    ratio = dead / (dead + live) if dead >= limits.dead_rows else 0.0
    last = table["vacuum"] or "never"
    return _at_most(
        f"dead_rows_{table['table']}",
        round(ratio, 3),
        limits.dead_ratio,
        "share",
        f"of the rows are dead; last vacuum: {last}",
        f"vacuum (analyze) {table['table']}",
    )


_REHEARSAL_SECONDS = 30
"""For each statement of the patterns; they take milliseconds."""
_SESSION: LiteralString = """
insert into sessions (user_id, token, expires_at) values (%s, %s, now() + interval '1 hour')
"""


def _pattern_checks(
    connection: Connection, busiest: dict[str, Any] | None, limits: Limits
) -> Iterator[Check]:
    """The patterns for the user with the most tasks, who has most to lose."""
    if busiest is None:
        return
    try:
        explained = _rehearse(connection, busiest)
    except psycopg.errors.ReadOnlySqlTransaction:
        yield Check("patterns", OK, None, None, None, "Not measured: this database is read only.")
        return
    except psycopg.errors.QueryCanceled:
        said = f"A statement of people's commands took more than {_REHEARSAL_SECONDS} s."
        yield Check("patterns", FAIL, None, None, None, said, _PLANS_HINT)
        return
    except _StatementRefused:
        said = "The database refuses statements of people's commands."
        yield Check("patterns", FAIL, None, None, None, said, _PLANS_HINT)
        return
    for each in explained:
        yield _pattern_check(each, limits.targets[each.pattern])


def _rehearse(connection: Connection, busiest: dict[str, Any]) -> list[Explained]:
    """Run the patterns as the user, and take back all that they did, their session too."""
    token = secrets.token_urlsafe(32)
    milliseconds = str(_REHEARSAL_SECONDS * 1000)
    with connection.transaction(force_rollback=True):
        with connection.pipeline():
            connection.execute(_SESSION, (busiest["user"], token))
            connection.execute(IDENTITY, identity_values(token, milliseconds))
        try:
            return best_plans(connection, number=busiest["number"])
        except psycopg.errors.InsufficientPrivilege as error:
            raise _StatementRefused from error


class _StatementRefused(Exception):
    """A statement that people have to be allowed to run was refused."""


_PLANS_HINT = "See the plans with: todo db explain --plans"


def _pattern_check(explained: Explained, limit: float) -> Check:
    """A plan that reads a large table for nothing fails. A time is a warning: a busy machine or a
    user of a million tasks can miss a target on a healthy database."""
    plan = explained.plan
    spent = plan.milliseconds or 0.0
    status = FAIL if plan.large_scans else WARN if spent > limit else OK
    return Check(
        f"pattern_{explained.pattern.replace(' ', '_')}",
        status,
        round(spent, 3),
        "ms",
        limit,
        f"{spent:.2f} ms by {', '.join(plan.indexes) or 'no index'}, for the busiest user.",
        None if status is OK else _PLANS_HINT,
    )


# --- how a value is held against its limit ---------------------------------------------------


def _at_most(name: str, value: float, limit: float, unit: str, what: str, hint: str) -> Check:
    is_over = value > limit
    return Check(
        name,
        WARN if is_over else OK,
        value,
        unit,
        limit,
        f"{_said(value, unit)} {what}.",
        hint if is_over else None,
    )


def _at_least(name: str, value: float, limit: float, unit: str, what: str, hint: str) -> Check:
    is_under = value < limit
    return Check(
        name,
        WARN if is_under else OK,
        value,
        unit,
        limit,
        f"{_said(value, unit)} {what}.",
        hint if is_under else None,
    )


def _said(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:,} {unit}"


def _listed(name: str, wrong: list[str], what: str, hint: str, status: CheckStatus = FAIL) -> Check:
    return Check(
        name,
        status if wrong else OK,
        wrong,
        None,
        [],
        f"{', '.join(wrong)} {what}." if wrong else "As expected.",
        hint if wrong else None,
    )
