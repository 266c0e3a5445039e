"""What each of Neon's, PostgreSQL's and PgBouncer's errors means here: one table, one test."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from todo_cli.commands.hints import hint_of
from todo_cli.database.faults import (
    BY_SQLSTATE,
    BY_TEXT,
    Retry,
    TransientFault,
    is_final,
    translated,
    translation,
)
from todo_cli.errors import ExitCode, NotLoggedIn, RuleViolated, SchemaBehind, TodoError

NEVER, SOON, SLOWLY = Retry.NEVER, Retry.SOON, Retry.SLOWLY

AT_CONNECT = [
    # For good
    ("password authentication failed for user 'neondb_owner'", NEVER, 4),
    ("Endpoint ID is not specified. Either please upgrade …", NEVER, 3),
    ("Inconsistent project name inferred from SNI ('a') and project option ('b').", NEVER, 3),
    ("The endpoint cannot be found", NEVER, 3),
    ("The requested endpoint could not be found, or you don't have access to it", NEVER, 3),
    ("endpoint is disabled", NEVER, 3),
    ("The endpoint has been disabled. Enable it using Neon API and retry.", NEVER, 3),
    ("Your account or project has exceeded the compute time quota.", NEVER, 3),
    ("Your project has exceeded the data transfer quota.", NEVER, 3),
    ("active endpoints limit exceeded", NEVER, 3),
    ("You have exceeded the limit of concurrently active endpoints.", NEVER, 3),
    ("This IP address 192.0.2.1 is not allowed to connect to this endpoint.", NEVER, 3),
    ("This connection is trying to access this endpoint from a blocked network.", NEVER, 3),
    ("connection is insecure (try using `sslmode=require`)", NEVER, 2),
    ("unsupported startup parameter: options", NEVER, 2),
    ("Control plane request failed: endpoint is disabled", NEVER, 3),
    ("server does not support SSL, but SSL was required", NEVER, 3),
    ("SSL error: certificate verify failed", NEVER, 3),
    ('server certificate for "a" does not match host name "b"', NEVER, 3),
    ('root certificate file "/nowhere" does not exist', NEVER, 3),
    ("channel binding required but not supported by server's authentication request", NEVER, 3),
    ('database "nowhere" does not exist', NEVER, 3),
    ('could not open certificate file "/nowhere": No such file or directory', NEVER, 3),
    ("no such database: nowhere", NEVER, 3),
    ('no pg_hba.conf entry for host "192.0.2.1"', NEVER, 3),
    ("fe_sendauth: no password supplied", NEVER, 4),
    ('invalid port number: "x"', NEVER, 2),
    # Soon
    ("Control plane request failed", SOON, 3),
    ("Couldn't connect to compute node", SOON, 3),
    ("Authentication timed out", SOON, 3),
    ("connection timeout expired", SOON, 3),
    ("server closed the connection unexpectedly", SOON, 3),
    ("SSL connection has been closed unexpectedly", SOON, 3),
    ("SSL SYSCALL error: EOF detected", SOON, 3),
    ("Connection refused", SOON, 3),
    ("Connection reset by peer", SOON, 3),
    ("the database system is starting up", SOON, 3),
    ("failed to resolve host 'ep-x.neon.tech': Name or service not known", Retry.ONCE, 3),
    ("something that nobody has seen yet", SOON, 3),
    # Slowly
    ("Too many connections attempts, please try again later", SLOWLY, 3),
    ("Too many connections to this endpoint", SLOWLY, 3),
    ("Failed to acquire permit to connect to the database. Too many …", SLOWLY, 3),
    ("remaining connection slots are reserved for roles with the SUPERUSER attribute", SLOWLY, 3),
    ("sorry, too many clients already", SLOWLY, 3),
    ("endpoint is temporarily unavailable. Check your quotas …", Retry.ONCE_SLOWLY, 3),
]

IN_A_SESSION = [
    (errors.AdminShutdown("terminating connection due to administrator command"), SOON, 3),
    (errors.CrashShutdown(""), SOON, 3),
    (errors.CannotConnectNow(""), SOON, 3),
    (errors.IdleInTransactionSessionTimeout(""), SOON, 3),
    (errors.IdleSessionTimeout(""), SOON, 3),
    (psycopg.OperationalError("the connection is closed"), SOON, 3),
    (psycopg.OperationalError("the connection is lost"), SOON, 3),
    (psycopg.OperationalError("consuming input failed: SSL SYSCALL error: EOF"), SOON, 3),
    (psycopg.OperationalError("SSL connection has been closed unexpectedly"), SOON, 3),
    (errors.TooManyConnections(""), SLOWLY, 3),
    (errors.ProtocolViolation("query_wait_timeout"), SLOWLY, 3),
    (errors.ProtocolViolation("server conn crashed?"), SOON, 3),
    (errors.InvalidSqlStatementName("prepared statement does not exist"), Retry.ONCE, 1),
    (errors.DuplicatePreparedStatement("prepared statement already exists"), Retry.ONCE, 1),
    (errors.FeatureNotSupported("cached plan must not change result type"), Retry.ONCE, 1),
    (errors.FeatureNotSupported("something else"), NEVER, 1),
    (errors.SerializationFailure(""), SOON, 1),
    (errors.DeadlockDetected(""), SOON, 1),
    (errors.LockNotAvailable(""), SOON, 1),
    (errors.QueryCanceled("canceling statement due to statement timeout"), NEVER, 1),
    (errors.DiskFull("could not extend file because project size limit (512 MB) …"), NEVER, 1),
    (errors.ReadOnlySqlTransaction("cannot execute UPDATE"), NEVER, 1),
    (errors.InsufficientPrivilege(""), NEVER, 1),
    (errors.InternalError_("neon: could not read block"), NEVER, 1),
    (errors.UndefinedTable('relation "tasks" does not exist'), NEVER, 5),
    (errors.UndefinedColumn("column tasks.number does not exist"), NEVER, 5),
    (errors.InvalidSchemaName('schema "todo_auth" does not exist'), NEVER, 5),
    (errors.UndefinedFunction("function todo_auth.resume_session() does not exist"), NEVER, 5),
    (errors.InvalidParameterValue('role "todo_app" does not exist'), NEVER, 5),
    (errors.UndefinedFunction("function uuidv7() does not exist"), NEVER, 1),
    (errors.InvalidParameterValue("time zone not recognized"), NEVER, 1),
]


def meaning(error: psycopg.Error) -> tuple[Retry, int, TodoError]:
    fault = translation(error)
    if isinstance(fault, TransientFault):
        return fault.retry, fault.final.exit_code, fault.final
    assert isinstance(fault, TodoError)
    return NEVER, fault.exit_code, fault


@pytest.mark.parametrize(("text", "retry", "exit_code"), AT_CONNECT, ids=lambda v: str(v)[:40])
def test_a_text_at_connect(text: str, retry: Retry, exit_code: int) -> None:
    # As psycopg puts it, and without an SQLSTATE, which it does not show here.
    told = (
        f'connection failed: connection to server at "192.0.2.1", port 5432 failed: ERROR:  {text}'
    )
    error = psycopg.OperationalError(told)
    found_retry, found_exit_code, final = meaning(error)
    assert (found_retry, found_exit_code) == (retry, exit_code)
    assert is_final(error) == (retry is NEVER)
    assert final.message.endswith(".") and final.message.count("\n") == 0
    hint = hint_of(final, command="todo list")
    assert hint
    assert "192.0.2.1" not in final.message + hint


@pytest.mark.parametrize(
    ("error", "retry", "exit_code"), IN_A_SESSION, ids=lambda v: f"{type(v).__name__} {v}"[:50]
)
def test_an_error_in_a_session(error: psycopg.Error, retry: Retry, exit_code: int) -> None:
    found_retry, found_exit_code, final = meaning(error)
    assert (found_retry, found_exit_code) == (retry, exit_code)
    assert final.message.endswith(".")


def test_every_known_text_is_in_small_letters_and_every_hint_is_a_sentence_of_its_own() -> None:
    for text, fault in BY_TEXT.items():
        assert text == text.lower()
        assert fault.message.endswith("."), text
    assert all(len(sqlstate) == 5 for sqlstate in BY_SQLSTATE)


def test_a_final_text_is_looked_for_before_one_that_passes() -> None:
    retries = [fault.retry is NEVER for fault in BY_TEXT.values()]
    assert retries == sorted(retries, reverse=True)


def test_a_schema_that_is_behind_names_the_command() -> None:
    _, exit_code, final = meaning(errors.UndefinedTable('relation "tasks" does not exist'))
    assert exit_code == ExitCode.SCHEMA_BEHIND
    assert isinstance(final, SchemaBehind)
    assert hint_of(final, command="todo list") == "Run: todo db upgrade"


def test_neither_sql_nor_parameters_are_told() -> None:
    original = errors.CheckViolation("row (secret) violates check constraint")
    wrapped = DBAPIError("select 'secret'", {"p": "secret"}, original)
    with pytest.raises(RuleViolated) as raised, translated():
        raise wrapped
    assert "secret" not in f"{raised.value.message}{raised.value.hint}"


def test_a_wrong_password_is_told_as_one() -> None:
    error = psycopg.OperationalError("FATAL:  password authentication failed for user")
    assert isinstance(translation(error), NotLoggedIn)


def test_what_cannot_be_cleaned_up_after_a_cut_is_the_cut() -> None:
    """SQLAlchemy raises this from a block that wants its transaction back."""
    cut = psycopg.OperationalError("SSL connection has been closed unexpectedly")

    def run() -> None:
        try:
            raise DBAPIError("select 1", {}, cut)
        finally:
            raise PendingRollbackError("Can't reconnect until …")

    with pytest.raises(TransientFault), translated():
        run()


def test_a_transaction_left_open_without_a_cut_is_a_bug() -> None:
    with pytest.raises(PendingRollbackError), translated():
        raise PendingRollbackError("Can't reconnect until …")
