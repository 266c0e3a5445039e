"""The history where row-level security binds the tables' owner, and so the triggers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from tests.admin.test_retention import make_old
from tests.conftest import Postgres
from tests.support import maintenance
from tests.support.people import sign_up
from todo_cli.admin import grants
from todo_cli.admin.connect import connected, maintaining
from todo_cli.database.session import Database
from todo_cli.errors import CannotUndo
from todo_cli.tasks.history import History
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskDraft, TaskRef

ONE = [TaskRef.parse("1")]


def count_events(url: str) -> int:
    with connected(url) as connection, maintaining(connection):
        ((count,),) = connection.execute("select count(*) from task_events").fetchall()
    return int(count)


@pytest.mark.parametrize("role", ["owner", "person"])
def test_changes_are_logged_undone_and_forgotten(
    owned_url: str, open_database: Callable[..., Database], role: str
) -> None:
    person = sign_up(owned_url, "ada")
    url = owned_url if role == "owner" else grants.grant(owned_url, "person_of_history")
    try:
        database = open_database(url, person.token)
        tasks, history = TaskRepository(database), History(database)
        tasks.add([TaskDraft("one"), TaskDraft("two")])
        tasks.set_completed(ONE, True)
        assert history.undo().count == 1
        assert history.undo().count == 2
        assert tasks.get([]) == []
        assert history.redo().count == 2
        assert history.redo().count == 1
        assert [entry.count for entry in history.entries(limit=10)] == [1, 2, 2, 1, 1, 2]
        tasks.delete(ONE)
        with pytest.raises(CannotUndo, match="for good"):
            history.undo()
        assert [len(entry.changes) for entry in history.entries(ONE[0], limit=10)] == [1]
        database.close()
    finally:
        if role == "person":
            grants.revoke(owned_url, "person_of_history")


def test_what_a_superuser_changes_is_logged_too(owned_url: str, postgres: Postgres) -> None:
    person = sign_up(owned_url, "ada")
    superuser_url = owned_url.replace("plain_owner@", f"{postgres.user}@")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("insert into tasks (user_id, title) values (%s, 'one')", (person.id,))
        connection.execute("update tasks set title = 'two'")
        assert count_events(owned_url) == 2
        connection.execute("update tasks set deleted_at = now()")
        make_old(superuser_url, 31, 1)
    assert maintenance.purge(owned_url, timedelta(days=30)) == 1
    assert count_events(owned_url) == 0
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("insert into tasks (user_id, title) values (%s, 'one')", (person.id,))
        connection.execute("delete from users")
    assert count_events(owned_url) == 0
