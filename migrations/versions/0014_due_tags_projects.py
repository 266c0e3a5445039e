"""Tasks have a due day, a day to wait for, a priority, tags and a project.

The table may be large and in use. No step rewrites it:

1. One short transaction adds the columns, their checks as NOT VALID, and the trigger.
2. The checks are validated, and the indexes are built, without a lock that writers wait for.

Step 2 commits as it goes. An upgrade that was interrupted is run again from step 1, so every
statement can be repeated.

The index of pending tasks now holds what lists filter by. Row-level security prevents an index of
the tags themselves: its operators are not leakproof, so the planner would not use it. The index is
replaced, so that writers maintain one and not two.

A trigger sorts the tags, and leaves out those that differ in case alone, so that other programs
need not. A check could not: it depends on the locale which letters differ in case alone, and a
backup would then not fit every server.

Days are those that other programs can read: PostgreSQL also has infinity, and years before 1. A
time zone is one that the server knows, or a comparison with it would fail later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = {
    "due_on": "date",
    "due_time": "time(0)",
    "due_zone": "text",
    "wait_on": "date",
    "priority": "smallint",
    "tags": "text[] not null default '{}'",
    "project": "text",
    "extra": "jsonb",
}
ANY_IS_GIVEN = "num_nonnulls(due_on, wait_on, priority, project, extra) > 0 or tags <> '{}'"

LOSSES = {
    "tasks with a due day, a priority, tags or a project, which lose them": f"""
        select (select count(*) from tasks where {ANY_IS_GIVEN})
            + (select count(*) from tasks_archive where {ANY_IS_GIVEN})
    """  # noqa: S608  # constants of this module
}

APART = r"[\u0001-\u0020,\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]"
"""White space of Unicode, control characters, and the comma: what ends a tag or a project."""
A_DAY = "between date '0001-01-01' and date '9999-12-31'"
CHECKS = {
    "ck_tasks_due_on": f"due_on {A_DAY}",
    # 24:00 is a time in PostgreSQL alone.
    "ck_tasks_due_time": ("due_time is null or (due_on is not null and due_time < time '24:00')"),
    "ck_tasks_due_zone": (
        "due_zone is null or (due_time is not null and due_zone ~ '^[A-Za-z0-9_+/-]{1,64}$'"
        " and (timestamp '2000-01-01' at time zone due_zone) is not null)"
    ),
    "ck_tasks_wait_on": f"wait_on {A_DAY}",
    "ck_tasks_priority": "priority between 1 and 3",
    # The second line refuses commas and NULLs.
    "ck_tasks_tags": (
        "tags = '{}' or (cardinality(tags) <= 50"
        " and string_to_array(array_to_string(tags, ','), ',') = tags"
        " and octet_length(array_to_string(tags, '')) <= 1000"
        f" and array_to_string(tags, '') !~ '{APART}'"
        " and (',' || lower(array_to_string(tags, ',')) || ',') !~ ',(none|any)?,'"
        " and (octet_length(array_to_string(tags, '')) <= 50"
        " or array_to_string(tags, ',') !~ '[^,]{51}'))"
    ),
    "ck_tasks_project": (
        f"length(project) <= 200 and project !~ '{APART}'"
        " and lower(project) not in ('none', 'any')"
        " and position('..' in '.' || project || '.') = 0"
    ),
    "ck_tasks_extra": "jsonb_typeof(extra) = 'object' and octet_length(extra::text) <= 8192",
}

SORT_TAGS = """
create or replace function todo_auth.sort_task_tags() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    new.tags := array(
        select distinct on (lower(tag) collate "C") tag
        from unnest(new.tags) with ordinality as given (tag, place)
        order by lower(tag) collate "C", place
    );
    return new;
