"""The oldest PostgreSQL that is promised does all that the newest does."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from tests.migrations.test_revisions import REVISIONS
from tests.support import older, server
from tests.support.catalog import catalog_of
from tests.support.people import sign_up
from todo_cli.admin import migrate
from todo_cli.database.session import IN_INDEX_ORDER, Database
from todo_cli.errors import TaskNotFound
from todo_cli.repository import TaskRepository
from todo_cli.values import TaskQuery, TaskRef


@pytest.fixture(scope="module")
def older_url() -> Iterator[str]:
    with server.running(older.programs()) as url:
        yield url


def test_each_revision_goes_up_and_down_and_up(older_url: str) -> None:
    with psycopg.connect(older_url, autocommit=True) as connection:
        before = catalog_of(connection)
        for revision in REVISIONS:
            migrate.upgrade(older_url, revision)
            after = catalog_of(connection)
            migrate.downgrade(older_url, "-1")
            assert catalog_of(connection) == before, f"{revision} leaves something behind"
            migrate.upgrade(older_url, revision)
            assert catalog_of(connection) == after
            before = after


def test_an_owner_who_is_no_superuser_can_upgrade(older_url: str) -> None:
    """Before PostgreSQL 16, CREATEROLE alone makes and grants roles."""
    with psycopg.connect(older_url, autocommit=True) as connection:
        connection.execute("create role plain login createrole createdb")
        connection.execute("create database owned owner plain")
    url = older_url.replace("//todo@/postgres", "//plain@/owned")
    migrate.upgrade(url)
    migrate.downgrade(url, "base")


def test_a_page_is_not_compiled(older_url: str, open_database: Callable[..., Database]) -> None:
    """That a sort is to be avoided makes it look costly to an older planner."""
    migrate.upgrade(older_url)
    person = sign_up(older_url, "finn")
    database = open_database(older_url, person.token)
    options = IN_INDEX_ORDER
    statement = sa.text("explain (analyze) select * from tasks order by title, number limit 5")
    plan = database.run(lambda session: session.execute(statement, execution_options=options).all())
    assert any("Sort" in line for (line,) in plan)
    assert not any("JIT" in line for (line,) in plan)


def test_people_see_their_own(older_url: str, open_database: Callable[..., Database]) -> None:
    migrate.upgrade(older_url)
    alice, bob = (
        TaskRepository(open_database(older_url, sign_up(older_url, name).token))
        for name in ("alice", "bob")
    )
    task = alice.add([("secret", "about it")])[0]
    assert bob.page(TaskQuery(limit=5), with_total=True).tasks == []
    with pytest.raises(TaskNotFound):
        bob.set_completed([TaskRef.parse(str(task.id))], True)
    assert alice.toggle([TaskRef.parse("1")])[0].completed
    assert alice.stats(datetime.date(2026, 1, 1), 7, "Europe/Berlin").completed == 1
    assert alice.trash([TaskRef.parse("1")])[0].deleted_at is not None
