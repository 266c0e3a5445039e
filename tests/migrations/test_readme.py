"""`migrations/README.md` says what is: every table, column, index, function and revision."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from tests.migrations.test_revisions import REVISIONS
from todo_cli.models import METADATA

README = (Path(__file__).parents[2] / "migrations" / "README.md").read_text()
DIAGRAM = README.partition("```mermaid")[2].partition("```")[0]


def names(url: str, query: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute(query.encode()).fetchall()}


def columns_in_diagram(table: str) -> set[str]:
    body = DIAGRAM.partition(f"    {table} {{")[2].partition("}")[0]
    return set(re.findall(r"^ +\S+ (\w+)", body, flags=re.MULTILINE))


def test_every_table_and_column_of_the_models_is_drawn() -> None:
    of_tasks = set(METADATA.tables["tasks"].columns.keys())
    for name, table in METADATA.tables.items():
        columns = set(table.columns.keys())
        drawn = columns - of_tasks if name == "tasks_archive" else columns
        assert columns_in_diagram(name) == drawn


def test_every_table_is_drawn(database_url: str) -> None:
    tables = names(
        database_url,
        "select tablename from pg_tables where schemaname in ('public', 'todo_auth')"
        " and tablename <> 'alembic_version'",
    )
    drawn = set(re.findall(r"^    (\w+) \{$", DIAGRAM, flags=re.MULTILINE))
    assert drawn == tables


def test_every_index_is_listed_and_none_besides(database_url: str) -> None:
    indexes = names(
        database_url,
        "select indexname from pg_indexes where schemaname in ('public', 'todo_auth')"
        " and tablename <> 'alembic_version'",
    )
    table = README.partition("## Indexes")[2].partition("##")[0]
    assert set(re.findall(r"`((?:pk|uq|ix)_\w+)`", table)) == indexes


def test_every_function_and_policy_that_people_reach_is_explained(database_url: str) -> None:
    functions = names(
        database_url,
        "select p.proname from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname = 'todo_auth' and has_function_privilege('todo_app', p.oid, 'execute')",
    )
    policies = names(database_url, "select policyname from pg_policies")
    assert {name for name in functions | policies if f"{name}" not in README} == set()


def test_every_revision_is_in_the_changelog() -> None:
    changelog = README.partition("## Changelog")[2]
    assert re.findall(r"^\| `(\d+)` \|", changelog, flags=re.MULTILINE) == REVISIONS
