"""What to type next after an error: the command line's answer to an error's code.

An error carries a hint of its own only where it names no command; every other front end says its
own. The wording may change, the codes may not.
"""

from __future__ import annotations

from todo_cli.errors import ExitCode, TodoError

HINTS = {
    # By reason, where one code has several.
    "task_in_trash": "Bring it back with: todo restore {number}",
    "seems_deleted": "See what is there with: todo list --all, todo list --trash",
    "own_session": "End it with: todo logout",
    "invalid_credential": "Log in again: todo login",
    "not_a_task": (
        "Give its number, such as 12; several as 3,5,8 or as 3-5. See them with: todo list"
    ),
    "one_task_only": "Give one number, such as 12. See them with: todo list",
    "empty_title": "A title says what to do, such as: Buy milk",
    "invalid_address": "For example: --email you@example.org",
    "empty_name": 'For example: --name "Ada Lovelace"',
    "unexpected_answer": "Look for damage with: todo db health",
    # By code.
    "task_not_found": "See the numbers with: todo list --all",
    "task_ambiguous": "Give the number of the one you mean.",
    "edit_conflict": "Look at it with todo show, then edit again.",
    "database_error": "Run it again with --debug for the details, or look with: todo db health",
    "address_taken": "Log in with: todo login",
    "account_not_found": "Look for a mistake in the address.",
    "session_not_found": "See them with: todo sessions",
    "session_ambiguous": "Use more of its id.",
    "token_from_environment": "Unset TODO_SESSION_TOKEN first.",
    "schema_newer": "Upgrade this program: pip install --upgrade todo-neon",
    "foreign_schema": "Give todo a database of its own, and name it with --database-url",
    "answer_lost": "The command itself was carried out: look before you repeat it.",
    "database_unreachable": (
        "Check the network and the database URL; TODO_TIMEOUT sets how long to wait."
    ),
    "embedded_server": "Set TODO_DATABASE_URL to use another database.",
    "not_logged_in": "Log in with: todo login",
    "wrong_password": "Try again, or make an account with: todo register",
    "too_many_failures": (
        "The right password is refused as well until then. An administrator can end that "
        "with: todo db unlock E-MAIL"
    ),
    "database_login_refused": (
        "This is not about your account: check the user and password in the URL."
    ),
    "credential_store": (
        "Unlock or start the keyring and try again, or keep the session in a file that "
        "only you can read: {login} --credential-store=file"
    ),
    "schema_behind": "Run: todo db upgrade",
}


def hint_of(error: TodoError, *, command: str) -> str | None:
    """What to type after an error of a command, given as it was typed, without its arguments."""
    if error.hint is not None:
        return error.hint
    template = HINTS.get(error.reason or "") or HINTS.get(error.code)
    if template is not None:
        login = command if command == "todo register" else "todo login"
        return template.format(login=login, **error.data)
    return f"See: {command} --help" if error.exit_code == ExitCode.USAGE else None
