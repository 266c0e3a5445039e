"""The schema under load: `python -m tests.benchmarks.scale --tasks 1000000`.

Starts a server in a temporary folder, seeds it, and prints one Markdown table beside the targets.
Times are a client's on the same machine, warm, with row-level security on: identity and statement
in one pipeline, as the commands send them, without what Python objects cost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlmodel import col

from tests.support import maintenance, server
from tests.support.proxy import UnixUpstream, WireProxy, through
from tests.support.server import wheel_programs
from todo_cli.admin import migrate
from todo_cli.admin.explain import TARGETS
from todo_cli.database.dialect import TodoDialect
from todo_cli.database.session import IDENTITY, identity_values
from todo_cli.filters import days_reader, parse
from todo_cli.models import Task
from todo_cli.tasks import statements, views
from todo_cli.values import TaskQuery, TaskRef, TaskState, View, Viewer

RANDOM_P99, HEAVY_P99, HEAVY_COUNT_P99, HEAVY_NEXT_P99 = 2.0, 10.0, 25.0, 30.0
"""Milliseconds, at 10,000,000 tasks (the targets of the scale work)."""
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""A server for many people; the embedded one has a sixteenth of this, for one."""
PGBENCH_ROWS_A_UNIT = 100_000
HEAVIEST = 10
PAUSE_SECONDS = 0.01
DISTANCE_SECONDS = 0.02

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Member:
    id: UUID
    token: str
    tasks: int


@dataclass
class Report:
    """Rows of the table, printed as they come to stderr and in all at the end."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: str, target: str = "") -> None:
        self.rows.append((what, measured, target))
        print(f"{what}: {measured}", file=sys.stderr, flush=True)

    def markdown(self) -> str:
        lines = ["| what | measured | target |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=None, help="default: one for 100 tasks")
    parser.add_argument("--samples", type=int, default=1000, help="of each pattern")
    options = parser.parse_args()
    report = Report()
    with server.running(wheel_programs(), **SETTINGS) as url:
        migrate.upgrade(url)
        _loading(report, url, options.tasks, options.users or options.tasks // 100)
        members = _members(url, 200)
        heaviest = members[:HEAVIEST]
        _patterns(report, url, members[HEAVIEST:], "random user", options.samples)
        _patterns(report, url, heaviest, f"{HEAVIEST} heaviest", options.samples)
        _views(report, url, members[HEAVIEST:], "random user", options.samples)
        _views(report, url, heaviest, f"{HEAVIEST} heaviest", options.samples)
        _at_a_distance(report, url, members[HEAVIEST:][:20])
        _pages(report, url, heaviest[0], options.samples)
        _cost_of_security(report, url, members, options.samples)
        _archive(report, url, members[-1])
        _cascade(report, url, heaviest[0])
        _sizes(report, url)
    print(report.markdown())


def _connected(url: str) -> Connection:
    """As the commands' own: a plan is made for each statement."""
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)


