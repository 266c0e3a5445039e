"""The oldest PostgreSQL that is promised does all that the newest does."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa

from tests.migrations.test_revisions import REVISIONS
from tests.support import older, server
from tests.support.catalog import catalog_of
from tests.support.people import sign_up
from tests.support.viewers import TODAY, VIEWER
from todo_cli.admin import migrate
from todo_cli.admin.health import examine
from todo_cli.database.session import IN_INDEX_ORDER, Database
from todo_cli.documents import compact_json, task_document, task_record
from todo_cli.errors import TaskNotFound
from todo_cli.filters import days_reader, parse_text
from todo_cli.tasks import repository
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import Due, SortKey, TaskDraft, TaskQuery, TaskRef


@pytest.fixture(scope="session")
def older_url() -> Iterator[str]:
    with server.running(older.programs()) as url:
        yield url


@pytest.fixture
def empty_older_url(older_url: str) -> Iterator[str]:
    with psycopg.connect(older_url, autocommit=True) as connection:
        connection.execute("create database revised")
        yield older_url.replace("/postgres?", "/revised?")
        connection.execute("drop database revised with (force)")


def test_each_revision_goes_up_and_down_and_up(empty_older_url: str) -> None:
    url = empty_older_url
    with psycopg.connect(url, autocommit=True) as connection:
        before = catalog_of(connection)
        for revision in REVISIONS:
            migrate.upgrade(url, revision)
            after = catalog_of(connection)
            migrate.downgrade(url, "-1")
            assert catalog_of(connection) == before, f"{revision} leaves something behind"
            migrate.upgrade(url, revision)
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


VALUES_KEPT = """
select tablename || '.' || attname from pg_stats
where schemaname in ('public', 'todo_auth') and tablename <> 'alembic_version'
"""
KEPT = {
    "users.id",
    "sessions.user_id",
    "tasks.id",
    "tasks.user_id",
    "tasks.number",
    "tasks.completed",
    "tasks.deleted_at",
    "task_counters.user_id",
}


@pytest.fixture(params=["older", "newest"])
def analyzed_url(
    request: pytest.FixtureRequest, older_url: str, empty_database_url: str
) -> Iterator[str]:
    """A database of revision 0009, whose planner knows what people wrote."""
    url = empty_database_url
    if request.param == "older":
        with psycopg.connect(older_url, autocommit=True) as connection:
            connection.execute("create database analyzed")
        url = older_url.replace("/postgres?", "/analyzed?")
    migrate.upgrade(url, "0009")
    sign_up(url, "gus")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into tasks (user_id, title) select id, 'Plan ' || n"
            " from users, generate_series(1, 300) as n"
        )
        connection.execute("analyze")
        assert len(connection.execute(VALUES_KEPT).fetchall()) > 20
    yield url
    if request.param == "older":
        with psycopg.connect(older_url, autocommit=True) as connection:
            connection.execute("drop database analyzed with (force)")


def test_the_planner_forgets_what_people_wrote(analyzed_url: str) -> None:
    migrate.upgrade(analyzed_url)
    with psycopg.connect(analyzed_url, autocommit=True) as connection:
        for _ in range(2):
            assert {name for (name,) in connection.execute(VALUES_KEPT)} == KEPT
            connection.execute("analyze")
        checks = "select count(*) from pg_constraint where contype = 'c' and not convalidated"
        assert connection.execute(checks).fetchone() == (0,)


def test_nobody_waits_for_an_upgrade_that_waits_for_a_reader(analyzed_url: str) -> None:
    with (
        psycopg.connect(analyzed_url) as reader,
        psycopg.connect(analyzed_url, autocommit=True, options="-c lock_timeout=1s") as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        reader.execute("select count(*) from tasks")
        # This revision alone: a later one may keep writers for its lock timeout, a second as well.
        upgrading = pool.submit(migrate.upgrade, analyzed_url, "0010")
        for number in range(20):
            writer.execute(
                f"insert into tasks (user_id, title) select id, '{number}' from users".encode()
            )
            time.sleep(0.05)
        reader.rollback()
        upgrading.result(timeout=60)
        assert {name for (name,) in writer.execute(VALUES_KEPT)} == KEPT


def test_a_view_does_not_stop_the_upgrade(older_url: str) -> None:
    """Before PostgreSQL 18 a column that a view shows keeps its values; health names it."""
    with psycopg.connect(older_url, autocommit=True) as connection:
        connection.execute("create database viewed")
    url = older_url.replace("/postgres?", "/viewed?")
    migrate.upgrade(url, "0009")
    with psycopg.connect(url, autocommit=True) as connection:
        sign_up(url, "gus")
        connection.execute("create view names as select name from users")
        connection.execute("analyze")
        migrate.upgrade(url)
        assert ("users.name",) in connection.execute(VALUES_KEPT).fetchall()
        found = examine(url, now=lambda: datetime.datetime.now(datetime.UTC)).checks
        (check,) = (one for one in found if one.name == "planner_statistics")
        assert "users.name" in check.value
        connection.execute("drop view names")
        assert check.hint is not None
        connection.execute(check.hint.encode())
        assert {name for (name,) in connection.execute(VALUES_KEPT)} <= KEPT


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
    task = alice.add([TaskDraft("secret", "about it")])[0]
    assert bob.page(TaskQuery(limit=5), with_total=True).tasks == []
    with pytest.raises(TaskNotFound):
        bob.set_completed([TaskRef.parse(str(task.id))], True)
    assert alice.toggle([TaskRef.parse("1")])[0].completed
    assert alice.stats(datetime.date(2026, 1, 1), 7, "Europe/Berlin").completed == 1
    assert alice.trash([TaskRef.parse("1")])[0].deleted_at is not None


@pytest.mark.parametrize("sort", list(SortKey))
def test_lists_are_written_alike(
    older_url: str,
    open_database: Callable[..., Database],
    monkeypatch: pytest.MonkeyPatch,
    sort: SortKey,
) -> None:
    monkeypatch.setattr(repository, "PAGE_TASKS", 3)
    monkeypatch.setattr(repository, "SORTED_PAGE_TASKS", 2)
    migrate.upgrade(older_url)
    tasks = TaskRepository(open_database(older_url, sign_up(older_url, f"by-{sort}").token))
    tasks.add(
        [
            TaskDraft(title, "two\nlines\tand \\")
            for title in ("b", "a", "Ä", '"', "e", "f", "g", "h")
        ]
    )
    query = TaskQuery(sort=sort, viewer=VIEWER)
    read = tasks.page(query).tasks
    documents = "\n".join(page for page in tasks.documents(query) if page)
    assert documents == "\n".join(compact_json(task_document(task)) for task in read)
    records = "\n".join(page for page in tasks.records(query) if page)
    assert records == "\n".join(task_record(task) for task in read)


def test_every_term_of_a_filter_is_understood(
    older_url: str, open_database: Callable[..., Database]
) -> None:
    migrate.upgrade(older_url)
    tasks = TaskRepository(open_database(older_url, sign_up(older_url, "filter").token))
    tasks.add([TaskDraft("Milk", tags=["home"], project="house.garden", due=Due(TODAY))])
    filters = [
        "due:today not created:1900 not changed:1900 not wait:today number:1..3 title:milk @HOME",
        "project:house (tag:none or has:due) is:overdue,pending not priority:high not done:today",
    ]
    for text in filters:
        query = TaskQuery(filter=parse_text(text, days_reader(VIEWER.now)), viewer=VIEWER, limit=5)
        for sort in SortKey:
            found = tasks.page(replace(query, sort=sort), with_total=True)
            assert ([task.title for task in found.tasks], found.total) == (["Milk"], 1)
