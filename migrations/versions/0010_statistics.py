"""No planner statistics on what people write.

Row-level security does not bind the planner. `<` and `=` are leakproof, so it estimates them from
the values in `pg_statistic`, and `explain` shows the estimates to everybody who may select from
the table: walked prefix by prefix they spell other people's addresses and titles.

The planner's statistics stay where plans need them and where they tell little: of `number` and
`completed` as they were; of `id`, `user_id` and `deleted_at` the number of distinct values and of
nulls, their correlation, and no more than three values. All other columns have none.

Setting the target to 0 keeps values away that come later; it does not remove those that are
there. PostgreSQL 18 has a function for that. Before 18, only a change of type removes them; to
the same type it rewrites neither table nor index. It would check every row again, hence the
checks are added anew, not validated, in the same statement, and validated afterwards without a
lock that a writer waits for.
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

# Of the identifiers the planner needs the correlation: without it, several new tasks of a user
# with 37,000 were read back by a bitmap of all 37,000 (234 buffers; by the key, 10).
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
    """Commit each statement by itself, as Alembic's own block does.

    When the connection is lost inside that block, it fails to commit at its end and hides the
    reason. Here the reason is raised.
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
    """Wait for locks as long as it takes: nobody has to wait behind these statements.

    A build that gave up after a second would begin anew, while an old transaction goes on.
    """
    is_online = not op.get_context().as_sql
    if is_online:
        op.execute("set lock_timeout = 0")
    yield
    if is_online:
        op.execute("reset lock_timeout")
