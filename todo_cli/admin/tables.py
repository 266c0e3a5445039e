"""The one list of this program's tables: their row-level security, privileges and triggers.

`todo_cli/models.py` has the columns. Migrations are frozen and do not read this list. A test
compares their result with it, in both directions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from todo_cli.values import WRITTEN_COLUMNS

_PACKAGE = Path(__file__).resolve().parent.parent


def _newest_revision() -> str:
    """The newest revision of `migrations/`, by the files' names: Alembic takes long to import."""
    for folder in (_PACKAGE, _PACKAGE.parent):  # an installed package, a checkout
        if (versions := folder / "migrations" / "versions").is_dir():
            return max(name[:4] for name in os.listdir(versions) if name[:4].isdigit())
    raise FileNotFoundError("The migrations are missing.")


SCHEMA_HEAD = _newest_revision()

COMMON_STATISTICS = {"user_id": 1, "deleted_at": 1}
"""Statistics targets of columns with these names, in every table: the planner may know their
number of values."""


class RowSecurity(Enum):
    """To whom row-level security applies."""

    OFF = "off"
    ON = "on"  # everybody but the owner, which is the web application
    FORCED = "forced"  # everybody, also the owner


@dataclass(frozen=True)
class Table:
    """A table. Its name includes the schema, if that is not `public`."""

    name: str
    row_security: RowSecurity = RowSecurity.OFF
    user_column: str | None = None
    """The column with the id of a row's user. None: people have no access to the table."""
    privileges: tuple[str, ...] = ()
    """The privileges of `todo_app`, in the syntax of GRANT."""
    is_in_backup: bool = True
    """False if a row has a secret with which its reader could log in. A restore leaves the table
    empty."""
    triggers: tuple[str, ...] = ()
    statistics: Mapping[str, int] = field(default_factory=dict)
    """Statistics targets of columns, in addition to `COMMON_STATISTICS`. -1 is the server's
    default. All other targets are 0, since the estimates of EXPLAIN would tell people values of
    other people's rows."""

    @property
    def is_public(self) -> bool:
        return "." not in self.name

    @property
    def qualified_name(self) -> str:
        return f"public.{self.name}" if self.is_public else self.name

    @property
    def is_writable(self) -> bool:
        return any(not privilege.startswith("select") for privilege in self.privileges)


TASKS = Table(
    "tasks",
    RowSecurity.FORCED,
    user_column="user_id",
    privileges=(
        "select",
        "delete",
        *(f"insert ({name})" for name in ("id", "user_id", "completed", *WRITTEN_COLUMNS)),
        *(f"update ({name})" for name in ("completed", "deleted_at", *WRITTEN_COLUMNS)),
    ),
    triggers=(
        "tasks_admit_writer",
        "tasks_assign_number",
        "tasks_count_numbers",
        "tasks_log_added",
        "tasks_log_changed",
        "tasks_log_deleted",
        "tasks_sort_tags",
        "tasks_stamp",
    ),
    statistics={"id": 1, "number": -1, "completed": -1},
)
TASKS_ARCHIVE = Table(
    "tasks_archive",
    RowSecurity.FORCED,
    user_column="user_id",
    privileges=("select",),
    statistics={"id": 1, "number": -1, "completed": -1},
)

TABLES = (
    TASKS,
    TASKS_ARCHIVE,
    Table("task_events", RowSecurity.FORCED, user_column="user_id", privileges=("select",)),
    Table(
        "users",
        RowSecurity.ON,
        user_column="id",
        # No other indexed column: the row counts of an index scan include other people's rows.
        privileges=tuple(
            f"select ({name})" for name in ("id", "email_verified", "name", "image", "updated_at")
        ),
        statistics={"id": 1},
    ),
    Table("sessions", RowSecurity.ON, is_in_backup=False),
    Table("accounts", RowSecurity.ON),
    Table("verifications", RowSecurity.ON, is_in_backup=False),
    Table("todo_auth.secrets", RowSecurity.ON),
    Table("todo_auth.sign_in_attempts", RowSecurity.ON, is_in_backup=False),
    Table("todo_auth.task_counters", RowSecurity.ON),
)

FORCED = tuple(table.name for table in TABLES if table.row_security is RowSecurity.FORCED)
SHIELDED = tuple(
    table.name for table in TABLES if table.is_public and table.row_security is RowSecurity.ON
)
"""Tables of `public` whose policies do not apply to the owner. In `todo_auth` only the owner has
privileges."""
READ_ONLY = tuple(table.name for table in TABLES if table.privileges and not table.is_writable)
UNREACHED = tuple(table.name for table in TABLES if table.is_public and not table.privileges)
"""Tables of `public` that people's commands reach only through functions."""
TRIGGERS = tuple(name for table in TABLES for name in table.triggers)

FUNCTIONS = (
    "attempt_password_change",
    "attempt_sign_in",
    "change_password",
    "current_user_id",
    "finish_sign_in",
    "import_tasks",
    "own_account",
    "own_sessions",
    "password_salt",
    "restore_archived",
    "resume_session",
    "revoke_session",
    "sign_out",
    "sign_out_everywhere",
    "sign_up",
    "undo",
)
"""Functions of schema `todo_auth` that people's commands call."""


USER_COLUMNS = tuple(
    f"{table.name}.{table.user_column}" for table in TABLES if table.user_column is not None
)


def sql_list(names: Iterable[str]) -> str:
    """Names as a list of SQL literals, for `in (…)`."""
    return ", ".join(f"'{name}'" for name in names)
