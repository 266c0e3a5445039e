"""Archived tasks come back with every column that the tables have.

The function listed the columns, so a column that was added later would have been lost. Now it reads
their names from the catalog. If the archive lacks a column of `tasks`, it fails and restores
nothing.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

RESTORE = """
create or replace function todo_auth.restore_archived(ids uuid[]) returns setof public.tasks
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    columns text;
    kept text;
begin
    select string_agg(quote_ident(attname), ', ' order by attnum),
        -- Touched now, so that the next run does not take it away again.
        string_agg(
            case attname when 'updated_at' then 'now()' else quote_ident(attname) end,
            ', ' order by attnum
        )
    into columns, kept
    from pg_attribute
    where attrelid = 'public.tasks'::regclass and attnum > 0 and not attisdropped
        and attgenerated = '';
    return query execute format(
        'with gone as (
            delete from public.tasks_archive as a
            where a.user_id = (select todo_auth.current_user_id()) and a.id = any ($1)
            returning a.*
        )
        insert into public.tasks (%s) select %s from gone returning tasks.*',
        columns, kept
    ) using ids;
end
$$
"""

RESTORE_BEFORE = """
create or replace function todo_auth.restore_archived(ids uuid[]) returns setof public.tasks
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


def upgrade() -> None:
    op.execute(RESTORE)


def downgrade() -> None:
    op.execute(RESTORE_BEFORE)
