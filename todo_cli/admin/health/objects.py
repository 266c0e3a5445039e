"""Checks of functions, indexes, constraints and triggers."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.schema import CreateIndex

from todo_cli.admin.health.check import WARN, Check, Facts, Subject, listed
from todo_cli.admin.tables import TASKS, TRIGGERS, sql_list
from todo_cli.database.dialect import TodoDialect
from todo_cli.models import METADATA

OBJECTS = Subject()


@OBJECTS.check(
    functions="""(
    select coalesce(jsonb_agg(jsonb_build_object(
        'name', proname, 'definer', prosecdef, 'owner', pg_get_userbyid(proowner),
        'settings', coalesce(array_to_string(proconfig, ';'), ''),
        'public', has_function_privilege('public', oid, 'execute'))), '[]')
    from pg_catalog.pg_proc where pronamespace = to_regnamespace('todo_auth')
)""",
)
def functions(facts: Facts) -> Check:
    owner = facts["tables"][TASKS.name]["owner"]
    loose = sorted(
        one["name"]
        for one in facts["functions"]
        if one["public"]
        or (
            one["definer"]
            and (one["owner"] != owner or not one["settings"].startswith("search_path=pg_catalog"))
        )
    )
    return listed(
        "functions",
        loose,
        "could be abused",
        "A definer's function needs the tables' owner, a pinned search_path, and no PUBLIC.",
    )


@OBJECTS.check(
    indexes="""(
    select jsonb_object_agg(c.relname, i.indisvalid and i.indisready)
    from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indexrelid
    where c.relnamespace = 'public'::regnamespace
)""",
)
def indexes(facts: Facts) -> Check:
    found = facts["indexes"]
    invalid = {name for name, valid in found.items() if not valid}
    bad = sorted(invalid | (set(_indexes()) - set(found)))
    return listed("indexes", bad, "are missing or invalid", _index_hint(bad, facts))


def _indexes() -> dict[str, Index]:
    return {str(index.name): index for table in METADATA.sorted_tables for index in table.indexes}


def _index_hint(names: list[str], facts: Facts) -> str:
    """The statements that repair the indexes."""
    expected = _indexes()
    return "; ".join(
        f"reindex index concurrently {name}"
        if name in facts["indexes"]
        else " ".join(str(CreateIndex(expected[name]).compile(dialect=TodoDialect())).split())
        for name in names
    )


@OBJECTS.check(
    constraints="""(
    select jsonb_object_agg(conname, convalidated)
    from pg_catalog.pg_constraint where connamespace = 'public'::regnamespace
)""",
)
def constraints(facts: Facts) -> Check:
    missing = [name for name in _constraint_names() if name not in facts["constraints"]]
    return listed("constraints", missing, "are missing", "Restore the schema from a backup.")


def _constraint_names() -> list[str]:
    return sorted(
        str(constraint.name)
        for table in METADATA.sorted_tables
        for constraint in table.constraints
        if constraint.name is not None
    )


@OBJECTS.check()
def constraint_validity(facts: Facts) -> Check:
    return listed(
        "constraint_validity",
        sorted(name for name, valid in facts["constraints"].items() if not valid),
        "were never held against old rows",
        "alter table … validate constraint …",
        status=WARN,
    )


@OBJECTS.check(
    triggers=f"""(
    select coalesce(jsonb_object_agg(tgname, tgenabled), '{{}}') from pg_catalog.pg_trigger
    where not tgisinternal and tgname in ({sql_list(TRIGGERS)})
)""",  # noqa: S608  # constants
)
def triggers(facts: Facts) -> Check:
    off = [name for name in TRIGGERS if facts["triggers"].get(name) != "O"]
    return listed("triggers", off, "are missing or off", "alter table tasks enable trigger user")
