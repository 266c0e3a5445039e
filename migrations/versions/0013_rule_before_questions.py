"""Policies are evaluated before people's conditions, and no index reveals other people's rows.

`<` and `=` are leakproof operators, so the planner may evaluate them on a row before the policy.
`explain (analyze)` then reveals results on other people's rows, in two ways:

- An index scan on `users.email` counts the rows that the policy removes. By asking for one prefix
  after another, a person could read all addresses. So `todo_app` may no longer select the indexed
  columns of `users`, except for the key that the policy uses. `own_account()` returns a person's
  own address.
- In a sequential scan with `title < 'M'`, the policy's sub-select is marked "never executed" if
  nobody has a task with such a title. Conditions run in the order of their cost. So the policy
  states its rule twice. The second one, with `= any`, costs half as much as any comparison that a
  person can write, so it runs first. `coalesce` keeps it from lowering the estimate of rows. The
  first one is still needed, for index scans and their order.
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
