"""Policies, privileges and statistics of the tables, compared with those of a database.

A person can be `todo_app`. `drop owned by todo_app` removes every policy that names that role
alone, so the policies for people name PUBLIC. A person's own run is refused; the tables' owner can
remove policies and privileges. `repair` brings both back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from todo_cli.admin.tables import COMMON_STATISTICS, FUNCTIONS, TABLES, RowSecurity, Table
from todo_cli.database.session import APP_ROLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The same condition twice. The first can use an index. The second is the cheapest comparison, so
# that the planner applies it to a row before the user's own conditions (revision 0013).
_OWN = (
    "{column} = (select todo_auth.current_user_id())"
    " and coalesce({column} = any (array[(select todo_auth.current_user_id())]), false)"
)
_MAINTENANCE = (
    "(select pg_catalog.current_setting('todo.maintenance', true) = 'on'"
    " and pg_catalog.pg_has_role(session_user, current_user, 'usage'))"
)


@dataclass(frozen=True)
class Policy:
    """A policy that must exist. `rule` applies to rows that are read or written."""

    table: str
    name: str
    rule: str
    command: str = "all"
    is_for_owner: bool = False

    def statements(self, owner: str) -> list[str]:
        """The statements that create the policy. `owner` is the tables' owner, quoted for SQL."""
        role = owner if self.is_for_owner else "public"
        is_checked = self.command == "all" and not self.is_for_owner
        check = f" with check ({self.rule})" if is_checked else ""
        return [
            f"drop policy if exists {self.name} on public.{self.table}",
            f"create policy {self.name} on public.{self.table} for {self.command} to {role}"
            f" using ({self.rule}){check}",
        ]

    def is_met_by(self, found: Mapping[str, Any], owner: str) -> bool:
        """Whether a row of `pg_policies` describes this policy."""
        rule = _squeezed(self.rule)
        return (
            found["permissive"] == "PERMISSIVE"
            and found["cmd"] == self.command.upper()
            and found["roles"] == [owner if self.is_for_owner else "public"]
            and _squeezed(found["using"]) == rule
            # Without a check of its own the rule is the check as well.
            and found["check"] in (None, found["using"])
        )


def _policies_of(table: Table) -> Iterator[Policy]:
    if table.user_column is None:
        return
    own = _OWN.format(column=table.user_column)
    if table.row_security is RowSecurity.FORCED:
        yield Policy(table.name, f"{table.name}_own", own)
        yield Policy(table.name, f"{table.name}_maintenance", _MAINTENANCE, is_for_owner=True)
    else:
        yield Policy(table.name, f"{table.name}_own", own, command="select")


POLICIES = [policy for table in TABLES for policy in _policies_of(table)]

PRIVILEGES = {
    "schema public": ("usage",),
    "schema todo_auth": ("usage",),
    **{f"table {table.name}": table.privileges for table in TABLES if table.privileges},
    **{f"function todo_auth.{name}": ("execute",) for name in FUNCTIONS},
}
"""What `todo_app` may do, by object."""

FOUND_POLICIES = """(
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'table', tablename, 'name', policyname, 'permissive', permissive,
        'roles', roles, 'cmd', cmd, 'using', qual, 'check', with_check
    ) order by tablename, policyname), '[]')
    from pg_catalog.pg_policies where schemaname = 'public'
)"""
FOUND_PRIVILEGES = """(
    select coalesce(pg_catalog.jsonb_agg(
        object || ': ' || lower(privilege) order by object, privilege
    ), '[]')
    from (
        select 'schema ' || nspname, privilege_type, grantee
        from pg_catalog.pg_namespace, aclexplode(nspacl)
        where nspname in ('public', 'todo_auth')
        union all
        select 'table ' || relname, privilege_type, grantee
        from pg_catalog.pg_class, aclexplode(relacl)
        where relnamespace = 'public'::regnamespace
        union all
        select 'table ' || relname, privilege_type || ' (' || attname || ')', grantee
        from pg_catalog.pg_class join pg_catalog.pg_attribute on attrelid = pg_class.oid,
            aclexplode(attacl)
        where relnamespace = 'public'::regnamespace
        union all
        select 'function todo_auth.' || proname, privilege_type, grantee
        from pg_catalog.pg_proc, aclexplode(proacl)
        where pronamespace = to_regnamespace('todo_auth')
    ) as granted (object, privilege, grantee)
    where grantee = to_regrole('todo_app')
)"""
"""Sub-selects, each a JSON array, for a larger statement."""

_KEPT_STATISTICS = {table.qualified_name: table.statistics for table in TABLES}

