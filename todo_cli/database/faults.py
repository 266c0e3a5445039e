"""Translates a driver's errors into `TodoError`. No other module does.

An error is recognised by its SQLSTATE and text, not by its class: psycopg raises `OperationalError`
for a refused connection and for a deadlock, and has no SQLSTATE for errors while connecting.
`str(DBAPIError)` is never shown, since it holds SQL and parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError

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
    """Whether a retry may help, and how soon."""

    NEVER = "never"
    SOON = "soon"
    SLOWLY = "slowly"
    ONCE = "once"
    ONCE_SLOWLY = "once, slowly"


class TransientFault(Exception):
    """A fault that a retry may mend. `final` is raised when the retries are over.

    `is_stale` says that the connection was used before and may have died unnoticed, so a new one
    is tried without a pause. `is_unreached` says that no server accepted the connection, which is
    retried for a few seconds only.
    """

    def __init__(self, final: TodoError, retry: Retry, *, is_unreached: bool = False) -> None:
        super().__init__(final.message)
        self.final = final
        self.retry = retry
        self.is_unreached = is_unreached
        self.is_stale = False


@dataclass(frozen=True)
class Fault:
    """The meaning of an SQLSTATE or of an error's text."""

    retry: Retry
    error: type[TodoError]
    message: str
    hint: str | None = None
    reason: str | None = None
    is_unreached: bool = False


_UNREACHABLE = Fault(Retry.SOON, DatabaseUnreachable, "The database cannot be reached.")
_NOT_THERE = Fault(
    Retry.SOON,
    DatabaseUnreachable,
    "No database server accepts connections at the address of the URL.",
    "See that the server runs; check the host and the port in the URL.",
    is_unreached=True,
)
_NO_ROUTE = Fault(
    Retry.SOON,
    DatabaseUnreachable,
    "The database's host does not answer.",
    "Check the network; check the host and the port in the URL.",
    is_unreached=True,
)
_STARTING = Fault(Retry.SOON, DatabaseUnreachable, "The database is starting or stopping.")
_CUT = Fault(Retry.SOON, DatabaseUnreachable, "The connection to the database was cut.")
_BUSY = Fault(
    Retry.SLOWLY,
    DatabaseUnreachable,
    "The database takes no more connections now.",
    "Try again in a minute, or use the pooled host.",
)
_SCHEMA = Fault(Retry.NEVER, SchemaBehind, "The database's schema is missing or behind.")
_CONFLICT = Fault(Retry.SOON, DatabaseFault, "The statement collided with another one.")
_STALE_PLAN = Fault(
    Retry.ONCE,
    DatabaseFault,
    "A statement that was prepared on this connection is no longer valid.",
    "Run it again.",
)
_PASSWORD = Fault(
    Retry.NEVER,
    DatabaseLoginRefused,
    "The database refused the user name or password of its URL (not those of your account).",
    "Check the URL, also its host: Neon answers so for an endpoint that it does not know.",
)
_NO_ENDPOINT = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "Neon knows no such endpoint.",
    "Copy the URL again from the Neon console; the endpoint may have been deleted.",
)
_DISABLED = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The Neon endpoint is disabled.",
    "Enable it in the Neon console.",
)
_QUOTA = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The Neon project has used up its quota.",
    "Raise the plan or wait for the next period: see Billing in the Neon console.",
)
_TOO_MANY_ENDPOINTS = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The Neon project has too many active endpoints.",
    "Suspend another branch's compute in the Neon console, or raise the limit.",
)
_NOT_ALLOWED = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "Neon does not allow connections from this network.",
    "Add this machine's address to the project's IP Allow list in the Neon console.",
)
_INSECURE = Fault(
    Retry.NEVER,
    InvalidInput,
    "The database takes encrypted connections only.",
    "Add sslmode=require to the URL.",
)
_PARAMETER = Fault(
    Retry.NEVER,
    InvalidInput,
    "The URL has a start-up parameter that the pooler does not take.",
    "Leave `options` out of the URL, or use the host without -pooler.",
)
_NO_TLS = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The database offers no TLS, and without it a password could be read on the way.",
    "Have the server offer TLS, or reach it through a tunnel to this machine.",
)
_CERTIFICATE = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The database's certificate could not be verified.",
    "Check the host; for a private authority name its file with sslrootcert=….",
)
_NO_BINDING = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The server does not bind the password to TLS, which channel_binding=require demands.",
    "Something may stand between; if it is yours, leave channel_binding out of the URL.",
)
_CLEAR_PASSWORD = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The server asks for the password in clear text; it was not sent.",
    "If the server is meant to do so, add sslmode=verify-full&require_auth=password to the URL.",
)
_HASHED_PASSWORD = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The server asks for the password as an MD5 hash, which can be guessed; it was not sent.",
    "Set the role's password anew under password_encryption = 'scram-sha-256', or add "
    "require_auth=md5 to the URL.",
)
_NO_AUTHENTICATION = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The server asks for no password, so it has not shown that it is the right one.",
    "If it knows you by a certificate, add sslmode=verify-full; else require_auth=none to the URL.",
)
_OTHER_AUTHENTICATION = Fault(
    Retry.NEVER,
    DatabaseUnreachable,
    "The server asks for another kind of authentication than SCRAM.",
    "Name the kind in the URL, for example: require_auth=gss",
)
_SERVICE = Fault(
    Retry.NEVER,
    InvalidInput,
    "PGSERVICE names a service that is not defined.",
    "Unset PGSERVICE, and write host and database into the URL.",
)
NO_SUCH_DATABASE = Fault(
    Retry.NEVER, DatabaseUnreachable, "The server has no such user or database.", "Check the URL."
)
_TIMED_OUT = Fault(
    Retry.NEVER,
    DatabaseFault,
    "The database took too long and was interrupted.",
    "TODO_TIMEOUT sets how long to wait.",
)
_READ_ONLY = Fault(
    Retry.NEVER,
    RuleViolated,
    "The database can only be read: it is a replica, or set so.",
    "Use the URL of the primary.",
)

