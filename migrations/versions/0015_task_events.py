"""A history of every change to tasks, written by triggers, and functions that undo commands.

A row of `task_events` is a change of one task by one statement. It holds the columns that changed,
before and after; for a new or deleted task, all of them. `batch_id` is the same for all changes of
one command. The client sends it, and the command's name, as settings of the transaction. For other
programs a batch is a transaction, and the command is `sql`.

People may only select. The triggers run as the tables' owner, so nobody writes history.

- A task that people delete is deleted for good: its events go too. One event without `before` and
  `after` remains, so that `undo` can say why it refuses.
- Maintenance is not logged: restoring, archiving, demonstration data. The condition is that of the
  policies for maintenance (revision 0007).
- An event has no foreign key to its task, so an archived task keeps its history.
- `id` ascends with time: microseconds, then the position in the statement, then random bits. A
  sequence would tell everybody how much the others write, and would have to be set by a restore.

An undo is a batch too. Its first event has no task; `undoes` names the batch that it undoes. A redo
is the undo of an undo.

The planner has no statistics on these tables, and the triggers' plans are kept for a session. So
each function excludes the kinds of plan that are quadratic, or that read the rows of everybody.
"""

# ruff: noqa: S608  # every part of a statement is a constant of this module

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LOSSES = {
    "events of the history, with which commands can be undone": "select count(*) from task_events",
}

LOCK = [
    # Who waits for this lock makes all others wait. So it gives up soon; the upgrade tries again.
    "set local lock_timeout = '100ms'",
    "lock table users, tasks in share row exclusive mode",
]

OWN = (
    "user_id = (select todo_auth.current_user_id())"
    " and coalesce(user_id = any (array[(select todo_auth.current_user_id())]), false)"
)

TABLE = [
    """
    create table task_events (
        user_id uuid not null,
        id uuid not null,
        batch_id uuid not null,
        task_id uuid,
        number bigint,
        at timestamptz not null default now(),
        command text not null,
        undoes uuid,
        before jsonb,
        after jsonb,
        constraint pk_task_events primary key (user_id, id),
        constraint fk_task_events_user_id_users
            foreign key (user_id) references users (id) on delete cascade
    )
    """,
    "create index ix_task_events_user_id_batch_id_id on task_events (user_id, batch_id, id)",
    "create index ix_task_events_user_id_task_id_id on task_events (user_id, task_id, id)",
    "alter table task_events enable row level security",
    "alter table task_events force row level security",
    f"create policy task_events_own on task_events using ({OWN}) with check ({OWN})",
    """
    create policy task_events_maintenance on task_events to current_user
    using ((
        select pg_catalog.current_setting('todo.maintenance', true) = 'on'
            and pg_catalog.pg_has_role(session_user, current_user, 'usage')
    ))
    """,
    "grant select on task_events to todo_app",
    "alter table task_events alter column user_id set statistics 1",
    *(
        f"alter table task_events alter column {name} set statistics 0"
        for name in (
            "id",
            "batch_id",
            "task_id",
            "number",
            "at",
            "command",
            "undoes",
            "before",
            "after",
        )
    ),
]

EVENT_ID = """(
    lpad(to_hex((extract(epoch from clock_timestamp()) * 1000000)::bigint), 16, '0')
    || lpad(to_hex({position}), 8, '0') || right(gen_random_uuid()::text, 8)
)::uuid"""
POSITION = EVENT_ID.format(position="row_number() over ()")

BODY = """
declare
    batch uuid;
    word text := current_setting('todo.command', true);
    maintenance text := current_setting('todo.maintenance', true);
    is_bound boolean;
    owned record;
begin
    {return_early}
    -- A setting that is not as the client makes it is not used: any program can set it.
    if word is null or word !~ '^[a-z][a-z -]{{0,39}}$' then
        word := 'sql';
    end if;
    if current_setting('todo.batch_id', true)
        ~ '^[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}$'
    then
        batch := current_setting('todo.batch_id', true)::uuid;
    else
        batch := encode(substr(sha256(convert_to(
            pg_current_xact_id()::text || ' ' || extract(epoch from now()), 'UTF8'
        )), 1, 16), 'hex')::uuid;
    end if;
    -- A superuser may write for others, but this function runs as the owner, whom row-level
    -- security may bind. The policy for maintenance lets it write what that superuser changes.
    is_bound := row_security_active('public.task_events');
    if is_bound then
        perform set_config('todo.maintenance', 'on', true);
    end if;
    {statement};
    if is_bound then
        perform set_config('todo.maintenance', coalesce(maintenance, ''), true);
    end if;
    return null;
end
"""
NOT_LOGGED = """if maintenance = 'on' and pg_has_role(session_user, current_user, 'usage') then
        return null;
    end if;"""

DROPPED = "'{user_id,updated_at}'::text[]"
# Nested objects of `extra` keep their nulls.
WHOLE = f"""case
        when t.extra is null then jsonb_strip_nulls(to_jsonb(t) - {DROPPED})
        else to_jsonb(t) - {DROPPED}
    end"""

INSERT = f"""insert into public.task_events
        (id, user_id, batch_id, task_id, number, command, before, after)
    select {POSITION}, """

LOG_ADDED = f"""{INSERT} t.user_id, batch, t.id, t.number, word, null,
        {WHOLE}
    from added as t"""

LOG_CHANGED = f"""{INSERT} changed.user_id, batch, changed.id, changed.number,
        word, difference.before, difference.after
    from (
        select n.user_id, n.id, n.number,
            to_jsonb(o) - {DROPPED} as before, to_jsonb(n) - {DROPPED} as after
        from changed_to as n join changed_from as o on o.id = n.id
        offset 0
    ) as changed
    cross join lateral (
        select jsonb_object_agg(key, value) as before,
            jsonb_object_agg(key, changed.after -> key) as after
        from jsonb_each(changed.before)
        where value is distinct from changed.after -> key
    ) as difference
    where difference.before is not null"""

# An undo that takes new tasks away keeps their events, for redo. Its first event shows that the
# function `undo` runs in this transaction.
LOG_DELETED = f"""if current_setting('todo.undoing', true) <> '' and exists (
        select from public.task_events as e
        where e.user_id = todo_auth.current_user_id() and e.batch_id = batch
            and e.undoes is not null and e.at = now()
    ) then
        {INSERT} t.user_id, batch, t.id, t.number, word,
            {WHOLE}, null
        from gone as t;
    else
        for owned in select t.user_id, array_agg(t.id) as ids from gone as t group by t.user_id loop
            delete from public.task_events as e
            where e.user_id = owned.user_id and e.task_id = any (owned.ids);
        end loop;
        -- Not for a user that is being deleted.
        {INSERT} t.user_id, batch, t.id, t.number, word, null, null
        from gone as t where exists (select from public.users as u where u.id = t.user_id);
    end if"""

TRIGGER = """
create function todo_auth.{name}() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
{settings}
as $$
{body}
$$
"""
NESTED_LOOPS_BY_INDEX = """set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off"""


def trigger(name: str, statement: str, settings: str = "") -> str:
    body = BODY.format(return_early=NOT_LOGGED, statement=statement)
    return TRIGGER.format(name=name, settings=settings, body=body)


NET = f"""
create function todo_auth.batch_changes(
    owner uuid, batch uuid,
    out task_id uuid, out number bigint, out was_there boolean, out is_there boolean,
    out before jsonb, out after jsonb, out is_final boolean, out is_moved boolean
) returns setof record
language sql stable
set search_path = pg_catalog, pg_temp
{NESTED_LOOPS_BY_INDEX}
as $$
    with event as (
        select e.task_id, min(e.number) as number,
            array_agg(e.before order by e.id desc) as befores,
            array_agg(e.after order by e.id) as afters,
            bool_or(e.before is null and e.after is null) as is_final,
            bool_or(e.before = '{{}}' and e.after = '{{}}') as is_moved
        from public.task_events as e
        where e.user_id = owner and e.batch_id = batch and e.task_id is not null
        group by e.task_id
    )
    -- Of several changes of a task: as it was before the first one, and after the last one.
    select task_id, number,
        befores[cardinality(befores)] is not null, afters[cardinality(afters)] is not null,
        case when cardinality(befores) = 1 then befores[1] else (
            select jsonb_object_agg(f.key, f.value order by d.place)
            from unnest(befores) with ordinality as d (document, place), jsonb_each(document) as f
        ) end,
        case when cardinality(afters) = 1 then afters[1] else (
            select jsonb_object_agg(f.key, f.value order by d.place)
            from unnest(afters) with ordinality as d (document, place), jsonb_each(document) as f
        ) end,
        is_final, is_moved
    from event
    order by task_id
$$
"""

FIND = f"""
create function todo_auth.batch_to_undo(owner uuid, is_redo boolean) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_sort = off
{NESTED_LOOPS_BY_INDEX}
as $$
declare
    last uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    batch uuid;
    first record;
    target uuid;
    seen uuid[] := '{{}}';
    cancelled uuid[] := '{{}}';  -- what a later undo or redo has taken back
begin
    loop
        select e.id, e.batch_id into last, batch
        from public.task_events as e
        where e.user_id = owner and e.id < last and e.batch_id is distinct from batch
        order by e.id desc limit 1;
        if not found then
            return null;
        end if;
        continue when batch = any (seen);
        seen := seen || batch;
        select e.undoes, e.command into first from public.task_events as e
        where e.user_id = owner and e.batch_id = batch order by e.id limit 1;
        if first.undoes is null then
            if not is_redo and batch <> all (cancelled) then
                return batch;
            end if;
        elsif first.command = 'redo' then
            -- The command that is done again counts as the newest.
            select e.undoes into target from public.task_events as e
            where e.user_id = owner and e.batch_id = first.undoes order by e.id limit 1;
            if not is_redo and target <> all (cancelled) and exists (
                select from public.task_events as e
                where e.user_id = owner and e.batch_id = target and e.task_id is not null
            ) then
                return target;
            end if;
            cancelled := cancelled || first.undoes;
        elsif batch <> all (cancelled) then
            if is_redo and exists (  -- not if its tasks were deleted for good
                select from public.task_events as e
                where e.user_id = owner and e.batch_id = batch and e.task_id is not null
            ) then
                return batch;
            end if;
            cancelled := cancelled || first.undoes;
        end if;
    end loop;
end
$$
"""

UNDO = f"""
create function todo_auth.undo(batch uuid, is_redo boolean, is_dry_run boolean) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set enable_nestloop = off
set enable_seqscan = off
as $$
declare
    me uuid := todo_auth.current_user_id();
    word text := case when is_redo then 'redo' else 'undo' end;
    target uuid;
    described record;
    refused jsonb;
    deletes bigint;
    inserts bigint;
    updates bigint;
    ids uuid[];
    names text;
    answer jsonb;
begin
    -- One undo at a time: the next one sees what this one has done.
    perform from todo_auth.task_counters as c where c.user_id = me for update;
    select e.undoes into target from public.task_events as e
    where e.user_id = me and e.batch_id = batch order by e.id limit 1;
    if not found then
        target := todo_auth.batch_to_undo(me, is_redo);
        if target is null then
            return jsonb_build_object('refused', 'nothing');
        end if;
        -- The tasks are locked in the order of their ids, as by other commands.
        select jsonb_agg(jsonb_build_object('number', c.number, 'state', c.state)
                order by c.number) filter (where c.state is not null),
            array_agg(c.task_id),
            count(*) filter (where c.is_there and not c.was_there),
            count(*) filter (where c.was_there and not c.is_there),
            count(*) filter (where c.was_there and c.is_there)
        into refused, ids, deletes, inserts, updates
        from (
            select net.task_id, net.number, net.is_there, net.was_there, case
                when net.is_final then 'for_good'
                when net.is_moved then 'from_archive'
                when not net.is_there and not net.was_there then null
                when there.id is null and exists (
                    select from public.tasks_archive as a
                    where a.user_id = me and a.number = net.number
                ) then 'archived'
                when not net.is_there then case when there.id is not null then 'changed' end
                when there.id is null then 'gone'
                -- Typed, since equal values may have different texts.
                when jsonb_populate_record(there.task, net.after) is distinct from there.task
                    then 'changed'
            end as state
            from todo_auth.batch_changes(me, target) as net
            left join lateral (
                select t.id, t as task from public.tasks as t
                where t.id = net.task_id and t.user_id = me for update
            ) as there on true
        ) as c;
        select e.command, e.at into described from public.task_events as e
        where e.user_id = me and e.batch_id = todo_auth.undone_command(me, target)
        order by e.id limit 1;
        if refused is not null then
            return jsonb_build_object(
                'refused', refused -> 0 ->> 'state', 'command', described.command,
                'count', jsonb_array_length(refused),
                'numbers', jsonb_path_query_array(refused, '$[0 to 9].number')
            );
        end if;
        if deletes + inserts + updates = 0 then
            return jsonb_build_object('refused', 'nothing');
        end if;
        if not is_dry_run then
            insert into public.task_events (id, user_id, batch_id, command, undoes)
            values ({EVENT_ID.format(position="0")}, me, batch, word, target);
            perform set_config('todo.batch_id', batch::text, true),
                set_config('todo.command', word, true), set_config('todo.undoing', 'on', true);
            select string_agg(quote_ident(attname), ', ' order by attnum) into names
            from pg_attribute
            where attrelid = 'public.tasks'::regclass and attnum > 0 and not attisdropped
                and attgenerated = ''
                and attname not in ('id', 'user_id', 'number', 'updated_at');
            if deletes > 0 then
                delete from public.tasks as t using todo_auth.batch_changes(me, target) as net
                where t.id = net.task_id and t.user_id = me and t.id = any (ids)
                    and net.is_there and not net.was_there;
            end if;
            if updates > 0 then
                execute format(
                    'update public.tasks as t set (%1$s) = (
                        select %1$s from jsonb_populate_record(t, net.before)
                    )
                    from todo_auth.batch_changes($1, $2) as net
                    where t.id = net.task_id and t.user_id = $1 and t.id = any ($3)
                        and net.is_there and net.was_there',
                    names
                ) using me, target, ids;
            end if;
            if inserts > 0 then
                execute format(
                    'insert into public.tasks (id, user_id, number, %1$s)
                    select id, $1, r.number, %1$s
                    from todo_auth.batch_changes($1, $2) as net,
                        jsonb_populate_record(null::public.tasks, net.before) as r
                    where net.was_there and not net.is_there
                    order by r.number',
                    names
                ) using me, target;
            end if;
            perform set_config('todo.undoing', '', true);
        end if;
    elsif target is null then
        return jsonb_build_object('refused', 'nothing');  -- no undo, but a batch of another command
    else
        select e.command, e.at into described from public.task_events as e
        where e.user_id = me and e.batch_id = todo_auth.undone_command(me, target)
        order by e.id limit 1;
    end if;
    select jsonb_build_object(
        'batch', todo_auth.undone_command(me, target),
        'command', described.command, 'at', described.at, 'count', count(*),
        'tasks', coalesce(jsonb_agg(
            jsonb_build_object('number', net.number, 'id', net.task_id, 'title', coalesce(
                (select t.title from public.tasks as t where t.id = net.task_id and t.user_id = me),
                net.before ->> 'title', net.after ->> 'title'
            )) order by net.number
        ) filter (where net.place <= 20), '[]')
    ) into answer
    from (
        select *, row_number() over (order by c.number) as place
        from todo_auth.batch_changes(me, target) as c
        where c.is_there or c.was_there
    ) as net;
    return answer;
end
$$
"""

UNDONE_COMMAND = f"""
create function todo_auth.undone_command(owner uuid, target uuid) returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
{NESTED_LOOPS_BY_INDEX}
as $$
    select coalesce((
        select e.undoes from public.task_events as e
        where e.user_id = owner and e.batch_id = target order by e.id limit 1
    ), target)
$$
"""

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
    -- To the trigger they are new. To undo that would delete them, so this says what they are.
    update public.task_events as e set before = '{}', after = '{}'
    where e.user_id = (select todo_auth.current_user_id()) and e.task_id = any (ids)
        and e.at = now() and e.before is null and e.after is not null;
end
$$
"""

RESTORE_BEFORE = """
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

TRIGGERS = {
    "added": "insert on tasks referencing new table as added",
    "changed": "update on tasks referencing old table as changed_from new table as changed_to",
    "deleted": "delete on tasks referencing old table as gone",
}

INTERNAL = (
    "log_added_tasks()",
    "log_changed_tasks()",
    "log_deleted_tasks()",
    "batch_changes(uuid, uuid)",
    "batch_to_undo(uuid, boolean)",
    "undone_command(uuid, uuid)",
)

UPGRADE = [
    *LOCK,
    *TABLE,
    trigger("log_added_tasks", LOG_ADDED),
    trigger("log_changed_tasks", LOG_CHANGED, "set enable_nestloop = off"),
    trigger("log_deleted_tasks", LOG_DELETED, "set enable_seqscan = off"),
    NET,
    FIND,
    UNDONE_COMMAND,
    UNDO,
    RESTORE,
    *(f"revoke all on function todo_auth.{name} from public" for name in INTERNAL),
    "revoke all on function todo_auth.undo(uuid, boolean, boolean) from public",
    "grant execute on function todo_auth.undo(uuid, boolean, boolean) to todo_app",
    *(
        f"create trigger tasks_log_{name} after {event}"
        f" for each statement execute function todo_auth.log_{name}_tasks()"
        for name, event in TRIGGERS.items()
    ),
]

DOWNGRADE = [
    *LOCK,
    *(f"drop trigger tasks_log_{name} on tasks" for name in TRIGGERS),
    "drop function todo_auth.undo(uuid, boolean, boolean)",
    *(f"drop function todo_auth.{name}" for name in INTERNAL),
    RESTORE_BEFORE,
    "drop table task_events",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
