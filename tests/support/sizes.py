"""Every command that takes or gives many tasks, called with so many, one after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import psycopg

from tests.support.proxy import Stats

MAX_WORD_BYTES = 100_000
"""The system takes 131,072 for one word of a command line."""
MAX_WORDS = 100_000
"""The system takes 2 MiB for all of them, with a pointer for each."""

ARCHIVE = """
with gone as (delete from tasks where completed returning *)
insert into tasks_archive (
    id, user_id, title, description, completed, created_at, updated_at, number, completed_at
)
select id, user_id, title, description, completed, created_at, updated_at, number, completed_at
from gone
"""


class Answer(Protocol):
    """What a call left behind."""

    @property
    def exit_code(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


@dataclass(frozen=True)
class Way:
    """A way to the database: how to call the program, and what is counted on the wire."""

    call: Callable[[Sequence[str], str], Answer]
    stats: Stats
    url: str
    """Past what is counted, for whoever sees everything."""


@dataclass(frozen=True)
class Step:
    """What one command was asked, what it answered and what it cost."""

    name: str
    answer: Answer
    numbers: list[int]
    """The tasks that the answer names."""
    expected: list[int]
    round_trips: int
    statements: int
    bytes_sent: int
    seconds: float


def walk(way: Way, count: int) -> Iterator[Step]:
    """Add so many tasks, list them, change them in every way, and delete them."""

    def step(name: str, words: Sequence[str], expected: list[int], stdin: str = "") -> Step:
        way.stats.reset()
        started = time.perf_counter()
        answer = way.call(words, stdin)
        seconds = time.perf_counter() - started
        stats = way.stats
        costs = (stats.round_trips, stats.statements, stats.bytes_sent)
        return Step(name, answer, _numbers_in(answer.stdout), expected, *costs, seconds)

    first = _last_number(way.url) + 1
    numbers = list(range(first, first + count))
    words = [str(number) for number in numbers]
    # Each a word of its own while the system takes them.
    refs = words if count <= MAX_WORDS else list(_lists(words))
    newest_first = numbers[::-1]
    yield step(
        "add -",
        ["add", "-q", "-", "-t", "x", "-D", "tomorrow"],
        numbers,
        "".join(f"task {n}\n" for n in words),
    )
    yield step("list", ["list"], newest_first)
    yield step("list --json", ["list", "--json"], newest_first)
    yield step("list --jsonl", ["list", "--jsonl"], newest_first)
    yield step("list, a filter", ["list", "@X", "task"], newest_first)
    yield step("edit -n", ["edit", "-n", "-q", "-w", "@x", "-p", "low"], newest_first)
    yield step("edit -w", ["edit", "-q", "-w", "@x", "-p", "low", "-y"], newest_first)
    yield step("done -w", ["done", "-w", f"number:{first}..", "-y"], newest_first)
    yield step("reopen -w", ["reopen", "-w", "priority:low", "-y"], newest_first)
    yield step("done", ["done", *refs], numbers)
    yield step("reopen, a range", ["reopen", f"{first}-{first + 10**9}"], numbers)
    yield step("toggle", ["toggle", *refs], numbers)
    yield step("rm, a list", ["rm", *_lists(words)], numbers)
    yield step("restore", ["restore", *refs], numbers)
    with psycopg.connect(way.url) as connection:
        connection.execute(ARCHIVE)
    yield step("list --archived", ["list", "--archived", "--jsonl"], newest_first)
    yield step("restore --archived", ["restore", "--archived", *refs], numbers)
    yield step("rm --permanent", ["rm", "--permanent", "--yes", *refs], numbers)
    yield step("list, none left", ["list", "--all"], [])


def _lists(words: Sequence[str]) -> Iterator[str]:
    """`1,2,3`: as few words as the system takes."""
    size = MAX_WORD_BYTES // (max(map(len, words)) + 1)
    for start in range(0, len(words), size):
        yield ",".join(words[start : start + size])


def _numbers_in(output: str) -> list[int]:
    if output.startswith("["):
        return [task["number"] for task in json.loads(output)]
    lines = output.splitlines()
    if output.startswith("{"):
        return [json.loads(line)["number"] for line in lines]
    return [int(line.partition("\t")[0]) for line in lines]


def _last_number(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select coalesce(max(last_number), 0) from todo_auth.task_counters"
        ).fetchone()
    assert row is not None
    return int(row[0])
