"""What is repeated after a lost answer, while somebody else changes the same tasks meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa

from tests.support.neon import Neon
from tests.support.people import Person, sign_up
from tests.support.waiting import count_blocked, wait_until
from todo_cli.database.session import Database
from todo_cli.errors import DatabaseFault, EditConflict
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskChanges, TaskDraft, TaskQuery, TaskRef

ONE = [TaskRef.parse("1")]
BOTH = [TaskRef.parse("1"), TaskRef.parse("2")]


class Line:
    """One person's tasks over a line that can be cut, and the same tasks over another."""

    def __init__(self, neon: Neon, database: str, person: Person) -> None:
        self.neon = neon
        self.while_cut: Callable[[], object] = lambda: None
        self._database = Database(
            neon.url(database),
            session_token=person.token,
            timeout_seconds=20,
            revive=self._revive,
        )
        # The direct host: what is ordered from the pooled one's proxy does not touch it.
        self._other_database = Database(
            neon.url(database, is_pooled=False), session_token=person.token, timeout_seconds=20
        )
        self.tasks = TaskRepository(self._database)
        self.elsewhere = TaskRepository(self._other_database)
        self.tasks.add([TaskDraft("one"), TaskDraft("two")])

    def _revive(self) -> None:
        self.while_cut()

    def completed(self) -> list[bool]:
        return [task.completed for task in self.elsewhere.get(BOTH)]

    def close(self) -> None:
        self._database.close()
        self._other_database.close()


@pytest.fixture
def line(neon: Neon, neon_database: str) -> Iterator[Line]:
    person = sign_up(neon.superuser_url(neon_database), "finn")
    line = Line(neon, neon_database, person)
    yield line
    line.close()


class CutAfterRead:
    """Cuts the answer to the statement that follows the next `get`."""

    def __init__(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        read = line.tasks.get

        def get(refs: list[TaskRef], **options: bool) -> object:
            found = read(refs, **options)
            line.neon.pooled.cut(before_server_message=1)
            monkeypatch.setattr(line.tasks, "get", read)
            return found

        monkeypatch.setattr(line.tasks, "get", get)


class TestToggle:
    def test_is_not_repeated_when_its_answer_is_lost(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        CutAfterRead(line, monkeypatch)
        toggled = line.tasks.toggle(BOTH)
        assert [task.completed for task in toggled] == [True, True]
        assert line.completed() == [True, True]
        assert line.neon.pooled.stats.cuts == 1

    def test_does_not_undo_what_somebody_else_did_meanwhile(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        CutAfterRead(line, monkeypatch)
        line.while_cut = lambda: line.elsewhere.set_completed(ONE, False)
        with pytest.raises(EditConflict):
            line.tasks.toggle(BOTH)
        assert line.completed() == [False, True]

    def test_begins_anew_when_somebody_else_was_first(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = line.tasks.get

        def get(refs: list[TaskRef], **options: bool) -> object:
            found = read(refs, **options)
            monkeypatch.setattr(line.tasks, "get", read)
            line.elsewhere.edit(ONE[0], TaskChanges(title="changed"))
            return found

        monkeypatch.setattr(line.tasks, "get", get)
        toggled = line.tasks.toggle(BOTH)
        assert [(task.title, task.completed) for task in toggled] == [
            ("changed", True),
            ("two", True),
        ]


def test_an_edit_that_was_kept_is_no_conflict_with_itself(line: Line) -> None:
    before = line.tasks.get(ONE)[0]
    line.neon.pooled.cut(before_server_message=1)
    edited = line.tasks.edit(ONE[0], TaskChanges(title="new"), unchanged_since=before)
    assert edited[0].title == "new"
    assert line.neon.pooled.stats.cuts == 1


def test_what_our_own_first_try_did_is_not_said_to_be_so_already(line: Line) -> None:
    line.neon.pooled.cut(before_server_message=1)
    done = line.tasks.set_completed(ONE, True)
    assert (done[0].completed, done.unchanged) == (True, frozenset())
    assert line.neon.pooled.stats.cuts == 1


def test_an_edit_of_what_was_changed_meanwhile_is_refused(line: Line) -> None:
    before = line.tasks.get(ONE)[0]
    line.elsewhere.edit(ONE[0], TaskChanges(title="theirs"))
    with pytest.raises(EditConflict):
        line.tasks.edit(ONE[0], TaskChanges(title="ours"), unchanged_since=before)
    assert line.tasks.get(ONE)[0].title == "theirs"


def test_a_repeated_add_takes_no_further_number(line: Line) -> None:
    line.neon.pooled.cut(before_server_message=1)
    assert [task.number for task in line.tasks.add([TaskDraft("three"), TaskDraft("four")])] == [
        3,
        4,
    ]
    assert [task.number for task in line.tasks.add([TaskDraft("five")])] == [5]
    assert len(line.tasks.page(TaskQuery()).tasks) == 5


@pytest.mark.parametrize("is_pooled", [True, False], ids=["pooled", "direct"])
def test_a_try_that_is_still_running_and_its_repetition_add_once(
    neon: Neon, neon_database: str, is_pooled: bool
) -> None:
    person = sign_up(neon.superuser_url(neon_database), "ida")
    database = Database(
        neon.url(neon_database, is_pooled=is_pooled),
        session_token=person.token,
        timeout_seconds=30,
    )
    tasks = TaskRepository(database)
    tasks.add([TaskDraft("one")])
    database.close()
    proxy = neon.pooled if is_pooled else neon.direct
    proxy.stats.reset()
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(neon.superuser_url(neon_database)) as blocker,
    ):
        blocker.execute("select from todo_auth.task_counters for update")
        # The whole pipeline arrives, its end included; then the line is cut while it runs.
        proxy.cut(after_client_message=9, let_server_finish=False)
        added = pool.submit(tasks.add, [TaskDraft("two")])
        wait_until(lambda: count_blocked(blocker) == 2)
        blocker.rollback()
        assert [task.title for task in added.result()] == ["two"]
    assert (proxy.stats.cuts, proxy.stats.connections) == (1, 2)
    assert [task.title for task in tasks.page(TaskQuery()).tasks] == ["two", "one"]
    database.close()


class TestTimeLimit:
    SLEEP = sa.text("select pg_sleep(60)")

    @pytest.mark.parametrize("is_used", [False, True], ids=["a new connection", "a used one"])
    def test_the_server_gives_up_before_we_do(
        self, neon: Neon, neon_database: str, is_used: bool
    ) -> None:
        person = sign_up(neon.superuser_url(neon_database), "gina")
        database = Database(
            neon.url(neon_database), session_token=person.token, timeout_seconds=1.5
        )
        if is_used:
            TaskRepository(database).page(TaskQuery())
        with pytest.raises(DatabaseFault, match="took too long"):
            database.run(lambda session: session.execute(self.SLEEP))
        # A used connection might be dead: it is given a third of the time, and then replaced.
        assert neon.pooled.stats.connections == 1 + is_used
        database.close()

    def test_the_limit_is_what_is_left(self, neon: Neon, neon_database: str) -> None:
        person = sign_up(neon.superuser_url(neon_database), "hugo")
        database = Database(neon.url(neon_database), session_token=person.token, timeout_seconds=10)
        setting = sa.text("select setting::int from pg_settings where name = 'statement_timeout'")
        milliseconds = database.run(lambda session: session.execute(setting).scalar_one())
        assert 0 < milliseconds <= 9_000
        database.close()
