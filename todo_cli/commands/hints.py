"""What to type next: hints of the command line by the reason or code of an error or a check.

The modules below give hints that name no command, so that other front ends can use them. The
wording here may change. Codes and reasons may not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from todo_cli.errors import ExitCode, TodoError
from todo_cli.values import TaskQuery, TaskState, View

if TYPE_CHECKING:
    from todo_cli.admin.health import Check

HINTS = {
    # By reason, where one code has several.
    "task_in_trash": "Bring it back with: todo restore {number}",
    "seems_deleted": "See what is there with: todo list --all, todo list --trash",
    "nothing_to_undo": "See what was changed: todo history",
    "nothing_to_redo": "See what was changed: todo history",
    "deleted_for_good": "What was done before it can be seen, but not undone: todo history",
    "from_archive": "Move it to the trash instead: todo rm {number}",
    "changed_since": "See what changed it: todo history {number}",
    "now_archived": "Bring it back with: todo restore --archived {number}",
    "own_session": "End it with: todo logout",
    "invalid_credential": "Log in again: todo login",
    "not_a_task": (
        "Give its number, such as 12; several as 3,5,8 or as 3-5. See them with: todo list"
    ),
    "one_task_only": "Give one number, such as 12. See them with: todo list",
    "empty_title": "A title says what to do, such as: Buy milk",
    "no_title_left": "Put the title first. After -- all words are the title: todo q -- WORD…",
    "due_someday": "To hide it from the lists without a day: --wait someday",
    "invalid_address": "For example: --email you@example.org",
    "empty_name": 'For example: --name "Ada Lovelace"',
    "unexpected_answer": "Look for damage with: todo db health",
    "not_owner": "Use the URL of the role that ran: todo db upgrade",
    "role_exists": "Choose another name, or delete the role: todo db grant {name} --revoke",
    "no_such_role": "See the roles with: todo db grants",
    "invalid_role_name": "Use small letters, digits and underscores, such as: todo db grant ada",
    "impossible_migration": (
        "See the revisions with: todo db status. A newer program may have made this database."
    ),
    "storage_full": (
        "Delete tasks that are not needed (todo db purge, todo db archive), or make room on the"
        " disk; on Neon, raise the plan."
    ),
    "other_server_version": (
        "Set TODO_POSTGRES to the folder of the programs of PostgreSQL {version}. To move the "
        "tasks, back them up with these programs (todo db backup FILE), unset TODO_POSTGRES, and "
        "restore them in a new TODO_DATA_DIR (todo db restore FILE)."
    ),
    "locked": "See who holds the lock with: todo db inspect locks",
    # By the reason of a check of `todo db health`.
    "upgrade_repairs": "Bring it back with: todo db upgrade",
    "see_pending": "See what is pending: todo db status",
    "see_schema": "See the schema with: todo db schema --format sql",
    "see_plans": "See the plans with: todo db explain --plans",
    "seeded_data": "Delete it with: todo db cleanup",
    "inspect_tables": "See which tables autovacuum does not finish: todo db inspect tables",
    "inspect_long_running": "See the statement with: todo db inspect long-running",
    "inspect_connections": "See the connection with: todo db inspect connections",
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


_EXTRA_NUMBER = re.compile(r"(?<=^Got unexpected extra argument\(s\) \()\d+")


def hint_of_usage(command: str, message: str) -> str | None:
    """What to type instead of words that the parser refused, where a command has its own advice."""
    if command == "todo q" and message.startswith("No such option"):
        return (
            "Here attributes end the line: due:fri, wait:mon, p1, @tag, project:path. "
            "todo add takes options."
        )
    if command == "todo undo" and (number := _EXTRA_NUMBER.search(message)):
        one = number[0]
        return (
            f"todo undo takes back the last command. For one task: todo reopen {one}, "
            f"todo restore {one}"
        )
    if command == "todo edit" and message.startswith("Got unexpected extra"):
        return "Put a text or date of several words in quotes, such as: -D 'fri 5pm'"
    return None


def hint_of_check(check: Check) -> str | None:
    """What to do about a check's finding: its own hint, then the command line's."""
    hints = [check.hint, HINTS[check.reason] if check.reason else None]
    return "; ".join(filter(None, hints)) or None


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def nothing_found(query: TaskQuery) -> str:
    """The sentence for an empty list."""
    if query.view is not None:
        return {
            View.TODAY: "Nothing is due today.",
            View.UPCOMING: f"Nothing is due in {counted(query.days, 'day')}.",
            View.NEXT: "Nothing to do. Add a task with: todo add TITLE",
        }[query.view]
    if query.after is not None:
        return "No more tasks."
    if query.search or query.filter is not None:
        return "No tasks match."
    return {
        TaskState.PENDING: "Nothing to do. Add a task with: todo add TITLE",
        TaskState.DONE: "Nothing is done yet.",
        TaskState.ALL: "No tasks yet. Add one with: todo add TITLE",
        TaskState.TRASH: "The trash is empty.",
        TaskState.ARCHIVED: "The archive is empty.",
    }[query.state]
