"""The format of a backup: a dump of rows, and a manifest that describes the dump.

`pg_dump` writes the dump. It has only rows of this program's tables, and no statement of it is ever
run. The output of `pg_restore` is read line by line, and a line that is not a row refuses the dump.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator

from todo_cli.admin import client_programs
from todo_cli.admin.tables import TABLES
from todo_cli.admin.unfinished import checksum, size
from todo_cli.errors import Refused

FORMAT: Final = "todo-backup"
VERSION: Final = 2
SUFFIX = ".manifest.json"

REVISION_TABLE = "public.alembic_version"
"""The dump has this table so that it can be compared with the manifest. A restore does not copy
it."""
PUBLIC_TABLES = (
    "alembic_version",
    *(table.name for table in TABLES if table.is_public and table.is_in_backup),
)
"""The tables of `public` in a backup. A backup also has the tables of `todo_auth`."""
LIVE_SECRETS = tuple(table.qualified_name for table in TABLES if not table.is_in_backup)
"""The tables that are not in a backup, since their rows have secrets to log in with."""

CHUNK_BYTES = 64 * 1024
_LISTED = re.compile(r"\d+; \d+ \d+ TABLE DATA (\w+) (\w+) .*")
_COPY = re.compile(rb'COPY (\w+)\.(\w+) \(([\w", ]+)\) FROM stdin;\n')
_HARMLESS = re.compile(
    rb"\n|--.*\n|SET \w+ = [^;]+;\n|SELECT pg_catalog\.set_config\('search_path', '', false\);\n"
    rb"|\\(un)?restrict \w+\n"
)
"""The lines that `pg_restore` writes around the rows. They are not run."""
_END = b"\\.\n"


class Manifest(BaseModel):
    """The contents of a backup. `tables` has the number of rows of each table.

    `left_out` names the tables that are not in the backup, and `roles` the log-in roles of people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["todo-backup"]
    version: Literal[2]
    created_at: str
    database: str
    server_version: str
    revision: str = Field(pattern=r"^\w+$")
    bytes: NonNegativeInt
    sha256: str
    tables: dict[str, NonNegativeInt]
    left_out: list[str]
    roles: list[str]

    @field_validator("tables")
    @classmethod
    def _are_ours(cls, tables: dict[str, int]) -> dict[str, int]:
        if "public.tasks" not in tables or not all(map(_is_kept, tables)):
            raise ValueError("these are not the tables of a backup")
        return tables


@dataclass(frozen=True)
class TableRows:
    """The rows of a table in the format of COPY, in chunks of lines that can be read once."""

    name: str
    columns: list[str]
    chunks: Iterator[list[bytes]]


def manifest_path(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def read_manifest(file: Path) -> Manifest:
    """The manifest beside a backup.

    Raises:
        Refused: the file or the manifest does not exist, or is not one of this program.
    """
    path = manifest_path(file)
    for needed in (file, path):
        if not needed.is_file():
            raise Refused(
                f"{needed} does not exist.", hint="A backup is two files: FILE and FILE" + SUFFIX
            )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise Refused(
                f"{path} is the manifest of another program, or of another version of it."
            )
        return Manifest.model_validate(document)
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(
            f"{path} is not the manifest of a backup.", hint="Use the manifest of this backup."
        ) from error


def _is_kept(table: str) -> bool:
    schema, _, name = table.partition(".")
    is_ours = name in PUBLIC_TABLES if schema == "public" else schema == "todo_auth"
    return is_ours and table not in LIVE_SECRETS and bool(re.fullmatch(r"\w+", name))


def require_whole(file: IO[bytes], manifest: Manifest, environ: Mapping[str, str]) -> None:
    """Check that the file matches its manifest, and can be read to its end.

    Raises:
        Refused: it does not, or it has something other than rows of this program's tables.
    """
    if size(file) != manifest.bytes or checksum(file) != manifest.sha256:
        raise Refused(
            "The file does not match its manifest. It is incomplete or was altered.",
            hint="Use another copy of the backup.",
        )
    verify(file, manifest.tables, manifest.revision, environ)


def verify(
    file: IO[bytes], tables: Mapping[str, int], revision: str, environ: Mapping[str, str]
) -> None:
    """Check that a dump has the revision, the counted rows, and nothing else.

    Raises:
        Refused: it does not.
    """
    for line in _contents(file, environ):
        listed = _LISTED.fullmatch(line)
        if listed is None or f"{listed[1]}.{listed[2]}" not in tables:
            raise _foreign(line)
    found = dict.fromkeys(tables, 0)
    for table in read_tables(file, environ):
        if table.name not in found:
            raise _foreign(f"rows of {table.name}")
        for lines in table.chunks:
            found[table.name] += len(lines)
            if table.name == REVISION_TABLE and lines != [f"{revision}\n".encode()]:
                raise Refused("The backup and its manifest have different revisions.")
    require_counts(found, tables)


def require_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    for table, rows in expected.items():
        if found.get(table) != rows:
            raise Refused(
                f"{table} should have {rows:,} rows, and has {found.get(table, 0):,}.",
                hint="The backup is not complete; keep an older one.",
            )


def _foreign(what: str) -> Refused:
    return Refused(
        f"The backup has something other than rows of this program's tables: {what.strip()}",
        hint="Do not restore it, since somebody has altered it. Use another copy.",
    )


def _contents(file: IO[bytes], environ: Mapping[str, str]) -> list[str]:
    """The entries of the table of contents, as `pg_restore --list` names them."""
    _rewind(file)
    arguments = ["--list"]
    with client_programs.program("pg_restore", arguments, environ=environ, stdin=file) as running:
        assert running.stdout is not None
        listed = running.stdout.read().decode("utf-8", "replace")
    return [line for line in listed.splitlines() if line and not line.startswith(";")]


def read_tables(file: IO[bytes], environ: Mapping[str, str]) -> Iterator[TableRows]:
    """The tables of a dump. Read all rows of a table before the next table.

    Raises:
        Refused: the dump cannot be read, or has something else.
    """
    _rewind(file)
    arguments = ["--data-only", "--file=-"]
    with client_programs.program("pg_restore", arguments, environ=environ, stdin=file) as running:
        assert running.stdout is not None
        script = running.stdout
        while line := script.readline():
            copied = _COPY.fullmatch(line)
            if copied is not None:
                schema, table, columns = (group.decode() for group in copied.groups())
                names = [column.strip().strip('"') for column in columns.split(",")]
                yield TableRows(f"{schema}.{table}", names, _chunks(script))
            elif not _HARMLESS.fullmatch(line):
                raise _foreign(line.decode("utf-8", "replace"))


def _chunks(script: IO[bytes]) -> Iterator[list[bytes]]:
    """The rows up to the end of the table."""
    lines: list[bytes] = []
    read = 0
    while (line := script.readline()) and line != _END:
        lines.append(line)
        read += len(line)
        if read >= CHUNK_BYTES:
            yield lines
            lines, read = [], 0
    if lines:
        yield lines


def _rewind(file: IO[bytes]) -> None:
    """Go to the beginning of the file, for the program that shares its position with us."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)
