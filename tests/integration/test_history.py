"""History, undo and redo, on PostgreSQL itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.admin.test_retention import make_old
from tests.support import maintenance
from tests.support.people import Person, sign_up
from todo_cli.database.session import Database
from todo_cli.errors import CannotUndo, TaskNotFound, TodoError
from todo_cli.tasks.history import History
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import Due, Priority, TaskChanges, TaskDraft, TaskRef

STATE = "select to_jsonb(t) - 'updated_at' from tasks as t where user_id = %s order by number"
_names = itertools.count(1)


def ref(number: int) -> TaskRef:
    return TaskRef.parse(str(number))


@dataclass
class Account:
    """A person, and what they can do."""

    url: str
    person: Person
    tasks: TaskRepository
    history: History

    def state(self) -> list[Any]:
        return self.query(STATE, self.person.id)

    def query(self, statement: str, *values: object) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return [row[0] for row in connection.execute(statement.encode(), values or None)]

    def execute(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), values or None)

    def undo_all(self) -> int:
        return _count(self.history.undo)

    def redo_all(self) -> int:
        return _count(self.history.redo)


def _count(command: Callable[[], object]) -> int:
    count = 0
    while _is_done(command):
        count += 1
    return count


def _is_done(command: Callable[[], object]) -> bool:
    """Whether there was something to undo, or to do again."""
    try:
        command()
    except CannotUndo as error:
        if not (error.reason or "").startswith("nothing_to_"):
            raise
        return False
    return True


@pytest.fixture
def account(database_url: str, alice: Person, open_database: Callable[..., Database]) -> Account:
    return _account(database_url, alice, open_database)


def _account(url: str, person: Person, open_database: Callable[..., Database]) -> Account:
    database = open_database(url, person.token)
    return Account(url, person, TaskRepository(database), History(database))


CHANGES = st.one_of(
    st.sampled_from(["one", "two words", "äöü"]).map(lambda text: TaskChanges(title=text)),
    st.sampled_from([None, "line\nbreak", ""]).map(lambda text: TaskChanges(description=text)),
    st.sampled_from([Priority.HIGH, None]).map(lambda value: TaskChanges(priority=value)),
    st.sampled_from([Due(date(2026, 12, 24)), None]).map(lambda value: TaskChanges(due=value)),
    st.sampled_from([("a",), ("b", "A")]).map(lambda tags: TaskChanges(add_tags=tags)),
    st.just(TaskChanges(clear_tags=True)),
    st.sampled_from(["house.garden", None]).map(lambda value: TaskChanges(project=value)),
)
NUMBERS = st.lists(st.integers(1, 6).map(ref), min_size=1, max_size=3)
COMMANDS = st.one_of(
    st.integers(1, 3).map(
        lambda n: lambda tasks: tasks.add([TaskDraft(f"new {i}", tags=("x",)) for i in range(n)])
    ),
    NUMBERS.map(lambda refs: lambda tasks: tasks.set_completed(refs, True)),
    NUMBERS.map(lambda refs: lambda tasks: tasks.set_completed(refs, False)),
    NUMBERS.map(lambda refs: lambda tasks: tasks.toggle(refs)),
    NUMBERS.map(lambda refs: lambda tasks: tasks.trash(refs)),
    NUMBERS.map(lambda refs: lambda tasks: tasks.restore(refs)),
    st.tuples(st.integers(1, 6).map(ref), CHANGES).map(
        lambda drawn: lambda tasks: tasks.edit(drawn[0], drawn[1])
    ),
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=12), undone=st.integers(0, 12))
def test_undoing_all_gives_the_beginning_and_redoing_all_the_end(
    database_url: str,
    open_database: Callable[..., Database],
    commands: list[Callable[[TaskRepository], object]],
    undone: int,
) -> None:
    person = sign_up(database_url, f"person{next(_names)}")
    account = _account(database_url, person, open_database)
    with psycopg.connect(database_url) as connection:  # what is not logged is not undone
        connection.execute("set todo.maintenance = 'on'")
        connection.execute(
            "insert into tasks (user_id, title, completed)"
            " values (%s, 'a', false), (%s, 'b', true)",
            (person.id, person.id),
        )
    states = [account.state()]
    for command in commands:
        try:
            command(account.tasks)
        except TodoError:
            assert account.state() == states[-1]
        if account.state() != states[-1]:
            states.append(account.state())
    # Step by step, back to where nobody had done anything, and forth again.
    for expected in [*reversed(states[:-1])]:
        account.history.undo()
        assert account.state() == expected
    assert account.undo_all() == 0
    for expected in states[1:]:
        account.history.redo()
        assert account.state() == expected
    assert account.redo_all() == 0
    # From the middle too, and after a second undo.
    steps = min(undone, len(states) - 1)
    for _ in range(steps):
        account.history.undo()
    assert account.state() == states[len(states) - 1 - steps]
    assert account.redo_all() == steps
    assert account.state() == states[-1]
    assert account.undo_all() == len(states) - 1
    assert account.state() == states[0]


def test_the_times_of_completion_and_creation_come_back_exactly(account: Account) -> None:
    account.tasks.add([TaskDraft("one")])
    account.tasks.set_completed([ref(1)], True)
    before = account.state()
    account.tasks.set_completed([ref(1)], False)
    account.history.undo()
    assert account.state() == before
    account.history.undo()
    account.history.undo()
    assert account.state() == []
    assert account.tasks.add([TaskDraft("next")])[0].number == 2  # the number stays used
    account.history.undo()
    assert account.redo_all() == 4
    account.history.undo()  # the last one: open again
    assert [task["title"] for task in account.state()] == ["one", "next"]
    assert account.state()[:1] == before


def test_another_program_s_changes_are_undone_too(account: Account) -> None:
    account.tasks.add([TaskDraft("one"), TaskDraft("two")])
    before = account.state()
    with psycopg.connect(account.url) as connection:  # one transaction, many statements
        for statement in (
            "update tasks set title = 'x' where number = 1",
            "update tasks set title = 'y', completed = true where number = 1",
            "insert into tasks (user_id, title) select id, 'three' from users",
            "update tasks set title = 'third' where number = 3",
        ):
            connection.execute(statement.encode())
    after = account.state()
    (entry, _) = account.history.entries(limit=10)
    assert (entry.command, entry.count) == ("sql", 4)
    assert (account.history.undo().command, account.state()) == ("sql", before)
    assert (account.history.redo().count, account.state()) == (2, after)


def test_a_task_that_changed_since_then_is_named_and_nothing_is_undone(account: Account) -> None:
    account.tasks.add([TaskDraft("one"), TaskDraft("two")])
    account.tasks.set_completed([ref(1), ref(2)], True)
    account.execute(
        "set todo.maintenance = 'on'; update tasks set completed = false where number = 2"
    )
    before = account.state()
    with pytest.raises(CannotUndo, match=r"^Cannot undo .*: task 2 changed since then.$") as caught:
        account.history.undo()
    assert (caught.value.reason, account.state()) == ("changed_since", before)


@pytest.mark.parametrize("days", [400])
def test_an_archived_task_keeps_its_history_and_is_not_undone(account: Account, days: int) -> None:
    account.tasks.add([TaskDraft("one")])
    account.tasks.set_completed([ref(1)], True)
    make_old(account.url, days, 1)
    assert maintenance.archive(account.url, timedelta(days=365)) == 1
    with pytest.raises(CannotUndo, match="task 1 went to the archive"):
        account.history.undo()
    assert [e.count for e in account.history.entries(ref(1), limit=9)][-2:] == [1, 1]
    account.tasks.restore_archived([ref(1)])
    with pytest.raises(CannotUndo, match="it brought task 1 back from the archive") as caught:
        account.history.undo()
    assert caught.value.reason == "from_archive"
    assert [task["title"] for task in account.state()] == ["one"]


def everything(account: Account) -> str:
    """All rows of all tables, as text."""
    tables = account.query(
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname in ('public', 'todo_auth')"
    )
    return "\n".join(str(account.query(f"select t::text from {name} as t")) for name in tables)


@pytest.mark.parametrize("how", ["by its owner", "by purge", "by its user's deletion"])
def test_of_what_is_deleted_for_good_no_word_stays(account: Account, how: str) -> None:
    account.tasks.add([TaskDraft("Word one", "Word two"), TaskDraft("kept")])
    account.tasks.edit(ref(1), TaskChanges(title="Word three", project="Word.four"))
    account.tasks.trash([ref(1)])
    account.history.undo()
    account.history.redo()
    assert "Word" in everything(account)
    if how == "by its owner":
        account.tasks.delete([ref(1)])
        with pytest.raises(CannotUndo, match="it deleted task 1 for good") as caught:
            account.history.undo()
        assert caught.value.reason == "deleted_for_good"
    elif how == "by purge":
        make_old(account.url, 31, 1)
        assert maintenance.purge(account.url, timedelta(days=30)) == 1
        account.history.undo()  # the batch of `add`, of which one task is left
    else:
        account.execute("delete from users")
        assert account.query("select count(*) from task_events") == [0]
    assert "Word" not in everything(account)


def test_old_events_are_forgotten(account: Account) -> None:
    account.tasks.add([TaskDraft("old")])
    account.execute("update task_events set at = now() - interval '91 days'")
    account.tasks.add([TaskDraft("young")])
    assert maintenance.forget_events(account.url) == 1
    assert account.undo_all() == 1
    assert [task["title"] for task in account.state()] == ["old"]


def test_two_at_once_undo_two_commands(
    account: Account, open_database: Callable[..., Database]
) -> None:
    account.tasks.add([TaskDraft("one")])
    for title in ("a", "b", "c", "d"):
        account.tasks.edit(ref(1), TaskChanges(title=title))
    histories = [History(open_database(account.url, account.person.token)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda history: history.undo(), histories))
    assert [task["title"] for task in account.state()] == ["one"]


def test_ten_thousand_tasks_are_undone_and_redone_by_one_statement_each(account: Account) -> None:
    account.tasks.add([TaskDraft(f"task {n}") for n in range(10_000)])
    account.tasks.set_completed([TaskRef.parse_several("1-10000")[0]], True)
    after = account.state()
    undone = account.history.undo()
    assert (undone.count, len(undone.tasks)) == (10_000, undone.MAX_TASKS)
    assert not any(task["completed"] for task in account.state())
    account.history.undo()
    assert account.state() == []
    assert account.redo_all() == 2
    assert account.state() == after
    entries = account.history.entries(limit=2, changes=3)
    assert [(entry.count, len(entry.changes)) for entry in entries] == [(10_000, 3)] * 2


def test_the_history_of_a_task(account: Account) -> None:
    account.tasks.add([TaskDraft("one"), TaskDraft("two")])
    account.tasks.set_completed([ref(1), ref(2)], True)
    account.history.undo()
    account.history.undo()
    entries = account.history.entries(ref(2), limit=10)
    assert [entry.command for entry in entries] == ["undo", "undo", "sql", "sql"]
    assert [[c.number for c in entry.changes] for entry in entries] == [[2]] * 4
    assert entries[0].undoes == entries[3].batch
    assert account.history.entries(TaskRef.parse(str(entries[0].changes[0].id)[:30]), limit=1)
    with pytest.raises(TaskNotFound):
        account.history.entries(ref(3), limit=1)


HOSTILE = ["", "x", "'; drop table tasks; --", "\x01\x1b[31m", "A" * 100_000, "sql\nundo"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_setting_breaks_no_write(account: Account, value: str) -> None:
    with psycopg.connect(account.url) as connection:
        connection.execute(
            "select set_config('todo.batch_id', %s, true), set_config('todo.command', %s, true),"
            " set_config('todo.undoing', %s, true)",
            (value, value, value),
        )
        connection.execute("insert into tasks (user_id, title) select id, 'one' from users")
        connection.execute("update tasks set title = 'two'")
    (entry,) = account.history.entries(limit=10)
    assert (entry.command, entry.count) == ("x" if value == "x" else "sql", 2)
    account.execute("delete from tasks")
    assert account.query("select count(*) from task_events where after is not null") == [0]
