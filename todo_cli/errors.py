"""The tree of expected errors. Each class has a stable code and an exit code.

    TodoError
    ├── Refused (1)
    │   ├── TaskNotFound         a reference fits no task of this user
    │   ├── AmbiguousTask        a reference fits several
    │   ├── EditConflict         somebody else changed the task meanwhile
    │   ├── CannotUndo           there is nothing to undo, or something has changed since
    │   ├── RuleViolated         the database refused by a constraint or a privilege
    │   ├── AddressTaken         the e-mail address has an account already
    │   ├── AccountNotFound      no account has the e-mail address
    │   ├── SessionNotFound      a reference fits no other session of this account
    │   ├── AmbiguousSession     a reference fits several
    │   ├── TokenFromEnvironment TODO_SESSION_TOKEN decides who is logged in
    │   ├── RoleRefused          a log-in role cannot be created or deleted
    │   ├── SchemaNewer          a newer program has changed the schema
    │   ├── ForeignSchema        the database has another program's tables
    │   ├── AnswerLost           the answer could not be written, as on a full disk
    │   └── DatabaseFault        the database failed, and a retry does not help
    ├── InvalidInput (2)         an invalid value; found before a statement is sent
    │   └── InvalidDraft         one of several drafts is not valid
    ├── DatabaseUnreachable (3)  after the retries
    │   └── EmbeddedServerError  the embedded server cannot be created or started
    ├── NotLoggedIn (4)
    │   ├── SessionEnded         the token is unknown, or its session has ended
    │   ├── WrongPassword        wrong e-mail or password of an account
    │   ├── TooManyFailures      the account is locked for a while
    │   ├── DatabaseLoginRefused wrong user name or password in the database's URL
    │   └── CredentialStoreError the keyring or the file cannot store or read the session
    └── SchemaBehind (5)

Any other exception is a bug. Messages are for people and never contain SQL, a password or a token.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of the contract."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_LOGGED_IN = 4
    SCHEMA_BEHIND = 5
    INTERRUPTED = 130


class ClosedPipe(Exception):
    """The reader closed the pipe. Not an error: the run ends. Typer would exit with 1."""


class TodoError(Exception):
    """An expected failure: a stable code, and one sentence that says what happened.

    `reason` is a stable word that tells the causes of one code apart. `data` has values for a front
    end's hint. `hint` says what to do, without naming a command, so that it fits every front end.
    The hints of the command line are in `commands/hints.py`.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(
        self, message: str, *, hint: str | None = None, reason: str | None = None, **data: object
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason
        self.data = data


class Refused(TodoError):
    code = "refused"


class TaskNotFound(Refused):
    code = "task_not_found"


class AmbiguousTask(Refused):
    code = "task_ambiguous"


class EditConflict(Refused):
    code = "edit_conflict"


class CannotUndo(Refused):
    code = "cannot_undo"


class RuleViolated(Refused):
    code = "rule_violated"


class DatabaseFault(Refused):
    code = "database_error"


class AddressTaken(Refused):
    code = "address_taken"


class AccountNotFound(Refused):
    code = "account_not_found"


class SessionNotFound(Refused):
    code = "session_not_found"


class AmbiguousSession(Refused):
    code = "session_ambiguous"


class TokenFromEnvironment(Refused):
    code = "token_from_environment"


class RoleRefused(Refused):
    code = "role_refused"


class SchemaNewer(Refused):
    code = "schema_newer"


class ForeignSchema(Refused):
    code = "foreign_schema"


class AnswerLost(Refused):
    code = "answer_lost"


class InvalidInput(TodoError):
    code = "invalid_input"
    exit_code = ExitCode.USAGE
    # Without a hint, the command line names the help of the typed command.


class InvalidDraft(InvalidInput):
    """One of several drafts is not valid. `position` is its index, from 0."""

    def __init__(self, error: InvalidInput, position: int) -> None:
        super().__init__(error.message, hint=error.hint, reason=error.reason, **error.data)
        self.position = position


class DatabaseUnreachable(TodoError):
    code = "database_unreachable"
    exit_code = ExitCode.UNREACHABLE


class EmbeddedServerError(DatabaseUnreachable):
    code = "embedded_server"


class NotLoggedIn(TodoError):
    code = "not_logged_in"
    exit_code = ExitCode.NOT_LOGGED_IN


class SessionEnded(NotLoggedIn):
    pass


class WrongPassword(NotLoggedIn):
    code = "wrong_password"


class TooManyFailures(NotLoggedIn):
    code = "too_many_failures"


class DatabaseLoginRefused(NotLoggedIn):
    code = "database_login_refused"


class CredentialStoreError(NotLoggedIn):
    code = "credential_store"


class SchemaBehind(TodoError):
    code = "schema_behind"
    exit_code = ExitCode.SCHEMA_BEHIND
