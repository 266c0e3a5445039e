"""The embedded database of one user. It is created and migrated, and logs in, by itself.

The first command does the work. Later commands read two small files and connect.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.credentials import Credential, InvalidCredential, file_store
from todo_cli.database.embedded import EmbeddedServer, locked
from todo_cli.database.embedded.files import check_data_folder, os_errors_as_sentences
from todo_cli.database.embedded.processes import wait_until
from todo_cli.database.target import EMBEDDED, connection_parameters
from todo_cli.errors import EmbeddedServerError, SchemaNewer
from todo_cli.private_files import write_private

if TYPE_CHECKING:
    from todo_cli.database.connecting import Connection

LOCAL_EMAIL = "local@todo.invalid"
"""The address of the local account. RFC 2606 reserves `.invalid`, so nobody owns it."""

_MAKE_SESSION = """
with person as (
    insert into users (email, name) values (%(email)s, %(name)s)
    on conflict (email) do update set email = excluded.email
    returning id
)
insert into sessions (user_id, token, expires_at, user_agent)
select id, %(token)s, now() + interval '100 years', 'todo' from person
returning user_id
"""
"""The session practically never ends. Whoever can read its token can read the database's files."""

CLOSING_SECONDS = 2.0
"""How long the server may take to end the backends of closed connections."""
_COUNT_OTHERS = """
select count(*) from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid()
"""

_IS_LOST = """
select not exists (select from sessions where token = %(token)s)
    and not exists (select from users where id = %(user_id)s and email <> %(email)s)
"""


class EmbeddedHome:
    """The data folder of one user: the server, the local account's token, the schema's revision."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str]) -> None:
        self._data_dir = Path(os.path.realpath(data_dir))
        self._server = EmbeddedServer(data_dir, environ)
        self._environ = environ
        self._store = file_store(data_dir)
        self._revision_file = data_dir / "schema-revision"
        self._on_demand_file = data_dir / "server-on-demand"

    @property
    def data_dir(self) -> Path:
        return self._data_dir

    @property
    def url(self) -> str:
        return self._server.url

    def session_token(self) -> str | None:
        """The token of the logged-in account, or None if `prepare` must be called first.

        Raises:
            EmbeddedServerError: the data folder belongs to another user, or cannot be read.
        """
        check_data_folder(self._data_dir)
        if _read(self._revision_file) != SCHEMA_HEAD:
            return None
        self._require_own_socket()
        credential = self._kept()
        return None if credential is None else credential.token

    @property
    def is_made(self) -> bool:
        """Whether the database was prepared before, perhaps with an older schema."""
        return _read(self._revision_file) is not None

    def start(self) -> None:
        """Start the server on demand if it is not running. `stop_if_unused` may stop it again."""
        if not self._server.is_running():
            with contextlib.suppress(EmbeddedServerError):  # on a full disk it just keeps running
                _write(self._on_demand_file, "")
        self._server.start()

    def stop_if_unused(self) -> bool:
        """Stop the server if it was started on demand and nobody is connected.

        The next command starts it again. After `keep_running` it is not stopped.
        """
        if not os.path.exists(self._on_demand_file) or not self._server.is_running():
            return False
        # The server may not have noticed yet that the caller has just closed its own connection.
        if not wait_until(lambda: not self._has_clients(), CLOSING_SECONDS):
            return False
        return self._server.stop()

    def keep_running(self) -> None:
        """Make `stop_if_unused` leave the server running."""
        with os_errors_as_sentences():
            self._on_demand_file.unlink(missing_ok=True)

    def _has_clients(self) -> bool:
        with self._connected() as connection:
            row = connection.execute(_COUNT_OTHERS).fetchone()
        return row is None or row[0] > 0

    def prepare(self) -> str:
        """Create, start and migrate the database, and log in the local account. Returns its token.

        It is safe to call this again, and in many processes at once: one works, the others wait.

        Raises:
            EmbeddedServerError: the server cannot be created or started, or a file not written.
        """
        made = self._server.start()
        if made:
            _write(self._on_demand_file, "")
        with locked(self._data_dir / "prepare.lock"):
            return self.session_token() or self._prepare_database()

    def _prepare_database(self) -> str:
        from todo_cli.admin import migrate

        # An older program works with a newer schema, since newer revisions only add.
        with contextlib.suppress(SchemaNewer):
            migrate.upgrade(self.url)
        credential = self._kept()
        if credential is None or self._is_lost(credential):
            credential = self._make_session()
            self._store.save(EMBEDDED, credential)
        _write(self._revision_file, SCHEMA_HEAD)
        return credential.token

    def forget_revision(self) -> None:
        """Make the next command migrate the schema to the newest revision."""
        _write(self._revision_file, "")

    def keep(self, credential: Credential) -> None:
        """Store the credential of the account that logged in, instead of the local account's."""
        self._store.save(EMBEDDED, credential)

    def forget(self) -> None:
        """Delete the stored credential. The next command logs the local account in again."""
        self._store.delete(EMBEDDED)

    def _kept(self) -> Credential | None:
        """The stored credential, or None if there is no valid one."""
        try:
            return self._store.load(EMBEDDED)
        except InvalidCredential:
            return None

    def _is_lost(self, credential: Credential) -> bool:
        """Whether the local account's session is gone, as after a downgrade to nothing. The local
        account has no password to log in with again."""
        values = {"token": credential.token, "user_id": credential.user_id, "email": LOCAL_EMAIL}
        with self._connected() as connection:
            row = connection.execute(_IS_LOST, values).fetchone()
        return row is None or bool(row[0])

    def _connected(self) -> Connection:
        """A connection to the embedded server. It ignores the PG* variables."""
        from todo_cli.database import connecting

        deadline = connecting.Deadline(DEFAULT_TIMEOUT_SECONDS)
        return connecting.connect(connection_parameters(self.url), deadline)

    def _require_own_socket(self) -> None:
        """Check that the socket is ours, before the token is sent to it.

        If the data folder's path is too long, the socket is in /tmp, where another user may run a
        server in its place. `start` refuses that.
        """
        if self._server.socket_dir.parent != self._data_dir and not self._server.is_running():
            self._server.start()

    def _make_session(self) -> Credential:
        token = secrets.token_urlsafe(32)
        name = self._environ.get("USER") or "local"
        values = {"email": LOCAL_EMAIL, "name": name, "token": token}
        with self._connected() as connection:
            row = connection.execute(_MAKE_SESSION, values).fetchone()
        assert row is not None
        return Credential(str(row[0]), LOCAL_EMAIL, token, None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EmbeddedServerError(
            f"{path} cannot be read: {reason}.",
            hint="Give the file and its folder back to yourself (chown), or set TODO_DATA_DIR to "
            "another folder.",
        ) from error


def _write(path: Path, text: str) -> None:
    """Write a file of the data folder.

    Raises:
        EmbeddedServerError: it cannot be written, or the folder is another user's.
    """
    check_data_folder(path.parent)
    try:
        write_private(path, text)
    except OSError as error:
        raise EmbeddedServerError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Check the folder and the disk, or set TODO_DATA_DIR to another folder.",
        ) from error
