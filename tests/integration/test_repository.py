"""What the repository promises, on PostgreSQL itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from tests.support.people import Person
from tests.support.viewers import VIEWER
from tests.support.waiting import count_blocked, wait_until
from todo_cli.database.session import Database
from todo_cli.errors import AmbiguousTask, EditConflict, NotLoggedIn, SchemaBehind, TaskNotFound
from todo_cli.ids import uuid7
from todo_cli.tasks.repository import TaskRepository
from todo_cli.tasks.statements import MAX_SUGGESTIONS
from todo_cli.values import SortKey, TaskChanges, TaskDraft, TaskQuery, TaskRef, TaskState

ALL = TaskQuery(state=TaskState.ALL, viewer=VIEWER)


def ref(text: object) -> TaskRef:
    return TaskRef.parse(str(text))


def add(tasks: TaskRepository, *titles: str) -> None:
    tasks.add([TaskDraft(title) for title in titles])


def titles(tasks: TaskRepository, query: TaskQuery = ALL) -> list[str]:
    return [task.title for task in tasks.page(query).tasks]


def test_tasks_are_numbered_in_the_order_given(tasks: TaskRepository) -> None:
    made = tasks.add([TaskDraft(f"task {n}") for n in range(1, 101)])
    assert [task.number for task in made] == list(range(1, 101))
    assert [task.title for task in made] == [f"task {n}" for n in range(1, 101)]


def test_a_number_is_never_used_twice(tasks: TaskRepository) -> None:
    add(tasks, "one", "two")
    tasks.delete([ref(2)])
    assert tasks.add([TaskDraft("three")])[0].number == 3


def test_each_user_counts_alone(tasks: TaskRepository, tasks_of_bob: TaskRepository) -> None:
    add(tasks, "one", "two")
    assert tasks_of_bob.add([TaskDraft("mine")])[0].number == 1


def test_the_newest_come_first_and_pages_follow_each_other(tasks: TaskRepository) -> None:
    add(tasks, *(f"{n}" for n in range(1, 8)))
    query = replace(ALL, limit=3)
    first = tasks.page(query, with_total=True)
    assert ([task.number for task in first.tasks], first.total) == ([7, 6, 5], 7)
    second = tasks.page(replace(query, after=ref(5)), with_total=True)
    assert [task.number for task in second.tasks] == [4, 3, 2]
    last = tasks.page(replace(query, after=ref(2)))
    assert [task.number for task in last.tasks] == [1]
    assert tasks.page(replace(query, after=ref(1))).tasks == []


@pytest.mark.parametrize("sort", list(SortKey))
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_by_keyset_give_what_the_whole_list_gives(
    tasks: TaskRepository, sort: SortKey, reverse: bool
) -> None:
    add(tasks, *["banana", "apple", "Cherry", "apple", "date", "elder"])
    tasks.edit(ref(2), TaskChanges(description="touched"))
    query = replace(ALL, sort=sort, reverse=reverse)
    whole = [task.number for task in tasks.page(query).tasks]
    paged: list[int] = []
    while page := tasks.page(
        replace(query, limit=2, after=ref(paged[-1]) if paged else None)
    ).tasks:
        paged += [task.number for task in page]
    assert paged == whole
    assert sorted(whole) == [1, 2, 3, 4, 5, 6]


def test_titles_are_sorted_without_regard_to_capitals(tasks: TaskRepository) -> None:
    add(tasks, "banana", "Apple", "cherry")
    assert titles(tasks, replace(ALL, sort=SortKey.TITLE)) == ["Apple", "banana", "cherry"]


def test_a_page_after_no_task_is_an_error(tasks: TaskRepository) -> None:
    add(tasks, "one")
    with pytest.raises(TaskNotFound):
        tasks.page(replace(ALL, limit=2, after=ref(9)))


def test_states_and_search(tasks: TaskRepository) -> None:
    tasks.add(
        [
            TaskDraft("Milk"),
            TaskDraft("Bread", "with MILK"),
            TaskDraft("50% off_"),
            TaskDraft("Eggs"),
        ]
    )
    tasks.set_completed([ref(2)], True)
    tasks.trash([ref(4)])
    assert titles(tasks, TaskQuery()) == ["50% off_", "Milk"]
    assert titles(tasks, TaskQuery(state=TaskState.DONE)) == ["Bread"]
    assert titles(tasks, TaskQuery(state=TaskState.TRASH)) == ["Eggs"]
    assert titles(tasks, replace(ALL, search="milk")) == ["Bread", "Milk"]
    # What LIKE would take for a pattern is text.
    assert titles(tasks, replace(ALL, search="0% off_")) == ["50% off_"]
    assert titles(tasks, replace(ALL, search="%k")) == []


def test_several_are_changed_in_the_order_given_or_none(tasks: TaskRepository) -> None:
    add(tasks, "one", "two", "three")
    done = tasks.set_completed([ref(3), ref(1)], True)
    assert [task.number for task in done] == [3, 1]
    with pytest.raises(TaskNotFound):
        tasks.set_completed([ref(2), ref(99)], True)
    assert titles(tasks, TaskQuery()) == ["two"]


@pytest.mark.parametrize(
    ("change", "others"),
    [
        (lambda tasks, refs: tasks.set_completed(refs, True), "delete from tasks"),
        (
            lambda tasks, refs: tasks.set_completed(refs, True),
            "update tasks set deleted_at = now()",
        ),
        (lambda tasks, refs: tasks.delete(refs), "delete from tasks"),
    ],
    ids=["complete beside delete", "complete beside trash", "delete beside delete"],
)
def test_it_is_all_or_none_also_beside_somebody_who_removes_one(
    database_url: str,
    tasks: TaskRepository,
    change: Callable[[TaskRepository, list[TaskRef]], object],
    others: str,
) -> None:
    add(tasks, "one", "two")
    with ThreadPoolExecutor() as pool, psycopg.connect(database_url) as somebody:
        somebody.execute(f"{others} where number = 2".encode())
        changing = pool.submit(change, tasks, [ref(1), ref(2)])
        wait_until(lambda: count_blocked(somebody) == 1)
        somebody.commit()
        with pytest.raises(TaskNotFound):
            changing.result()
    assert [task.completed for task in tasks.get([ref(1)])] == [False]


def test_one_task_may_be_named_twice(tasks: TaskRepository) -> None:
    task = tasks.add([TaskDraft("one")])[0]
    done = tasks.set_completed([ref(1), ref(1), ref(task.id)], True)
    assert [task.number for task in done] == [1]


def test_a_beginning_that_fits_several_lists_them(tasks: TaskRepository) -> None:
    made = tasks.add([TaskDraft("one"), TaskDraft("two")])
    shared = str(made[0].id)[:8]
    with pytest.raises(AmbiguousTask, match=r"1 \(one\).*2 \(two\)|2 \(two\).*1 \(one\)"):
        tasks.set_completed([ref(shared)], True)
    assert tasks.set_completed([ref(made[1].id)], True)[0].title == "two"


def test_what_is_done_stays_as_it_was(tasks: TaskRepository) -> None:
    add(tasks, "one")
    first = tasks.set_completed([ref(1)], True)[0]
    again = tasks.set_completed([ref(1)], True)[0]
    assert again == first
    reopened = tasks.set_completed([ref(1)], False)[0]
    assert reopened.completed_at is None
    assert reopened.updated_at > first.updated_at


def test_toggle_flips_each(tasks: TaskRepository) -> None:
    add(tasks, "one", "two")
    tasks.set_completed([ref(1)], True)
    toggled = tasks.toggle([ref(1), ref(2)])
    assert [task.completed for task in toggled] == [False, True]


def test_edit_clears_and_keeps(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft("one", "about it")])
    assert tasks.edit(ref(1), TaskChanges(title="uno"))[0].description == "about it"
    assert tasks.edit(ref(1), TaskChanges(description=None))[0].description is None


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused(tasks: TaskRepository) -> None:
    seen = tasks.add([TaskDraft("one")])[0]
    tasks.edit(ref(1), TaskChanges(title="theirs"))
    with pytest.raises(EditConflict):
        tasks.edit(ref(1), TaskChanges(title="ours"), unchanged_since=seen)
    assert titles(tasks) == ["theirs"]


def test_the_trash_gives_back(tasks: TaskRepository) -> None:
    add(tasks, "one")
    gone = tasks.trash([ref(1)])[0]
    assert gone.deleted_at is not None
    assert tasks.trash([ref(1)])[0].deleted_at == gone.deleted_at
    with pytest.raises(TaskNotFound, match="in the trash"):
        tasks.set_completed([ref(1)], True)
    assert tasks.restore([ref(1)])[0].deleted_at is None
    assert tasks.restore([ref(1)])[0].deleted_at is None


def test_the_same_add_twice_adds_once_and_takes_no_second_number(
    tasks: TaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lost answer: the client sends the same identifiers again."""

    ids = iter([*(made := [uuid7(), uuid7()]), *made])
    monkeypatch.setattr("todo_cli.tasks.repository.uuid7", lambda: next(ids))
    first = tasks.add([TaskDraft("one"), TaskDraft("two")])
    assert tasks.add([TaskDraft("one"), TaskDraft("two")]) == first
    monkeypatch.undo()
    assert tasks.add([TaskDraft("three")])[0].number == 3


