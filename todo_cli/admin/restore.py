"""Restores a backup into an empty database, in one transaction.

No statement of a backup is run. The migrations create the schema, and the rows are copied into its
tables. Before the commit, the rows are counted and the schema is compared with the expected one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, LiteralString

import psycopg
from psycopg import sql

from todo_cli.admin import dump, health, migrate
from todo_cli.admin.bulk import Progress, unindexed
from todo_cli.admin.connect import (
    MAINTENANCE,
    Connection,
    connected,
    notice_interruptions,
    one,
    telling_if_interrupted,
    tidy,
)
from todo_cli.admin.dump import Manifest, TableRows
from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.errors import Refused


def restore(
    url: str,
    file: Path,
    *,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    progress: Progress,
) -> Manifest:
    """Create the schema of a backup's revision, and copy its rows.

    Raises:
        Refused: the file is not a whole backup of this program, has something other than rows, or
            the database is not empty. Or the result was not as expected. The database is still
            empty.
    """
    manifest = dump.read_manifest(file)
    with file.open("rb") as opened:
        dump.require_whole(opened, manifest, environ)
        schema = migrate.upgrade_sql(manifest.revision, in_one_transaction=True)
        with connected(url, timeout_seconds=timeout_seconds) as connection:
            connection.local_settings["statement_timeout"] = "0"
            notice_interruptions(connection)
            nothing = "Nothing was restored. The database is still empty."
            with (
                telling_if_interrupted(lambda: nothing),
                _refusals(),
                connection.transaction(),
            ):
                connection.set_locally(**MAINTENANCE)
                _require_empty(connection)
                progress(0, None, "Creating the schema")
                connection.execute(schema.encode())
                with _loading(connection, list(_tables(manifest)), progress):
                    _copy(connection, opened, manifest, environ, progress)
                progress(0, None, "Verifying")
                _require_expected(connection, manifest)
            progress(0, None, "Vacuuming")
            tidy(connection)
    return manifest


@contextmanager
def _refusals() -> Iterator[None]:
    """Show the server's own message: it is about the schema or the file."""
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary
        if said and (error.sqlstate or "")[:2] in _CLASSES_OF_REFUSAL:
            raise Refused(f"The database refused the backup: {said}") from error
        raise


_CLASSES_OF_REFUSAL = ("22", "23", "42", "P0")
"""Classes of SQLSTATE: data, constraints, privileges and objects, and errors of functions."""

_IS_LOCKED: LiteralString = "select not pg_try_advisory_xact_lock(%s)"
_FORGET_DOWNGRADE: LiteralString = """
do $$
begin
    if to_regclass('public.alembic_version') is not null then
        if not exists (select from public.alembic_version) then
            drop table public.alembic_version;
        end if;
    end if;
end
$$
"""
"""A downgrade to `base` leaves Alembic's own table, without a row."""
_HOLDS_SOMETHING: LiteralString = """
select to_regnamespace('todo_auth') is not null or exists (
    select from pg_catalog.pg_class as c
    where relnamespace = 'public'::regnamespace
        and not exists (select from pg_catalog.pg_depend where objid = c.oid and deptype = 'e')
)
"""
_APP_ROLE_PASSES: LiteralString = """
select exists (
    select from pg_catalog.pg_roles
    where rolname = 'todo_app' and (rolsuper or rolbypassrls or rolcanlogin)
)
"""
"""Migration 0003 refuses this too."""


def _require_empty(connection: Connection) -> None:
    if one(connection, _IS_LOCKED, migrate.UPGRADE_LOCK):
        raise Refused("Somebody else is upgrading or restoring this database.")
    connection.execute(_FORGET_DOWNGRADE)
    if one(connection, _HOLDS_SOMETHING):
        raise Refused(
            "The database is not empty.",
            hint="Name an empty database with --database-url (createdb NAME creates one), or set "
            "TODO_DATA_DIR to a new folder.",
        )
    if one(connection, _APP_ROLE_PASSES):
        raise Refused(
            "The server has a role todo_app that may log in or bypass row-level security.",
            hint="alter role todo_app nosuperuser nobypassrls nologin",
        )


