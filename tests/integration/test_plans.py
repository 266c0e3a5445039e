"""The seven query patterns use indexes on a table large enough to matter, whoever asks.

A plan is what the planner chose, read after the statement ran under the same role, token and
policies as a person's command: no sequential scan of the tasks, and no sort of more than a page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from tests.conftest import Postgres
from tests.support.viewers import VIEWER
from todo_cli.database.session import IDENTITY, Database, identity_values
from todo_cli.filters import days_reader, parse
from todo_cli.tasks.repository import TaskRepository
from todo_cli.tasks.statements import MAX_SUGGESTIONS, MAX_TITLES_SEARCHED
from todo_cli.values import SortKey, TaskChanges, TaskDraft, TaskQuery, TaskRef, TaskState, View

USERS = 2_000
TASKS_EACH = 50
TASKS_OF_THE_HEAVIEST = 40_000
PAGE = 50
PENDING = "ix_tasks_user_id_number_pending"
DUE = "ix_tasks_user_id_due_on_number"
KEPT = "ix_tasks_user_id_completed_kept"

FILL = f"""
insert into users (id, email, name)
select md5('user ' || n)::uuid, 'user' || n || '@example.org', 'User'
from generate_series(1, {USERS}) as n;
insert into sessions (user_id, token, expires_at)
select id, 'token of ' || email, now() + interval '1 day' from users;
alter table tasks disable trigger user;
insert into tasks (
    user_id, number, title, completed, completed_at, created_at,
    due_on, wait_on, priority, tags, project
)
select md5('user ' || u)::uuid, n, 'task ' || n, n % 5 < 3, case when n % 5 < 3 then now() end,
    now() - (100000 - n) * interval '1 minute',
    case when n % 2 = 0 then date '2026-11-24' + n / 50 % 400 - 20 end,
    case when n % 37 = 0 then date '2026-12-24' end,
    nullif(n % 4, 0),
    case when n % 2500 = 4 then '{{rare}}' when n % 3 = 0 then '{{home,phone}}' else '{{}}' end
        ::text[],
    case when n % 7 = 0 then 'house.garden' when n % 2500 = 9 then 'house.roof' end
from generate_series(1, {USERS}) as u,
    generate_series(1, case when u = 1 then {TASKS_OF_THE_HEAVIEST} else {TASKS_EACH} end) as n
