"""Accounts and sessions, in the formats of Better Auth, the web application's library.

The functions of schema `todo_auth` check credentials and make sessions. This module does what the
database cannot: it derives keys with scrypt, generates tokens, and validates addresses before they
are sent. No password leaves this module; the database gets a key derived from it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import unicodedata
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any
from uuid import UUID

from todo_cli.database.session import Call, only
from todo_cli.errors import (
    AddressTaken,
    AmbiguousSession,
    DatabaseFault,
    InvalidInput,
    NotLoggedIn,
    SessionNotFound,
    TooManyFailures,
    WrongPassword,
)
from todo_cli.values import Account, AccountSession, printable

if TYPE_CHECKING:
    from todo_cli.database.session import Database

SCRYPT = {"n": 16_384, "r": 16, "p": 1, "dklen": 64, "maxmem": 64 * 1024 * 1024}
"""Better Auth's parameters. They need OpenSSL's default limit of 32 MiB and more: hence maxmem."""

PASSWORD_LENGTHS = range(8, 129)
"""In UTF-16 code units before normalising, as JavaScript counts them."""

EMAIL = re.compile(
    r"(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]"
    r"@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}"
)
MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 200

TOKEN_ALPHABET = string.ascii_letters + string.digits
TOKEN_LENGTH = 43
"""256 random bits in Better Auth's alphabet; its own tokens have 32 characters."""

_SCHEMA = Call(
    "select 'todo_auth.sign_up'::regproc, 'todo_auth.finish_sign_in'::regproc,"
    " 'todo_auth.change_password'::regproc"
)
_SALT = Call(
    "select a.email, todo_auth.password_salt(a.email) as salt from todo_auth.own_account() as a"
)
_SALT_OF = "select todo_auth.password_salt(%(email)s) as salt"
_ATTEMPT = "select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)"
_ATTEMPT_CHANGE = "select todo_auth.attempt_password_change(%(key)s, %(token)s)"
_FINISH = "select * from todo_auth.finish_sign_in(%(token)s, %(user_agent)s)"
_CHANGE = "select * from todo_auth.change_password(%(token)s, %(hash)s)"
_SIGN_UP = (
    "select * from todo_auth.sign_up(%(email)s, %(name)s, %(hash)s, %(token)s, %(user_agent)s)"
)


class Accounts:
    """The accounts of one database, with the rights of its session token, which may be missing.

    Every method may also raise what `Database.call` raises.
    """

    def __init__(self, database: Database, *, user_agent: str) -> None:
        self._database = database
        self._user_agent = user_agent

    def require_schema(self) -> None:
        """Check that the database has the functions that the methods below call. One round trip.

        Raises:
            SchemaBehind: the schema is missing or too old.
        """
        self._database.call(_SCHEMA, as_nobody=True)

    def register(self, email: str, name: str, password: str) -> tuple[Account, str]:
        """Make an account and log it in; return it and its session token. One round trip.

        Raises:
            InvalidInput: the address, the name or the password is not valid.
            AddressTaken: an account has the address already.
        """
        token = new_token()
        values = {
            "email": clean_email(email),
            "name": clean_name(name),
            "hash": hash_password(clean_password(password)),
            "token": token,
            "user_agent": self._user_agent,
        }
        rows = self._database.call(Call(_SIGN_UP, values), as_nobody=True, writes=True)
        if not rows:
            raise AddressTaken("There is an account with that e-mail address already.")
        return _account(rows[0]), token

    def log_in(self, email: str, password: str) -> tuple[Account, str]:
        """Log in to an account; return it and its session token.

        Success and failure both take two round trips.

        Raises:
            WrongPassword: there is no such account, or the password is wrong. The error does not
                tell which.
            TooManyFailures: ten within 15 minutes, for an address with an account or without.
        """
        email = clean_email(email)
        salt = only(self._database.call(Call(_SALT_OF, {"email": email}), as_nobody=True))["salt"]
        token = new_token()
        attempt = _attempt(email, password, salt, token)
        finish = Call(_FINISH, {"token": token, "user_agent": self._user_agent})
        row = _require_success(self._database.call(attempt, finish, as_nobody=True))
        if row["user_id"] is None:
            raise NotLoggedIn("The session was ended as soon as it was made.")
        return _account(row), token

    def current(self) -> Account:
        """The account that is logged in, and when its session ends.

        Raises:
            NotLoggedIn: nobody is logged in.
        """
        rows = self._database.call(Call("select * from todo_auth.own_account()"))
        return _account(only(rows))

    def sessions(self) -> list[AccountSession]:
        """The sessions of the account, newest first, without their tokens."""
        rows = self._database.call(Call("select * from todo_auth.own_sessions()"))
        return [AccountSession(**row) for row in rows]

    def revoke(self, ref: str) -> AccountSession:
        """End another session of the account, named by its id or the beginning of it.

        Raises:
            SessionNotFound: no session fits, or only the current one.
            AmbiguousSession: several fit.
        """
        fitting = [one for one in self.sessions() if str(one.id).startswith(ref.lower())]
        if not ref or not fitting:
            raise SessionNotFound(f"No session {printable(ref)}.")
        if len(fitting) > 1:
            raise AmbiguousSession(f"{printable(ref)} fits {len(fitting)} sessions.")
        if fitting[0].is_current:
            raise SessionNotFound("That is this session.", reason="own_session")
        call = Call("select todo_auth.revoke_session(%(id)s)", {"id": fitting[0].id})
        self._database.call(call, writes=True)
        return fitting[0]

    def log_out(self) -> None:
        """End the current session in the database."""
        self._database.call(Call("select todo_auth.sign_out()"), writes=True)

    def log_out_everywhere(self) -> int:
        """End every session of the account; return how many there were."""
        call = Call("select todo_auth.sign_out_everywhere() as count")
        rows = self._database.call(call, writes=True)
        return int(only(rows)["count"])

    def change_password(self, current: str, new: str) -> None:
        """Change the password and end the account's other sessions. Two round trips.

        Failures count for this session alone, so that nobody else can lock it.

        Raises:
            InvalidInput: the new password is not valid.
            WrongPassword: the current password is wrong; nothing was changed.
            TooManyFailures: ten within 15 minutes in this session; nothing was changed.
        """
        new_hash = hash_password(clean_password(new))
        own = only(self._database.call(_SALT))
        token = new_token()
        key = _key(current, own["salt"])
        attempt = Call(_ATTEMPT_CHANGE, {"key": key, "token": token})
        change = Call(_CHANGE, {"token": token, "hash": new_hash})
        _require_success(
            self._database.call(attempt, change, writes=True),
            wrong="The current password is wrong.",
            locked="Too many wrong passwords in this session: it cannot change the password",
        )


