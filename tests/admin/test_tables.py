"""The one list of tables, compared with what the migrations leave behind: nothing less or more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.admin.test_seed import rows
from todo_cli.admin import expected
from todo_cli.admin.tables import FUNCTIONS, TABLES, RowSecurity
from todo_cli.models import METADATA

FOUND_TABLES = """
select case nspname when 'public' then relname else nspname || '.' || relname end,
    case when relforcerowsecurity then 'forced' when relrowsecurity then 'on' else 'off' end,
    array(
        select tgname::text from pg_trigger
        where tgrelid = c.oid and not tgisinternal order by tgname
    )
from pg_class as c join pg_namespace as n on n.oid = relnamespace
where nspname in ('public', 'todo_auth') and relkind in ('r', 'p')
    and relname <> 'alembic_version'
"""
FOUND_TARGETS = """
select nspname || '.' || relname, attname, attstattarget
from pg_attribute join pg_class as c on c.oid = attrelid
    join pg_namespace as n on n.oid = relnamespace
where nspname in ('public', 'todo_auth') and relkind in ('r', 'p')
    and attnum > 0 and not attisdropped and relname <> 'alembic_version'
"""


def one(url: str, statement: str) -> Any:
    ((value,),) = rows(url, f"select {statement}")
    return value


def test_every_table_is_listed_with_its_row_security_and_triggers(database_url: str) -> None:
    listed = {
        (table.name, table.row_security.value, tuple(sorted(table.triggers))) for table in TABLES
    }
    found = {(name, kind, tuple(names)) for name, kind, names in rows(database_url, FOUND_TABLES)}
    assert listed == found


def test_every_policy_is_listed(database_url: str) -> None:
    found = one(database_url, expected.FOUND_POLICIES)
    assert {(policy.table, policy.name) for policy in expected.POLICIES} == {
        (policy["table"], policy["name"]) for policy in found
    }
    owner = one(database_url, "relowner::regrole::text from pg_class where relname = 'tasks'")
    assert expected.wrong_policies(found, owner) == []


def test_every_privilege_is_listed(database_url: str) -> None:
    listed = {f"{name}: {one}" for name, several in expected.PRIVILEGES.items() for one in several}
    assert listed == set(one(database_url, expected.FOUND_PRIVILEGES))


def test_every_function_that_people_may_call_is_listed(database_url: str) -> None:
    found = rows(
        database_url,
        "select proname from pg_proc where pronamespace = 'todo_auth'::regnamespace"
        " and has_function_privilege('todo_app', oid, 'execute')",
    )
    assert set(FUNCTIONS) == {name for (name,) in found}


def test_every_statistics_target_is_listed(database_url: str) -> None:
    for table, column, target in rows(database_url, FOUND_TARGETS):
        kept = expected.kept_target(table, column)
        assert target in ((kept, None) if kept == -1 else (kept,)), (
            f"{table}.{column} keeps statistics: {target}, not {kept}"
        )


def test_every_table_that_people_reach_is_a_model_and_has_a_row_security() -> None:
    for table in TABLES:
        if table.privileges:
            assert table.name in METADATA.tables
            assert table.row_security is not RowSecurity.OFF
            assert table.user_column is not None
            assert table.user_column in METADATA.tables[table.name].columns


@pytest.mark.parametrize("table", [one for one in TABLES if one.row_security is RowSecurity.FORCED])
def test_every_column_of_a_table_of_people_is_a_model_s(database_url: str, table: Any) -> None:
    """The models are all columns; health names those that are missing."""
    found = rows(
        database_url,
        "select attname from pg_attribute where attnum > 0 and not attisdropped"
        f" and attrelid = 'public.{table.name}'::regclass",
    )
    assert {name for (name,) in found} == set(METADATA.tables[table.name].columns.keys())


def test_what_is_not_listed_is_found(database_url: str) -> None:
    """The comparison itself can fail."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table stray (id uuid)")
        connection.execute("create policy more on tasks using (true)")
        connection.execute("grant select on sessions to todo_app")
    with pytest.raises(AssertionError):
        test_every_table_is_listed_with_its_row_security_and_triggers(database_url)
    with pytest.raises(AssertionError):
        test_every_policy_is_listed(database_url)
    with pytest.raises(AssertionError):
        test_every_privilege_is_listed(database_url)
