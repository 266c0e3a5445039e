"""Checks of the columns, and of the protection of each user's rows from others."""

from __future__ import annotations

from todo_cli.admin import expected
from todo_cli.admin.health.check import UPGRADE_REPAIRS, Check, Facts, Subject, listed
from todo_cli.admin.tables import FORCED, SHIELDED, TASKS
from todo_cli.models import METADATA

SECURITY = Subject()
SECURITY.needs(
    tables="""(
    select jsonb_object_agg(relname, jsonb_build_object(
        'enabled', relrowsecurity, 'forced', relforcerowsecurity,
        'owner', pg_get_userbyid(relowner)))
    from pg_catalog.pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
)""",
)


@SECURITY.check(
    columns="""(
    select jsonb_object_agg(attrelid::regclass::text || '.' || attname,
        format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end)
    from pg_catalog.pg_attribute
    where attrelid in (
        select oid from pg_catalog.pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r'
    ) and attnum > 0 and not attisdropped
)""",
)
def models(facts: Facts) -> Check:
    """The columns of the models must be in the catalog. The catalog may have more."""
    found = facts["columns"]
    wrong = [name for name, kind in model_columns().items() if found.get(name) != kind]
    return listed("models", wrong, "differ from the program's models", reason="see_pending")


def model_columns() -> dict[str, str]:
    """`table.column` and its type, as the catalog writes it."""
    from sqlalchemy import DateTime
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy types no dialect
    columns = {}
    for table in METADATA.sorted_tables:
        for column in table.columns:
            is_instant = isinstance(column.type, DateTime)
            kind = "timestamp with time zone" if is_instant else str(column.type.compile(dialect))
            suffix = "" if column.nullable else " not null"
            columns[f"{table.name}.{column.name}"] = kind.lower() + suffix
    return columns


@SECURITY.check()
def row_security(facts: Facts) -> Check:
    def is_loose(table: str) -> bool:
        found = facts["tables"].get(table, {"enabled": False, "forced": False})
        return not found["enabled"] or (table in FORCED and not found["forced"])

    loose = [table for table in (*FORCED, *SHIELDED) if is_loose(table)]
    return listed("row_security", loose, "lack row-level security", reason="see_schema")


@SECURITY.check(policies=expected.FOUND_POLICIES)
def policies(facts: Facts) -> Check:
    """The policies on people's tables: none may be missing, changed, or unknown."""
    wrong = expected.wrong_policies(facts["policies"], facts["tables"][TASKS.name]["owner"])
    known = {(policy.table, policy.name) for policy in expected.POLICIES}
    extra = [
        (one["table"], one["name"])
        for one in facts["policies"]
        if one["table"] in (*FORCED, *SHIELDED) and (one["table"], one["name"]) not in known
    ]
    names = [(policy.table, policy.name) for policy in wrong] + extra
    return listed(
        "policies",
        [f"{table}.{name}" for table, name in names],
        "are not as expected",
        "; ".join(f"drop policy {name} on {table}" for table, name in extra) or None,
        reason=UPGRADE_REPAIRS if wrong else None,
    )


@SECURITY.check(
    statistics=expected.FOUND_STATISTICS,
    extended_statistics=expected.FOUND_EXTENDED_STATISTICS,
)
def planner_statistics(facts: Facts) -> Check:
    """Statistics from which the estimates of EXPLAIN would tell values of other people's rows."""
    columns = expected.readable_statistics(facts["statistics"])
    extended = facts["extended_statistics"]
    hints = [hint for _, hint in columns]
    hints += [f"drop statistics {name.rpartition('.')[2]}" for name in extended]
    return listed(
        "planner_statistics",
        [name for name, _ in columns] + extended,
        "has values that explain tells to everybody",
        "; ".join(hints),
    )
