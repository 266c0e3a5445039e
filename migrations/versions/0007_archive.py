"""The archive of completed tasks, and a policy for maintenance by the owner of the tables.

`tasks_archive` holds the tasks that `todo db archive` moved there, with their numbers and
identifiers, under the same policies. A user brings a task back by a function, since people may not
write numbers. The function moves only the rows of the user who calls it.

Row-level security is forced, so it also binds an owner of the tables without BYPASSRLS. Archive,
purge, demonstration data and dumps would then see no rows. The maintenance policy shows them all
rows, if three conditions hold:

- The statement runs as the owner.
- The role that logged in has the owner's rights. Otherwise anybody who calls a function that runs
  as the owner would have them in it.
- The transaction sets `todo.maintenance`. Otherwise a person's statement that ran as the owner by
  mistake would see the tasks of all users.

The policy is for the owner, not for PUBLIC. So it is no part of the plans of `todo_app`, which it
would make slower.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LOSSES = {
    "archived tasks that go back to the list": "select count(*) from tasks_archive",
}

MAINTENANCE = """
create policy {table}_maintenance on {table} to current_user
using ((
    select pg_catalog.current_setting('todo.maintenance', true) = 'on'
        and pg_catalog.pg_has_role(session_user, current_user, 'usage')
))
"""

RESTORE = """
create function todo_auth.restore_archived(ids uuid[]) returns setof public.tasks
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with gone as (
        delete from public.tasks_archive as a
        where a.user_id = (select todo_auth.current_user_id()) and a.id = any (ids)
        returning a.*
    )
    -- Touched now, so that the next run does not take it away again.
    insert into public.tasks (
        id, user_id, title, description, completed, created_at, updated_at, number, completed_at
    )
    select id, user_id, title, description, completed, created_at, now(), number, completed_at
    from gone
    returning tasks.*
$$
"""

UPGRADE = [
    """
    create table tasks_archive (
        id uuid not null,
        user_id uuid not null,
        title text not null,
        description text,
        completed boolean not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        number bigint not null,
        completed_at timestamptz,
        deleted_at timestamptz,
        archived_at timestamptz not null default now(),
        constraint pk_tasks_archive primary key (id),
        constraint uq_tasks_archive_user_id_number unique (user_id, number),
        constraint fk_tasks_archive_user_id_users
            foreign key (user_id) references users (id) on delete cascade
    )
    """,
    "alter table tasks_archive enable row level security",
    "alter table tasks_archive force row level security",
    """
    create policy tasks_archive_own on tasks_archive
    using (user_id = (select todo_auth.current_user_id()))
    with check (user_id = (select todo_auth.current_user_id()))
    """,
    "grant select on tasks_archive to todo_app",
    MAINTENANCE.format(table="tasks"),
    MAINTENANCE.format(table="tasks_archive"),
    RESTORE,
    "revoke all on function todo_auth.restore_archived(uuid[]) from public",
    "grant execute on function todo_auth.restore_archived(uuid[]) to todo_app",
]

BRING_BACK = """
insert into tasks (
    id, user_id, title, description, completed, created_at, updated_at, number, completed_at,
    deleted_at
)
select id, user_id, title, description, completed, created_at, updated_at, number, completed_at,
    deleted_at
from tasks_archive
"""

DOWNGRADE = [
    "drop function todo_auth.restore_archived(uuid[])",
    # Archived tasks go back to `tasks`, where an older program finds them.
    "alter table tasks no force row level security",
    "alter table tasks_archive no force row level security",
    BRING_BACK,
    "alter table tasks force row level security",
    "drop policy tasks_maintenance on tasks",
    "drop table tasks_archive",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
