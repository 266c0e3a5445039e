"""A dump that was looked at before it got its name, and a restore that knows what to expect.

`pg_dump` and `pg_restore` come with the embedded server. The rows of every table are counted in
the very snapshot that is dumped, and counted again in the finished file; the counts and a checksum
stand in a manifest beside it (`FILE.manifest.json`). A restore reads all that before it changes
anything, and needs an empty database.

Passwords of log-in roles are not in a dump. The role of people's commands is made where it is
missing; the manifest names the others, which `todo db grant` makes anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, LiteralString

from psycopg import sql
from psycopg.conninfo import make_conninfo

from todo_cli.admin import client_programs
from todo_cli.admin.connect import Connection, connected, one, require_full_sight
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database.connecting import CONNECT_TIMEOUT_SECONDS
from todo_cli.database.embedded.files import wheel_programs
from todo_cli.database.target import connection_parameters
from todo_cli.errors import InvalidInput, Refused

FORMAT = "todo-backup"
VERSION = 1
SUFFIX = ".manifest.json"
SCHEMAS = ("public", "todo_auth")
CHUNK_BYTES = 1024 * 1024
PROGRESS_LINES = 10_000
_POLL_SECONDS = 0.2

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `tables` has the rows of each; `roles` the log-in roles of people."""

    format: str
    version: int
    created_at: str
    database: str
    server_version: str
    revision: str | None
    bytes: int
    sha256: str
    tables: dict[str, int]
    roles: list[str]


def backup(
    url: str,
    file: Path,
    *,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    progress: Progress,
) -> Manifest:
    """Dump the database into a file; it gets its name only when it was verified.

    Raises:
        Refused: the file is there already, cannot be written, or did not hold what it should.
        RuleViolated: row-level security hides rows from this role; nothing was written.
        InvalidInput: the URL holds a secret that PostgreSQL's programs cannot be given unseen.
    """
    _access(url)
    for taken in (file, _manifest_path(file)):
        if taken.exists():
            raise Refused(f"{taken} is there already.", hint="Give another name.")
    with (
        connected(url, timeout_seconds=timeout_seconds) as connection,
        _beside(file) as dump,
    ):
        client_programs.require_direct(connection)
        _require_client(connection)
        with _snapshot(connection) as snapshot:
            tables = _count_rows(connection)
            facts = _facts(connection)
            arguments = ["--format=custom", f"--snapshot={snapshot}", f"--file={dump}"]
            arguments += [f"--schema={name}" for name in SCHEMAS]
            arguments.append(f"--lock-wait-timeout={max(1, int(timeout_seconds * 1000))}")
            if not one(connection, _PASSES):
                arguments.append("--enable-row-security")
            with _program("pg_dump", arguments, url, environ) as running:
                while not _has_ended(running):
                    progress(_size(dump), None, "Dumping")
        progress(_size(dump), None, "Verifying")
        _verify(dump, tables, environ)
        manifest = Manifest(
            FORMAT, VERSION, **facts, bytes=_size(dump), sha256=_checksum(dump), tables=tables
        )
        _publish(dump, file, manifest)
    return manifest


def restore(
    url: str,
    file: Path,
    *,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    progress: Progress,
) -> Manifest:
    """Bring a backup into an empty database, in one transaction, and count it there.

    Raises:
        Refused: the file is not a whole backup of this program, or the database is not empty;
            nothing was changed. Or the restore failed, or brought other counts of rows: it was
            rolled back, and of it the role of people's commands is left.
        InvalidInput: the URL holds a secret that PostgreSQL's programs cannot be given unseen.
    """
    _access(url)
    manifest = read_manifest(file)
    _require_whole(file, manifest, environ)
    with connected(url, timeout_seconds=timeout_seconds) as connection:
        client_programs.require_direct(connection)
        _require_client(connection)
        if one(connection, _HOLDS_SOMETHING):
            raise Refused(
                "The database is not empty.",
                hint="Make an empty one, for example with: createdb NAME",
            )
        if one(connection, _APP_ROLE_PASSES):
            raise Refused(
                "The server has a role todo_app that may log in or pass row-level security.",
                hint="alter role todo_app nosuperuser nobypassrls nologin",
            )
        for statement in _MAKE_ROLE:
            connection.execute(statement)
        _load(url, file, manifest, environ, progress)
        connection.execute("analyze")
    return manifest