BY_TEXT: dict[str, Fault] = {
    # Final. These come first, since Neon wraps some of them in the text of a transient error.
    "password authentication failed": _PASSWORD,
    "sasl authentication failed": _PASSWORD,
    "no password supplied": _PASSWORD,
    "endpoint id is not specified": _NO_ENDPOINT,
    "inconsistent project name inferred from sni": _NO_ENDPOINT,
    "endpoint cannot be found": _NO_ENDPOINT,
    "requested endpoint could not be found": _NO_ENDPOINT,
    "endpoint is disabled": _DISABLED,
    "the endpoint has been disabled": _DISABLED,
    "exceeded the compute time quota": _QUOTA,
    "exceeded the data transfer quota": _QUOTA,
    "active endpoints limit exceeded": _TOO_MANY_ENDPOINTS,
    "exceeded the limit of concurrently active endpoints": _TOO_MANY_ENDPOINTS,
    "is not allowed to connect to this endpoint": _NOT_ALLOWED,
    "from a blocked network": _NOT_ALLOWED,
    "no pg_hba.conf entry": Fault(
        Retry.NEVER,
        DatabaseUnreachable,
        "The server does not let this user in from here.",
        "Ask its administrator for an entry in pg_hba.conf.",
    ),
    "connection is insecure (try using": _INSECURE,
    "unsupported startup parameter": _PARAMETER,
    "server does not support ssl": _NO_TLS,
    "certificate verify failed": _CERTIFICATE,
    "server certificate for": _CERTIFICATE,
    "root certificate": _CERTIFICATE,
    "certificate file": _CERTIFICATE,
    "private key file": _CERTIFICATE,
    "server requested a cleartext password": _CLEAR_PASSWORD,
    "server requested a hashed password": _HASHED_PASSWORD,
    "server did not complete authentication": _NO_AUTHENTICATION,
    "authentication method requirement": _OTHER_AUTHENTICATION,
    "auth method": _OTHER_AUTHENTICATION,
    "definition of service": _SERVICE,
    "service file": _SERVICE,
    "channel binding": _NO_BINDING,
    "does not exist": NO_SUCH_DATABASE,
    "no such database": NO_SUCH_DATABASE,
    "no such user": NO_SUCH_DATABASE,
    "is not permitted to log in": _PASSWORD,
    "invalid port number": Fault(
        Retry.NEVER, InvalidInput, "The database URL has an impossible port.", "Check the URL."
    ),
    'time zone "': Fault(
        Retry.NEVER,
        InvalidInput,
        "The database does not know this time zone.",
        "Give another name of it, for example: Europe/Berlin",
    ),
    "project size limit": Fault(
        Retry.NEVER,
        DatabaseFault,
        "The database's storage is full.",
        reason="storage_full",
    ),
    # Retried slowly.
    "too many connections attempts": _BUSY,
    "too many connections to this endpoint": _BUSY,
    "failed to acquire permit to connect to the database": _BUSY,
    "remaining connection slots are reserved": _BUSY,
    "too many clients already": _BUSY,
    "no more connections allowed": _BUSY,
    "query_wait_timeout": _BUSY,
    "endpoint is temporarily unavailable": Fault(
        Retry.ONCE_SLOWLY,
        DatabaseUnreachable,
        "The Neon endpoint is temporarily unavailable.",
        "Try again in a minute; see neonstatus.com.",
    ),
    # Retried soon.
    "control plane request failed": _UNREACHABLE,
    "couldn't connect to compute node": _UNREACHABLE,
    "authentication timed out": _UNREACHABLE,
    "connection timeout expired": Fault(
        Retry.SOON, DatabaseUnreachable, "The database did not answer in time."
    ),
    "the database system is": _STARTING,
    "server login has been failing": _STARTING,
    "client_login_timeout": _STARTING,
    "connection refused": _NOT_THERE,
    "no such file or directory": _NOT_THERE,
    "no route to host": _NO_ROUTE,
    "network is unreachable": _NO_ROUTE,
    "host is down": _NO_ROUTE,
    "did not accept the connection": _NO_ROUTE,
    "failed to resolve host": Fault(
        Retry.ONCE,
        DatabaseUnreachable,
        "The database's host name is not known.",
        "Check the network and the database URL.",
        is_unreached=True,
    ),
    "terminating connection": _CUT,
    "server closed the connection unexpectedly": _CUT,
    "ssl connection has been closed unexpectedly": _CUT,
    "ssl syscall error": _CUT,
    "unexpected eof": _CUT,
    "connection reset by peer": _CUT,
    "broken pipe": _CUT,
    "connection timed out": _CUT,
    "the connection is closed": _CUT,
    "the connection is lost": _CUT,
    "consuming input failed": _CUT,
    "server conn crashed": _CUT,
    "prepared statement": _STALE_PLAN,
    "cached plan must not change result type": _STALE_PLAN,
}
"""Parts of the messages of psycopg, libpq, PostgreSQL, PgBouncer and Neon's proxy, in lower case.
The first that matches decides. While connecting there is no SQLSTATE to go by: Neon's proxy sends
XX000 for every error, and psycopg passes on none."""

