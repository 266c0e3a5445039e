"""The one list of this program's tables: who reaches their rows, and what belongs to them.

The columns stand in `todo_cli/models.py`. Migrations make all of it and are frozen, so they do not
read this; a test compares what they leave behind with this list, in both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

SCHEMA_HEAD = "0013"
"""The newest revision of `migrations/`, known here so that a command need not import Alembic."""

COMMON_STATISTICS = {"user_id": 1, "deleted_at": 1}
"""Of a column with such a name the planner knows how many values there are, in any table."""


class RowSecurity(Enum):
    """Whom row-level security binds."""

    OFF = "off"
    ON = "on"  # all but the owner, who is the web application
    FORCED = "forced"  # the owner as well


@dataclass(frozen=True)
class Table:
    """A table, named with its schema where that is not `public`."""

    name: str
    row_security: RowSecurity = RowSecurity.OFF
    user_column: str | None = None
    """What says whose a row is; people reach their own rows by it. None: people reach no row."""
    privileges: tuple[str, ...] = ()
    """Of `todo_app`, as `grant` names them."""
    is_in_backup: bool = True
    """False where whoever reads a row could log in with it as somebody; it comes back empty."""
    triggers: tuple[str, ...] = ()
    statistics: Mapping[str, int] = field(default_factory=dict)
    """The statistics targets of columns whose values the planner may keep, -1 for the server's
    default, beside `COMMON_STATISTICS`. All others are 0: `explain` shows what the planner knows
    to people whom the policies bind."""

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
        *(f"insert ({name})" for name in ("id", "user_id", "title", "description", "completed")),
        *(f"update ({name})" for name in ("title", "description", "completed", "deleted_at")),
    ),
    triggers=("tasks_admit_writer", "tasks_assign_number", "tasks_count_numbers", "tasks_stamp"),
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
    Table(
        "users",
        RowSecurity.ON,
        user_column="id",
        # No indexed column but that one: an index counts the rows that it finds, whose they are.
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
"""Tables of `public` whose owner is not bound; in `todo_auth` nobody else has a privilege."""
READ_ONLY = tuple(table.name for table in TABLES if table.privileges and not table.is_writable)
UNREACHED = tuple(table.name for table in TABLES if table.is_public and not table.privileges)
"""Tables of `public` that people's commands never touch themselves."""
TRIGGERS = tuple(name for table in TABLES for name in table.triggers)

FUNCTIONS = (
    "attempt_password_change",
    "attempt_sign_in",
    "change_password",
    "current_user_id",
    "finish_sign_in",
    "own_account",
    "own_sessions",
    "password_salt",
    "restore_archived",
    "resume_session",
    "revoke_session",
    "sign_out",
    "sign_out_everywhere",
    "sign_up",
)
"""Functions of schema `todo_auth` that people's commands call."""


USER_COLUMNS = tuple(
    f"{table.name}.{table.user_column}" for table in TABLES if table.user_column is not None
)


def sql_list(names: Iterable[str]) -> str:
    """Names of this module, as the inside of `in (…)`."""
    return ", ".join(f"'{name}'" for name in names)
