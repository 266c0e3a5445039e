"""A false server that asks for the password, and servers that ask for another thing than SCRAM."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import trustme

from tests.support import encrypted
from tests.support.encrypted import EncryptedServer
from tests.support.waiting import wait_until
from todo_cli.database import connecting
from todo_cli.database.connecting import Deadline
from todo_cli.database.embedded import EmbeddedServer
from todo_cli.database.faults import translation
from todo_cli.database.target import connection_parameters
from todo_cli.errors import TodoError
from todo_cli.local import EmbeddedHome

PASSWORD = "s3cret-of-nobody"
CLEAR_TEXT = struct.pack("!ci i", b"R", 8, 3)
MD5 = struct.pack("!ci i", b"R", 12, 5) + b"salt"
NOTHING = struct.pack("!ci i", b"R", 8, 0) + b"Z" + struct.pack("!i", 5) + b"I"


class FalseServer:
    """Speaks TLS with a certificate of its own, and asks as it was told to."""

    def __init__(self, question: bytes) -> None:
        self.heard = b""
        self._question = question
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("db.example").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"postgresql://ann:{PASSWORD}@db.example:{port}/d?hostaddr=127.0.0.1&sslmode=require"

    def close(self) -> None:
        self._thread.join(30)
        self._listener.close()

    def _answer(self) -> None:
        plain, _ = self._listener.accept()
        with plain:
            plain.recv(8)  # the SSLRequest
            plain.sendall(b"S")
            with self._context.wrap_socket(plain, server_side=True) as wire:
                wire.recv(10_000)  # the StartupMessage
                wire.sendall(self._question)
                while heard := wire.recv(10_000):
                    self.heard += heard


@pytest.fixture
def deceive() -> Iterator[Callable[[bytes], FalseServer]]:
    servers = []

    def start(question: bytes) -> FalseServer:
        servers.append(FalseServer(question))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def log_in(url: str) -> None:
    connecting.connect(connection_parameters(url), Deadline(20)).close()


def refusal(url: str) -> TodoError:
    with pytest.raises(psycopg.OperationalError) as raised:
        log_in(url)
    found = translation(raised.value)
    assert isinstance(found, TodoError), found
    return found


@pytest.mark.parametrize(
    ("question", "hint"),
    [(CLEAR_TEXT, "require_auth=password"), (MD5, "require_auth=md5"), (NOTHING, "=none")],
    ids=["clear text", "md5", "nothing"],
)
def test_a_false_server_is_told_nothing(
    deceive: Callable[[bytes], FalseServer], question: bytes, hint: str
) -> None:
    server = deceive(question)
    refused = refusal(server.url)
    server.close()
    assert server.heard == b""
    assert hint in (refused.hint or "")


def test_the_password_is_sent_where_the_url_says_so(
    deceive: Callable[[bytes], FalseServer],
) -> None:
    """So that the test above would notice a password."""
    server = deceive(CLEAR_TEXT)
    parameters = connection_parameters(f"{server.url}&require_auth=password")
    with pytest.raises(psycopg.OperationalError):
        connecting.connect({**parameters, "connect_timeout": "2"}, Deadline(2))
    server.close()
    assert PASSWORD.encode() in server.heard


@pytest.fixture(scope="session")
def server() -> Iterator[EncryptedServer]:
    with encrypted.running() as found:
        yield found


def test_scram_needs_nothing_in_the_url(server: EncryptedServer) -> None:
    log_in(server.url("owner"))
    log_in(server.url("owner", options="&channel_binding=require"))


def test_md5_works_where_the_url_says_so(server: EncryptedServer) -> None:
    assert "require_auth=md5" in (refusal(server.url("by_md5")).hint or "")
    log_in(server.url("by_md5", options="&require_auth=md5"))


def test_a_certificate_works_with_a_server_that_is_verified(server: EncryptedServer) -> None:
    files = f"&sslcert={server.folder}/client.pem&sslkey={server.folder}/client.key"
    log_in(server.url("by_certificate", options=files))
    unverified = server.url("by_certificate", options=files).replace("verify-full", "require")
    assert "verify-full" in (refusal(unverified).hint or "")
    log_in(f"{unverified}&require_auth=none")


def test_a_service_that_is_not_defined_is_told_at_once(
    server: EncryptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGSERVICE", "nowhere")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    assert "PGSERVICE" in refusal(server.url("owner")).message


def test_the_embedded_database_is_the_one_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of the local account goes to no server that a variable names."""
    services = tmp_path / "services"
    services.write_text("[away]\nhostaddr=127.0.0.9\nport=1\n")
    for name, value in {
        "PGHOSTADDR": "127.0.0.9",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGSERVICE": "away",
        "PGSERVICEFILE": str(services),
    }.items():
        monkeypatch.setenv(name, value)
    folder = Path(tempfile.mkdtemp(prefix="todo-home-"))  # a short path, for its socket
    home = EmbeddedHome(folder / "todo", os.environ)
    try:
        assert home.prepare()
        wait_until(lambda: not home._has_clients())  # the server sees a moment later who left
    finally:
        EmbeddedServer(folder / "todo", os.environ).stop()
        shutil.rmtree(folder)
