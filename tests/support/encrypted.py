"""A server of PostgreSQL that speaks TLS itself, so that SCRAM is bound to it; by TCP."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trustme

from tests.support import older, server

PASSWORD = "s3cret-of-nobody"
_HBA = """
local all todo trust
hostssl all by_md5 127.0.0.1/32 md5
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class EncryptedServer:
    """A running server. `superuser_url` goes by its socket; `owner` is no superuser."""

    superuser_url: str
    port: int
    folder: Path

    def url(self, user: str, database: str = "postgres", options: str = "") -> str:
        """A role's URL: as if of another machine, with a full check of the certificate."""
        return (
            f"postgresql://{user}:{PASSWORD}@db.example:{self.port}/{database}?hostaddr=127.0.0.1"
            f"&sslmode=verify-full&sslrootcert={self.folder / 'roots.pem'}{options}"
        )

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running() -> Iterator[EncryptedServer]:
    """The roles `owner` (SCRAM), `by_md5` and `by_certificate` can log in."""
    folder = Path(tempfile.mkdtemp(prefix="todo-tls-"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "roots.pem"))
    for name, common_name in (("server", "db.example"), ("client", "by_certificate")):
        issued = authority.issue_cert("db.example", common_name=common_name)
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        (folder / f"{name}.key").chmod(0o600)
    (folder / "hba.conf").write_text(_HBA)
    port = _free_port()
    try:
        with server.running(
            older.programs(),
            listen_addresses="127.0.0.1",
            port=str(port),
            ssl="on",
            ssl_cert_file=str(folder / "server.pem"),
            ssl_key_file=str(folder / "server.key"),
            ssl_ca_file=str(folder / "roots.pem"),
            hba_file=str(folder / "hba.conf"),
        ) as url:
            found = EncryptedServer(url, port, folder)
            found.execute(f"create role owner login createrole createdb password '{PASSWORD}'")
            found.execute("create role by_certificate login")
            found.execute(
                f"set password_encryption = md5; create role by_md5 login password '{PASSWORD}'"
            )
            yield found
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
