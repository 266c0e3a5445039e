"""Stores sessions in the keyring, or in files that only their owner can read.

A store has one entry for each database: user id, e-mail, token and the database's URL. An index
file without secrets says which store has which entry, and which database is the default one. So
the import of `keyring`, which takes a fifth of a second, is needed only for entries that are in a
keyring. No other module imports it.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from todo_cli.agent import place
from todo_cli.errors import CredentialStoreError
from todo_cli.private_files import write_private
from todo_cli.values import StoreKind

T = TypeVar("T")

MAX_FILE_NAME_LENGTH = 200
"""File systems allow 255 bytes. The rest is for the suffixes."""

KEYRING_SERVICE = "todo"
KEYRING_TIMEOUT_SECONDS = 3.0
"""For each request. A locked keyring may wait without limit for somebody to unlock it."""


@dataclass(frozen=True)
class Credential:
    """The stored data of a log-in. `repr` shows no secret."""

    user_id: str
    email: str
    token: str
    database_url: str | None

    def __repr__(self) -> str:
        return f"Credential({self.email!r})"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Credential | None:
        """The credential in a text, or None if the text is not a valid one."""
        try:
            held = json.loads(text)
            credential = cls(**held)
        except (ValueError, TypeError):
            return None
        required = (credential.user_id, credential.email, credential.token)
        if not all(isinstance(value, str) and value for value in required):
            return None
        return credential if isinstance(credential.database_url, str | None) else None


class InvalidCredential(CredentialStoreError):
    """The stored entry is not a valid credential. Logging in again replaces it."""


class Store(Protocol):
    """Stores one credential for each name. Every method may raise `CredentialStoreError`."""

    def load(self, name: str) -> Credential | None: ...

    def save(self, name: str, credential: Credential) -> None: ...

    def delete(self, name: str) -> None:
        """Remove the entry of the name, if there is one."""


class FileStore:
    """Files of mode 0600 in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        file_name = quote(name, safe="")
        if len(file_name) > MAX_FILE_NAME_LENGTH:
            import hashlib

            file_name = hashlib.sha256(name.encode()).hexdigest()
        return self._folder / f"{file_name}.json"

    def load(self, name: str) -> Credential | None:
        path = self.path(name)
        text = _read_private(path)
        if text is None:
            return None
        credential = Credential.from_json(text)
        if credential is None:
            raise _invalid(str(path))
        return credential

    def save(self, name: str, credential: Credential) -> None:
        _save(self.path(name), credential.to_json())

    def delete(self, name: str) -> None:
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise CredentialStoreError(f"{self.path(name)} cannot be removed.") from error