order by n, u;
alter table tasks enable trigger user;
insert into todo_auth.task_counters select user_id, max(number) from tasks group by user_id;
vacuum analyze tasks;
"""


@pytest.fixture(scope="session")
def large_database(postgres: Postgres, template: str) -> Iterator[str]:
    postgres.execute(f"create database large template {template} strategy file_copy")
    with psycopg.connect(postgres.url("large"), autocommit=True) as connection:
        for statement in FILL.split(";\n"):
            connection.execute(statement.encode())
    yield postgres.url("large")
    postgres.execute("drop database large with (force)")


def _last_of_first_page(tasks: TaskRepository) -> TaskRef:
    return TaskRef.parse(str(tasks.page(ALL).tasks[-1].number))


def _filtered(*words: str, **changes: Any) -> TaskQuery:
    tree = parse(words, days_reader(VIEWER.now))
    return TaskQuery(limit=PAGE, filter=tree, viewer=VIEWER, **changes)


Ask = Callable[[TaskRepository], object]
SEVERAL = [TaskRef.parse(str(number)) for number in (11, 12, 13)]
DELETED = [TaskRef.parse(str(number)) for number in (14, 15, 16)]
"""No other pattern asks for these."""
ALL = TaskQuery(state=TaskState.ALL, limit=PAGE)
PATTERNS: dict[str, Ask] = {
    "list": lambda tasks: tasks.page(ALL, with_total=True),
    "next page": lambda tasks: tasks.page(replace(ALL, after=_last_of_first_page(tasks))),
    "pending": lambda tasks: tasks.page(TaskQuery(limit=PAGE)),
    "create": lambda tasks: tasks.add([TaskDraft("new")]),
    "update": lambda tasks: tasks.edit(TaskRef.parse("7"), TaskChanges(title="changed")),
    "toggle": lambda tasks: tasks.toggle([TaskRef.parse("7")]),
    "delete": lambda tasks: tasks.delete([TaskRef.parse("9")]),
    "show several": lambda tasks: tasks.get(SEVERAL),
    "complete several": lambda tasks: tasks.set_completed(SEVERAL, True),
    "toggle several": lambda tasks: tasks.toggle(SEVERAL),
    "delete several for good": lambda tasks: tasks.delete(DELETED),
    "trash": lambda tasks: tasks.page(TaskQuery(state=TaskState.TRASH, limit=PAGE)),
}


@pytest.mark.parametrize("user", [1, 2], ids=["heaviest", "ordinary"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_uses_an_index(
    large_database: str, open_database: Callable[..., Database], pattern: str, user: int
) -> None:
    token = f"token of user{user}@example.org"
    database = open_database(large_database, token)
    for statement, parameters, options in statements_of(database, PATTERNS[pattern]):
        plan = plan_of(large_database, token, statement, parameters, options)
        for node in nodes(plan):
            assert not is_scan_of_all_tasks(node), plan
            assert "Index" not in node["Node Type"] or "Index Cond" in node, plan
            if node["Node Type"] == "Sort":
                # What goes into it: a sort for a page gives no more than that back.
                assert all(below["Actual Rows"] <= PAGE + 1 for below in node["Plans"]), plan


VIEW = TaskQuery(limit=PAGE, viewer=VIEWER)
FILTERED: dict[str, tuple[TaskQuery, str]] = {
    "pending": (VIEW, PENDING),
    "a frequent tag": (_filtered("@home"), PENDING),
    "a rare tag": (_filtered("@rare"), PENDING),
    "a tag that no task has": (_filtered("@nobody"), PENDING),
    "a project and below": (_filtered("project:house"), PENDING),
    "a rare project": (_filtered("project:=house.roof"), PENDING),
    "a priority and a tag": (_filtered("priority:high", "not", "@home"), PENDING),
    "today": (_filtered("due:today"), DUE),
    "a range of days": (_filtered("due:2026-11-20..2026-11-26"), DUE),
    "overdue": (_filtered("is:overdue"), DUE),
    "by due day": (replace(VIEW, sort=SortKey.DUE), DUE),
    "by due day, backwards": (replace(VIEW, sort=SortKey.DUE, reverse=True), DUE),
    "by priority": (replace(VIEW, sort=SortKey.PRIORITY), PENDING),
    "by project": (replace(VIEW, sort=SortKey.PROJECT), PENDING),
}
MAX_HEAP_ROWS = 1_000
"""What a filter may read of the table itself: a few pages, or the days that it names, twice."""


@pytest.mark.parametrize("user", [1, 2], ids=["heaviest", "ordinary"])
@pytest.mark.parametrize("name", FILTERED)
def test_a_filter_reads_an_index_and_few_tasks(
    large_database: str, open_database: Callable[..., Database], name: str, user: int
) -> None:
    query, index = FILTERED[name]
    token = f"token of user{user}@example.org"
    database = open_database(large_database, token)

    def ask(tasks: TaskRepository) -> None:
        tasks.page(query, with_total=True)
        first = tasks.page(replace(query, limit=5)).tasks
        if len(first) == 5:
            tasks.page(replace(query, limit=PAGE, after=TaskRef.parse(str(first[3].number))))

    for statement, parameters, options in statements_of(database, ask):
        plan = plan_of(large_database, token, statement, parameters, options)
        scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks"]
        assert not any(map(is_scan_of_all_tasks, scans)), plan
        # For the average user, who has a few tasks, another index may do as well.
        assert user != 1 or index in [scan.get("Index Name") for scan in scans], plan
        assert sum(map(rows_read, scans)) <= MAX_HEAP_ROWS, plan


VIEWS: dict[str, tuple[Ask, str, int]] = {
    "today": (
        lambda tasks: tasks.page(replace(VIEW, view=View.TODAY), with_total=True),
        DUE,
        2_000,
    ),
    "upcoming": (
        lambda tasks: tasks.page(replace(VIEW, view=View.UPCOMING), with_total=True),
        DUE,
        2_000,
    ),
    "next": (
        lambda tasks: tasks.page(replace(VIEW, view=View.NEXT), with_total=True),
        PENDING,
        17_000,
    ),
    "projects": (lambda tasks: tasks.projects(VIEWER), KEPT, TASKS_OF_THE_HEAVIEST),
    "tags": (lambda tasks: tasks.tags(VIEWER), KEPT, TASKS_OF_THE_HEAVIEST),
    "a list that counts what is late": (
        lambda tasks: tasks.page(VIEW, with_total=True),
        DUE,
        2_000,
    ),
}
"""Views, with the index that they read, and how many rows of the table at most. Of the heaviest
user 380 tasks are late, which are read once to be shown and once to be counted. Of all that are
pending the age is weighed."""


@pytest.mark.parametrize("user", [1, 2], ids=["heaviest", "ordinary"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_reads_an_index_and_few_tasks(
    large_database: str, open_database: Callable[..., Database], name: str, user: int
) -> None:
    ask, index, most = VIEWS[name]
    token = f"token of user{user}@example.org"
    ((statement, parameters, options),) = statements_of(open_database(large_database, token), ask)
    plan = plan_of(large_database, token, statement, parameters, options)
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks"]
    assert not any(map(is_scan_of_all_tasks, scans)), plan
    assert user != 1 or index in [node.get("Index Name") for node in nodes(plan)], plan
    assert sum(map(rows_read, scans)) <= most, plan


def rows_read(scan: dict[str, Any]) -> float:
    """How many rows a scan reads of the table itself."""
    if scan["Node Type"] == "Index Only Scan":
        return float(scan["Heap Fetches"])
    rows = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    return float(scan["Actual Loops"] * rows)


SUGGESTED: dict[str, Ask] = {
    "by number": lambda tasks: tasks.numbered("1", TaskState.PENDING),
    "by number, done": lambda tasks: tasks.numbered("1", TaskState.DONE),
    "by number, all": lambda tasks: tasks.numbered("1", TaskState.ALL, excluded=[1, 11]),
    "by number, archived": lambda tasks: tasks.numbered("1", TaskState.ARCHIVED),
    "by title": lambda tasks: tasks.titled("TASK 1", TaskState.PENDING),
    "by a title that is nobody's": lambda tasks: tasks.titled("no such", TaskState.ALL),
    "newest": lambda tasks: tasks.titled("", TaskState.PENDING),
}


@pytest.mark.parametrize("user", [1, 2], ids=["heaviest", "ordinary"])
@pytest.mark.parametrize("suggested", SUGGESTED)
def test_what_a_shell_is_offered_reads_no_more_than_it_may(
    large_database: str, open_database: Callable[..., Database], suggested: str, user: int
) -> None:
    token = f"token of user{user}@example.org"
    database = open_database(large_database, token)
    ((statement, parameters, options),) = statements_of(database, SUGGESTED[suggested])
    plan = plan_of(large_database, token, statement, parameters, options)
    read = 0
    for node in nodes(plan):
        assert not is_scan_of_all_tasks(node), plan
        if str(node.get("Relation Name")).startswith("tasks"):
            removed = node.get("Rows Removed by Filter", 0)
            read += node["Actual Loops"] * (node["Actual Rows"] + removed)
    # One to five ranges of 100 rows each, of which a filter may drop four in five.
    limit = 5 * 5 * MAX_SUGGESTIONS if "number" in suggested else MAX_TITLES_SEARCHED
    assert read <= limit
    assert plan["Actual Rows"] <= MAX_SUGGESTIONS


def test_the_count_by_status_reads_the_index_alone(large_database: str) -> None:
    statement = """
        select count(*) filter (where not completed), count(*) filter (where completed)
        from tasks where deleted_at is null
    """
    plan = plan_of(large_database, "token of user1@example.org", statement, {}, {})
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks"]
    assert [(node["Node Type"], node["Index Name"]) for node in scans] == [
        ("Index Only Scan", "ix_tasks_user_id_completed_kept")
    ]


def test_identity_is_looked_up_once_a_statement_not_once_a_row(large_database: str) -> None:
    plan = plan_of(large_database, "token of user1@example.org", "select * from tasks", {}, {})
    identities = [node for node in nodes(plan) if node.get("Parent Relationship") == "InitPlan"]
    # The policy says its rule twice.
    assert [node["Actual Loops"] for node in identities] == [1, 1]


def test_an_edit_stays_in_its_page(large_database: str) -> None:
    """Heap-only updates: no index is written for a new title, where the page has room."""
    counters = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'tasks'"
    with psycopg.connect(large_database, autocommit=True) as connection:
        before = connection.execute(counters.encode()).fetchone()
        # Ten users' tasks, a few to a page: a page that is edited all over has no room left.
        connection.execute(
            "update tasks set title = 'edited' where user_id in"
            " (select md5('user ' || n)::uuid from generate_series(100, 1900, 200) as n)"
        )
        connection.execute("select pg_stat_force_next_flush()")
        after = connection.execute(counters.encode()).fetchone()
    assert before is not None and after is not None
    updated, in_page = after[0] - before[0], after[1] - before[1]
    assert updated == 10 * TASKS_EACH
    assert in_page >= 0.9 * updated


Sent = tuple[str, Any, Mapping[str, Any]]


def statements_of(database: Database, ask: Ask) -> list[Sent]:
    """The statements that the repository sends, with their parameters and execution options."""
    sent: list[Sent] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, context: Any, ___: Any) -> None:
        sent.append((statement, parameters, context.execution_options))

    event.listen(database._connected_engine(), "before_cursor_execute", note)
    ask(TaskRepository(database))
    return sent


def plan_of(
    url: str, token: str, statement: str, parameters: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    """How the statement is carried out for the owner of a token; what it changes is undone."""
    with psycopg.connect(url) as connection:
        connection.execute(IDENTITY, identity_values(token, "0", options))
        row = connection.execute(
            f"explain (analyze, format json) {statement}".encode(), parameters
        ).fetchone()
        connection.rollback()
    assert row is not None
    document = row[0] if isinstance(row[0], list) else json.loads(row[0])
    plan: dict[str, Any] = document[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def is_scan_of_all_tasks(node: dict[str, Any]) -> bool:
    return node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "tasks"
