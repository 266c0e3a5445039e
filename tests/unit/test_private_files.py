"""A private file is written whole or not at all, and a failure leaves nothing behind."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from todo_cli.credentials import Credential, file_store
from todo_cli.database.embedded import EmbeddedServer
from todo_cli.errors import CredentialStoreError, EmbeddedServerError
from todo_cli.local import EmbeddedHome
from todo_cli.private_files import open_private, write_private

CREDENTIAL = Credential("7a0c", "ada@example.org", "secret-token", None)


def fail(*given: object, **named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def save_a_login(data_dir: Path) -> None:
    file_store(data_dir).save("embedded", CREDENTIAL)


def forget_the_revision(data_dir: Path) -> None:
    EmbeddedHome(data_dir, {}).forget_revision()


@pytest.mark.parametrize("write", [save_a_login, forget_the_revision])
def test_a_write_that_fails_leaves_nothing_behind(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((CredentialStoreError, EmbeddedServerError), match="No space left"):
        write(tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before != {}


def test_folders_above_a_login_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    save_a_login(tmp_path / "share" / "todo")
    for folder in (tmp_path / "share", tmp_path / "share" / "todo"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_private_file_replaces_a_link_and_an_open_mode(tmp_path: Path) -> None:
    path, target = tmp_path / "file", tmp_path / "target"
    target.write_text("kept")
    path.symlink_to(target)
    write_private(path, "new")
    assert (path.read_text(), target.read_text()) == ("new", "kept")
    path.chmod(0o644)
    write_private(path, "newer")
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600 and path.read_text() == "newer"


def test_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        open_private(tmp_path / "link", os.O_WRONLY)
    assert not (tmp_path / "elsewhere").exists()


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    texts = {str(n) * 10_000 for n in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_private(folder / "file", text), sorted(texts) * 4))
    assert (folder / "file").read_text() in texts
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_lock_is_private(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, {})._locked():
        assert stat.S_IMODE((tmp_path / "postgres.lock").stat().st_mode) == 0o600
