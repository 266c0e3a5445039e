"""One update of a user's counter for each statement, not for each row.

An update for each row leaves a dead version of the counter, and the next row has to scan them all:
50,000 rows in one statement took 39 seconds. Now a row only locks the counter. It takes the number
after the counter's, or after that of the last row of the same statement if that is larger. At its
end the statement sets the counter to the largest number.

A trigger can see the earlier rows of its statement if row-level security does not bind its owner,
or if they belong to the session's user. Otherwise the counter is updated for each row, as before.

PostgreSQL plans the query when the function is first called, perhaps while the table is empty. Only
a scan of the index on the numbers is fast for any number of rows, so all other scans are disabled.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

ASSIGN_NUMBER = """
create or replace function todo_auth.assign_task_number() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    counted bigint;
    newest bigint;
begin
    if new.user_id is null then
        return new;  -- the NOT NULL of the column says it better
    end if;
    loop
        -- The lock keeps others from these numbers until this transaction ends. While it waits for
        -- another's end, `counted` becomes what that one has left; it has no row in `newest` yet.
        select c.last_number, (
            select t.number from public.tasks as t
            where t.user_id = new.user_id and t.number > c.last_number
            order by t.number desc limit 1
        )
        into counted, newest
        from todo_auth.task_counters as c where c.user_id = new.user_id
        for no key update of c;
        exit when found;
        insert into todo_auth.task_counters (user_id, last_number) values (new.user_id, 0)
        on conflict (user_id) do nothing;
    end loop;
    if new.number is not null then
        return new;
    end if;
    new.number := coalesce(newest, counted) + 1;
    if row_security_active('public.tasks')
        and new.user_id is distinct from todo_auth.current_user_id()
    then
        update todo_auth.task_counters as c set last_number = new.number
        where c.user_id = new.user_id;
    end if;
    return new;
end
$$
"""

COUNT_NUMBERS = """
create function todo_auth.count_task_numbers() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
    update todo_auth.task_counters as c set last_number = made.last_number
    from (
        select user_id, max(number) as last_number from made_tasks group by user_id
    ) as made
    where c.user_id = made.user_id and c.last_number < made.last_number;
    return null;
end
$$
"""

ASSIGN_NUMBER_BEFORE = """
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

UPGRADE = [
    ASSIGN_NUMBER,
    COUNT_NUMBERS,
    "revoke all on function todo_auth.count_task_numbers() from public",
    """
    create trigger tasks_count_numbers after insert on tasks
    referencing new table as made_tasks
    for each statement execute function todo_auth.count_task_numbers()
    """,
]

DOWNGRADE = [
    "drop trigger tasks_count_numbers on tasks",
    "drop function todo_auth.count_task_numbers()",
    ASSIGN_NUMBER_BEFORE,
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
