"""A picture of a database's catalog that two moments can be compared by."""

from __future__ import annotations

from typing import Any

import psycopg

_QUERIES = {
    "columns": """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attacl::text,
            coalesce(a.attstattarget, -1)
        from pg_attribute as a
        join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'v')
        join pg_namespace as n on n.oid = c.relnamespace
        left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and {ours}
    """,
    "tables": """
        select n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text,
            nullif(c.relacl, acldefault('r', c.relowner))::text
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where c.relkind in ('r', 'v', 'S') and {ours}
    """,
    "indexes": "select indexdef from pg_indexes as i join pg_namespace as n "
    "on n.nspname = i.schemaname where {ours}",
    "constraints": """
        select o.conname, pg_get_constraintdef(o.oid), o.convalidated
        from pg_constraint as o join pg_namespace as n on n.oid = o.connamespace where {ours}
    """,
    "functions": """
        select pg_get_functiondef(p.oid), p.proacl::text
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where {ours}
    """,
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "policies": "select * from pg_policies",
    "schemas": "select n.nspname, n.nspacl::text from pg_namespace as n where {ours}",
}
_OURS = "n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' "


def catalog_of(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Everything that a revision can change, as sorted text; Alembic's own table left out."""
    catalog = {}
    for name, query in _QUERIES.items():
        rows = connection.execute(query.format(ours=_OURS).encode()).fetchall()
        catalog[name] = sorted(str(row) for row in rows if "alembic_version" not in str(row))
    return catalog
