"""Unlocks an account that too many wrong passwords have locked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from todo_cli.accounts import clean_email
from todo_cli.admin.connect import Connection

_UNLOCK: LiteralString = """
with account as (
    select id from public.users where email = %(email)s
),
failures as (
    select token_digest, address_digest from todo_auth.sign_in_attempts
    where failed and (
        address_digest = todo_auth.address_digest(%(email)s)
        or user_id in (select id from account)
    )
),
locked as (
    select from (select distinct address_digest from failures) as counted
    where todo_auth.door_closed_until(address_digest, '') is not null
),
gone as (
    delete from todo_auth.sign_in_attempts
    where token_digest in (select token_digest from failures)
    returning 1
)
select exists (select from account), exists (select from locked), (select count(*) from gone)
"""


@dataclass(frozen=True)
class Unlocked:
    """The result. An address without an account can be locked too."""

    email: str
    has_account: bool
    was_locked: bool
    failures: int


def unlock(connection: Connection, email: str) -> Unlocked:
    """Delete the failed attempts to log in to an account or to change its password.

    Raises:
        InvalidInput: this is not an e-mail address.
        TodoError: the database refused; nothing was changed.
    """
    address = clean_email(email)
    row = connection.execute(_UNLOCK, {"email": address}).fetchone()
    assert row is not None  # a select of three sub-selects
    return Unlocked(address, *row)