end
$$
"""

LOCK = [
    # Who waits for this lock makes all others wait. So it gives up soon; the upgrade tries again.
    "set local lock_timeout = '100ms'",
    "lock table tasks, tasks_archive in access exclusive mode",
]

PREPARE = [
    *LOCK,
    "alter table tasks "
    + ", ".join(
        [f"add column if not exists {name} {kind}" for name, kind in COLUMNS.items()]
        + [f"alter column {name} set statistics 0" for name in COLUMNS]
        + [f"drop constraint if exists {name}" for name in CHECKS]
        + [f"add constraint {name} check ({rule}) not valid" for name, rule in CHECKS.items()]
    ),
    "alter table tasks_archive "
    + ", ".join(
        [f"add column if not exists {name} {kind}" for name, kind in COLUMNS.items()]
        + [f"alter column {name} set statistics 0" for name in COLUMNS]
    ),
    SORT_TAGS,
    "revoke all on function todo_auth.sort_task_tags() from public",
    # Triggers fire in the order of their names: this one before the one that stamps a change.
    """
    create or replace trigger tasks_sort_tags before insert or update of tags on tasks
    for each row when (new.tags <> '{}') execute function todo_auth.sort_task_tags()
    """,
    "grant insert ({0}), update ({0}) on tasks to todo_app".format(", ".join(COLUMNS)),
]

PENDING = "ix_tasks_user_id_number_pending"
DUE = "ix_tasks_user_id_due_on_number"
IS_PENDING = "where not completed and deleted_at is null"
PENDING_BEFORE = f"(user_id, number) {IS_PENDING}"
PENDING_NOW = f"(user_id, number) include (due_on, wait_on, priority, project, tags) {IS_PENDING}"

DOWNGRADE = [
    *LOCK,
    "drop trigger tasks_sort_tags on tasks",
    "drop function todo_auth.sort_task_tags()",
    *(
        f"alter table {table} " + ", ".join(f"drop column {name}" for name in COLUMNS)
        for table in ("tasks", "tasks_archive")
    ),
]


def upgrade() -> None:
    for statement in PREPARE:
        op.execute(statement)
    with autocommit(), patiently():
        for name in CHECKS:
            op.execute(f"alter table tasks validate constraint {name}")
    create_index(DUE, "tasks", f"(user_id, due_on, number) {IS_PENDING} and due_on is not null")
    replace_index(PENDING, "tasks", PENDING_NOW)


def downgrade() -> None:
    # If somebody holds a lock, nothing is changed yet.
    for statement in LOCK:
        op.execute(statement)
    replace_index(PENDING, "tasks", PENDING_BEFORE)
    drop_index(DUE)
    for statement in DOWNGRADE:
        op.execute(statement)


def replace_index(name: str, table: str, definition: str) -> None:
    """Build an index anew under a name of its own, so that every query has one all the time."""
    create_index(f"{name}_new", table, definition)
    drop_index(name)
    with autocommit():
        op.execute(f"alter index if exists public.{name}_new rename to {name}")


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
                yield
            except sa.exc.DBAPIError as error:
                lost = error
                raise
    except sa.exc.PendingRollbackError:
        if lost is None:
            raise
        raise lost from None


@contextmanager
def patiently() -> Iterator[None]:
    """Wait for locks without a limit: no reader or writer waits behind these statements.

    With a limit, a build that waits for an old transaction would have to start again. To drop an
    index needs no patience, as it goes on where it stopped.
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
def create_index(name: str, table: str, definition: str) -> None:
    """Build an index if it is missing or invalid. `definition` is what follows the table's name."""
    with autocommit(), patiently():
        if not op.get_context().as_sql and _is_invalid(name):
            op.execute(f"drop index concurrently public.{name}")
        op.execute(f"create index concurrently if not exists {name} on {table} {definition}")


def drop_index(name: str) -> None:
    """Drop an index if it is there, without a lock that a reader or writer would wait for."""
    with autocommit():
        op.execute(f"drop index concurrently if exists public.{name}")


def _is_invalid(name: str) -> bool:
    found = op.get_bind().execute(_IS_VALID, {"name": f"public.{name}"}).scalar()
    return found is False
