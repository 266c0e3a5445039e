"""The policy of `users` names PUBLIC instead of `todo_app`.

Whoever can be a role may run `drop owned by` it, and that removes each policy which names no other
role: a person could take everybody's view of their own account away. A policy for PUBLIC depends
on no role. What it lets pass is the same, since only `todo_app` is granted the table.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

# "if exists": it may have been removed in just that way.
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