def hash_password(password: str, *, salt: str | None = None) -> str:
    """The value of `accounts.password`: `<32 hex digits of salt>:<128 hex digits of key>`."""
    salt = salt or secrets.token_hex(16)
    return f"{salt}:{derive_key(password, salt)}"


def derive_key(password: str, salt: str) -> str:
    """The scrypt key of a password. The salt is the 32 hex digits as text, not the bytes they
    stand for, as in Better Auth."""
    normalised = unicodedata.normalize("NFKC", password).encode()
    return hashlib.scrypt(normalised, salt=salt.encode("ascii"), **SCRYPT).hex()


def new_token() -> str:
    return "".join(secrets.choice(TOKEN_ALPHABET) for _ in range(TOKEN_LENGTH))


def clean_email(text: str) -> str:
    """An address as it is stored: in lower case, not trimmed.

    Raises:
        InvalidInput: it is not valid, by the same rules as in the web application.
    """
    if len(text) > MAX_EMAIL_LENGTH or not EMAIL.fullmatch(text):
        raise InvalidInput("That is not an e-mail address.", reason="invalid_address")
    return text.lower()


def clean_name(text: str) -> str:
    """A person's name with white space folded, 1 to 200 characters.

    Raises:
        InvalidInput: it is empty, too long, or has a character that cannot be printed.
    """
    name = " ".join(text.split())
    if not name:
        raise InvalidInput("The name is empty.", reason="empty_name")
    if len(name) > MAX_NAME_LENGTH or printable(name) != name:
        raise InvalidInput("The name is too long, or holds a control character.")
    return name


def clean_password(text: str) -> str:
    """A new password, unchanged. Its length is checked as the web application does.

    Raises:
        InvalidInput: it is too short, too long, or not valid UTF-8. The message does not hold it.
    """
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError as error:
        raise InvalidInput("The password is not valid UTF-8.") from error
    if units not in PASSWORD_LENGTHS:
        shortest, longest = PASSWORD_LENGTHS[0], PASSWORD_LENGTHS[-1]
        raise InvalidInput(f"A password has {shortest} to {longest} characters.")
    return text


def _attempt(email: str, password: str, salt: str, token: str) -> Call:
    return Call(_ATTEMPT, {"email": email, "key": _key(password, salt), "token": token})


def _key(password: str, salt: str) -> str:
    try:
        return derive_key(password, salt)
    except UnicodeEncodeError as error:
        raise InvalidInput("The password is not valid UTF-8.") from error


def _require_success(
    rows: list[dict[str, Any]],
    *,
    wrong: str = "Wrong e-mail or password.",
    locked: str = "Too many wrong passwords for that address: it is closed",
) -> dict[str, Any]:
    """The row of an attempt's outcome, if it was a success; `wrong` and `locked` are messages."""
    if not rows:
        raise DatabaseFault("The database lost the attempt.", hint="Try again.")
    row = rows[0]
    if row["outcome"] == "wrong":
        raise WrongPassword(wrong)
    if row["outcome"] == "closed":
        until = row["retry_at"]
        when = f"until {until.astimezone(UTC):%H:%M} UTC" if until else "for 15 minutes"
        raise TooManyFailures(f"{locked} {when}.")
    return row


def _account(row: Mapping[str, Any]) -> Account:
    user_id: UUID = row["user_id"]
    return Account(user_id, row["email"], row["name"], row["expires_at"])
