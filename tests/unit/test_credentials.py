"""Where sessions are kept: every kind of keyring, and files."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import keyring
import pytest

from tests.support import keyrings
from tests.support.people import Person
from todo_cli.commands.hints import hint_of
from todo_cli.credentials import (
    KEYRING_TIMEOUT_SECONDS,
    Credential,
    CredentialBook,
    FileStore,
    KeyringStore,
)
from todo_cli.errors import CredentialStoreError
from todo_cli.values import StoreKind, TaskQuery
from todo_cli.workspace import Login, Workspace

NAME = "ep-1.neon.tech:5432/todo"
CREDENTIAL = Credential("7a0c", "ada@example.org", "secret-token", "postgresql://a:secret@b/c")


@pytest.fixture
def book(tmp_path: Path) -> CredentialBook:
    return CredentialBook(tmp_path / "data")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_keyring_that_works_keeps_one_entry_for_a_database(
    book: CredentialBook, working_keyring: keyrings.WorkingKeyring
) -> None:
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    assert json.loads(working_keyring.held["todo", NAME]) == {
        "user_id": "7a0c",
        "email": "ada@example.org",
        "token": "secret-token",
        "database_url": "postgresql://a:secret@b/c",
    }
    assert book.find(NAME) == (CREDENTIAL, StoreKind.KEYRING)
    assert book.default_url() == CREDENTIAL.database_url
    book.forget(NAME)
    assert working_keyring.held == {}
    assert book.find(NAME) is None and book.default_url() is None


def test_a_command_asks_the_keyring_once(
    database_url: str, alice: Person, working_keyring: keyrings.WorkingKeyring
) -> None:
    """Also where it needs the URL and the session that a log-in kept."""
    environ = {**os.environ, "TODO_DATA_DIR": str(Path(os.environ["HOME"]) / "data")}
    with Workspace(environ, database_url=database_url) as workspace:
        account = workspace.use_token(alice.token).current()
        workspace.keep_login(account, alice.token, StoreKind.KEYRING)
    working_keyring.lookups = 0
    with Workspace(environ) as workspace:
        assert workspace.login == Login(alice.token, "keyring")
        assert list(workspace.tasks.page(TaskQuery()).tasks) == []
        assert working_keyring.lookups == 1
        workspace.forget_login()
    assert working_keyring.held == {}
    assert workspace.credentials.default_url() is None


def test_nothing_secret_is_written_beside_a_keyring(
    book: CredentialBook, working_keyring: keyrings.WorkingKeyring, tmp_path: Path
) -> None:
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name == "data"
    ]
    assert [path.name for path in written] == ["logins.json"]
    assert "secret" not in written[0].read_text()


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        (None, "There is no keyring on this machine."),
        (keyrings.FailingKeyring, "The keyring failed."),
        (keyrings.LockedKeyring, "The keyring is locked."),
    ],
)
def test_a_keyring_that_does_not_work_says_so_without_a_secret(
    book: CredentialBook,
    backend: type[keyrings.WorkingKeyring] | None,
    sentence: str,
) -> None:
    if backend is not None:
        keyring.set_keyring(backend())
    uses: list[Callable[[], None]] = [
        lambda: book.check(StoreKind.KEYRING),
        lambda: book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True),
    ]
    for use in uses:
        with pytest.raises(CredentialStoreError) as caught:
            use()
        assert caught.value.message == sentence
        assert caught.value.exit_code == 4
        assert "todo login --credential-store=file" in (
            hint_of(caught.value, command="todo list") or ""
        )
    assert book.find(NAME) is None and book.default_url() is None


@pytest.mark.parametrize("backend", [keyrings.FailsWhenWriting, keyrings.ForgetfulKeyring])
def test_a_keyring_that_does_not_keep_is_found_out(
    book: CredentialBook, backend: type[keyrings.WorkingKeyring]
) -> None:
    keyring.set_keyring(backend())
    with pytest.raises(CredentialStoreError) as caught:
        book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    assert "secret" not in caught.value.message
    assert book.find(NAME) is None


def test_a_keyring_that_hangs_is_given_up() -> None:
    assert KEYRING_TIMEOUT_SECONDS == 3
    backend = keyrings.HangingKeyring()
    keyring.set_keyring(backend)
    started = time.monotonic()
    try:
        with pytest.raises(CredentialStoreError, match=r"did not answer within 0\.2 seconds"):
            KeyringStore(timeout_seconds=0.2).load(NAME)
    finally:
        backend.released.set()
    assert time.monotonic() - started < 30  # of the 60 that it would have hung


@pytest.mark.parametrize(
    "rubbish",
    ["", "rubbish", "[]", "{}", '{"user_id": 1, "email": 2, "token": 3, "database_url": 4}'],
)
def test_rubbish_in_a_keyring_asks_for_a_new_log_in(
    book: CredentialBook, working_keyring: keyrings.WorkingKeyring, rubbish: str
) -> None:
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    working_keyring.held["todo", NAME] = rubbish
    with pytest.raises(CredentialStoreError, match="valid session") as caught:
        book.find(NAME)
    assert hint_of(caught.value, command="todo list") == "Log in again: todo login"
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    assert book.find(NAME) == (CREDENTIAL, StoreKind.KEYRING)


def test_an_entry_that_somebody_else_removed_is_no_session(
    book: CredentialBook, working_keyring: keyrings.WorkingKeyring
) -> None:
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    working_keyring.held.clear()
    assert book.find(NAME) is None
    book.forget(NAME)


def test_a_file_is_its_owners_alone(book: CredentialBook, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        book.keep(NAME, CREDENTIAL, StoreKind.FILE, as_default=False)
    finally:
        os.umask(before)
    (file,) = (tmp_path / "data" / "credentials").iterdir()
    assert (mode_of(file), mode_of(file.parent)) == (0o600, 0o700)
    assert mode_of(file.parent.parent) == 0o700
    assert book.find(NAME) == (CREDENTIAL, StoreKind.FILE)
    assert book.default_url() is None


def test_a_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save(NAME, CREDENTIAL)
    store.path(NAME).chmod(0o640)
    with pytest.raises(CredentialStoreError, match="can be read by others") as caught:
        store.load(NAME)
    assert "chmod 600" in (caught.value.hint or "")


def test_a_file_that_a_killed_command_left_does_not_lend_its_mode(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    leftover = store.path(NAME).with_name(f"{store.path(NAME).name}.{os.getpid()}")
    leftover.write_text("old")
    leftover.chmod(0o644)
    store.save(NAME, CREDENTIAL)
    assert store.load(NAME) == CREDENTIAL
    assert not leftover.exists()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\xff\xfe", b'{"token": "x"}'])
def test_rubbish_in_a_file_asks_for_a_new_log_in(tmp_path: Path, content: bytes) -> None:
    store = FileStore(tmp_path)
    store.save(NAME, CREDENTIAL)
    store.path(NAME).write_bytes(content)
    with pytest.raises(CredentialStoreError, match="valid session"):
        store.load(NAME)
    store.delete(NAME)
    assert store.load(NAME) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"default": 1, "stores": {"x": "safe"}}', b"\xff"]
)
def test_an_index_of_rubbish_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logins.json").write_bytes(content)
    (tmp_path / "logins.json").chmod(0o600)
    book = CredentialBook(tmp_path)
    assert book.default_url() is None and book.find("x") is None
    book.keep(NAME, CREDENTIAL, StoreKind.FILE, as_default=True)
    assert book.default_url() == CREDENTIAL.database_url


def test_another_store_takes_over(
    book: CredentialBook, working_keyring: keyrings.WorkingKeyring
) -> None:
    book.keep(NAME, CREDENTIAL, StoreKind.KEYRING, as_default=True)
    book.keep(NAME, CREDENTIAL, StoreKind.FILE, as_default=False)
    assert working_keyring.held == {}
    assert book.find(NAME) == (CREDENTIAL, StoreKind.FILE)


def test_a_name_may_be_as_long_as_a_path(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    name = f"{'/very long ü' * 100}:5432/todo"
    store.save(name, CREDENTIAL)
    assert store.load(name) == CREDENTIAL


def test_what_is_kept_is_not_shown_in_a_traceback() -> None:
    assert "secret" not in repr(CREDENTIAL)
