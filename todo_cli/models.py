"""The tables as SQLModel sees them, named by one convention. Migrations make them, models read.

A test compares this picture with the catalog that the migrations leave behind, so that neither
drifts. Rules that need other rows, and all identity, live in the database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
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


class Task(SQLModel, table=True):
    """One task of one user.

    `id` is made by the client, so that a repeated insert finds its own row. `number`,
    `updated_at` and `completed_at` are the database's; `user_id` defaults to whose session the
    statement runs in.
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
        sa.Index(
            "ix_tasks_user_id_number_pending",
            "user_id",
            "number",
            postgresql_where=sa.text("not completed and deleted_at is null"),
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
    title: str = Field(sa_type=sa.Text)
    description: str | None = Field(default=None, sa_type=sa.Text)
    completed: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    created_at: datetime = Field(sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_column_kwargs=_NOW)
    number: int = Field(sa_type=sa.BigInteger)
    completed_at: datetime | None = None
    deleted_at: datetime | None = None


class ArchivedTask(SQLModel, table=True):
    """A task that an administrator moved out of the way; the same task, number and all."""

    __tablename__: ClassVar[Any] = "tasks_archive"
    __table_args__: ClassVar[Any] = (sa.UniqueConstraint("user_id", "number"),)

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
    archived_at: datetime = Field(sa_column_kwargs=_NOW)
