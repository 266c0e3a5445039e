"""Revision 0014: new columns and another index of pending tasks, beside people at work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.migrations.test_upgrade_beside_writers import scalar, wait_for_the_build
from tests.support.catalog import catalog_of
from todo_cli.admin import migrate
from todo_cli.errors import TodoError

PENDING = "ix_tasks_user_id_number_pending"
DEFINITION = f"select pg_get_indexdef('{PENDING}'::regclass)"
FILE = "select pg_relation_filenode('tasks')"
INSERT = "insert into tasks (user_id, title) select id, 'new' from users"
READ = "select count(*) from tasks where not completed and deleted_at is null"
UPDATE = "update tasks set title = 'edited' where number = 7"


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of the revision before, with tasks, and a person at work."""
    migrate.upgrade(empty_database_url, "0013")
    with psycopg.connect(
        empty_database_url, autocommit=True, options="-c lock_timeout=2s"
    ) as opened:
        opened.execute("insert into users (email, name) values ('user@x.org', 'User')")
        opened.execute(
            "insert into tasks (user_id, title) "
            "select id, 'task ' || n from users, generate_series(1, 1000) as n"
        )
        yield opened


def test_people_go_on_while_it_is_built_and_nothing_is_rewritten(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    file = scalar(connection, FILE)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(empty_database_url) as reader:
        # The build waits for every older snapshot, so it is certainly under way here.
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from pg_class")
        upgrading = pool.submit(migrate.upgrade, empty_database_url, "0014")
        wait_for_the_build(connection)
        for statement in (INSERT, UPDATE, READ):
            connection.execute(statement.encode())
        reader.rollback()
        upgrading.result()
    assert scalar(connection, FILE) == file
    assert "INCLUDE (due_on, wait_on, priority, project, tags)" in scalar(connection, DEFINITION)
    assert scalar(connection, READ) == 1001
    unchecked = "select count(*) from pg_constraint where not convalidated"
    assert scalar(connection, unchecked) == 0


INTERRUPTED = {
    "before the index": [],
    "in the middle of the index": [
        f"create index {PENDING}_new on tasks (title)",
        f"update pg_index set indisvalid = false where indexrelid = '{PENDING}_new'::regclass",
    ],
    "before the old one is dropped": [
        f"create index {PENDING}_new on tasks (user_id, number) include (due_on, wait_on, "
        "priority, project, tags) where not completed and deleted_at is null",
    ],
    "before the new one is renamed": [
        f"drop index {PENDING}",
        f"create index {PENDING}_new on tasks (user_id, number) include (due_on, wait_on, "
        "priority, project, tags) where not completed and deleted_at is null",
    ],
}


@pytest.mark.parametrize("step", INTERRUPTED)
def test_an_upgrade_that_was_interrupted_is_taken_up_again(
    empty_database_url: str, connection: psycopg.Connection[Any], step: str
) -> None:
    migrate.upgrade(empty_database_url, "0014")
    expected = scalar(connection, DEFINITION)
    connection.execute("update alembic_version set version_num = '0013'")
    if step != "before the index":
        connection.execute("alter table tasks drop constraint ck_tasks_tags")
    for statement in INTERRUPTED[step]:
        connection.execute(statement.encode())
    migrate.upgrade(empty_database_url, "0014")
    assert scalar(connection, DEFINITION) == expected
    indexes = "select array_agg(relname::text) from pg_class where relname like 'ix_tasks%new'"
    assert scalar(connection, indexes) is None
    migrate.downgrade(empty_database_url, "0013")
    assert "INCLUDE" not in scalar(connection, DEFINITION)
    assert scalar(connection, READ) == 1000


def test_a_downgrade_counts_what_is_lost(
    empty_database_url: str, connection: psycopg.Connection[Any]
) -> None:
    migrate.upgrade(empty_database_url, "0014")
    connection.execute("update tasks set tags = '{a}' where number < 3")
    connection.execute("update tasks set priority = 1 where number = 3")
    (loss,) = migrate.losses(empty_database_url, "0013")
    assert (loss.revision, loss.count) == ("0014", 3)


@pytest.mark.parametrize("at", ["0013", "0014"])
def test_a_locked_table_is_given_up_before_anything_is_changed(
    empty_database_url: str, connection: psycopg.Connection[Any], at: str
) -> None:
    migrate.upgrade(empty_database_url, at)
    before = catalog_of(connection)
    change = migrate.upgrade if at == "0013" else migrate.downgrade
    with psycopg.connect(empty_database_url) as reader:
        reader.execute("lock table tasks in access share mode")
        with pytest.raises(TodoError, match="holds a lock"):
            change(empty_database_url, "0014" if at == "0013" else "0013", timeout_seconds=2)
        assert catalog_of(connection) == before
    change(empty_database_url, "0014" if at == "0013" else "0013")
