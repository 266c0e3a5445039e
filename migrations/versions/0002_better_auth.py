"""Better Auth's other tables: sessions, accounts, verifications.

Every `id` has a default; without one a sign-up on the web fails. Two constraints are not the
library's, but compatible with it: `unique (provider_id, account_id)`, and the check that addresses
are in lower case. The library looks addresses up in lower case, so a user with another one could
never sign in.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LOSSES = {
    "sessions: their users have to log in again": "select count(*) from sessions",
    "passwords and other ways to log in": "select count(*) from accounts",
}

VALIDATE_EMAILS = """
do $$
begin
    alter table users validate constraint ck_users_email_lower_case;
exception
    when check_violation then
        raise warning 'old addresses are not in lower case; the check binds new ones only';
end
$$
"""


def upgrade() -> None:
    # NOT VALID: an old row must not stop the upgrade; it is only refused when it is written again.
    op.execute(
        "alter table users add constraint ck_users_email_lower_case "
        "check (email = lower(email)) not valid"
    )
    op.execute(VALIDATE_EMAILS)
    op.create_table(
        "sessions",
        _key(),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ip_address", sa.Text),
        sa.Column("user_agent", sa.Text),
        *_instants(),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token", name="uq_sessions_token"),
        _owner("sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "accounts",
        _key(),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("access_token", sa.Text),
        sa.Column("refresh_token", sa.Text),
        sa.Column("id_token", sa.Text),
        sa.Column("access_token_expires_at", sa.DateTime(timezone=True)),
        sa.Column("refresh_token_expires_at", sa.DateTime(timezone=True)),
        sa.Column("scope", sa.Text),
        *_instants(),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("provider_id", "account_id", name="uq_accounts_provider_id_account_id"),
        _owner("accounts"),
    )
    op.create_index("ix_accounts_user_id", "accounts", ["user_id"])
    op.create_table(
        "verifications",
        _key(),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *_instants(),
        sa.PrimaryKeyConstraint("id", name="pk_verifications"),
    )
    op.create_index("ix_verifications_identifier", "verifications", ["identifier"])


def downgrade() -> None:
    op.drop_table("verifications")
    op.drop_table("accounts")
    op.drop_table("sessions")
    op.drop_constraint(op.f("ck_users_email_lower_case"), "users", type_="check")


def _key() -> sa.Column[Any]:
    return sa.Column("id", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False)


def _instants() -> list[sa.Column[Any]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
        for name in ("created_at", "updated_at")
    ]


def _owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )
