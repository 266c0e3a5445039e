"""`todo db schema`: what the catalog holds, not what the program believes."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.admin.test_migrate import catalog
from tests.conftest import Cli, Postgres
from todo_cli.admin.connect import connected
from todo_cli.admin.schema import Schema


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


def read(url: str) -> Schema:
    with connected(url) as connection:
        return Schema.read(connection)


def test_the_statements_make_the_same_schema_again(
    database_url: str, empty_database_url: str
) -> None:
    found = read(database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(found.sql().encode())
    assert read(empty_database_url) == found
    assert sorted(catalog(empty_database_url).split()) == sorted(catalog(database_url).split())


def test_what_was_made_by_hand_is_shown(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create table notes (id uuid primary key, task_id uuid references tasks)"
        )
        connection.execute("alter table tasks disable trigger tasks_stamp")
    found = read(database_url)
    assert 'tasks ||--o{ notes : "task_id"' in found.mermaid()
    assert "alter table tasks disable trigger tasks_stamp" in found.sql()


def test_the_diagram_shows_tables_keys_and_relations(cli: Cli) -> None:
    drawn = cli("db", "schema")
    assert drawn.exit_code == 0
    lines = [line.strip() for line in drawn.stdout.splitlines()]
    assert lines[0] == "erDiagram"
    for line in (
        'users ||--o{ tasks : "user_id"',
        'users ||--o| "todo_auth.task_counters" : "user_id"',
        'uuid id PK "not null"',
        'text email UK "not null"',
        'uuid user_id FK "not null"',
        'timestamptz created_at "not null"',
    ):
        assert line in lines


def test_an_owner_and_an_ordinary_role_see_the_same(owned_url: str, postgres: Postgres) -> None:
    postgres.execute("create role plain_looker login")
    try:
        found = read(owned_url)
        assert read(owned_url.replace("plain_owner@", "plain_looker@")) == found
    finally:
        postgres.execute("drop role plain_looker")
    policies = {
        policy["name"]: policy["roles"]
        for table in found.description["tables"]
        for policy in table["policies"]
    }
    assert policies["tasks_own"] == ["public"]
    assert policies["tasks_maintenance"] == ["plain_owner"]


def test_the_formats(cli: Cli) -> None:
    described = json.loads(cli("db", "schema", "--format", "json").stdout)
    assert described == json.loads(cli("db", "schema", "--json").stdout)
    tasks = next(table for table in described["tables"] if table["name"] == "tasks")
    assert tasks["forced"] is True
    assert {policy["name"] for policy in tasks["policies"]} == {"tasks_own", "tasks_maintenance"}
    assert cli("db", "schema", "--format", "sql").stdout.startswith("set check_function_bodies")
    assert cli("db", "schema", "--format", "xml").exit_code == 2
