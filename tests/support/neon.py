"""A stand-in for Neon, from real parts: PostgreSQL, PgBouncer, TLS, SCRAM.

Neon itself cannot be part of a test suite. What it shows to the outside can: a direct and a pooled
host, both behind a proxy that ends TLS and refuses plain connections; passwords by SCRAM; an owner
who is no superuser, but passes row-level security. The URLs have a Neon host's name, so the
program treats them as Neon's; `hostaddr` leads them to 127.0.0.1.

What it is not: SCRAM has no channel binding here, since the server behind the proxy sees no TLS.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import trustme

from tests.support.proxy import UnixUpstream, WireProxy
from tests.support.server import wheel_programs
from todo_cli.admin import migrate
from todo_cli.database import embedded
from todo_cli.database.embedded import EmbeddedServer, runner

DOMAIN = "eu-central-1.aws.neon.tech"
DIRECT_HOST = f"ep-quiet-lake-a1b2c3d4.{DOMAIN}"
POOLED_HOST = f"ep-quiet-lake-a1b2c3d4-pooler.{DOMAIN}"
OWNER = "neondb_owner"
TEMPLATE = "neondb_template"
POOLER_PORT = 6432
POOL_SIZE = 10
START_SECONDS = 30

_HBA = f"""\
local all {embedded.SUPERUSER} trust
local all all scram-sha-256
"""

_PGBOUNCER_INI = """\
[databases]
* = host={server} port=5432

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
pool_mode = transaction
auth_type = scram-sha-256
auth_file = {folder}/users.txt
logfile = {folder}/pgbouncer.log
max_client_conn = 1000
default_pool_size = {pool_size}
query_wait_timeout = 120
server_login_retry = 1
"""


@dataclass(frozen=True)
class Neon:
    """A running stand-in. `direct` and `pooled` are the proxies in front, where things go wrong."""

    server_socket_dir: Path
    direct: WireProxy
    pooled: WireProxy
    roots: Path
    password: str

    def url(self, database: str, *, is_pooled: bool = True, password: str | None = None) -> str:
        """The owner's URL, with a full check of the certificate."""
        proxy, host = (self.pooled, POOLED_HOST) if is_pooled else (self.direct, DIRECT_HOST)
        options = f"hostaddr={proxy.host}&sslmode=verify-full&sslrootcert={self.roots}"
        secret = password or self.password
        return f"postgresql://{OWNER}:{secret}@{host}:{proxy.port}/{database}?{options}"

    def superuser_url(self, database: str) -> str:
        """Behind the scenes: past the proxies, to look at what has happened."""
        return f"postgresql://{embedded.SUPERUSER}@/{database}?host={self.server_socket_dir}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.superuser_url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def heal(self) -> None:
        """Let nothing go wrong any more, end what is connected, and count from nought."""
        for proxy in (self.direct, self.pooled):
            proxy.heal()
            while proxy.kill_idle():  # what a test left in a black hole is still open here
                time.sleep(0.01)
            proxy.latency_seconds = 0.0
            proxy.wake_seconds = 0.0
            proxy.stats.reset()

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A migrated database of the owner's, without a row; its name."""
        self.execute(f"create database {name} template {TEMPLATE} owner {OWNER} strategy file_copy")
        try:
            yield name
        finally:
            self.execute(f"drop database {name} with (force)")


@contextmanager
def running_neon() -> Iterator[Neon]:
    """Start everything; stop it at the end."""
    # Not pytest's folder: its path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="todo-neon-"))
    server = EmbeddedServer(folder / "server", {})
    authority = trustme.CA()
    roots = folder / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    password = secrets.token_urlsafe(16)
    server.start()
    try:
        _make_owner(server, folder / "server", password)
        pooler_folder = folder / "pooler"
        with (
            _pooler(pooler_folder, server.socket_dir, password),
            _proxy(authority, UnixUpstream(server.socket_dir), DIRECT_HOST) as direct,
            _proxy(authority, UnixUpstream(pooler_folder, POOLER_PORT), POOLED_HOST) as pooled,
        ):
            neon = Neon(server.socket_dir, direct, pooled, roots, password)
            neon.execute(f"create database {TEMPLATE} owner {OWNER}")
            migrate.upgrade(neon.url(TEMPLATE, is_pooled=False))
            yield neon
    finally:
        server.stop()
        shutil.rmtree(folder)


def _make_owner(server: EmbeddedServer, folder: Path, password: str) -> None:
    """A role like those that Neon's console makes; from now on it needs its password."""
    url = f"postgresql://{embedded.SUPERUSER}@/postgres?host={server.socket_dir}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"create role {OWNER} login password '{password}' "
            "createrole createdb bypassrls replication".encode()
        )
        row = connection.execute("show hba_file").fetchone()
        assert row is not None
        Path(row[0]).write_text(_HBA)
        connection.execute("select pg_reload_conf()")


def _proxy(authority: trustme.CA, upstream: UnixUpstream, host: str) -> WireProxy:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return WireProxy(upstream=upstream, tls=context, tls_required=True)


@contextmanager
def _pooler(folder: Path, server_socket_dir: Path, password: str) -> Iterator[None]:
    folder.mkdir()
    (folder / "users.txt").write_text(f'"{OWNER}" "{password}"\n')
    settings = _PGBOUNCER_INI.format(
        server=server_socket_dir, folder=folder, port=POOLER_PORT, pool_size=POOL_SIZE
    )
    (folder / "pgbouncer.ini").write_text(settings)
    # Like PostgreSQL, PgBouncer refuses to run as root.
    as_whom = runner.choose_runner(wheel_programs(), folder, os.environ)
    process = subprocess.Popen(
        [*as_whom.prefix, _pgbouncer(), "--quiet", str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(folder / f".s.PGSQL.{POOLER_PORT}", process, folder / "pgbouncer.log")
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _pgbouncer() -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    program = shutil.which("pgbouncer", path=path)
    if program is None:
        pytest.fail("PgBouncer is missing. Install it, for example: apt-get install pgbouncer")
    return program


def _wait_for(socket_file: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(socket_file)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"PgBouncer did not start: {log.read_text() if log.exists() else 'no log'}")
