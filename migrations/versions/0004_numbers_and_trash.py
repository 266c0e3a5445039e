"""Numbers, completion times, the trash, and the rules of a text; kept by triggers.

Other programs write tasks too, and some know only version 1.0.0: what is derived is derived
here. A number belongs to one task of one user for ever. It comes from a counter of its own, not
from `max(number) + 1`, which would give the number of a deleted task again and let two
concurrent writers collide.

Checks are added NOT VALID, then validated if every old row passes: an old row that does not must
not stop the upgrade.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ADMIT_WRITER = """
create function todo_auth.admit_task_writer() returns trigger
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
create function todo_auth.assign_task_number() returns trigger
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
create function todo_auth.stamp_task() returns trigger
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

NUMBER_OLD_TASKS = """
update tasks
set number = numbered.number,
    completed_at = case when tasks.completed then tasks.updated_at end
from (
    select id, row_number() over (partition by user_id order by created_at, id) as number
    from tasks
) as numbered
where numbered.id = tasks.id
"""

COUNT_OLD_TASKS = """
insert into todo_auth.task_counters (user_id, last_number)
select user_id, max(number) from tasks group by user_id
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

UPGRADE = [
    """
    create table todo_auth.task_counters (
        user_id uuid not null,
        last_number bigint not null,
        constraint pk_task_counters primary key (user_id),
        constraint fk_task_counters_user_id_users
            foreign key (user_id) references users (id) on delete cascade
    ) with (fillfactor = 50)
    """,
    "alter table tasks add column number bigint",
    "alter table tasks add column completed_at timestamptz",
    "alter table tasks add column deleted_at timestamptz",
    # The owner is bound as well while row-level security is forced, and would see no row.
    "alter table tasks no force row level security",
    NUMBER_OLD_TASKS,
    COUNT_OLD_TASKS,
    "alter table tasks force row level security",
    "alter table tasks alter column number set not null",
    "alter table tasks add constraint uq_tasks_user_id_number unique (user_id, number)",
    *(
        f"alter table tasks add constraint {name} check ({rule}) not valid"
        for name, rule in CHECKS.items()
    ),
    *(VALIDATE.format(name=name) for name in CHECKS),
    ADMIT_WRITER,
    ASSIGN_NUMBER,
    STAMP,
    "revoke all on function todo_auth.admit_task_writer(), todo_auth.assign_task_number(),"
    " todo_auth.stamp_task() from public",
    # Triggers fire in the order of their names: this one first.
    """
    create trigger tasks_admit_writer before insert on tasks
    for each row execute function todo_auth.admit_task_writer()
    """,
    """
    create trigger tasks_assign_number before insert on tasks
    for each row execute function todo_auth.assign_task_number()
    """,
    """
    create trigger tasks_stamp before insert or update on tasks
    for each row execute function todo_auth.stamp_task()
    """,
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
    # Version 1.0.0 knows no trash: what lies there would come back as if it had never left.
    "delete from tasks where deleted_at is not null",
    "alter table tasks force row level security",
    "alter table tasks drop column deleted_at",
    "alter table tasks drop column completed_at",
    "alter table tasks drop column number",
    "drop table todo_auth.task_counters",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
