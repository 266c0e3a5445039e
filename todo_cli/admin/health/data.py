"""Checks of the stored rows: dead rows, and demonstration data beside real users."""

from __future__ import annotations

from functools import partial

from todo_cli.admin.health.check import Check, Facts, Subject, at_most
from todo_cli.admin.tables import FORCED

DATA = Subject()
DATA.needs(
    busiest="""(
    select jsonb_build_object('user', user_id, 'number', (
        select coalesce(max(number), 0) from tasks where tasks.user_id = counters.user_id
    ))
    from todo_auth.task_counters as counters order by last_number desc limit 1
)""",
    activity="""(
    select coalesce(jsonb_object_agg(relname, jsonb_build_object('live', n_live_tup,
        'dead', n_dead_tup, 'vacuum', to_char(greatest(last_vacuum, last_autovacuum)
            at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))), '{}')
    from pg_catalog.pg_stat_user_tables where schemaname = 'public'
)""",
)
"""`busiest` is the user with the most tasks. The query patterns are measured as that user."""


def _dead_rows(table: str, facts: Facts) -> Check | None:
    found = facts["activity"].get(table)
    if found is None:
        return None
    dead, live = found["dead"], found["live"]
    ratio = dead / (dead + live) if dead >= facts.limits.dead_rows else 0.0
    return at_most(
        f"dead_rows_{table}",
        round(ratio, 3),
        facts.limits.dead_ratio,
        "share",
        f"of the rows are dead; last vacuum: {found['vacuum'] or 'never'}",
        f"vacuum (analyze) {table}",
    )


for _table in FORCED:
    DATA.check()(partial(_dead_rows, _table))


@DATA.check(
    seeded="(select count(*) from users where right(email, 17) = '.seed.example.com')",
    real="exists (select from users where right(email, 17) <> '.seed.example.com')",
)
def seeded_data(facts: Facts) -> Check:
    return at_most(
        "seeded_data",
        facts["seeded"] if facts["real"] else 0,
        0,
        "users",
        "of demonstration data exist beside real ones",
        reason="seeded_data",
    )