EVERY_WAY_IN: dict[str, Callable[[TaskRepository, TaskRef], object]] = {
    "show": lambda tasks, ref: tasks.get([ref]),
    "edit": lambda tasks, ref: tasks.edit(ref, TaskChanges(title="mine now")),
    "done": lambda tasks, ref: tasks.set_completed([ref], True),
    "toggle": lambda tasks, ref: tasks.toggle([ref]),
    "rm": lambda tasks, ref: tasks.trash([ref]),
    "rm --permanent": lambda tasks, ref: tasks.delete([ref]),
    "restore": lambda tasks, ref: tasks.restore([ref]),
    "list --after": lambda tasks, ref: tasks.page(replace(ALL, after=ref)),
}


@pytest.mark.parametrize("way", EVERY_WAY_IN)
def test_another_user_is_nobody(
    tasks: TaskRepository, tasks_of_bob: TaskRepository, way: str
) -> None:
    secret = tasks.add([TaskDraft("secret")])[0]
    assert titles(tasks_of_bob) == []
    assert tasks_of_bob.stats(datetime.date(2026, 1, 1), 7, "UTC").total == 0
    for reference in (secret.number, secret.id, str(secret.id)[:18]):
        with pytest.raises(TaskNotFound):
            EVERY_WAY_IN[way](tasks_of_bob, ref(reference))
    assert tasks.get([ref(1)]) == [secret]