FOUND_STATISTICS = """(
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'relation', c.oid::regclass::text, 'table', n.nspname || '.' || t.relname,
        'is_expression', c.oid <> t.oid,
        'column', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'target', coalesce(a.attstattarget, -1),
        'has_values', exists (
            select from pg_catalog.pg_stats as s
            where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
        )
    ) order by c.oid::regclass::text, a.attnum), '[]')
    from pg_catalog.pg_class as t
    join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
    join pg_catalog.pg_class as c
        on c.oid = t.oid or c.oid in (
            select indexrelid from pg_catalog.pg_index
            where indrelid = t.oid and indexprs is not null
        )
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid
    where n.nspname in ('public', 'todo_auth') and t.relkind in ('r', 'p', 'm', 'f')
        and a.attnum > 0 and not a.attisdropped
        and (
            t.relrowsecurity
            or has_any_column_privilege('todo_app', t.oid, 'select')
        )
        -- Of an index, its expressions only: a plain column uses the table's statistics.
        and (
            c.oid = t.oid
            or 0 = (select indkey[a.attnum - 1] from pg_catalog.pg_index where indexrelid = c.oid)
        )
)"""
"""A sub-select as those above: the columns of people's tables, and what the planner keeps of them.
"""

FOUND_EXTENDED_STATISTICS = """(
    select coalesce(pg_catalog.jsonb_agg(e.oid::regclass::text || '.' || stxname order by 1), '[]')
    from pg_catalog.pg_statistic_ext join pg_catalog.pg_class as e on e.oid = stxrelid
    where e.relrowsecurity or has_any_column_privilege('todo_app', e.oid, 'select')
)"""


def readable_statistics(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The columns with too many statistics, each with a statement that repairs it.

    `found` has the rows of `FOUND_STATISTICS`.
    """
    named = []
    for one in found:
        target = 0 if one["is_expression"] else kept_target(one["table"], one["column"])
        is_within = target == -1 or 0 <= one["target"] <= target
        if not is_within or (target == 0 and one["has_values"]):
            named.append((f"{one['relation']}.{one['column']}", _forget(one, target)))
    return named


def kept_target(table: str, column: str) -> int:
    """The statistics target of a column; the table is named with its schema."""
    kept = COMMON_STATISTICS | dict(_KEPT_STATISTICS.get(table, {}))
    return kept.get(column, 0)


def _forget(column: Mapping[str, Any], target: int) -> str:
    relation, name = column["relation"], column["column"]
    if column["is_expression"]:
        return f"drop index {relation}"
    set_target = f"alter table {relation} alter column {name} set statistics {target}"
    if target:
        return f"{set_target}; analyze {relation} ({name})"
    # ALTER … TYPE removes the existing statistics, even if the type stays.
    return f"{set_target}, alter column {name} type {column['type']}"


_FOUND = f"""
select pg_catalog.jsonb_build_object(
    'owner', pg_catalog.pg_get_userbyid(relowner), 'quoted', relowner::regrole::text,
    'policies', {FOUND_POLICIES}, 'privileges', {FOUND_PRIVILEGES}
)
from pg_catalog.pg_class where oid = to_regclass('public.tasks')
"""  # noqa: S608  # constants of this module


def wrong_policies(found: Iterable[Mapping[str, Any]], owner: str) -> list[Policy]:
    """The policies that are missing or changed, among rows of `FOUND_POLICIES`."""
    by_name = {(one["table"], one["name"]): one for one in found}
    return [
        policy
        for policy in POLICIES
        if (one := by_name.get((policy.table, policy.name))) is None
        or not policy.is_met_by(one, owner)
    ]


def missing_privileges(found: Iterable[str]) -> list[str]:
    """The privileges that `todo_app` lacks, among rows of `FOUND_PRIVILEGES`."""
    expected = {f"{name}: {one}" for name, several in PRIVILEGES.items() for one in several}
    return sorted(expected - set(found))


def repair(connection: Connection) -> list[str]:
    """Restore missing policies and privileges. Returns their names. One transaction.

    The schema must be at the newest revision.
    """
    with connection.begin():
        found = connection.exec_driver_sql(_FOUND).scalar_one()
        policies = wrong_policies(found["policies"], found["owner"])
        missing = missing_privileges(found["privileges"])
        for policy in policies:
            for statement in policy.statements(found["quoted"]):
                connection.exec_driver_sql(statement)
        for name, _, privilege in (one.partition(": ") for one in missing):
            connection.exec_driver_sql(f"grant {privilege} on {name} to todo_app")
    return [f"policy {policy.name}" for policy in policies] + [
        f"{APP_ROLE} on {one}" for one in missing
    ]


def _squeezed(rule: str) -> str:
    """An expression without the spaces, parentheses and casts that the server adds."""
    bare = re.sub(r"\s|[()]|::\w+|pg_catalog\.", "", rule.lower())
    return bare.replace("ascurrent_user_id", "")
