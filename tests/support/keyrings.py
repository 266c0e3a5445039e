"""Keyrings of every kind that a machine may have, as backends of the library `keyring`."""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, KeyringLocked


class WorkingKeyring(KeyringBackend):
    """Keeps what it is given, in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library types no constructor
        self.held: dict[tuple[str, str], str] = {}
        self.lookups = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.lookups += 1
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


class FailingKeyring(WorkingKeyring):
    """Breaks in its own words, which hold what it was given."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringError(f"broken while reading {username}")


class FailsWhenWriting(WorkingKeyring):
    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot write {password}")


class LockedKeyring(WorkingKeyring):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the user said no")


class HangingKeyring(WorkingKeyring):
    """Waits for somebody to unlock it, who is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.released.wait(60)
        return None


class ForgetfulKeyring(WorkingKeyring):
    """Takes everything and keeps nothing, as the library's `null` backend."""

    def set_password(self, service: str, username: str, password: str) -> None:
        return
