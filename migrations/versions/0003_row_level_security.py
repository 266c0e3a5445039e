"""Who sees what: role `todo_app`, schema `todo_auth`, forced row-level security.

A person's statements run as role `todo_app`, whichever role connected. It owns nothing and cannot
bypass row-level security, as Neon's own roles and the embedded server's can. The user is found by
the session token in the setting `todo.session_token`, which a SECURITY DEFINER function looks up.
So a client has to prove who it is.

The policies call the function in a sub-select, which is evaluated once for each statement. As a
filter without a sub-select it is evaluated for each row: 580 ms instead of 12.5 for 97,000 rows.

Row-level security is forced on `tasks`, so that it binds the owner as well. It is not forced on
`users` and the library's other tables: their owner is the web application, and the functions here
run as that owner.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LOSSES = {
    "tasks that every role with a privilege on the table can read": "select count(*) from tasks",
}

CREATE_ROLE = """
do $$
begin
    create role todo_app nologin;
exception
    -- Roles belong to the server: another of its databases may have made it, even just now.
    when duplicate_object or unique_violation then null;
end
$$
"""

CHECK_ROLE = """
do $$
begin
    if exists (
        select from pg_catalog.pg_roles
        where rolname = 'todo_app' and (rolsuper or rolbypassrls or rolcanlogin)
    ) then
        raise exception 'role todo_app exists and could pass row-level security';
    end if;
end
$$
"""

GRANT_ROLE = """
do $$
begin
    -- An owner who is no superuser needs the membership to `set role`; from PostgreSQL 16 on,
    -- having created the role does not include that.
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant todo_app to %I', current_user);
    end if;
end
$$
"""

CURRENT_USER_ID = """
create function todo_auth.current_user_id() returns uuid
language sql stable security definer parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select s.user_id
    from public.sessions as s
    where s.token = pg_catalog.current_setting('todo.session_token', true)
        and s.expires_at > pg_catalog.now()
$$
"""

RESUME_SESSION = """
create function todo_auth.resume_session() returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    resumed record;
begin
    select s.id, s.user_id, s.expires_at into resumed
    from public.sessions as s
    where s.token = current_setting('todo.session_token', true) and s.expires_at > now();
    -- As the library does it: 7 days, pushed on to 7 more when used after a day.
    if resumed.expires_at < now() + interval '6 days'
        and not current_setting('transaction_read_only')::boolean
    then
        update public.sessions as s
        set expires_at = now() + interval '7 days', updated_at = now()
        where s.id = resumed.id and s.expires_at < now() + interval '6 days';
    end if;
    return resumed.user_id;
end
$$
"""

UPGRADE = [
    CREATE_ROLE,
    CHECK_ROLE,
    GRANT_ROLE,
    "create schema todo_auth",
    "grant usage on schema todo_auth to todo_app",
    CURRENT_USER_ID,
    RESUME_SESSION,
    "revoke all on all functions in schema todo_auth from public",
    "grant execute on function todo_auth.current_user_id() to todo_app",
    "grant execute on function todo_auth.resume_session() to todo_app",
    "alter table tasks alter column user_id set default todo_auth.current_user_id()",
    "alter table tasks enable row level security",
    "alter table tasks force row level security",
    """
    create policy tasks_own on tasks
    using (user_id = (select todo_auth.current_user_id()))
    with check (user_id = (select todo_auth.current_user_id()))
    """,
    "alter table users enable row level security",
    """
    create policy users_own on users for select to todo_app
    using (id = (select todo_auth.current_user_id()))
    """,
    "alter table sessions enable row level security",
    "alter table accounts enable row level security",
    "alter table verifications enable row level security",
    "grant usage on schema public to todo_app",
    "grant select on users to todo_app",
    "grant select, delete on tasks to todo_app",
    "grant insert (id, user_id, title, description, completed) on tasks to todo_app",
    "grant update (title, description, completed) on tasks to todo_app",
]

DROP_ROLE = """
do $$
begin
    drop role todo_app;
exception
    -- Another database of this server uses it still, or it is not ours to drop.
    when dependent_objects_still_exist or insufficient_privilege or object_in_use then null;
end
$$
"""

DOWNGRADE = [
    "alter table verifications disable row level security",
    "alter table accounts disable row level security",
    "alter table sessions disable row level security",
    "drop policy users_own on users",
    "alter table users disable row level security",
    "drop policy tasks_own on tasks",
    "alter table tasks no force row level security",
    "alter table tasks disable row level security",
    "alter table tasks alter column user_id drop default",
    "revoke all on users, tasks from todo_app",
    "revoke insert (id, user_id, title, description, completed) on tasks from todo_app",
    "revoke update (title, description, completed) on tasks from todo_app",
    "revoke usage on schema public from todo_app",
    "drop function todo_auth.resume_session()",
    "drop function todo_auth.current_user_id()",
    "drop schema todo_auth",
    DROP_ROLE,
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