def test_a_token_of_nobody_is_told_apart_from_an_empty_list(
    database_url: str, open_database: Callable[..., Database]
) -> None:
    for token in (None, "", "guessed"):
        stranger = TaskRepository(open_database(database_url, token))
        with pytest.raises(NotLoggedIn):
            stranger.page(ALL)
        with pytest.raises(NotLoggedIn):
            stranger.add([TaskDraft("one")])


def test_an_expired_session_is_nobody(
    tasks: TaskRepository, database_url: str, alice: Person
) -> None:
    add(tasks, "one")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update sessions set expires_at = now()")
    with pytest.raises(NotLoggedIn):
        tasks.page(ALL)


def test_a_used_session_is_pushed_on_once_a_day(
    tasks: TaskRepository, database_url: str, alice: Person
) -> None:
    left = "select round(extract(epoch from expires_at - now()) / 86400, 1)::float from sessions"
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days, after in ((6.5, 6.5), (5.9, 7), (0.1, 7), (400, 400)):
            connection.execute(
                "update sessions set expires_at = now() + %s * interval '1 day'", (days,)
            )
            tasks.page(ALL)
            assert connection.execute(left.encode()).fetchall() == [(after,)]


def test_an_empty_database_is_told_by_its_own_name(
    empty_database_url: str, open_database: Callable[..., Database]
) -> None:
    with pytest.raises(SchemaBehind):
        TaskRepository(open_database(empty_database_url, "token")).page(ALL)


def test_stats_count_by_the_users_days(tasks: TaskRepository, database_url: str) -> None:
    add(tasks, *"abcdef")
    tasks.trash([ref(6)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks disable trigger tasks_stamp")
        # 23:30 UTC on the 10th is already the 11th in Berlin.
        for number, done_at in ((1, "2026-03-10 23:30Z"), (2, "2026-03-10 12:00Z")):
            connection.execute(
                "update tasks set completed = true, created_at = '2026-03-09 12:00Z',"
                " completed_at = %s where number = %s",
                (done_at, number),
            )
        connection.execute(
            "update tasks set created_at = '2026-03-01 12:00Z' where number not in (1, 2)"
        )
    stats = tasks.stats(datetime.date(2026, 3, 12), 4, "Europe/Berlin")
    assert [(day.date.day, day.created, day.completed) for day in stats.by_day] == [
        (9, 2, 0),
        (10, 0, 1),
        (11, 0, 1),
        (12, 0, 0),
    ]
    assert (stats.total, stats.pending, stats.completed, stats.trash) == (5, 3, 2, 1)
    assert stats.streak_days == 2
    assert stats.median_hours_to_done == pytest.approx(29.75)
    assert (stats.created_last_7_days, stats.completed_last_7_days) == (2, 2)
    assert tasks.stats(datetime.date(2026, 3, 13), 1, "Europe/Berlin").streak_days == 0
    assert tasks.stats(datetime.date(2026, 3, 10), 1, "UTC").streak_days == 1


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("UTC", "2026-03-12 00:00+00"),
        ("Asia/Kathmandu", "2026-03-12 00:00+05:45"),
        ("America/St_Johns", "2026-03-12 00:00-02:30"),
        ("Australia/Lord_Howe", "2026-03-12 00:00+11"),
        ("<+0530>-05:30", "2026-03-12 00:00+05:30"),
    ],
)
def test_a_day_begins_at_midnight_of_the_zone(
    tasks: TaskRepository, database_url: str, zone: str, midnight: str
) -> None:
    add(tasks, "before", "at", "after")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table tasks disable trigger user")
        connection.execute(
            "update tasks set completed = true, created_at = at, completed_at = at from "
            "(select %s::timestamptz + (number - 2) * interval '1 microsecond' as at, id "
            "from tasks) as moved where moved.id = tasks.id",
            (midnight,),
        )
    stats = tasks.stats(datetime.date(2026, 3, 12), 2, zone)
    assert [(day.date.day, day.created, day.completed) for day in stats.by_day] == [
        (11, 1, 1),
        (12, 2, 2),
    ]
    assert (stats.streak_days, stats.median_hours_to_done) == (2, 0)


