"""Accounts and sessions, in the formats of Better Auth, the web application's library.

The database decides who may come in, by the functions of schema `todo_auth`. What is here is what
it cannot do: derive a key with scrypt, draw a token, and know the rules of an address before
asking. No password leaves this module; what is sent is a key derived from it.
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
"""Better Auth's parameters. It needs 32 MiB, which is just OpenSSL's own limit: hence maxmem."""

PASSWORD_LENGTHS = range(8, 129)
"""Counted as JavaScript counts: in UTF-16 units, before normalising."""

EMAIL = re.compile(
    r"(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]"
    r"@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}"
)
EMAIL_MAX_LENGTH = 254
NAME_MAX_LENGTH = 200

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
    """The accounts of one database, seen by whoever its session token says (or by nobody).

    Every method may raise what `Database.call` raises, and then has changed nothing.
    """

    def __init__(self, database: Database, *, user_agent: str) -> None:
        self._database = database
        self._user_agent = user_agent

    def require_schema(self) -> None:
        """See that the database is there and has what the methods below call. One round trip.

        Raises:
            SchemaBehind: the schema is missing or too old.
        """
        self._database.call(_SCHEMA, as_nobody=True)

    def register(self, email: str, name: str, password: str) -> tuple[Account, str]:
        """Make an account and log it in; answer it and its session token. One round trip.

        Raises:
            InvalidInput: the address, the name or the password cannot be one.
            AddressTaken: there is such an account.
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
        """Make a session for an account; answer both. Two round trips, whatever comes of it.

        Raises:
            WrongPassword: no such account, or not its password: it is not said which.
            TooManyFailures: ten within 15 minutes, for an address with an account or without.
        """
        email = clean_email(email)
        salt = only(self._database.call(Call(_SALT_OF, {"email": email}), as_nobody=True))["salt"]
        token = new_token()
        attempt = _attempt(email, password, salt, token)
        finish = Call(_FINISH, {"token": token, "user_agent": self._user_agent})
        row = _settled(self._database.call(attempt, finish, as_nobody=True))
        if row["user_id"] is None:
            raise NotLoggedIn("The session was ended as soon as it was made.")
        return _account(row), token

    def current(self) -> Account:
        """Who is logged in, and until when.

        Raises:
            NotLoggedIn: nobody is.
        """
        rows = self._database.call(Call("select * from todo_auth.own_account()"))
        return _account(only(rows))

    def sessions(self) -> list[AccountSession]:
        """The sessions of whoever is logged in, newest first; none holds its token."""
        rows = self._database.call(Call("select * from todo_auth.own_sessions()"))
        return [AccountSession(**row) for row in rows]

    def revoke(self, ref: str) -> AccountSession:
        """End another session of the account, given by its id or the beginning of it.

        Raises:
            SessionNotFound: no other session fits; or it is the current one.
            AmbiguousSession: several do.
        """
        fitting = [one for one in self.sessions() if str(one.id).startswith(ref.lower())]
        if not ref or not fitting:
            raise SessionNotFound(f"No session {printable(ref)}.")
        if len(fitting) > 1:
            raise AmbiguousSession(f"{printable(ref)} fits {len(fitting)} sessions.")
        if fitting[0].is_current:
            raise SessionNotFound("That is this session.", hint="End it with: todo logout")
        call = Call("select todo_auth.revoke_session(%(id)s)", {"id": fitting[0].id})
        self._database.call(call, writes=True)
        return fitting[0]

    def log_out(self) -> None:
        """End the current session in the database."""
        self._database.call(Call("select todo_auth.sign_out()"), writes=True)

    def log_out_everywhere(self) -> int:
        """End every session of the account; answer how many."""
        call = Call("select todo_auth.sign_out_everywhere() as count")
        rows = self._database.call(call, writes=True)
        return int(only(rows)["count"])

    def change_password(self, current: str, new: str) -> None:
        """Change the password and end the account's other sessions. Two round trips.

        Failures are counted for this session alone, so that nobody else can use them up.

        Raises:
            InvalidInput: the new password cannot be one.
            WrongPassword: nothing was changed.
            TooManyFailures: ten within 15 minutes in this session; nothing was changed.
        """
        new_hash = hash_password(clean_password(new))
        own = only(self._database.call(_SALT))
        token = new_token()
        key = _key(current, own["salt"])
        attempt = Call(_ATTEMPT_CHANGE, {"key": key, "token": token})
        change = Call(_CHANGE, {"token": token, "hash": new_hash})
        _settled(
            self._database.call(attempt, change, writes=True),
            wrong="The current password is wrong.",
            closed="Too many wrong passwords in this session: it cannot change the password",
        )


def hash_password(password: str, *, salt: str | None = None) -> str:
    """What `accounts.password` holds: `<32 hex salt>:<128 hex key>`."""
    salt = salt or secrets.token_hex(16)
    return f"{salt}:{derive_key(password, salt)}"


def derive_key(password: str, salt: str) -> str:
    """The key of a password. The salt is the 32 characters themselves, not what they spell."""
    normalised = unicodedata.normalize("NFKC", password).encode()
    return hashlib.scrypt(normalised, salt=salt.encode("ascii"), **SCRYPT).hex()


def new_token() -> str:
    return "".join(secrets.choice(TOKEN_ALPHABET) for _ in range(TOKEN_LENGTH))


def clean_email(text: str) -> str:
    """An address as it is stored: in lower case, not trimmed.

    Raises:
        InvalidInput: the web application would not take it either.
    """
    if len(text) > EMAIL_MAX_LENGTH or not EMAIL.fullmatch(text):
        raise InvalidInput(
            "That is not an e-mail address.", hint="For example: --email you@example.org"
        )
    return text.lower()


def clean_name(text: str) -> str:
    """A person's name with white space folded, 1 to 200 characters.

    Raises:
        InvalidInput: empty, too long, or holding what cannot be printed.
    """
    name = " ".join(text.split())
    if not name:
        raise InvalidInput("The name is empty.", hint='For example: --name "Ada Lovelace"')
    if len(name) > NAME_MAX_LENGTH or printable(name) != name:
        raise InvalidInput("The name is too long, or holds a control character.")
    return name


def clean_password(text: str) -> str:
    """A new password, 8 to 128 characters as the web application counts them.

    Raises:
        InvalidInput: too short, too long, or not valid UTF-8. The message never holds it.
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


def _settled(
    rows: list[dict[str, Any]],
    *,
    wrong: str = "Wrong e-mail or password.",
    closed: str = "Too many wrong passwords for that address: it is closed",
) -> dict[str, Any]:
    """What the database told of an attempt, if it was right."""
    if not rows:
        raise DatabaseFault("The database lost the attempt.", hint="Try again.")
    row = rows[0]
    if row["outcome"] == "wrong":
        raise WrongPassword(wrong)
    if row["outcome"] == "closed":
        until = row["retry_at"]
        when = f"until {until.astimezone(UTC):%H:%M} UTC" if until else "for 15 minutes"
        raise TooManyFailures(f"{closed} {when}.")
    return row


def _account(row: Mapping[str, Any]) -> Account:
    user_id: UUID = row["user_id"]
    return Account(user_id, row["email"], row["name"], row["expires_at"])
