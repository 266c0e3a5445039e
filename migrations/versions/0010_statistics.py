"""No planner statistics on what people write.

Row-level security does not apply to the planner's estimates. `<` and `=` are leakproof operators,
so the planner estimates them from the values in `pg_statistic`. `explain` shows the estimates to
everybody who may select from the table. By asking for one prefix after another, they could read
other people's addresses and titles.

Some columns keep statistics, since plans need them and they reveal little. `number` and `completed`
keep them all. `id`, `user_id` and `deleted_at` keep the number of distinct values, the share of
nulls, the correlation, and at most three values. All other columns have none.

A target of 0 prevents new statistics, but does not remove old ones. PostgreSQL 18 has a function
for that. Before 18, only a change of the column's type removes them. A change to the same type
rewrites neither the table nor its indexes, but validates all checks again under a lock. Therefore
the same statement drops the checks and adds them NOT VALID. They are validated afterwards, without
a lock that blocks writers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

# The planner needs the correlation of identifiers. Without it, a few new tasks of a user with
# 37,000 were read back by a bitmap scan of all 37,000: 234 buffers. The primary key needs 10.
OF_TASKS = {"id": 1, "user_id": 1, "deleted_at": 1, "number": -1, "completed": -1}
# The columns that keep statistics, and their targets: -1 is the server's default.
KEPT = {
    "public.users": {"id": 1},
    "public.tasks": OF_TASKS,
    "public.tasks_archive": OF_TASKS,
    "public.sessions": {"user_id": 1},
    "public.accounts": {"user_id": 1},
    "public.verifications": {},
    "todo_auth.task_counters": {"user_id": 1},
    "todo_auth.sign_in_attempts": {"user_id": 1},
    "todo_auth.secrets": {},
}

SET_TARGETS = """
do $$
declare
    name text;
begin
    for name in
        select attname from pg_catalog.pg_attribute
        where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped
            and attname <> all (array[{kept}]::text[])
    loop
        execute format('alter table {table} alter column %I set statistics {target}', name);
    end loop;
end
$$
"""

REMOVE_VALUES = """
do $$
declare
    name text;
    retyped text;
    dropped text;
    added text;
    tries integer := 0;
begin
    if current_setting('server_version_num')::integer >= 180000 then
        for name in
            select attname from pg_catalog.pg_attribute
            where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped
        loop
            perform pg_catalog.pg_clear_attribute_stats('{schema}', '{relation}', name, false);
        end loop;
        return;
    end if;
    select string_agg(
        format('alter column %I type %s', attname, format_type(atttypid, atttypmod))
            || case when attcollation <> typcollation
                then format(' collate %s', attcollation::regcollation) else '' end,
        ', '
    ) into retyped
    from pg_catalog.pg_attribute join pg_catalog.pg_type on pg_type.oid = atttypid
    where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped
        and attname <> all (array[{kept}]::text[]);
    select coalesce(string_agg(format('drop constraint %I, ', conname), ''), ''),
        coalesce(string_agg(
            format(', add constraint %I %s', conname, pg_get_constraintdef(oid))
                || case when convalidated then ' not valid' else '' end,
            ''
        ), '')
    into dropped, added
    from pg_catalog.pg_constraint where conrelid = '{table}'::regclass and contype = 'c';
    loop
        begin
            -- Who waits for this lock makes all others wait: give up soon, and try again.
            set local lock_timeout = '100ms';
            execute 'alter table {table} ' || dropped || retyped || added;
            return;
        exception
            when lock_not_available then
                tries := tries + 1;
                if tries = 300 then
                    raise;
                end if;
                perform pg_sleep(0.1);
            when feature_not_supported then
                raise warning 'the statistics of {table} stay: %; todo db health tells more',
                    sqlerrm;
                return;
        end;
    end loop;
end
$$
"""

VALIDATE = """
do $$
declare
    name text;
begin
    for name in
        select conname from pg_catalog.pg_constraint
        where conrelid = '{table}'::regclass and contype = 'c' and not convalidated
    loop
        begin
            execute format('alter table {table} validate constraint %I', name);
        exception
            when check_violation then
                raise warning 'old rows break %; it binds new ones only', name;
        end;
    end loop;
end
$$
"""


def upgrade() -> None:
    with autocommit():
        for table, kept in KEPT.items():
            names = ", ".join(f"'{name}'" for name in kept)
            op.execute(SET_TARGETS.format(table=table, kept=names, target=0))
            for name, target in kept.items():
                op.execute(f"alter table {table} alter column {name} set statistics {target}")
            schema, _, relation = table.partition(".")
            op.execute(
                REMOVE_VALUES.format(table=table, schema=schema, relation=relation, kept=names)
            )
            op.execute(VALIDATE.format(table=table))
            if kept:
                op.execute(f"analyze {table} ({', '.join(kept)})")


def downgrade() -> None:
    for table in KEPT:
        op.execute(SET_TARGETS.format(table=table, kept="", target=-1))


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
