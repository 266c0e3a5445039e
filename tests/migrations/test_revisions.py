"""The revisions: one line of them, each up and down and up, on whoever's database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.conftest import Postgres
from tests.support.catalog import catalog_of
from todo_cli.admin import migrate
from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.models import METADATA

REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory.from_config(migrate._config()).walk_revisions()))
]


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_database_url, autocommit=True) as opened:
        yield opened


def test_there_is_one_head_and_the_program_knows_it() -> None:
    assert migrate.head() == REVISIONS[-1] == SCHEMA_HEAD


def test_each_revision_goes_up_and_down_and_up(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    before = catalog_of(connection)
    for revision in REVISIONS:
        migrate.upgrade(empty_database_url, revision)
        after = catalog_of(connection)
        migrate.downgrade(empty_database_url, "-1")
        assert catalog_of(connection) == before, f"{revision} leaves something behind"
        migrate.upgrade(empty_database_url, revision)
        assert catalog_of(connection) == after, f"{revision} differs the second time"
        before = after


def test_revision_1_is_schema_1_0_0(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url, "0001")
    rows = connection.execute(
        "select indexname from pg_indexes where schemaname = 'public' order by 1"
    ).fetchall()
    assert {name for (name,) in rows} == {
        "alembic_version_pkc",
        "pk_users",
        "uq_users_email",
        "ix_users_created_at",
        "pk_tasks",
        "ix_tasks_user_id",
        "ix_tasks_user_id_completed",
        "ix_tasks_created_at",
        "ix_tasks_updated_at",
        "ix_tasks_user_id_completed_created_at",
    }


def test_upgrading_twice_changes_nothing(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url)
    before = catalog_of(connection)
    migrate.upgrade(empty_database_url)
    assert catalog_of(connection) == before


def test_migrations_and_models_give_the_same_tables(database_url: str) -> None:
    """Alembic's own comparison, then what it leaves out: checks, and the rules of keys."""
    engine = sa.create_engine(database_url.replace("://", "+psycopg://"), poolclass=sa.NullPool)
    modelled = set(METADATA.tables)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name in modelled,
            },
        )
        assert compare_metadata(context, METADATA) == []
        inspector = sa.inspect(connection)
        for name, table in METADATA.tables.items():
            checks = {check["name"] for check in inspector.get_check_constraints(name)}
            assert checks == {
                constraint.name
                for constraint in table.constraints
                if isinstance(constraint, sa.CheckConstraint)
            }


def test_an_owner_who_is_no_superuser_can_upgrade_and_downgrade(
    postgres: Postgres, empty_database_url: str
) -> None:
    """As on Neon: CREATEROLE, CREATEDB, no superuser; here even without BYPASSRLS."""
    name = empty_database_url.partition("@/")[2].partition("?")[0]
    owner = f"owner_of_{name}"
    postgres.execute(f"create role {owner} login createrole createdb")
    postgres.execute(f"alter database {name} owner to {owner}")
    # The role belongs to the server, and another test's superuser has made it already.
    postgres.execute(f"grant todo_app to {owner} with admin option")
    url = empty_database_url.replace("//todo@", f"//{owner}@")
    try:
        migrate.upgrade(url, "0002")
        with psycopg.connect(url, autocommit=True) as connection:
            _two_old_tasks(connection)
        migrate.upgrade(url)
        with psycopg.connect(empty_database_url) as connection:
            numbers = connection.execute("select number from tasks order by 1").fetchall()
        assert numbers == [(1,), (2,)]
        migrate.downgrade(url, "base")
    finally:
        postgres.execute(f"alter database {name} owner to {postgres.user}")
        postgres.execute(f"reassign owned by {owner} to {postgres.user}", name)
        postgres.execute(f"drop owned by {owner}", name)
        postgres.execute(f"revoke todo_app from {owner}")
        postgres.execute(f"drop role {owner}")


def test_old_tasks_are_numbered_in_the_order_they_were_made(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url, "0001")
    _two_old_tasks(connection)
    migrate.upgrade(empty_database_url)
    rows = connection.execute(
        "select title, number, completed_at = updated_at from tasks order by number"
    ).fetchall()
    assert rows == [("first", 1, True), ("second", 2, None)]
    # A program that knows only version 1.0.0 goes on writing.
    connection.execute("insert into tasks (user_id, title) select id, 'third' from users")
    row = connection.execute("select number from tasks where title = 'third'").fetchone()
    assert row == (3,)


def test_an_old_task_that_breaks_a_new_rule_does_not_stop_the_upgrade(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url, "0001")
    _two_old_tasks(connection)
    connection.execute("update tasks set title = repeat('x', 600) where title = 'first'")
    migrate.upgrade(empty_database_url)
    unchecked = connection.execute(
        "select conname from pg_constraint where not convalidated and conrelid = 'tasks'::regclass"
    ).fetchall()
    assert unchecked == [("ck_tasks_title_length",)]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into tasks (user_id, title) select id, repeat('x', 501) from users"
        )


def test_going_back_to_1_0_0_keeps_the_tasks_and_empties_the_trash(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url)
    _two_old_tasks(connection)
    connection.execute("update tasks set deleted_at = now() where title = 'first'")
    migrate.downgrade(empty_database_url, "0001")
    assert connection.execute("select title from tasks").fetchall() == [("second",)]


def _two_old_tasks(connection: psycopg.Connection[Any]) -> None:
    connection.execute("insert into users (email, name) values ('old@example.org', 'Old')")
    connection.execute(
        """
        insert into tasks (user_id, title, completed, created_at)
        select id, 'second', false, now() - interval '1 hour' from users
        union all
        select id, 'first', true, now() - interval '2 hours' from users
        """
    )


@pytest.mark.parametrize("is_spared", [False, True])
def test_a_program_of_version_1_0_0_needs_an_owner_with_bypassrls(
    postgres: Postgres, template: str, empty_database_url: str, is_spared: bool
) -> None:
    """As the schema's page says: forced row-level security binds every other owner."""
    name = empty_database_url.partition("@/")[2].partition("?")[0]
    owner = f"web_owner_of_{name}"
    attribute = "bypassrls" if is_spared else "nobypassrls"
    postgres.execute(f"create role {owner} login createrole {attribute}")
    postgres.execute(f"alter database {name} owner to {owner}")
    postgres.execute(f"grant todo_app to {owner} with admin option")
    url = empty_database_url.replace("//todo@", f"//{owner}@")
    insert = "insert into tasks (user_id, title) select id, 'Milk' from users returning number"
    try:
        migrate.upgrade(url)
        with psycopg.connect(url, autocommit=True) as program:
            program.execute("insert into users (email, name) values ('old@example.org', 'Old')")
            if is_spared:
                assert program.execute(insert).fetchone() == (1,)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    program.execute(insert)
    finally:
        postgres.execute(f"alter database {name} owner to {postgres.user}")
        postgres.execute(f"reassign owned by {owner} to {postgres.user}", name)
        postgres.execute(f"drop owned by {owner}", name)
        postgres.execute(f"revoke todo_app from {owner}")
        postgres.execute(f"drop role {owner}")
