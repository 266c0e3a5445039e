"""Writes a backup: a dump of rows, which gets its name after it was verified.

`pg_dump` comes with the embedded server. The rows of every table are counted in the snapshot that
is dumped, and again in the finished file.

A backup has no schema, since the migrations create it. It has no sessions or other live secrets,
and no passwords of log-in roles. It has the keys derived from people's passwords, so whoever reads
it can try to guess the passwords.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

from psycopg import IsolationLevel, sql

from todo_cli.admin import client_programs
from todo_cli.admin.bulk import Progress
from todo_cli.admin.connect import (
    MAINTENANCE,
    Connection,
    connected,
    one,
    require_full_sight,
)
from todo_cli.admin.dump import (
    FORMAT,
    LIVE_SECRETS,
    PUBLIC_TABLES,
    VERSION,
    Manifest,
    manifest_path,
    verify,
)
from todo_cli.admin.unfinished import Unfinished, checksum, name_taken, size, unfinished
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database.embedded import programs
from todo_cli.errors import Refused, SchemaBehind


def backup(
    url: str,
    file: Path,
    *,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    progress: Progress,
) -> Manifest:
    """Dump the rows of a database into a file. The file gets its name after it was verified.

    Raises:
        Refused: the file already exists, cannot be written, or failed verification, or `pg_dump`
            failed.
        RuleViolated: row-level security hides rows from this role; nothing was written.
        InvalidInput: the URL has a secret that cannot be passed to PostgreSQL's programs secretly.
    """
    client_programs.access(url)
    for taken in (file, manifest_path(file)):
        if taken.exists():
            raise name_taken(taken)
    with (
        connected(url, timeout_seconds=timeout_seconds, needs_session=True) as connection,
        unfinished(file) as dump,
    ):
        _require_client(connection, environ)
        with _snapshot(connection) as snapshot:
            facts = _facts(connection)
            tables = _count_rows(connection)
            arguments = ["--format=custom", "--data-only", f"--snapshot={snapshot}"]
            arguments += ["--strict-names", *(f"--table={name}" for name in tables)]
            arguments.append(f"--lock-wait-timeout={max(1, int(timeout_seconds * 1000))}")
            if not one(connection, _PASSES):
                arguments.append("--enable-row-security")
            with client_programs.program(
                "pg_dump", arguments, environ=environ, url=url, stdout=dump.file
            ) as running:
                while not client_programs.has_ended(running):
                    progress(size(dump.file), None, "Dumping")
        progress(size(dump.file), None, "Verifying")
        verify(dump.file, tables, facts["revision"], environ)
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            **facts,
            bytes=size(dump.file),
            sha256=checksum(dump.file),
            tables=tables,
        )
        _publish(dump, file, manifest)
    return manifest


def _publish(dump: Unfinished, file: Path, manifest: Manifest) -> None:
    """Give the manifest its name, then the dump, so that no dump lacks its manifest."""
    path = manifest_path(file)
    with unfinished(path) as made:
        made.file.write((json.dumps(manifest.model_dump(), indent=2) + "\n").encode())
        made.publish(path)
    try:
        dump.publish(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _require_client(connection: Connection, environ: Mapping[str, str]) -> None:
    """Check the version of pg_dump, which reads only servers that are not newer than itself."""
    server = connection.info.server_version // 10_000
    client = programs.client_programs(environ).major
    if server > client:
        raise Refused(
            f"The server is PostgreSQL {server}, and the installed pg_dump is version {client}.",
            hint=f"Use newer programs: set or unset {programs.VARIABLE}, or upgrade todo.",
        )


_PASSES: LiteralString = """
select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user
"""
_TABLES: LiteralString = """
select nspname || '.' || relname
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where (nspname = 'public' and relname = any (%s) or nspname = 'todo_auth')
    and relkind = 'r' and nspname || '.' || relname <> all (%s)
order by 1
"""
_FACTS: LiteralString = """
select jsonb_build_object(
    'created_at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'database', current_database(),
    'server_version', current_setting('server_version'),
    'revision', (select max(version_num) from public.alembic_version),
    'left_out', (
        select coalesce(jsonb_agg(nspname || '.' || relname order by nspname, relname), '[]')
        from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where relkind in ('r', 'p', 'm') and nspname not like 'pg\\_%%'
            and nspname not in ('information_schema', 'todo_auth')
            and relname <> all (%s)
            and not exists (
                select from pg_catalog.pg_depend where objid = c.oid and deptype = 'e'
            )
    ),
    'roles', (
        select coalesce(jsonb_agg(r.rolname order by r.rolname), '[]')
        from pg_catalog.pg_auth_members as m join pg_catalog.pg_roles as r on r.oid = m.member
        where m.roleid = (select oid from pg_catalog.pg_roles where rolname = 'todo_app')
            and r.rolname <> current_user and r.rolcanlogin
    )
)
"""


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """Export a snapshot, which another connection can use during this transaction."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        connection.set_locally(transaction_read_only="on", **MAINTENANCE)
        require_full_sight(connection)
        yield str(one(connection, "select pg_export_snapshot()"))


def _facts(connection: Connection) -> dict[str, Any]:
    facts: dict[str, Any] = one(connection, _FACTS, list(PUBLIC_TABLES))
    if facts["revision"] is None:
        raise SchemaBehind("The database's schema is missing or behind.")
    return facts


def _count_rows(connection: Connection) -> dict[str, int]:
    """The number of rows of each `schema.table` in this transaction's snapshot."""
    counts = {}
    wanted = (list(PUBLIC_TABLES), list(LIVE_SECRETS))
    for (name,) in connection.execute(_TABLES, wanted).fetchall():
        counted = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(*name.split(".")))
        ).fetchone()
        assert counted is not None
        counts[name] = int(counted[0])
    return counts
