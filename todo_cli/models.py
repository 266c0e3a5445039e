"""The tables as SQLModel sees them, named by one convention. Migrations make them, models read.

A test compares this picture with the catalog that the migrations leave behind, so that neither
drifts. Rules that need other rows, and all identity, live in the database.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from todo_cli.ids import uuid7

METADATA = SQLModel.metadata
METADATA.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

_NOW = {"server_default": sa.func.now()}
_RANDOM_ID = {"server_default": sa.func.gen_random_uuid()}
_TIME: Any = postgresql.TIME(precision=0)
_TEXTS: Any = postgresql.ARRAY(sa.Text)
_JSON: Any = postgresql.JSONB(none_as_null=True)
_A_DAY = "between date '0001-01-01' and date '9999-12-31'"
_APART = r"[\u0001-\u0020,\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]"
"""What ends a tag or a project: white space, control characters, the comma."""


class User(SQLModel, table=True):
    """A person. Better Auth's row; here it is only read."""

    __tablename__: ClassVar[Any] = "users"
    __table_args__: ClassVar[Any] = (
        sa.UniqueConstraint("email"),
        sa.CheckConstraint("email = lower(email)", name="email_lower_case"),
        sa.Index(None, "created_at"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_column_kwargs=_RANDOM_ID)
    email: str = Field(sa_type=sa.Text)
    email_verified: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    name: str = Field(sa_type=sa.Text)
    image: str | None = Field(default=None, sa_type=sa.Text)
    created_at: datetime = Field(sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_column_kwargs=_NOW)


class _TaskColumns(SQLModel):
    """The columns that a task has wherever it is kept. A new one is added here alone."""

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    title: str = Field(sa_type=sa.Text)
    description: str | None = Field(default=None, sa_type=sa.Text)
    completed: bool
    created_at: datetime
    updated_at: datetime
    number: int = Field(sa_type=sa.BigInteger)
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    due_on: date | None = None
    due_time: time | None = Field(default=None, sa_type=_TIME)
    due_zone: str | None = Field(default=None, sa_type=sa.Text)
    wait_on: date | None = None
    priority: int | None = Field(default=None, sa_type=sa.SmallInteger)
    tags: list[str] = Field(
        default_factory=list, sa_type=_TEXTS, sa_column_kwargs={"server_default": "{}"}
    )
    project: str | None = Field(default=None, sa_type=sa.Text)
    extra: dict[str, Any] | None = Field(default=None, sa_type=_JSON)


class Task(_TaskColumns, table=True):
    """One task of one user.

    `id` is made by the client, so that a repeated insert finds its own row. `number`,
    `updated_at` and `completed_at` are the database's; `user_id` defaults to whose session the
    statement runs in. `priority` is the value of a `Priority`.
    """

    __tablename__: ClassVar[Any] = "tasks"
    __table_args__: ClassVar[Any] = (
        sa.UniqueConstraint("user_id", "number"),
        sa.CheckConstraint("length(btrim(title)) > 0", name="title_not_empty"),
        sa.CheckConstraint("length(title) <= 500", name="title_length"),
        sa.CheckConstraint(
            r"title !~ '[\u0001-\u001F\u007F-\u009F]'", name="title_control_characters"
        ),
        sa.CheckConstraint("length(description) <= 20000", name="description_length"),
        sa.CheckConstraint(
            r"description !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]'",
            name="description_control_characters",
        ),
        sa.CheckConstraint("completed_at is null or completed", name="completed_at"),
        sa.CheckConstraint(f"due_on {_A_DAY}", name="due_on"),
        sa.CheckConstraint(
            "due_time is null or (due_on is not null and due_time < time '24:00')", name="due_time"
        ),
        sa.CheckConstraint(
            "due_zone is null or (due_time is not null and due_zone ~ '^[A-Za-z0-9_+/-]{1,64}$'"
            " and (timestamp '2000-01-01' at time zone due_zone) is not null)",
            name="due_zone",
        ),
        sa.CheckConstraint(f"wait_on {_A_DAY}", name="wait_on"),
        sa.CheckConstraint("priority between 1 and 3", name="priority"),
        sa.CheckConstraint(
            "tags = '{}' or (cardinality(tags) <= 50"
            " and string_to_array(array_to_string(tags, ','), ',') = tags"
            " and octet_length(array_to_string(tags, '')) <= 1000"
            f" and array_to_string(tags, '') !~ '{_APART}'"
            " and (',' || lower(array_to_string(tags, ',')) || ',') !~ ',(none|any)?,'"
            " and (octet_length(array_to_string(tags, '')) <= 50"
            " or array_to_string(tags, ',') !~ '[^,]{51}'))",
            name="tags",
        ),
        sa.CheckConstraint(
            f"length(project) <= 200 and project !~ '{_APART}'"
            " and lower(project) not in ('none', 'any')"
            " and position('..' in '.' || project || '.') = 0",
            name="project",
        ),
        sa.CheckConstraint(
            "jsonb_typeof(extra) = 'object' and octet_length(extra::text) <= 8192", name="extra"
        ),
        sa.Index(
            "ix_tasks_user_id_number_pending",
            "user_id",
            "number",
            postgresql_include=["due_on", "wait_on", "priority", "project", "tags"],
            postgresql_where=sa.text("not completed and deleted_at is null"),
        ),
        sa.Index(
            "ix_tasks_user_id_due_on_number",
            "user_id",
            "due_on",
            "number",
            postgresql_where=sa.text("not completed and deleted_at is null and due_on is not null"),
        ),
        sa.Index(
            "ix_tasks_user_id_number_trash",
            "user_id",
            "number",
            postgresql_where=sa.text("deleted_at is not null"),
        ),
        sa.Index(
            "ix_tasks_user_id_completed_kept",
            "user_id",
            "completed",
            postgresql_where=sa.text("deleted_at is null"),
        ),
        {"postgresql_with": {"fillfactor": 90}},
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_column_kwargs=_RANDOM_ID)
    user_id: UUID = Field(
        foreign_key="users.id",
        ondelete="CASCADE",
        sa_column_kwargs={"server_default": sa.text("todo_auth.current_user_id()")},
    )
    completed: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    created_at: datetime = Field(sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_column_kwargs=_NOW)


class TaskEvent(SQLModel, table=True):
    """A change of one task by one statement of a command. Written by triggers; people may read.

    All changes of a command have its `batch_id`. `before` and `after` have the columns that
    changed. An undo begins with an event without a task, whose `undoes` is the batch it undoes.
    """

    __tablename__: ClassVar[Any] = "task_events"
    __table_args__: ClassVar[Any] = (
        sa.PrimaryKeyConstraint("user_id", "id"),
        sa.Index(None, "user_id", "batch_id", "id"),
        sa.Index(None, "user_id", "task_id", "id"),
    )

    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    id: UUID
    batch_id: UUID
    task_id: UUID | None = None
    number: int | None = Field(default=None, sa_type=sa.BigInteger)
    at: datetime = Field(sa_column_kwargs=_NOW)
    command: str = Field(sa_type=sa.Text)
    undoes: UUID | None = None
    before: dict[str, Any] | None = Field(default=None, sa_type=_JSON)
    after: dict[str, Any] | None = Field(default=None, sa_type=_JSON)


class ArchivedTask(_TaskColumns, table=True):
    """A task that an administrator moved out of the way; the same task, number and all."""

    __tablename__: ClassVar[Any] = "tasks_archive"
    __table_args__: ClassVar[Any] = (sa.UniqueConstraint("user_id", "number"),)

    archived_at: datetime = Field(sa_column_kwargs=_NOW)
