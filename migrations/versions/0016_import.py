"""People import tasks, with the times that they have elsewhere.

People cannot set `created_at`, `updated_at` or `completed_at` themselves. The function does it for
them, for tasks of the session's user alone. It goes through the table's triggers and checks.

The UUID of a file may be that of another user's task, and nothing may be told about it. So it is
never used as it is. The stored id is derived from the user and the file's UUID (a UUID of version
8, which RFC 9562 leaves to the application), whether or not the file's UUID is in use. A task of
the user's own that has the file's UUID is that task, and is not added again.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

IMPORT = """
create function todo_auth.import_tasks(given jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    me uuid := todo_auth.current_user_id();
    added bigint;
begin
    if me is null then
        raise exception 'nobody is logged in' using errcode = 'insufficient_privilege';
    end if;
    with read as (
        select given_task.*, overlay(overlay(
            encode(substr(sha256(convert_to(
                me::text || ' ' || coalesce(given_task.origin::text, given_task.key), 'UTF8'
            )), 1, 16), 'hex')
            placing '8' from 13 for 1) placing '8' from 17 for 1)::uuid as id
        from rows from (jsonb_to_recordset(given) as (
            origin uuid, key text, title text, description text, completed boolean,
            created_at timestamptz, updated_at timestamptz, completed_at timestamptz,
            deleted_at timestamptz, due_on date, due_time time, due_zone text, wait_on date,
            priority smallint, project text, tags text[], extra jsonb
        )) with ordinality as given_task (
            origin, key, title, description, completed, created_at, updated_at, completed_at,
            deleted_at, due_on, due_time, due_zone, wait_on, priority, project, tags, extra, place
        )
    ), wanted as (
        select array_agg(id) || array_agg(origin) filter (where origin is not null) as ids
        from read
    ), present as materialized (
        select t.id from public.tasks as t, wanted
        where t.user_id = me and t.id = any (wanted.ids)
        union all
        select a.id from public.tasks_archive as a, wanted
        where a.user_id = me and a.id = any (wanted.ids)
    ), inserted as (
        insert into public.tasks (
            id, user_id, title, description, completed, created_at, updated_at, completed_at,
            deleted_at, due_on, due_time, due_zone, wait_on, priority, project, tags, extra
        )
        select id, me, title, description, completed, coalesce(created_at, now()),
            coalesce(updated_at, created_at, now()), completed_at, deleted_at, due_on, due_time,
            due_zone, wait_on, priority, project, tags, extra
        from read
        where id not in (select id from present)
            and (origin is null or origin not in (select id from present))
        order by place
        on conflict (id) do nothing
        returning 1
    )
    select count(*) into added from inserted;
    return added;
end
$$
"""

UPGRADE = [
    IMPORT,
    "revoke all on function todo_auth.import_tasks(jsonb) from public",
    "grant execute on function todo_auth.import_tasks(jsonb) to todo_app",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop function todo_auth.import_tasks(jsonb)")
