"""Numbers, completion times, the trash, and rules for texts, all maintained by triggers.

Other programs write tasks too, and some know only version 1.0.0, so the database computes derived
values. A number belongs to one task of one user for ever. It comes from a counter for each user.
`max(number) + 1` would reuse the number of a deleted task, and two concurrent writers would
collide.

People go on working while a large table is upgraded. In one transaction, 300,000 old tasks would
block a writer for 7 seconds, so the work is divided:

1. One short transaction adds the columns and triggers. From then on each new task gets a number.
   A user's counter starts at the count of the user's old tasks, so that old tasks can have the
   numbers below.
2. Batches give each user a counter, and then each old task its number, in the order in which the
   user made them.
3. Checks are validated and the unique index is built without a lock that writers wait for.
4. One short transaction turns the index into the constraint.

Steps 2 and 3 commit as they go. An upgrade that was interrupted is run again from step 1, so every
statement can be repeated.

Checks are added NOT VALID and validated afterwards. If an old row breaks one, the check stays not
validated, and the upgrade goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOSSES = {
    "tasks in the trash": "select count(*) from tasks where deleted_at is not null",
    "numbers of tasks, which the next upgrade gives anew": "select count(*) from tasks",
}

ADMIT_WRITER = """
create or replace function todo_auth.admit_task_writer() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The policy would refuse the row too, but only after the trigger that counts, whose foreign
    -- key says whether a user of that id exists. Runs as the writer, so it knows who is bound. The
    -- tables' owner can look for itself, and is left to the policies.
    if new.user_id is distinct from todo_auth.current_user_id()
        and row_security_active(tg_relid)
        and not pg_has_role(
            current_user, (select relowner from pg_class where oid = tg_relid), 'usage'
        )
    then
        raise exception 'new row violates row-level security policy for table "tasks"'
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$
"""

ASSIGN_NUMBER = """
create or replace function todo_auth.assign_task_number() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if new.user_id is null then
        return new;  -- the NOT NULL of the column says it better
    end if;
    insert into todo_auth.task_counters as c (user_id, last_number)
    values (new.user_id, coalesce(new.number, 1))
    on conflict (user_id) do update
    set last_number = case
        when new.number is null then c.last_number + 1
        else greatest(c.last_number, new.number)
    end
    returning coalesce(new.number, c.last_number) into new.number;
    return new;
end
$$
"""

STAMP = """
create or replace function todo_auth.stamp_task() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not new.completed then
        new.completed_at := null;
    elsif new.completed_at is null then
        new.completed_at := now();
    end if;
    if tg_op = 'UPDATE' then
        new.number := old.number;
        new.updated_at := old.updated_at;
        if new is distinct from old then
            new.updated_at := now();
        end if;
    end if;
    return new;
end
$$
"""

ASSIGN_NUMBER_WHILE_UPGRADING = ASSIGN_NUMBER.replace(
    "values (new.user_id, coalesce(new.number, 1))",
    """values (new.user_id, coalesce(new.number, 1 + (
        select count(*) from public.tasks as unnumbered
        where unnumbered.user_id = new.user_id and unnumbered.number is null
    )))""",
)
"""Like `ASSIGN_NUMBER`, but a new counter starts above the numbers of the user's old tasks."""

STAMP_WHILE_UPGRADING = """
create or replace function todo_auth.stamp_task() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' and old.number is null and new.number is not null then
        return new;  -- the upgrade gives an old task its number, and changes nothing else
    end if;
    if not new.completed then
        new.completed_at := null;
    elsif new.completed_at is null then
        new.completed_at := case
            when tg_op = 'UPDATE' and old.completed then old.updated_at else now()
        end;
    end if;
    if tg_op = 'UPDATE' then
        new.number := old.number;
        new.updated_at := old.updated_at;
        if new is distinct from old then
            new.updated_at := now();
        end if;
    end if;
    return new;
end
$$
"""

