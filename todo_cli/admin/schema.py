"""Describes the tables of the catalog, which may differ from the models: Mermaid, SQL, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

from todo_cli.admin.connect import Connection, one

Description = dict[str, Any]

_CATALOG: LiteralString = """
with spaces as (
    select oid, nspname from pg_catalog.pg_namespace where nspname in ('public', 'todo_auth')
),
tables as (
    select c.*, case nspname when 'public' then '' else quote_ident(nspname) || '.' end
        || quote_ident(relname) as name
    from pg_catalog.pg_class as c join spaces on spaces.oid = c.relnamespace
    where relkind in ('r', 'p')
)
select jsonb_build_object(
    'schemas', (select jsonb_agg(nspname order by nspname) from spaces where nspname <> 'public'),
    'tables', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', t.name,
            'options', coalesce(to_jsonb(t.reloptions), '[]'),
            'row_security', t.relrowsecurity,
            'forced', t.relforcerowsecurity,
            'columns', (
                select jsonb_agg(jsonb_build_object(
                    'name', attname, 'type', format_type(atttypid, atttypmod),
                    'nullable', not attnotnull,
                    'default', pg_get_expr(adbin, adrelid),
                    'statistics', nullif(attstattarget, -1)
                ) order by attnum)
                from pg_catalog.pg_attribute
                left join pg_catalog.pg_attrdef on adrelid = attrelid and adnum = attnum
                where attrelid = t.oid and attnum > 0 and not attisdropped
            ),
            'constraints', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', conname, 'kind', contype,
                    'columns', (
                        select jsonb_agg(attname order by place)
                        from unnest(conkey) with ordinality as k (attnum, place)
                        join pg_catalog.pg_attribute as a
                            on a.attrelid = t.oid and a.attnum = k.attnum
                    ),
                    'references', (select name from tables where tables.oid = confrelid),
                    'definition', pg_get_constraintdef(c.oid)
                ) order by contype desc, conname), '[]')
                from pg_catalog.pg_constraint as c
                where conrelid = t.oid and contype in ('p', 'u', 'f', 'c')
            ),
            'indexes', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', i.indexrelid::regclass::text, 'valid', i.indisvalid,
                    'definition', pg_get_indexdef(i.indexrelid)
                ) order by i.indexrelid::regclass::text), '[]')
                from pg_catalog.pg_index as i
                where i.indrelid = t.oid
                    and not exists (select from pg_constraint where conindid = i.indexrelid)
            ),
            'policies', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', polname, 'permissive', polpermissive,
                    'command', case polcmd when 'r' then 'select' when 'a' then 'insert'
                        when 'w' then 'update' when 'd' then 'delete' else 'all' end,
                    'roles', case when 0 = any (polroles) then '["public"]' else (
                        select jsonb_agg(rolname order by rolname) from pg_catalog.pg_roles
                        where oid = any (polroles)
                    ) end,
                    'using', pg_get_expr(polqual, polrelid),
                    'check', pg_get_expr(polwithcheck, polrelid)
                ) order by polname), '[]')
                from pg_catalog.pg_policy where polrelid = t.oid
            ),
            'triggers', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', tgname, 'enabled', tgenabled <> 'D',
                    'definition', pg_get_triggerdef(oid)
                ) order by tgname), '[]')
                from pg_catalog.pg_trigger where tgrelid = t.oid and not tgisinternal
            ),
            'grants', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'role', role, 'privilege', privilege, 'columns', columns
                ) order by role, privilege, columns), '[]')
                from (
                    select grantee::regrole::text as role, lower(privilege_type) as privilege,
                        null::jsonb as columns
                    from aclexplode(t.relacl) where grantee not in (t.relowner, 0)
                    union all
                    select grantee::regrole::text, lower(privilege_type),
                        jsonb_agg(attname order by attname)
                    from pg_catalog.pg_attribute cross join lateral aclexplode(attacl)
                    where attrelid = t.oid and grantee not in (t.relowner, 0)
                    group by 1, 2
                ) as granted
            )
        ) order by t.relnamespace = 'public'::regnamespace desc, t.name), '[]')
        from tables as t
    ),
    'functions', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', p.oid::regprocedure::text, 'security_definer', prosecdef,
            'definition', pg_get_functiondef(p.oid),
            'public', has_function_privilege('public', p.oid, 'execute'),
            'grants', (
                select coalesce(jsonb_agg(grantee::regrole::text
                    order by grantee::regrole::text), '[]')
                from aclexplode(proacl) where grantee not in (proowner, 0)
            )
        ) order by p.oid::regprocedure::text), '[]')
        from pg_catalog.pg_proc as p join spaces on spaces.oid = pronamespace
        where prokind = 'f' and not exists (
            select from pg_catalog.pg_depend where objid = p.oid and deptype = 'e'
        )
    ),
    'schema_grants', (
        select coalesce(jsonb_agg(jsonb_build_object('schema', nspname, 'role', role)
            order by nspname, role), '[]')
        from (
            select n.nspname, grantee::regrole::text as role
            from pg_catalog.pg_namespace as n cross join lateral aclexplode(nspacl)
            where n.nspname in ('public', 'todo_auth') and privilege_type = 'USAGE'
                and grantee not in (n.nspowner, 0)
        ) as granted
    )
)
"""


@dataclass(frozen=True)
class Schema:
    """The schema in the catalog, as one document."""

    description: Description

    @classmethod
    def read(cls, connection: Connection) -> Schema:
        """Read the catalog, with one statement. Any role may do this."""
        with connection.transaction():
            return cls(one(connection, _CATALOG))

    def mermaid(self) -> str:
        """An entity-relationship diagram in Mermaid, which GitHub draws."""
        lines = ["erDiagram"]
        for table in self.description["tables"]:
            lines += [f"    {line}" for line in _relations(table)]
        for table in self.description["tables"]:
            lines += [f"    {line}" for line in _entity(table)]
        return "\n".join(lines) + "\n"

    def sql(self) -> str:
        """Statements that create the same schema in an empty database. The roles must exist."""
        return ";\n\n".join(_statements(self.description)) + ";\n"


# --- Mermaid ---------------------------------------------------------------------------------

_SHORT_TYPES = {"timestamp with time zone": "timestamptz", "time(0) without time zone": "time"}


def _relations(table: Description) -> Iterator[str]:
    for constraint in _of_kind(table, "f"):
        many = _entity_name(table["name"])
        is_unique = any(
            other["columns"] == constraint["columns"] for other in _of_kind(table, "p", "u")
        )
        link = "||--o|" if is_unique else "||--o{"
        columns = ", ".join(constraint["columns"])
        yield f'{_entity_name(constraint["references"])} {link} {many} : "{columns}"'


def _entity(table: Description) -> Iterator[str]:
    keys: dict[str, list[str]] = {}
    for kind, sign in (("p", "PK"), ("f", "FK"), ("u", "UK")):
        for constraint in _of_kind(table, kind):
            if kind != "u" or len(constraint["columns"]) == 1:
                for column in constraint["columns"]:
                    keys.setdefault(column, []).append(sign)
    yield f"{_entity_name(table['name'])} {{"
    for column in table["columns"]:
        kind = _SHORT_TYPES.get(column["type"], column["type"]).replace(" ", "_")
        signs = ", ".join(keys.get(column["name"], []))
        note = "" if column["nullable"] else ' "not null"'
        yield f"    {kind} {column['name']}{' ' if signs else ''}{signs}{note}"
    yield "}"


def _entity_name(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _of_kind(table: Description, *kinds: str) -> list[Description]:
    return [one for one in table["constraints"] if one["kind"] in kinds]


# --- SQL -------------------------------------------------------------------------------------


def _statements(schema: Description) -> Iterator[str]:
    tables = schema["tables"]
    # Functions and tables refer to each other, so bodies are checked when they are called.
    yield "set check_function_bodies = off"
    for name in schema["schemas"] or []:
        yield f"create schema {name}"
    for table in tables:
        yield _create_table(table)
    for function in schema["functions"]:
        yield str(function["definition"]).rstrip()
    for table in tables:
        yield from _defaults(table)
    for kinds in ("pu", "c", "f"):
        for table in tables:
            for constraint in _of_kind(table, *kinds):
                added = f"{constraint['name']} {constraint['definition']}"
                yield f"alter table {table['name']} add constraint {added}"
    for table in tables:
        yield from (index["definition"] for index in table["indexes"])
        yield from _policies(table)
        yield from _triggers(table)
    yield from _grants(schema)


def _create_table(table: Description) -> str:
    columns = ",\n    ".join(
        f"{column['name']} {column['type']}{'' if column['nullable'] else ' not null'}"
        for column in table["columns"]
    )
    options = f" with ({', '.join(table['options'])})" if table["options"] else ""
    return f"create table {table['name']} (\n    {columns}\n){options}"


def _defaults(table: Description) -> Iterator[str]:
    for column in table["columns"]:
        if column["statistics"] is not None:
            yield (
                f"alter table {table['name']} alter column {column['name']} "
                f"set statistics {column['statistics']}"
            )
        if column["default"] is not None:
            yield (
                f"alter table {table['name']} alter column {column['name']} "
                f"set default {column['default']}"
            )


def _policies(table: Description) -> Iterator[str]:
    if table["row_security"]:
        yield f"alter table {table['name']} enable row level security"
    if table["forced"]:
        yield f"alter table {table['name']} force row level security"
    for policy in table["policies"]:
        kind = "" if policy["permissive"] else " as restrictive"
        using = f" using ({policy['using']})" if policy["using"] else ""
        check = f" with check ({policy['check']})" if policy["check"] else ""
        roles = ", ".join(policy["roles"])
        yield (
            f"create policy {policy['name']} on {table['name']}{kind} "
            f"for {policy['command']} to {roles}{using}{check}"
        )


def _triggers(table: Description) -> Iterator[str]:
    for trigger in table["triggers"]:
        yield trigger["definition"]
        if not trigger["enabled"]:
            yield f"alter table {table['name']} disable trigger {trigger['name']}"


def _grants(schema: Description) -> Iterator[str]:
    for grant in schema["schema_grants"]:
        yield f"grant usage on schema {grant['schema']} to {grant['role']}"
    for table in schema["tables"]:
        for grant in table["grants"]:
            columns = f" ({', '.join(grant['columns'])})" if grant["columns"] else ""
            yield f"grant {grant['privilege']}{columns} on {table['name']} to {grant['role']}"
    for function in schema["functions"]:
        if not function["public"]:
            yield f"revoke all on function {function['name']} from public"
        for role in function["grants"]:
            yield f"grant execute on function {function['name']} to {role}"
