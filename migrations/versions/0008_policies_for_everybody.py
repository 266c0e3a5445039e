"""The policy of `users` names PUBLIC instead of `todo_app`.

A member of a role may run `drop owned by` for it, and that drops every policy that is for this
role alone. So one person could keep everybody from seeing their own account. A policy for PUBLIC
depends on no role. Its effect is the same, since only `todo_app` has privileges on the table.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

# "if exists": it may have been dropped in that way.
DROP = "drop policy if exists users_own on users"
CREATE = """
create policy users_own on users for select to {role}
using (id = (select todo_auth.current_user_id()))
"""


def upgrade() -> None:
    op.execute(DROP)
    op.execute(CREATE.format(role="public"))


def downgrade() -> None:
    op.execute(DROP)
    op.execute(CREATE.format(role="todo_app"))