START_COUNTERS = """
do $$
declare
    batch_size constant int := 1000;
    last_id uuid := '00000000-0000-0000-0000-000000000000';
    ids uuid[];
begin
    loop
        -- The owner is bound while row-level security is forced, and would see no task. A setting
        -- of one transaction lets the policy of this upgrade pass.
        perform set_config('todo.maintenance', 'on', true);
        ids := array(
            select id from public.users where id > last_id order by id limit batch_size
        );
        exit when cardinality(ids) = 0;
        last_id := ids[cardinality(ids)];
        insert into todo_auth.task_counters (user_id, last_number)
        select t.user_id, count(*)
        from public.tasks as t
        where t.user_id = any (ids) and t.number is null
        group by t.user_id
        on conflict do nothing;
        commit;
    end loop;
end
$$
"""

LIST_OLD_TASKS = """
do $$
begin
    perform set_config('todo.maintenance', 'on', true);
    if to_regclass('todo_auth.old_tasks') is null then
        create table todo_auth.old_tasks as
        select id, number, row_number() over (order by id) as position
        from (
            select id, row_number() over (partition by user_id order by created_at, id) as number
            from public.tasks
            where number is null
        ) as numbered;
        alter table todo_auth.old_tasks add primary key (position);
    end if;
end
$$
"""

NUMBER_OLD_TASKS = """
do $$
declare
    -- A batch takes about 50 ms, and a writer waits no longer for a row that is in it.
    batch_size constant int := 2000;
    first bigint := 1;
    last bigint := (select max(position) from todo_auth.old_tasks);
begin
    while first <= last loop
        perform set_config('todo.maintenance', 'on', true);
        -- Locked in the order in which a person's command locks several tasks.
        with batch as materialized (
            select t.id, o.number
            from todo_auth.old_tasks as o join public.tasks as t on t.id = o.id
            where o.position >= first and o.position < first + batch_size
                and t.number is null
            order by t.id for update of t
        )
        update public.tasks as t
        set number = batch.number,
            completed_at = coalesce(
                t.completed_at, case when t.completed then t.updated_at end
            )
        from batch
        where t.id = batch.id;
        first := first + batch_size;
        commit;
    end loop;
end
$$
"""

CHECKS = {
    "ck_tasks_title_length": "length(title) <= 500",
    "ck_tasks_title_control_characters": r"title !~ '[\u0001-\u001F\u007F-\u009F]'",
    "ck_tasks_description_length": "length(description) <= 20000",
    "ck_tasks_description_control_characters": (
        r"description !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]'"
    ),
    "ck_tasks_completed_at": "completed_at is null or completed",
}

VALIDATE = """
do $$
begin
    alter table tasks validate constraint {name};
exception
    when check_violation then
        raise warning 'old tasks break {name}; it binds new ones only';
end
$$
"""

PREPARE = [
    """
    create table if not exists todo_auth.task_counters (
        user_id uuid not null,
        last_number bigint not null,
        constraint pk_task_counters primary key (user_id),
        constraint fk_task_counters_user_id_users
            foreign key (user_id) references users (id) on delete cascade
    ) with (fillfactor = 50)
    """,
    "alter table tasks add column if not exists number bigint,"
    " add column if not exists completed_at timestamptz,"
    " add column if not exists deleted_at timestamptz",
    "drop policy if exists tasks_numbering on tasks",
    """
    create policy tasks_numbering on tasks to current_user
    using (current_setting('todo.maintenance', true) = 'on')
    """,
    ADMIT_WRITER,
    ASSIGN_NUMBER_WHILE_UPGRADING,
    STAMP_WHILE_UPGRADING,
    "revoke all on function todo_auth.admit_task_writer(), todo_auth.assign_task_number(),"
    " todo_auth.stamp_task() from public",
    # Triggers fire in the order of their names: this one first.
    """
    create or replace trigger tasks_admit_writer before insert on tasks
    for each row execute function todo_auth.admit_task_writer()
    """,
    """
    create or replace trigger tasks_assign_number before insert on tasks
    for each row execute function todo_auth.assign_task_number()
    """,
    """
    create or replace trigger tasks_stamp before insert or update on tasks
    for each row execute function todo_auth.stamp_task()
    """,
]