def read_manifest(file: Path) -> Manifest:
    """The manifest beside a backup.

    Raises:
        Refused: file or manifest is not there, or is not this program's.
    """
    path = _manifest_path(file)
    for needed in (file, path):
        if not needed.is_file():
            raise Refused(
                f"{needed} is not there.", hint="A backup is two files: FILE and FILE" + SUFFIX
            )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**document)
        _require_sense(manifest)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(
            f"{path} is not the manifest of a backup.", hint="Take the one that was made with it."
        ) from error
    if manifest.format != FORMAT or manifest.version != VERSION:
        raise Refused(f"{path} was made by another program, or a newer one.")
    return manifest


def _require_sense(manifest: Manifest) -> None:
    """Raises ValueError, TypeError or AttributeError where a field is not what it should be."""
    counts = {str(table): int(rows) for table, rows in manifest.tables.items()}
    names = [str(role) for role in manifest.roles]
    if (counts, names) != (manifest.tables, manifest.roles) or "public.tasks" not in counts:
        raise ValueError


# --- what is checked -------------------------------------------------------------------------


def _require_whole(file: Path, manifest: Manifest, environ: Mapping[str, str]) -> None:
    if _size(file) != manifest.bytes or _checksum(file) != manifest.sha256:
        raise Refused(
            f"{file} is not the file that its manifest describes: cut short, or altered.",
            hint="Take another copy of the backup.",
        )
    _verify(file, manifest.tables, environ)


def _verify(dump: Path, tables: Mapping[str, int], environ: Mapping[str, str]) -> None:
    """See that the dump can be read to its end, and holds as many rows as were counted."""
    _contents(dump, environ)
    found = dict.fromkeys(tables, 0)
    arguments = ["--data-only", "--file=-", str(dump)]
    with _program("pg_restore", arguments, None, environ) as running:
        assert running.stdout is not None
        for table, rows in _copied_rows(running.stdout):
            found[table] = rows
    _require_counts(found, tables)


def _copied_rows(script: IO[bytes]) -> Iterator[tuple[str, int]]:
    """The rows of each table in a script of COPY statements."""
    table, rows = None, 0
    for line in script:
        if table is None:
            if line.startswith(b"COPY "):
                table, rows = line.split(b" ", 2)[1].decode(), 0
        elif line == b"\\.\n":
            yield table, rows
            table = None
        else:
            rows += 1


def _require_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    for table, rows in expected.items():
        if found.get(table) != rows:
            raise Refused(
                f"{table} should have {rows:,} rows, and has {found.get(table, 0):,}.",
                hint="The backup is not complete; keep an older one.",
            )


def _require_client(connection: Connection) -> None:
    """pg_dump reads servers of its own version and older ones only."""
    from todo_cli.database.embedded import MAJOR

    server = connection.info.server_version // 10_000
    if server > MAJOR:
        raise Refused(
            f"The server is PostgreSQL {server}, and this program brings pg_dump {MAJOR}.",
            hint="Use a newer version of this program.",
        )


# --- what is read from the database ----------------------------------------------------------

_PASSES: LiteralString = """
select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user
"""
_HOLDS_SOMETHING: LiteralString = """
select to_regnamespace('todo_auth') is not null or exists (
    select from pg_catalog.pg_class as c
    where relnamespace = 'public'::regnamespace
        and not exists (select from pg_catalog.pg_depend where objid = c.oid and deptype = 'e')
)
"""
_TABLES: LiteralString = """
select nspname, relname from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where nspname in ('public', 'todo_auth') and relkind = 'r'
    and not exists (select from pg_catalog.pg_depend where objid = c.oid and deptype = 'e')
order by 1, 2
"""
_FACTS: LiteralString = """
select jsonb_build_object(
    'created_at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'database', current_database(),
    'server_version', current_setting('server_version'),
    'revision', (select max(version_num) from public.alembic_version),
    'roles', (
        select coalesce(jsonb_agg(r.rolname order by r.rolname), '[]')
        from pg_catalog.pg_auth_members as m join pg_catalog.pg_roles as r on r.oid = m.member
        where m.roleid = (select oid from pg_catalog.pg_roles where rolname = 'todo_app')
            and r.rolname <> current_user and r.rolcanlogin
    )
)
"""
_APP_ROLE_PASSES: LiteralString = """
select exists (
    select from pg_catalog.pg_roles
    where rolname = 'todo_app' and (rolsuper or rolbypassrls or rolcanlogin)
)
"""
"""What migration 0003 refuses too."""
_MAKE_ROLE: tuple[LiteralString, ...] = (
    """
    do $$
    begin
        create role todo_app nologin;
    exception
        when duplicate_object or unique_violation then null;
    end
    $$
    """,
    """
    do $$
    begin
        if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
            and not pg_has_role(current_user, 'todo_app', 'member')
        then
            execute format('grant todo_app to %I', current_user);
        end if;
    end
    $$
    """,
)
_MAINTENANCE = "".join(
    f"""
create policy {table}_maintenance on public.{table} to current_user
using ((
    select pg_catalog.current_setting('todo.maintenance', true) = 'on'
        and pg_catalog.pg_has_role(session_user, current_user, 'usage')
));
"""
    for table in ("tasks", "tasks_archive")
)
"""As migration 0007 has it: it names the owner, who is somebody else in the new database."""
_CLOSE_DATABASE = """
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
end
$$;
"""
"""As migration 0006 has it: a dump of schemas does not hold the database's own privileges."""


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """A snapshot that another connection can look at as well, while this one holds it."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("select set_config('todo.maintenance', 'on', true)")
        require_full_sight(connection)
        yield str(one(connection, "select pg_export_snapshot()"))


def _facts(connection: Connection) -> dict[str, Any]:
    return dict(one(connection, _FACTS))


def _count_rows(connection: Connection) -> dict[str, int]:
    """`schema.table` and its rows, as this transaction sees them."""
    counts = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        counted = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
        ).fetchone()
        assert counted is not None
        counts[f"{schema}.{table}"] = int(counted[0])
    return counts


# --- the way back ----------------------------------------------------------------------------


def _load(
    url: str, file: Path, manifest: Manifest, environ: Mapping[str, str], progress: Progress
) -> None:
    """Run the dump's statements and ours in one transaction, and count before it is committed.

    By way of `psql`: `pg_restore` itself sets `transaction_timeout`, which a server older than 17
    does not know and refuses.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(_contents_to_restore(file, environ))
        chosen.flush()
        arguments = ["--no-owner", "--file=-", f"--use-list={chosen.name}", str(file)]
        into = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        with (
            _program("pg_restore", arguments, None, environ) as script,
            _program("psql", [*into, "--file=-"], url, environ) as loader,
        ):
            assert script.stdout is not None and loader.stdin is not None
            rows = sum(manifest.tables.values())  # a line each, and they are nearly all lines
            # Not --single-transaction, which would commit what came before an interruption. And
            # where psql has ended early, it says why when it is waited for.
            with contextlib.suppress(BrokenPipeError), loader.stdin as statements:
                statements.write(b"begin;\n")
                for done, line in enumerate(_known_everywhere(script.stdout)):
                    statements.write(line)
                    if done % PROGRESS_LINES == 0:
                        progress(min(done, rows), rows, "Restoring")
                if script.wait() == 0:
                    progress(0, None, "Verifying")
                    ours = _MAINTENANCE + _CLOSE_DATABASE + _compared(manifest)
                    statements.write(f"{ours}commit;\n".encode())


def _compared(manifest: Manifest) -> str:
    """Statements that fail where the revision or a table's count of rows is another one."""
    body = sql.SQL(
        "begin if (select max(version_num) from public.alembic_version) is distinct from {} "
        "then raise exception 'The backup is of another revision than its manifest.'; end if; end"
    ).format(sql.Literal(manifest.revision))
    revision = sql.SQL("do {};\n").format(sql.Literal(body.as_string(None))).as_string(None)
    return revision + _counted(manifest.tables)


def _counted(tables: Mapping[str, int]) -> str:
    """Statements that fail where a table does not have as many rows."""
    # A dump turns it off, by which an owner whom the policies bind would be refused.
    script = "set row_security = on;\n"
    for table, rows in tables.items():
        body = sql.SQL(
            "begin if (select count(*) from {}) <> {} then raise exception '%', {}; end if; end"
        ).format(
            sql.Identifier(*table.split(".", 1)),
            sql.Literal(rows),
            sql.Literal(f"{table} should have {rows:,} rows, and has others."),
        )
        script += sql.SQL("do {};\n").format(sql.Literal(body.as_string(None))).as_string(None)
    return script


def _known_everywhere(script: IO[bytes]) -> Iterator[bytes]:
    """The script without what a server older than 17 does not know, which is in its head."""
    return (line for line in script if line != b"SET transaction_timeout = 0;\n")


