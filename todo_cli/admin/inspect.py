"""Inspects a running database: its cache, sessions, locks, tables, indexes and statements.

Each section is one statement on the server's statistics. A role that is not a member of
`pg_read_all_stats` sees only its own sessions. The command then says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, LiteralString

from psycopg.rows import dict_row

from todo_cli.admin.connect import Connection, one

UNUSED_SCANS = 50
"""Neon's inspector calls an index with fewer scans unused."""
LONG_RUNNING_SECONDS = 300
"""Neon's inspector calls a statement that takes longer long-running."""


class Section(StrEnum):
    CACHE = "cache"
    CONNECTIONS = "connections"
    LONG_RUNNING = "long-running"
    LOCKS = "locks"
    TABLES = "tables"
    INDEXES = "indexes"
    STATEMENTS = "statements"


CACHE: LiteralString = """
select *, round(hits::numeric / nullif(hits + reads, 0), 4)::float8 as hit_ratio
from (
    select relid::regclass::text as table,
        heap_blks_hit + coalesce(idx_blks_hit, 0) as hits,
        heap_blks_read + coalesce(idx_blks_read, 0) as reads
    from pg_catalog.pg_statio_user_tables
) as counted
order by hits + reads desc, 1
"""
CONNECTIONS: LiteralString = """
select coalesce(usename, '(server)') as role, application_name as application,
    coalesce(state, '(hidden)') as state, count(*) as connections,
    round(extract(epoch from max(now() - state_change)))::int as longest_seconds
from pg_catalog.pg_stat_activity
where datname = current_database()
group by 1, 2, 3
order by 4 desc, 1, 2, 3
"""
LONG_RUNNING: LiteralString = """
select pid, usename as role, state,
    round(extract(epoch from now() - query_start))::int as seconds,
    left(regexp_replace(query, '\\s+', ' ', 'g'), 200) as statement
from pg_catalog.pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
    and query_start < now() - make_interval(secs => %(seconds)s)
order by query_start
"""
LOCKS: LiteralString = """
select waiting.pid as waiting_pid, waiting.usename as waiting_role,
    round(extract(epoch from now() - waiting.query_start))::int as seconds,
    blocker.pid as blocking_pid, blocker.usename as blocking_role, blocker.state as blocking_state,
    left(regexp_replace(blocker.query, '\\s+', ' ', 'g'), 120) as blocking_statement
from pg_catalog.pg_stat_activity as waiting
cross join lateral unnest(pg_blocking_pids(waiting.pid)) as b (pid)
join pg_catalog.pg_stat_activity as blocker on blocker.pid = b.pid
where waiting.datname = current_database()
order by waiting.query_start
"""
TABLES: LiteralString = """
select c.oid::regclass::text as table, s.n_live_tup as rows, s.n_dead_tup as dead_rows,
    pg_relation_size(c.oid) as bytes, pg_indexes_size(c.oid) as index_bytes,
    pg_total_relation_size(c.oid) as total_bytes,
    greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
    greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
from pg_catalog.pg_stat_user_tables as s join pg_catalog.pg_class as c on c.oid = s.relid
where c.relpersistence <> 't'
order by pg_total_relation_size(c.oid) desc, 1
"""
INDEXES: LiteralString = """
select s.indexrelname as index, s.relid::regclass::text as table,
    pg_relation_size(s.indexrelid) as bytes, s.idx_scan as scans,
    s.idx_scan < %(unused_scans)s and not i.indisunique as unused,
    i.indisvalid and i.indisready as valid
from pg_catalog.pg_stat_user_indexes as s join pg_catalog.pg_index as i using (indexrelid)
order by i.indisvalid, pg_relation_size(s.indexrelid) desc, 1
"""
STATEMENTS: LiteralString = """
select calls, round(total_exec_time::numeric, 1)::float8 as total_milliseconds,
    round(mean_exec_time::numeric, 3)::float8 as mean_milliseconds, rows,
    left(regexp_replace(query, '\\s+', ' ', 'g'), 200) as statement
from pg_stat_statements
where dbid = (select oid from pg_catalog.pg_database where datname = current_database())
order by total_exec_time desc
limit 20
"""
_STATEMENTS_BY_SECTION: dict[Section, LiteralString] = {
    Section.CACHE: CACHE,
    Section.CONNECTIONS: CONNECTIONS,
    Section.LONG_RUNNING: LONG_RUNNING,
    Section.LOCKS: LOCKS,
    Section.TABLES: TABLES,
    Section.INDEXES: INDEXES,
    Section.STATEMENTS: STATEMENTS,
}

_CAN_SEE_ALL: LiteralString = "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')"
_HAS_STATEMENTS: LiteralString = "select to_regclass('pg_stat_statements') is not null"


def sees_everything(connection: Connection) -> bool:
    """Whether the role may see other roles' sessions."""
    with connection.transaction():
        return bool(one(connection, _CAN_SEE_ALL))


def has_statements(connection: Connection) -> bool:
    """Whether pg_stat_statements is installed and on the search path."""
    with connection.transaction():
        return bool(one(connection, _HAS_STATEMENTS))


def inspect(
    connection: Connection, section: Section, *, long_seconds: float = LONG_RUNNING_SECONDS
) -> list[dict[str, Any]]:
    """The records of a section. Empty if the extension for it is missing."""
    if section is Section.STATEMENTS and not has_statements(connection):
        return []
    values = {"seconds": long_seconds, "unused_scans": UNUSED_SCANS}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        statement = _STATEMENTS_BY_SECTION[section]
        return cursor.execute(statement, values if "%(" in statement else None).fetchall()