class KeyringStore:
    """Entries in the system's keyring, with a time limit for each request."""

    def __init__(self, timeout_seconds: float = KEYRING_TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds

    def load(self, name: str) -> Credential | None:
        text = self._ask(lambda keyring: keyring.get_password(KEYRING_SERVICE, name))
        if text is None:
            return None
        credential = Credential.from_json(text)
        if credential is None:
            raise _invalid(f"The keyring's entry for {name}")
        return credential

    def save(self, name: str, credential: Credential) -> None:
        text = credential.to_json()

        def set_and_look(keyring: Any) -> bool:
            keyring.set_password(KEYRING_SERVICE, name, text)
            # One backend accepts everything and stores nothing.
            return bool(keyring.get_password(KEYRING_SERVICE, name) == text)

        if not self._ask(set_and_look):
            raise CredentialStoreError("The keyring did not keep the session.")

    def delete(self, name: str) -> None:
        def delete_if_there(keyring: Any) -> None:
            if keyring.get_password(KEYRING_SERVICE, name) is not None:
                keyring.delete_password(KEYRING_SERVICE, name)

        self._ask(delete_if_there)

    def check(self) -> None:
        """Raise `CredentialStoreError` if no keyring answers."""
        self._ask(lambda keyring: keyring.get_password(KEYRING_SERVICE, ""))

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Send a request to the keyring, in a thread that is abandoned if it hangs.

        The import is done in the thread too, since choosing a backend already talks to the desktop.
        """
        answers: list[T] = []
        errors: list[Exception] = []

        def ask() -> None:
            try:
                import keyring

                answers.append(question(keyring))
            except Exception as error:  # a backend may raise anything
                errors.append(error)

        # A daemon thread does not keep the process from ending.
        thread = threading.Thread(target=ask, name="keyring", daemon=True)
        thread.start()
        thread.join(self._timeout_seconds)
        if thread.is_alive():
            raise CredentialStoreError(
                f"The keyring did not answer within {self._timeout_seconds:g} seconds."
            )
        if errors:
            raise CredentialStoreError(_keyring_message(errors[0])) from errors[0]
        return answers[0]


class CredentialBook:
    """All log-ins of this machine, in whichever store each of them is."""

    def __init__(self, data_dir: Path) -> None:
        self._index_file = data_dir / "logins.json"
        self._stores: dict[StoreKind, Store] = {
            StoreKind.KEYRING: KeyringStore(),
            StoreKind.FILE: file_store(data_dir),
        }
        self._loaded: dict[str, Credential | None] = {}
        """What was read already. A run needs the default one twice, and a keyring is slow."""

    def default_url(self) -> str | None:
        """The URL that `todo login --database-url` made the default one."""
        name = self._index()["default"]
        found = None if name is None else self.find(name)
        return None if found is None else found[0].database_url

    def find(self, name: str) -> tuple[Credential, StoreKind] | None:
        """The credential for a database, and the store that has it."""
        kind = self._index()["stores"].get(name)
        if kind is None:
            return None
        if name not in self._loaded:
            self._loaded[name] = self._stores[StoreKind(kind)].load(name)
        credential = self._loaded[name]
        return None if credential is None else (credential, StoreKind(kind))

    def keep(self, name: str, credential: Credential, kind: StoreKind, *, as_default: bool) -> None:
        """Store a credential, and remove an older one of the same name."""
        self._loaded.pop(name, None)
        self._stores[kind].save(name, credential)
        index = self._index()
        before = index["stores"].get(name)
        index["stores"][name] = kind.value
        if as_default:
            index["default"] = name
        self._write_index(index)
        if before not in (None, kind.value):
            self._stores[StoreKind(before)].delete(name)

    def forget(self, name: str) -> None:
        """Remove a database's credential. It is no longer the default database either."""
        self._loaded.pop(name, None)
        index = self._index()
        kind = index["stores"].pop(name, None)
        if kind is not None:
            self._stores[StoreKind(kind)].delete(name)
        if index["default"] == name:
            index["default"] = None
        self._write_index(index)

    def check(self, kind: StoreKind) -> None:
        """Raise `CredentialStoreError` if the store cannot be used now."""
        store = self._stores[kind]
        _require_own_folder(self._index_file.parent)
        if isinstance(store, KeyringStore):
            store.check()

    def _index(self) -> dict[str, Any]:
        try:
            text = _read_private(self._index_file)
            index = json.loads(text or "{}")
            stores = {str(name): StoreKind(kind) for name, kind in index["stores"].items()}
            default = index["default"]
        except (InvalidCredential, ValueError, KeyError, TypeError, AttributeError):
            return {"default": None, "stores": {}}
        return {
            "default": default if default in stores else None,
            "stores": {name: kind.value for name, kind in stores.items()},
        }

    def _write_index(self, index: dict[str, Any]) -> None:
        _save(self._index_file, json.dumps(index))


def file_store(data_dir: Path) -> FileStore:
    return FileStore(data_dir / "credentials")


def _keyring_message(error: Exception) -> str:
    """Our message for a backend's error. Its own text may hold the secret that it was given."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if "NoKeyringError" in names:
        return "There is no keyring on this machine."
    if "KeyringLocked" in names:
        return "The keyring is locked."
    return "The keyring failed."


def _invalid(what: str) -> InvalidCredential:
    return InvalidCredential(f"{what} does not hold a valid session.", reason="invalid_credential")


def _read_private(path: Path) -> str | None:
    """The text of a private file; None if there is none.

    Raises:
        CredentialStoreError: it cannot be read, or others can read it too.
        InvalidCredential: it is not text.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _invalid(str(path)) from error
    except OSError as error:
        raise CredentialStoreError(
            f"{path} cannot be read: {error.strerror}.",
            hint="Give the file and its folder back to yourself (chown), or set TODO_DATA_DIR to "
            "another folder.",
        ) from error
    if os.name == "posix" and mode & 0o077:
        raise CredentialStoreError(
            f"{path} can be read by others (mode {mode:04o}).",
            hint=f"Close it with: chmod 600 {path}",
        )
    return text


def _save(path: Path, text: str) -> None:
    """Write a private file, and the folders above it.

    Raises:
        CredentialStoreError: it cannot be written, or the folder is another user's.
    """
    _require_own_folder(path.parent)
    try:
        place.make_folders(str(path.parent))
        write_private(path, text)
    except OSError as error:
        raise CredentialStoreError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Check the folder and the disk, or set TODO_DATA_DIR to another folder.",
        ) from error


def _require_own_folder(folder: Path) -> None:
    """Raise if root would make files that the folder's owner cannot use."""
    if os.name == "posix" and (found := place.foreign(str(folder))):
        raise CredentialStoreError(found[0], hint=found[1])