# --- the programs ----------------------------------------------------------------------------


@contextmanager
def _program(
    name: str,
    arguments: list[str],
    url: str | None,
    environ: Mapping[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of PostgreSQL's programs; it has ended well where this ends.

    Raises:
        Refused: it ended with an error, in its own words.
    """
    access, address = _access(url)
    command = [str(wheel_programs() / name), *arguments]
    if address:
        command.append(f"--dbname={address}")
    with (
        tempfile.TemporaryFile() as said,
        client_programs.preloading(url) as preloading,
    ):
        running = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if name == "psql" else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if url else subprocess.PIPE,
            stderr=said,
            env={**_kept(environ), **access, **preloading.environ},
            pass_fds=preloading.descriptors,
        )
        try:
            yield running
            code = running.wait()
        finally:
            if running.poll() is None:
                running.kill()
            running.wait()
            if running.stdout is not None:
                running.stdout.close()
        if code != 0:
            said.seek(0)
            raise client_programs.failure(name, _complaint(said.read()))


def _access(url: str | None) -> tuple[dict[str, str], str | None]:
    """The secret for the environment, the rest for the command line, where all can read it.

    Raises:
        InvalidInput: the URL holds a secret that libpq reads from no variable.
    """
    if url is None:
        return {}, None
    parts = connection_parameters(url)
    if "sslpassword" in parts:
        raise InvalidInput(
            "The database URL has an sslpassword, which everybody on this machine could read.",
            hint="Leave it out, and use a key file without a password that only you can read.",
        )
    password = parts.pop("password", None)
    parts.setdefault("connect_timeout", str(CONNECT_TIMEOUT_SECONDS))
    # An owner whom row-level security binds sees all rows by the policy of migration 0007.
    parts["options"] = f"{parts.get('options', '')} -c todo.maintenance=on".strip()
    secret = {"PGAPPNAME": "todo db"}
    if password is not None:
        secret["PGPASSWORD"] = str(password)
    return secret, make_conninfo("", **parts)


def _kept(environ: Mapping[str, str]) -> dict[str, str]:
    """What programs need, and libpq's own variables, which this process's connection heeds too."""
    names = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
    kept = {
        name: value for name, value in environ.items() if name in names or name.startswith("PG")
    }
    return kept | {"LC_ALL": "C"}


def _complaint(output: bytes) -> str:
    """The line that says why, without the statement that a program may repeat after it."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("Command was")]
    errors = [line for line in lines if "error:" in line.lower()]
    line = (errors or lines or ["it ended without a word."])[0]
    return re.sub(r"^.*?error:\s*", "", line, flags=re.IGNORECASE)


def _has_ended(running: subprocess.Popen[bytes]) -> bool:
    try:
        running.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _contents(dump: Path, environ: Mapping[str, str]) -> list[str]:
    """What `pg_restore --list` says, which reads the table of contents."""
    with _program("pg_restore", ["--list", str(dump)], None, environ) as running:
        assert running.stdout is not None
        listed = running.stdout.read().decode("utf-8", "replace")
    return listed.splitlines()


def _contents_to_restore(dump: Path, environ: Mapping[str, str]) -> str:
    """All but what every database has, and what names the owner of the old one."""

    def is_wanted(line: str) -> bool:
        return not (
            " SCHEMA - public " in line
            or " DEFAULT ACL " in line
            or (" POLICY " in line and "_maintenance " in line)
        )

    return "\n".join(line for line in _contents(dump, environ) if is_wanted(line)) + "\n"


# --- the files -------------------------------------------------------------------------------


def _manifest_path(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """An unfinished file in the same folder, which is gone afterwards unless it was renamed."""
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{file.name}.", suffix=".part", dir=file.parent
        )
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}.") from error
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _publish(dump: Path, file: Path, manifest: Manifest) -> None:
    """Give dump and manifest their names; the dump last, so that it never stands alone."""
    try:
        with _beside(_manifest_path(file)) as part:
            part.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
            for finished in (dump, part):
                with finished.open("rb") as opened:
                    os.fsync(opened.fileno())
            os.replace(part, _manifest_path(file))
        os.replace(dump, file)
    except OSError as error:
        _manifest_path(file).unlink(missing_ok=True)
        raise Refused(f"{file} cannot be written: {error.strerror}.") from error


def _checksum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