def test_the_statistics_of_no_task(tasks: TaskRepository) -> None:
    stats = tasks.stats(datetime.date(2026, 3, 12), 2, "UTC")
    assert (stats.total, stats.pending, stats.completed, stats.trash) == (0, 0, 0, 0)
    assert (stats.median_hours_to_done, stats.oldest_pending, stats.streak_days) == (None, None, 0)
    assert [(day.created, day.completed) for day in stats.by_day] == [(0, 0), (0, 0)]


def test_a_beginning_that_fits_many_hides_no_other_reference(tasks: TaskRepository) -> None:
    made = tasks.add([TaskDraft(f"{n}") for n in range(40)])
    shared = ref(str(made[0].id)[:6])
    with pytest.raises(AmbiguousTask):
        tasks.set_completed([ref(40), shared], True)
    with pytest.raises(AmbiguousTask):
        tasks.get([ref(made[39].id), shared, ref(39)])


def test_what_was_so_already_is_told_apart(tasks: TaskRepository) -> None:
    added = tasks.add([TaskDraft("one"), TaskDraft("two")])
    ids = {task.number: task.id for task in added}
    both = [ref(1), ref(2)]
    assert tasks.set_completed([ref(1)], True).unchanged == frozenset()
    assert tasks.set_completed(both, True).unchanged == {ids[1]}
    assert tasks.set_completed(both, True).unchanged == set(ids.values())
    assert tasks.trash([ref(2)]).unchanged == frozenset()
    assert tasks.trash(both).unchanged == {ids[2]}
    assert tasks.restore([ref(1)]).unchanged == frozenset()
    assert tasks.restore(both).unchanged == {ids[1]}
    assert tasks.edit(ref(1), TaskChanges(title="one")).unchanged == {ids[1]}
    assert tasks.edit(ref(1), TaskChanges(title="uno")).unchanged == frozenset()


def test_every_number_is_suggested_by_its_digits(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft(f"Task {n}") for n in range(1, 1301)])
    tasks.set_completed([TaskRef.parse("12")], True)
    found = [number for number, _ in tasks.numbered("1", TaskState.ALL)]
    assert found == [1, *range(10, 20), *range(100, 189)]
    assert len(found) == MAX_SUGGESTIONS
    found = [number for number, _ in tasks.numbered("12", TaskState.PENDING, excluded=[121])]
    assert found == [120, *range(122, 130), *range(1200, 1291)]
    assert tasks.numbered("12", TaskState.DONE) == [(12, "Task 12")]
    for digits in ("0", "01", "1301", "9" * 19, "9" * 40):
        assert tasks.numbered(digits, TaskState.ALL) == []


def test_titles_are_suggested_newest_first(tasks: TaskRepository) -> None:
    tasks.add([TaskDraft("100% wool"), TaskDraft("100 wool", "50%"), TaskDraft("Cotton")])
    assert tasks.titled("WOOL", TaskState.ALL) == [(2, "100 wool"), (1, "100% wool")]
    assert tasks.titled("%", TaskState.ALL) == [(1, "100% wool")]
    assert tasks.titled("", TaskState.ALL, excluded=[2]) == [(3, "Cotton"), (1, "100% wool")]
    assert tasks.titled("wool", TaskState.TRASH) == []
