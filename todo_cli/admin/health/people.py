"""Checks of the roles of people's commands: what they own, and what they may do."""

from __future__ import annotations

from todo_cli.admin import expected
from todo_cli.admin.health.check import (
    FAIL,
    OK,
    UPGRADE_REPAIRS,
    WARN,
    Check,
    Facts,
    Subject,
    listed,
)
from todo_cli.admin.tables import FORCED, READ_ONLY, UNREACHED, USER_COLUMNS, sql_list

PEOPLE = Subject()


def _of_app_role(expression: str) -> str:
    """A fact about the role of people's commands; null if the role is missing."""
    return f"(select {expression} from pg_catalog.pg_roles where rolname = 'todo_app')"  # noqa: S608  # constants


_ROLE = f"""jsonb_build_object(
    'passes', rolsuper or rolbypassrls, 'login', rolcanlogin,
    'owner', exists (
        select from pg_catalog.pg_class
        where relname in ({sql_list(FORCED)})
            and relnamespace = 'public'::regnamespace
            and pg_has_role('todo_app', relowner, 'member')
    )
)"""
_SECRETS = f"""(
    select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
    from pg_catalog.pg_class as c
    where (
            c.relnamespace = to_regnamespace('todo_auth')
                and c.relkind in ('r', 'p', 'v', 'm', 'f')
            or c.relnamespace = 'public'::regnamespace
                and c.relname in ({sql_list(UNREACHED)})
        )
        and has_any_column_privilege('todo_app', c.oid, 'select, insert, update')
)"""  # noqa: S608  # constants
_TOO_MUCH = f"""(
    select coalesce(jsonb_agg(what order by what), '[]')
    from (
        select c.relname || ' (' || privilege || ')' as what
        from pg_catalog.pg_class as c,
            unnest(array['truncate', 'trigger', 'references']) as privilege
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and has_table_privilege('todo_app', c.oid, privilege)
        union all
        select c.relname || ' (write)'
        from pg_catalog.pg_class as c
        where c.relnamespace = 'public'::regnamespace
            and c.relname in ({sql_list(READ_ONLY)})
            and (
                has_any_column_privilege('todo_app', c.oid, 'insert, update')
                or has_table_privilege('todo_app', c.oid, 'delete')
            )
        union all
        -- An index that does not begin with the policy's column counts others' rows for
        -- `explain (analyze)`. Of tasks, the identifiers have to be found.
        select i.indexrelid::regclass::text || ' (select on its columns)'
        from pg_catalog.pg_index as i
        join pg_catalog.pg_class as c on c.oid = i.indrelid
        left join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where c.relnamespace = 'public'::regnamespace and c.relrowsecurity
            and has_any_column_privilege('todo_app', c.oid, 'select')
            and has_column_privilege('todo_app', c.oid, a.attnum, 'select') is not false
            and coalesce(c.relname || '.' || a.attname, '') not in ({sql_list(USER_COLUMNS)})
            and not (i.indisprimary and a.attname = 'id' and c.relname in ({sql_list(FORCED)}))
        union all
        -- Roles that were made for people, by their mark.
        select r.rolname || ' (passes row-level security)'
        from pg_catalog.pg_roles as r
        where (r.rolsuper or r.rolbypassrls)
            and shobj_description(r.oid, 'pg_authid') = 'todo: for people'
    ) as found
)"""  # noqa: S608  # constants


@PEOPLE.check(role=_of_app_role(_ROLE), secrets=_of_app_role(_SECRETS))
def people_role(facts: Facts) -> Check:
    role, secrets = facts["role"], facts["secrets"] or []
    passes = role is None or role["passes"] or role["login"] or role["owner"] or bool(secrets)
    return Check(
        "people_role",
        FAIL if passes else OK,
        "missing" if role is None else "passes" if passes else "bound",
        None,
        "bound",
        f"The role of people's commands may reach {', '.join(secrets)}."
        if secrets
        else "The role of people's commands could pass row-level security."
        if passes
        else "Row-level security binds people's commands.",
        "todo_app must own nothing, not log in, and have neither SUPERUSER nor BYPASSRLS."
        if passes
        else None,
    )


@PEOPLE.check(privileges=expected.FOUND_PRIVILEGES)
def missing_privileges(facts: Facts) -> Check:
    return listed(
        "missing_privileges",
        expected.missing_privileges(facts["privileges"]),
        "is denied to todo_app, so people's commands fail",
        reason=UPGRADE_REPAIRS,
    )


@PEOPLE.check(
    objects="""(
    -- What belongs to todo_app, or to a role that was made for people, by its mark.
    select coalesce(jsonb_agg(distinct what order by what), '[]')
    from (
        select pg_describe_object(classid, objid, objsubid) || ' of ' || refobjid::regrole
        from pg_catalog.pg_shdepend
        where refclassid = 'pg_authid'::regclass and deptype = 'o'
            and dbid in (
                0, (select oid from pg_catalog.pg_database where datname = current_database())
            )
            and refobjid in (
                select oid from pg_catalog.pg_roles
                where rolname = 'todo_app'
                    or shobj_description(oid, 'pg_authid') = 'todo: for people'
            )
    ) as owned (what)
)""",
)
def people_objects(facts: Facts) -> Check:
    return listed(
        "people_objects",
        facts["objects"],
        "belongs to a role of people's commands, so people may drop it",
        "Give it to the tables' owner: reassign owned by ROLE to OWNER. Never drop what todo_app "
        "owns: that also takes away its privileges.",
        status=WARN,
    )


@PEOPLE.check(too_much=_of_app_role(_TOO_MUCH))
def people_privileges(facts: Facts) -> Check:
    return listed(
        "people_privileges",
        facts["too_much"] or [],
        "is more than people's commands need",
        "Revoke it from todo_app, from public, or from the role.",
    )


@PEOPLE.check(
    temporary=_of_app_role("has_database_privilege('todo_app', current_database(), 'temporary')"),
)
def temporary_objects(facts: Facts) -> Check:
    may = bool(facts["temporary"])
    return Check(
        "temporary_objects",
        FAIL if may else OK,
        may,
        None,
        False,
        "People's commands may make temporary tables, which could hide the real ones."
        if may
        else "People's commands can make no temporary objects.",
        "As the database's owner: revoke temporary on database … from public" if may else None,
    )