_FORCED: LiteralString = """
select oid::regclass::text from pg_catalog.pg_class
where oid = any (%s::text[]::regclass[]) and relforcerowsecurity
"""


@contextmanager
def _loading(connection: Connection, tables: list[str], progress: Progress) -> Iterator[None]:
    """Empty the tables, and let their owner insert in spite of row-level security."""
    forced = [name for (name,) in connection.execute(_FORCED, (tables,)).fetchall()]
    for name in forced:
        connection.execute(f"alter table {name} no force row level security".encode())
    with unindexed(connection, tables, progress):
        for table in tables:  # the migrations insert a secret
            connection.execute(sql.SQL("truncate {}").format(_identifier(table)))
        yield
    for name in forced:
        connection.execute(f"alter table {name} force row level security".encode())


def _copy(
    connection: Connection,
    opened: IO[bytes],
    manifest: Manifest,
    environ: Mapping[str, str],
    progress: Progress,
) -> None:
    """Copy all rows, and check that each table has as many as in the manifest."""
    tables = _tables(manifest)
    total = sum(tables.values())
    counts = dict.fromkeys(tables, 0)
    done = 0
    progress(done, total, "Restoring")
    for table in dump.read_tables(opened, environ):
        if table.name not in tables:
            list(table.chunks)  # the revision, which was compared and which the migrations wrote
            continue
        known = _known_columns(connection, table)
        names = sql.SQL(", ").join(sql.Identifier(table.columns[place]) for place in known)
        statement = sql.SQL("copy {} ({}) from stdin").format(_identifier(table.name), names)
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for lines in table.chunks:
                    copy.write(b"".join(_with_columns(lines, known, len(table.columns))))
                    done += len(lines)
                    progress(done, total, "Restoring")
            counts[table.name] += cursor.rowcount
    dump.require_counts(counts, tables)


def _tables(manifest: Manifest) -> dict[str, int]:
    """The tables to fill, and how many rows each of them gets."""
    return {name: rows for name, rows in manifest.tables.items() if name != dump.REVISION_TABLE}


_COLUMNS: LiteralString = """
select coalesce(array_agg(attname::text), '{}') from pg_catalog.pg_attribute
where attrelid = %s::text::regclass and attnum > 0 and not attisdropped
"""


def _known_columns(connection: Connection, table: TableRows) -> list[int]:
    """The positions of the columns that the migrations created.

    Columns that another program added are left out.
    """
    columns = set(one(connection, _COLUMNS, table.name))
    return [place for place, name in enumerate(table.columns) if name in columns]


def _with_columns(lines: list[bytes], known: list[int], count: int) -> list[bytes]:
    if len(known) == count:
        return lines
    fields = (line.rstrip(b"\n").split(b"\t") for line in lines)
    return [b"\t".join([row[place] for place in known]) + b"\n" for row in fields]


def _identifier(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split(".", 1))


def _require_expected(connection: Connection, manifest: Manifest) -> None:
    """Check that the schema is safe. Default privileges of the database could make it unsafe.

    Only the newest revision can be checked.
    """
    if manifest.revision != SCHEMA_HEAD:
        return
    wrong = [
        f"{check.name} ({check.message})"
        for check in health.schema_checks(connection, health.Limits())
        if check.status is health.CheckStatus.FAIL and check.name in _NEEDED
    ]
    if wrong:
        raise Refused(
            f"The restored schema would not be safe: {'; '.join(wrong)}",
            hint="See the default privileges of this database with psql's \\ddp, or use another "
            "database.",
        )


_NEEDED = ("row_security", "policies", "people_role", "functions", "triggers", "constraints")