def _loading(report: Report, url: str, tasks: int, users: int) -> None:
    """Seeding beside pgbench's own loading of as many (smaller) rows, in the same server."""
    made = maintenance.seed(url, users=users, tasks=tasks)
    report.add(
        f"seed {tasks:,} tasks of {users:,} users",
        f"{made.seconds:,.1f} s, {made.tasks_per_second:,.0f} tasks/s",
        "120,000 tasks/s at 10,000,000",
    )
    with _connected(url) as connection:
        connection.execute("create database pgbench")
        beside = url.replace("/postgres?", "/pgbench?")
        started = time.perf_counter()
        units = max(1, tasks // PGBENCH_ROWS_A_UNIT)
        command = [str(wheel_programs() / "pgbench"), "-i", "-q", "-s", str(units), beside]
        subprocess.run(command, check=True, capture_output=True)
        spent = time.perf_counter() - started
        connection.execute("drop database pgbench")
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")  # what a load leaves to write is not what is measured
    report.add(
        f"seed beside pgbench -i -s {units}", f"{made.seconds / spent:.1f} × ({spent:.1f} s)", "5 ×"
    )


def _members(url: str, count: int) -> list[Member]:
    """The heaviest users, then as many at random, each with a session."""
    with _connected(url) as connection:
        people = connection.execute(
            "(select user_id, last_number from todo_auth.task_counters "
            "order by last_number desc limit %s) union all "
            "(select user_id, last_number from todo_auth.task_counters "
            "order by md5(user_id::text) limit %s)",
            (HEAVIEST, count),
        ).fetchall()
        people.sort(key=lambda one: -one[1])
        members = [Member(id_, secrets.token_urlsafe(16), tasks) for id_, tasks in people]
        for member in members:
            connection.execute(
                "insert into sessions (user_id, token, expires_at) "
                "values (%s, %s, now() + interval '7 days')",
                (member.id, member.token),
            )
    return members


Statement = Callable[[Member], Any]
Compiled = tuple[bytes, dict[str, Any], Mapping[str, Any]]
"""SQL, parameters, execution options."""


def _compiled(statement: Any) -> Compiled:
    compiled = statement.compile(dialect=TodoDialect(), compile_kwargs={"render_postcompile": True})
    return str(compiled).encode(), dict(compiled.params), statement.get_execution_options()


def _times(
    connection: Connection, members: Sequence[Member], statement: Statement, samples: int
) -> list[float]:
    """Milliseconds of one statement for members in turn, each as themselves."""
    turns = [members[sample % len(members)] for sample in range(samples + len(members))]
    # Compiled before: what Python did between two statements would be felt in the next one.
    compiled = [(member, _compiled(statement(member))) for member in turns]
    spent = [_time(connection, member, one) for member, one in compiled]
    return spent[len(members) :]  # the first round warms up


def _time(connection: Connection, member: Member, compiled: Compiled) -> float:
    text, parameters, options = compiled
    values = identity_values(member.token, "30000", options)
    identity, cursor = connection.cursor(), connection.cursor()
    started = time.perf_counter()
    with connection.pipeline():
        identity.execute(IDENTITY, values)
        cursor.execute(text, parameters)
    cursor.fetchall()  # within the pipeline it would be a round trip of its own
    return (time.perf_counter() - started) * 1000


def _p50_p99(spent: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(spent, n=100)
    return cuts[49], cuts[98]


def _shown(spent: Sequence[float]) -> str:
    p50, p99 = _p50_p99(spent)
    return f"{p50:.2f} / {p99:.2f} ms"


def _pattern(position: int) -> Statement:
    def statement(member: Member) -> Any:
        number = random.randint(max(1, member.tasks // 2), max(1, member.tasks))
        return statements.pattern_statements(number=number)[position][1]

    return statement


def _patterns(
    report: Report, url: str, members: Sequence[Member], whose: str, samples: int
) -> None:
    with _connected(url) as connection:
        for position, name in enumerate(TARGETS):
            spent = _times(connection, members, _pattern(position), samples)
            heavy = HEAVY_COUNT_P99 if name == "count" else HEAVY_P99
            limit = heavy if "heaviest" in whose else RANDOM_P99
            report.add(f"{name}, {whose} (p50 / p99)", _shown(spent), f"p99 {limit:g} ms")


def _views(report: Report, url: str, members: Sequence[Member], whose: str, samples: int) -> None:
    """What people look at all day, and filters by a tag and by a project."""
    with _connected(url) as connection:
        for name, (statement, heavy) in _view_statements(connection).items():
            spent = _times(connection, members, _always(statement), samples)
            limit = heavy if "heaviest" in whose else RANDOM_P99
            report.add(f"{name}, {whose} (p50 / p99)", _shown(spent), f"p99 {limit:g} ms")


def _always(statement: Any) -> Statement:
    return lambda _: statement


def _view_statements(connection: Connection) -> dict[str, tuple[Any, float]]:
    """Each view's statement, and how many milliseconds it may take for the heaviest users."""
    viewer = Viewer(datetime.now(UTC), "UTC")

    def page(**given: Any) -> Any:
        return statements.page_with_total(TaskQuery(viewer=viewer, limit=50, **given), 50)

    def filtered(word: str) -> Any:
        return page(filter=parse([word], days_reader(viewer.now)))

    tags = connection.execute(
        "select tag from tasks, unnest(tags) as tag where not completed "
        "group by tag order by count(*) desc, tag"
    ).fetchall()
    (project,) = connection.execute(
        "select split_part(project, '.', 1) from tasks where project like '%.%' "
        "group by 1 order by count(*) desc limit 1"
    ).fetchone() or ("none",)
    return {
        "today": (page(view=View.TODAY), HEAVY_P99),
        "upcoming": (page(view=View.UPCOMING), HEAVY_P99),
        "next": (page(view=View.NEXT), HEAVY_NEXT_P99),
        "pending, with what is late": (page(), HEAVY_P99),
        "a frequent tag": (filtered(f"@{tags[0][0]}"), HEAVY_P99),
        "a rare tag": (filtered(f"@{tags[-1][0]}"), HEAVY_P99),
        "a project and below": (filtered(f"project:{project}"), HEAVY_P99),
        "projects with counts": (views.projects(viewer), HEAVY_COUNT_P99),
        "tags with counts": (views.tags(viewer), HEAVY_COUNT_P99),
    }


def _at_a_distance(report: Report, url: str, members: Sequence[Member]) -> None:
    """The specification's own limits, for somebody far away."""
    folder = Path(str(conninfo_to_dict(url)["host"]))
    with WireProxy(upstream=UnixUpstream(folder)) as proxy:
        proxy.latency_seconds = DISTANCE_SECONDS
        with _connected(through(proxy, url)) as connection:
            for position, (name, limit) in enumerate(TARGETS.items()):
                spent = _times(connection, members, _pattern(position), 200)
                what = f"{name}, {DISTANCE_SECONDS * 1000:g} ms away (p50 / p99)"
                report.add(what, _shown(spent), f"{limit:g} ms")


def _pages(report: Report, url: str, member: Member, samples: int) -> None:
    def page(query: TaskQuery) -> Statement:
        return lambda _: statements.page(query)

    everything = TaskQuery(state=TaskState.ALL, limit=50)
    with _connected(url) as connection:
        for place in (2, 1000):
            number = max(1, member.tasks - 50 * (place - 1))
            after = replace(everything, after=TaskRef(str(number), number=number))
            spent = _times(connection, [member], page(after), samples)
            report.add(f"page {place} by keyset, the heaviest", _shown(spent), "p99 10 ms")
        searching = page(replace(everything, search="passport"))
        spent = _times(connection, [member], searching, 20)
        report.add(f"search, the heaviest ({member.tasks:,} tasks)", _shown(spent))


def _cost_of_security(report: Report, url: str, members: Sequence[Member], samples: int) -> None:
    for position, name in enumerate(TARGETS):
        if name not in ("list", "pending", "count"):
            continue
        with _connected(url) as connection:
            guarded = statistics.median(_times(connection, members, _pattern(position), samples))
            bare = statistics.median(_bare_times(connection, members, position, samples))
        allowed = bare * 1.3 + 0.2
        report.add(
            f"{name} with row-level security over without",
            f"{guarded:.2f} / {bare:.2f} ms",
            f"{allowed:.2f} ms (1.3 × + 0.2)",
        )


def _bare_times(
    connection: Connection, members: Sequence[Member], position: int, samples: int
) -> list[float]:
    """The same as the superuser, whom no policy binds, who names the user instead."""
    spent = []
    for sample in range(samples):
        member = members[sample % len(members)]
        statement: Any = statements.pattern_statements(number=1)[position][1]
        text, parameters, _ = _compiled(statement.where(col(Task.user_id) == member.id))
        first, cursor = connection.cursor(), connection.cursor()
        started = time.perf_counter()
        with connection.pipeline():
            first.execute("select set_config('statement_timeout', '30000', true)")
            cursor.execute(text, parameters)
        cursor.fetchall()
        spent.append((time.perf_counter() - started) * 1000)
    return spent


def _archive(report: Report, url: str, member: Member) -> None:
    """The rate of archiving, and what a person notices who lists and adds meanwhile.

    The two are processes of their own, as they would be: threads would wait for each other.
    """
    report.add("archive, alone", _archived(url, 547), "44,000/s")
    with _connected(url) as connection:
        connection.execute("checkpoint")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        alone = pool.submit(_list_and_add, url, member, seconds=10).result()
        moving = pool.submit(_archived, url, 365)
        beside = pool.submit(_list_and_add, url, member, seconds=10).result()
        is_beside = not moving.done()
        report.add("archive, beside a person", moving.result())
    report.add(
        "list and add beside it, over alone (p50 / p99)",
        f"{_shown(beside)} over {_shown(alone)}" if is_beside else "it was over too soon",
        "p99 at most doubled",
    )


def _archived(url: str, days: int) -> str:
    started = time.perf_counter()
    moved = maintenance.archive(url, timedelta(days=days))
    rate = moved / (time.perf_counter() - started)
    return f"{moved:,} tasks, {rate:,.0f}/s"


def _list_and_add(url: str, member: Member, seconds: float) -> list[float]:
    rounds = int(seconds / PAUSE_SECONDS)
    page = _compiled(_pattern(0)(member))
    tasks = [_compiled(_pattern(3)(member)) for _ in range(rounds)]
    spent = []
    with _connected(url) as connection:
        for task in tasks:
            time.sleep(PAUSE_SECONDS)
            spent += [_time(connection, member, page), _time(connection, member, task)]
    return spent[10:]  # the first warm up


def _cascade(report: Report, url: str, member: Member) -> None:
    with _connected(url) as connection, connection.transaction(force_rollback=True):
        started = time.perf_counter()
        connection.execute("delete from users where id = %s", (member.id,))
        spent = time.perf_counter() - started
    report.add(f"delete the heaviest user ({member.tasks:,} tasks)", f"{spent:.2f} s")


def _sizes(report: Report, url: str) -> None:
    with _connected(url) as connection:
        for name, size in connection.execute(
            "select relname, pg_size_pretty(pg_relation_size(oid)) from pg_class "
            "where relnamespace = 'public'::regnamespace and relname ~ 'tasks' "
            "and relkind in ('r', 'i') order by pg_relation_size(oid) desc"
        ).fetchall():
            report.add(f"size of {name}", size)


if __name__ == "__main__":
    main()
