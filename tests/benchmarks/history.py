"""What the history costs in the server: `python -m tests.benchmarks.history`.

Two databases of one server, of the revision before the history and of the newest one, run the same
statements in turn. A second table compares undo and redo with the changes themselves.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.support import server
from tests.support.people import Person, sign_up
from tests.support.server import wheel_programs
from todo_cli.admin import migrate
from todo_cli.database.session import IDENTITY, identity_values
from todo_cli.ids import uuid7

BEFORE, WITH = "0014", "head"
ONE_TASK = {
    "add": "insert into tasks (title, description) values ('A task', 'some words') returning id",
    "change the title": "update tasks set title = 't' || random() where number = {number}",
    "complete or reopen": "update tasks set completed = not completed where number = {number}",
    "to the trash": "update tasks set deleted_at = now() where number = {number}",
}
MANY = "update tasks set priority = {priority} where number <= {count}"
UNDO = "select todo_auth.undo(gen_random_uuid(), {is_redo}, false)"


@dataclass
class Side:
    """A database of one revision, and the person who works with it."""

    connection: psycopg.Connection[Any]
    person: Person

    @classmethod
    def make(cls, url: str, revision: str, tasks: int) -> Side:
        name = f"history_{revision}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        own = url.replace("/postgres?", f"/{name}?")
        migrate.upgrade(own, revision)
        side = cls(
            psycopg.connect(own, autocommit=True, prepare_threshold=None), sign_up(own, "ada")
        )
        side.run(
            f"insert into tasks (title) select 'task ' || n from generate_series(1, {tasks}) n"
        )
        side.connection.execute("vacuum (analyze)")
        return side

    def run(self, statement: str) -> float:
        """Run a statement as a person's command; return its milliseconds."""
        values = identity_values(
            self.person.token, "600000", batch_id=str(uuid7()), command="benchmark"
        )
        started = time.perf_counter()
        with self.connection.pipeline():
            self.connection.cursor().execute(IDENTITY, values)
            self.connection.cursor().execute(statement.encode())
        return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=600)
    options = parser.parse_args()
    with server.running(wheel_programs()) as url:
        sides = {name: Side.make(url, name, options.tasks) for name in (BEFORE, WITH)}
        print(f"| one task | {BEFORE}, ms | {WITH}, ms | ratio |")
        print("| --- | --: | --: | --: |")
        for name, statement in ONE_TASK.items():
            before, after = _medians(sides, statement, options.tasks, options.samples)
            print(f"| {name} | {before:.2f} | {after:.2f} | {after / before:.2f} |")
        print(f"\n| tasks | change at {BEFORE}, ms | change, ms | undo, ms | redo, ms |")
        print("| --: | --: | --: | --: | --: |")
        for count in (100, 10_000, options.tasks):
            print(f"| {count:,} | " + " | ".join(f"{ms:,.0f}" for ms in _many(sides, count)) + " |")


def _medians(
    sides: Mapping[str, Side], statement: str, tasks: int, samples: int
) -> tuple[float, float]:
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(samples):
        asked = statement.format(number=random.randint(1, tasks))
        for name, side in sides.items():
            spent[name].append(side.run(asked))
    warm = samples // 10
    return statistics.median(spent[BEFORE][warm:]), statistics.median(spent[WITH][warm:])


def _many(sides: Mapping[str, Side], count: int) -> list[float]:
    change = MANY.format(priority=random.randint(1, 3), count=count)
    spent = [side.run(change) for side in sides.values()]
    return [*spent, *(sides[WITH].run(UNDO.format(is_redo=one)) for one in ("false", "true"))]


if __name__ == "__main__":
    main()