NUMBER_IS_THERE = "ck_tasks_number_not_null"
"""With this check, `set not null` does not scan the table while it holds its lock."""

BATCHES = [
    START_COUNTERS,
    LIST_OLD_TASKS,
    NUMBER_OLD_TASKS,
    f"alter table tasks drop constraint if exists {NUMBER_IS_THERE}",
    f"alter table tasks add constraint {NUMBER_IS_THERE} check (number is not null) not valid",
    f"alter table tasks validate constraint {NUMBER_IS_THERE}",
    *(f"alter table tasks drop constraint if exists {name}" for name in CHECKS),
    *(
        f"alter table tasks add constraint {name} check ({rule}) not valid"
        for name, rule in CHECKS.items()
    ),
    *(VALIDATE.format(name=name) for name in CHECKS),
]

FINISH = [
    "alter table tasks alter column number set not null",
    f"alter table tasks drop constraint {NUMBER_IS_THERE}",
    "alter table tasks add constraint uq_tasks_user_id_number"
    " unique using index uq_tasks_user_id_number",
    "drop policy tasks_numbering on tasks",
    "drop table todo_auth.old_tasks",
    ASSIGN_NUMBER,
    STAMP,
    "grant update (deleted_at) on tasks to todo_app",
]

DOWNGRADE = [
    "drop trigger tasks_stamp on tasks",
    "drop trigger tasks_assign_number on tasks",
    "drop trigger tasks_admit_writer on tasks",
    "drop function todo_auth.stamp_task()",
    "drop function todo_auth.assign_task_number()",
    "drop function todo_auth.admit_task_writer()",
    *(f"alter table tasks drop constraint {name}" for name in CHECKS),
    "alter table tasks no force row level security",
    # Version 1.0.0 has no trash: it would show these tasks as if they had never been deleted.
    "delete from tasks where deleted_at is not null",
    "alter table tasks force row level security",
    "alter table tasks drop column deleted_at",
    "alter table tasks drop column completed_at",
    "alter table tasks drop column number",
    "drop table todo_auth.task_counters",
]


def upgrade() -> None:
    for statement in PREPARE:
        op.execute(statement)
    with autocommit():
        for statement in BATCHES:
            op.execute(statement)
    create_index("uq_tasks_user_id_number", "tasks", "(user_id, number)", is_unique=True)
    for statement in FINISH:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)


@contextmanager
def autocommit() -> Iterator[None]:
    """Commit each statement by itself, like Alembic's `autocommit_block`.

    If the connection is lost inside that block, its final commit fails too, and that error hides
    the first one. Here the first one is raised.
    """
    lost: sa.exc.DBAPIError | None = None
    try:
        with op.get_context().autocommit_block():
            try:
                with _patiently():
                    yield
            except sa.exc.DBAPIError as error:
                lost = error
                raise
    except sa.exc.PendingRollbackError:
        if lost is None:
            raise
        raise lost from None


@contextmanager
def _patiently() -> Iterator[None]:
    """Wait for locks without a limit: no reader or writer waits behind these statements.

    With a limit, a build that waits for an old transaction would have to start again.
    """
    is_online = not op.get_context().as_sql
    if is_online:
        op.execute("set lock_timeout = 0")
    yield
    if is_online:
        op.execute("reset lock_timeout")


_IS_VALID = sa.text(
    "select indisvalid from pg_catalog.pg_index where indexrelid = to_regclass(:name)"
)


# Each build has a transaction of its own and can be repeated: a valid index stays, and an invalid
# one, as an interrupted build leaves it, is dropped and built anew.
def create_index(name: str, table: str, definition: str, *, is_unique: bool = False) -> None:
    """Build an index if it is missing or invalid. `definition` is what follows the table's name."""
    kind = "unique index" if is_unique else "index"
    with autocommit():
        if not op.get_context().as_sql and _is_invalid(name):
            op.execute(f"drop index concurrently public.{name}")
        op.execute(f"create {kind} concurrently if not exists {name} on {table} {definition}")


def _is_invalid(name: str) -> bool:
    found = op.get_bind().execute(_IS_VALID, {"name": f"public.{name}"}).scalar()
    return found is False
