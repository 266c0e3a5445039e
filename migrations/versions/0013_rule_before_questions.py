"""The rule of row-level security is applied before any question about a row, and no index answers
one about other people.

`<` and `=` are leakproof, so the planner may ask them of a row before it asks whose the row is.
`explain (analyze)` shows people what came of it, in two ways:

- An index scan on `users.email` counts the rows that the rule then removed. Walked prefix by
  prefix, the counts spell all addresses. So `todo_app` may no longer name the two indexed columns
  of `users`, but for the key by which the rule itself goes; `own_account()` tells one's own.
- In a sequential scan with `title < 'M'`, the rule's sub-select is marked "never executed" where
  no row of anybody's had such a title. Conditions run in the order of their cost, and `=` runs
  after others of the same cost. So the rule says the same a second time, as `= any`, which costs
  half as much as any comparison of one's own and hence runs first. Inside `coalesce` it does not
  count in the estimate of rows a second time. The first half still is what an index finds, and
  what makes its order known.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

OWN = "{column} = (select todo_auth.current_user_id())"
OWN_FIRST = (
    OWN + " and coalesce({column} = any (array[(select todo_auth.current_user_id())]), false)"
)
TABLES = {"users": "id", "tasks": "user_id", "tasks_archive": "user_id"}

REVOKE = "revoke select on users from todo_app"
GRANT = "grant select (id, email_verified, name, image, updated_at) on users to todo_app"


def upgrade() -> None:
    make_policies(OWN_FIRST)
    op.execute(REVOKE)
    op.execute(GRANT)


def downgrade() -> None:
    op.execute(REVOKE)
    op.execute("grant select on users to todo_app")
    make_policies(OWN)


def make_policies(rule: str) -> None:
    for table, column in TABLES.items():
        bound = rule.format(column=column)
        op.execute(f"drop policy if exists {table}_own on {table}")
        if table == "users":
            op.execute(f"create policy {table}_own on {table} for select using ({bound})")
        else:
            op.execute(f"create policy {table}_own on {table} using ({bound}) with check ({bound})")