BY_SQLSTATE: dict[str, Fault] = {
    "57P01": _CUT,
    "57P02": _CUT,
    "57P03": _STARTING,
    "57P05": _CUT,
    "25P03": _CUT,
    "28P01": _PASSWORD,
    "3D000": NO_SUCH_DATABASE,
    "53300": _BUSY,
    "53200": Fault(Retry.SLOWLY, DatabaseFault, "The database ran out of memory."),
    "40001": _CONFLICT,
    "40P01": _CONFLICT,
    "55P03": Fault(
        Retry.SOON,
        DatabaseFault,
        "Somebody holds a lock that this has to wait for.",
        reason="locked",
    ),
    "26000": _STALE_PLAN,
    "42P05": _STALE_PLAN,
    "57014": _TIMED_OUT,
    "25006": _READ_ONLY,
    "3F000": _SCHEMA,
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42501": Fault(Retry.NEVER, RuleViolated, "The database does not allow that to this role."),
    "22021": Fault(Retry.NEVER, InvalidInput, "The text holds a character that cannot be stored."),
    "53100": BY_TEXT["project size limit"],
}

OUR_NAMES = ("todo_auth", "todo_app")
"""An undefined function (42883) or role (22023) means that the schema is behind only if the message
mentions one of these."""
_UNDEFINED_STATES = ("42883", "22023")

