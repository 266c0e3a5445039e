"""The one place where a driver's error becomes a `TodoError`.

By SQLSTATE and text, not by class: psycopg raises `OperationalError` for a refused connection and
for a deadlock alike, and shows no SQLSTATE for what happens while connecting. `str(DBAPIError)`
is never shown, since it holds SQL and parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import psycopg
from sqlalchemy.exc import DBAPIError

from todo_cli.errors import (
    DatabaseFault,
    DatabaseLoginRefused,
    DatabaseUnreachable,
    InvalidInput,
    RuleViolated,
    SchemaBehind,
    TodoError,
)


class Retry(Enum):
    """Whether trying again may help, and how soon."""

    NEVER = "never"
    SOON = "soon"
    SLOWLY = "slowly"
    ONCE = "once"


class TransientFault(Exception):
    """A fault that trying again may mend. `final` is what to raise when it did not."""

    def __init__(self, final: TodoError, retry: Retry) -> None:
        super().__init__(final.message)
        self.final = final
        self.retry = retry


@dataclass(frozen=True)
class Fault:
    """What a text or an SQLSTATE means."""

    retry: Retry
    error: type[TodoError]
    message: str
    hint: str | None = None


_UNREACHABLE = Fault(Retry.SOON, DatabaseUnreachable, "The database cannot be reached.")
_CUT = Fault(Retry.SOON, DatabaseUnreachable, "The connection to the database was cut.")
_BUSY = Fault(
    Retry.SLOWLY,
    DatabaseUnreachable,
    "The database takes no more connections now.",
    "Try again in a minute, or use the pooled host.",
)
_SCHEMA = Fault(Retry.NEVER, SchemaBehind, "The database's schema is missing or behind.")
_CONFLICT = Fault(Retry.SOON, DatabaseFault, "The statement collided with another one.")

BY_TEXT: dict[str, Fault] = {
    "password authentication failed for user": Fault(
        Retry.NEVER,
        DatabaseLoginRefused,
        "The database refused the user name or password of its URL (not those of your account).",
        "Check the URL in the Neon console, or log in again: todo login --database-url …",
    ),
    "connection refused": _UNREACHABLE,
    "no such file or directory": _UNREACHABLE,
    "failed to resolve host": Fault(
        Retry.ONCE,
        DatabaseUnreachable,
        "The database's host name is not known.",
        "Check the network and the database URL.",
    ),
    "connection timeout expired": _UNREACHABLE,
    "server closed the connection unexpectedly": _CUT,
    "ssl connection has been closed unexpectedly": _CUT,
    "ssl syscall error": _CUT,
    "connection reset by peer": _CUT,
    "the connection is closed": _CUT,
    "the connection is lost": _CUT,
    "consuming input failed": _CUT,
    "remaining connection slots are reserved": _BUSY,
    "too many clients already": _BUSY,
}

BY_SQLSTATE: dict[str, Fault] = {
    "57P01": _CUT,
    "57P02": _CUT,
    "57P03": _UNREACHABLE,
    "53300": _BUSY,
    "40001": _CONFLICT,
    "40P01": _CONFLICT,
    "55P03": _CONFLICT,
    "57014": Fault(
        Retry.NEVER,
        DatabaseFault,
        "The database took too long and was interrupted.",
        "TODO_TIMEOUT sets how long to wait.",
    ),
    "3F000": _SCHEMA,
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42883": _SCHEMA,
    "42501": Fault(Retry.NEVER, RuleViolated, "The database does not allow that to you."),
    "22021": Fault(Retry.NEVER, InvalidInput, "The text holds a character that cannot be stored."),
    "22023": Fault(Retry.NEVER, InvalidInput, "The database refused a value of that form."),
    "53100": Fault(Retry.NEVER, DatabaseFault, "The database's storage is full."),
}

CONSTRAINTS: dict[str, str] = {
    "ck_tasks_title_not_empty": "The title is empty.",
    "ck_tasks_title_length": "The title is longer than 500 characters.",
    "ck_tasks_title_control_characters": "The title holds a control character.",
    "ck_tasks_description_length": "The description is longer than 20,000 characters.",
    "ck_tasks_description_control_characters": "The description holds a control character.",
}
_INTEGRITY_CLASS = "23"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises inside into a `TodoError` or a `TransientFault`."""
    try:
        yield
    except DBAPIError as error:
        raise translation(error.orig) from error
    except psycopg.Error as error:
        raise translation(error) from error


@contextmanager
def settled() -> Iterator[None]:
    """As `translated`, where nothing is tried again: what might pass is final too."""
    try:
        with translated():
            yield
    except TransientFault as fault:
        raise fault.final from fault


def translation(error: BaseException | None) -> Exception:
    """The `TodoError` or `TransientFault` that a driver's error stands for."""
    fault = _fault_of(error)
    final = fault.error(fault.message, hint=fault.hint)
    return final if fault.retry is Retry.NEVER else TransientFault(final, fault.retry)


def _fault_of(error: BaseException | None) -> Fault:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate in BY_SQLSTATE:
        return BY_SQLSTATE[sqlstate]
    if sqlstate is not None and sqlstate.startswith(_INTEGRITY_CLASS):
        constraint = getattr(getattr(error, "diag", None), "constraint_name", None) or ""
        sentence = CONSTRAINTS.get(constraint, "The database refused it by one of its rules.")
        return Fault(Retry.NEVER, RuleViolated, sentence)
    text = str(error).lower()
    for fragment, fault in BY_TEXT.items():
        if fragment in text:
            return fault
    if isinstance(error, psycopg.OperationalError) and sqlstate is None:
        return _UNREACHABLE
    return Fault(Retry.NEVER, DatabaseFault, "The database could not do that.")
