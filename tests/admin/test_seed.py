"""Demonstration data: believable, repeatable, never anybody else's, and gone without a trace."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.admin.test_migrate import catalog
from tests.conftest import Cli
from tests.support.maintenance import cleanup, seed
from tests.support.people import sign_up
from todo_cli.admin import seed as seeding

FINGERPRINT = "select md5(string_agg(t::text, '|' order by id)) from tasks as t"


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_it_looks_like_the_life_of_many_people(database_url: str) -> None:
    seed(database_url)
    people = rows(database_url, "select email, name from users")
    assert len(people) == len({email for email, _ in people}) == 20
    assert all(email.endswith(seeding.DOMAIN) and email == email.lower() for email, _ in people)
    ((share, years, titles),) = rows(
        database_url,
        "select avg(completed::int), extract(day from max(created_at) - min(created_at)) / 365.0, "
        "count(distinct title) from tasks",
    )
    assert 0.55 < share < 0.65
    assert 1.9 < years < 2.1
    assert titles > 500
    ((with_day, late, waiting, tagged),) = rows(
        database_url,
        "select avg((due_on is not null)::int), avg((due_on < current_date)::int), "
        "avg((wait_on > current_date)::int), avg((tags <> '{}')::int) from tasks "
        "where not completed",
    )
    assert 0.45 < with_day < 0.55
    assert 0.02 < late < 0.15
    assert 0.01 < waiting < 0.9
    assert 0.4 < tagged < 0.6
    frequent, rare = rows(
        database_url,
        "select count(*) from tasks, unnest(tags) as tag where tag in ('home', 'visa') "
        "group by tag order by tag",
    )
    assert frequent[0] > 5 * rare[0]
    counts = [n for (n,) in rows(database_url, "select count(*) from tasks group by user_id")]
    assert sum(counts) == 3_000
    assert max(counts) > 5 * min(counts)


def test_numbers_ascend_with_time_without_a_gap_and_go_on(database_url: str) -> None:
    seed(database_url)
    wrong = rows(
        database_url,
        "select from (select number, row_number() over (partition by user_id order by created_at) "
        "as rank from tasks) as t where number <> rank",
    )
    assert wrong == []
    lagging = rows(
        database_url,
        "select from todo_auth.task_counters as c where last_number <> "
        "(select max(number) from tasks as t where t.user_id = c.user_id)",
    )
    assert lagging == []
    ((before, after),) = rows(
        database_url,
        "with added as (insert into tasks (user_id, title) select user_id, 'One more' "
        "from tasks where number = 1 limit 1 returning user_id, number) "
        "select (select max(t.number) from tasks as t where t.user_id = added.user_id), number "
        "from added",
    )
    assert after == before + 1


def test_the_same_seed_gives_the_same_data(database_url: str, owned_url: str) -> None:
    seed(database_url, random_seed=7)
    seed(owned_url, random_seed=7)
    assert rows(database_url, FINGERPRINT) == fingerprint_as_owner(owned_url)
    cleanup(database_url)
    seed(database_url, random_seed=8)
    assert rows(database_url, FINGERPRINT) != fingerprint_as_owner(owned_url)


def test_seats_that_people_share_leave_no_gap(database_url: str) -> None:
    """More people than seats, and several rounds of the table."""
    seed(database_url, users=5_000, tasks=20_000)
    seed(database_url, users=5_000, tasks=12_000)
    wrong = rows(
        database_url,
        "select from (select number, row_number() over (partition by user_id order by created_at) "
        "as rank from tasks) as t where number <> rank",
    )
    assert wrong == []
    ((people,),) = rows(database_url, "select count(distinct user_id) from tasks")
    assert people > 8_000


def test_the_same_again_makes_other_people_and_tasks(database_url: str) -> None:
    for _ in range(2):
        assert seed(database_url).tasks == 3_000
    ((users, tasks, titles),) = rows(
        database_url,
        "select count(distinct user_id), count(*), "
        "(select count(*) from (select created_at, title from tasks group by 1, 2) as t) "
        "from tasks",
    )
    assert (users, tasks, titles) == (40, 6_000, 6_000)


def test_a_cleanup_that_was_interrupted_is_in_nobodys_way(database_url: str) -> None:
    seed(database_url, users=10, tasks=100)
    with psycopg.connect(database_url) as connection:
        connection.execute("delete from users where email like '%@r3.seed.%'")
    seed(database_url, users=10, tasks=100)
    assert cleanup(database_url).users == 19


def test_nobody_elses_tasks_are_touched(cli: Cli, database_url: str) -> None:
    cli("add", "Mine")
    mine = rows(database_url, "select * from tasks")
    for words in (["db", "seed", "--json"], ["db", "seed", "--users", "3", "--tasks", "30"]):
        assert cli(*words).exit_code == 0
    assert len(rows(database_url, "select from tasks")) == 281
    removed = cli("db", "cleanup", "--yes", "--json")
    assert json.loads(removed.stdout) == {"users": 13, "tasks": 280}
    assert rows(database_url, "select * from tasks") == mine
    assert json.loads(cli("db", "cleanup", "--yes", "--json").stdout) == {"users": 0, "tasks": 0}


def test_the_command_answers_with_its_figures(cli: Cli) -> None:
    result = cli("db", "seed", "--users", "2", "--tasks", "40", "--json")
    document = json.loads(result.stdout)
    assert set(document) == {"users", "tasks", "seconds", "tasks_per_second"}
    assert (document["users"], document["tasks"]) == (2, 40)
    assert result.stderr.startswith("Target: ")
    assert cli("db", "cleanup").exit_code == 2


def test_an_owner_whom_the_policies_bind_can_seed_and_clean(owned_url: str) -> None:
    seed(owned_url)
    assert rows(owned_url, "select from tasks") == []
    seed(owned_url, users=2, tasks=100)
    assert cleanup(owned_url) == seeding.Removed(users=22, tasks=3_100)


@pytest.mark.parametrize("phase", ["Tasks", "Building pk_tasks"])
def test_an_interruption_leaves_an_empty_database_as_it_was(database_url: str, phase: str) -> None:
    before = catalog(database_url)

    def interrupt(done: int, total: int | None, now: str) -> None:
        if now == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seed(database_url, users=5, tasks=100, progress=interrupt)
    assert rows(database_url, "select from tasks") == rows(database_url, "select from users") == []
    assert catalog(database_url) == before
    seed(database_url)
    assert catalog(database_url) == before


def test_an_interruption_beside_people_leaves_what_cleanup_finds(database_url: str) -> None:
    alice = sign_up(database_url, "alice")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("insert into tasks (user_id, title) values (%s, 'Mine')", (alice.id,))

    def interrupt(done: int, total: int | None, now: str) -> None:
        if done > 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        seed(database_url, users=5, tasks=4_000, progress=interrupt)
    kept = len(rows(database_url, "select from tasks")) - 1
    said = f"{kept:,} tasks were made and stay."
    assert interrupted.value.__notes__ == [said]
    assert 1_000 < kept < 4_000
    assert cleanup(database_url) == seeding.Removed(users=5, tasks=kept)
    assert rows(database_url, "select title from tasks") == [("Mine",)]


def fingerprint_as_owner(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('todo.maintenance', 'on', true)")
        return connection.execute(FINGERPRINT.encode()).fetchall()


def test_an_interrupted_command_says_what_it_leaves(
    cli_here: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seeding, "_make_people", interrupt)
    result = cli_here("db", "seed")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "Nothing was made." in result.stderr