CONSTRAINTS: dict[str, str] = {
    "ck_tasks_title_not_empty": "The title is empty.",
    "ck_tasks_title_length": "The title is longer than 500 characters.",
    "ck_tasks_title_control_characters": "The title holds a control character.",
    "ck_tasks_description_length": "The description is longer than 20,000 characters.",
    "ck_tasks_description_control_characters": "The description holds a control character.",
    "ck_tasks_due_on": "The due day is not in the years 1 to 9999.",
    "ck_tasks_due_time": "A time of day needs a due day.",
    "ck_tasks_due_zone": "A time zone needs a time of day, and a name such as Europe/Berlin.",
    "ck_tasks_wait_on": "The day to wait for is not in the years 1 to 9999.",
    "ck_tasks_priority": "The priority is none of high, medium and low.",
    "ck_tasks_tags": "A task has at most 50 tags, of 50 characters each and 1,000 bytes together, "
    "without white space and commas.",
    "ck_tasks_project": "A project is a path such as house.garden, of at most 200 characters.",
    "ck_tasks_extra": "The further fields are no JSON object of at most 8,192 bytes.",
}
_INTEGRITY_CLASS = "23"
_CONNECTION_CLASS = "08"


@contextmanager
def translated() -> Iterator[None]:
    """Raise a driver's errors as `TodoError` or `TransientFault`."""
    try:
        yield
    except DBAPIError as error:
        raise translation(error.orig) from error
    except PendingRollbackError as error:
        # The connection was cut, and then the rollback failed. The cut is the error to report.
        cut = error.__context__
        if not isinstance(cut, DBAPIError):
            raise
        raise translation(cut.orig) from error
    except psycopg.Error as error:
        raise translation(error) from error


def translation(error: BaseException | None) -> Exception:
    """The `TodoError` or `TransientFault` for a driver's error."""
    fault = _fault_of(error)
    final = fault.error(fault.message, hint=fault.hint, reason=fault.reason)
    if fault.retry is Retry.NEVER:
        return final
    return TransientFault(final, fault.retry, is_unreached=fault.is_unreached)


def is_final(error: BaseException | None) -> bool:
    """Whether a retry cannot help."""
    return _fault_of(error).retry is Retry.NEVER


def _fault_of(error: BaseException | None) -> Fault:
    sqlstate = getattr(error, "sqlstate", None)
    text = str(error).lower()
    if sqlstate in BY_SQLSTATE:
        return BY_SQLSTATE[sqlstate]
    if sqlstate is not None and sqlstate.startswith(_INTEGRITY_CLASS):
        return _fault_of_constraint(error)
    if sqlstate in _UNDEFINED_STATES and any(name in text for name in OUR_NAMES):
        return _SCHEMA
    for fragment, fault in BY_TEXT.items():
        if fragment in text and (sqlstate is None or fault is not NO_SUCH_DATABASE):
            return fault
    if isinstance(error, psycopg.OperationalError) and (
        sqlstate is None or sqlstate.startswith(_CONNECTION_CLASS)
    ):
        return _UNREACHABLE
    return Fault(Retry.NEVER, DatabaseFault, "The database could not do that.")


def _fault_of_constraint(error: BaseException | None) -> Fault:
    constraint = getattr(getattr(error, "diag", None), "constraint_name", None) or ""
    sentence = CONSTRAINTS.get(constraint, "The database refused it by one of its rules.")
    return Fault(Retry.NEVER, RuleViolated, sentence)
