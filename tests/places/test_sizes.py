"""Every command that takes or gives many, with few and with many, on every way in.

It ends, what it did is whole, and what it costs on the wire grows no faster than the number of
tasks. `python -m tests.benchmarks.sizes` does the same with 100,000 and more.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from tests.support.agent import AgentHome
from tests.support.command_line import Finished, call
from tests.support.neon import Neon
from tests.support.people import sign_up
from tests.support.sizes import Answer, Way, walk

SIZES = [1, 100, 10_000]
TASKS_A_ROUND_TRIP = 10_000
"""A list that is written out whole is read in pages of so many."""
BYTES_A_TASK = 250
BYTES_A_COMMAND = 6_000
TIMEOUT = "60"
"""Seconds; what is quadratic takes minutes with the largest of the sizes."""


@pytest.mark.parametrize("way_in", ["agent", "tls", "pooler"])
def test_every_command_for_many_ends_whole_and_costs_no_more_than_its_size(
    way_in: str, neon: Neon, neon_database: str, request: pytest.FixtureRequest
) -> None:
    way = _way(way_in, neon, neon_database, request)
    with psycopg.connect(way.url) as connection:
        # The planner knows nothing of the tasks, as right after the first large `add`.
        connection.execute("alter table tasks set (autovacuum_enabled = off)")
        connection.execute("alter table tasks_archive set (autovacuum_enabled = off)")
    for size in SIZES:
        for step in walk(way, size):
            seen = f"{step.name}, {size}"
            assert (seen, step.answer.exit_code, step.answer.stderr) == (seen, 0, "")
            assert step.numbers == step.expected, seen
            assert step.round_trips <= 4 + size // TASKS_A_ROUND_TRIP, seen
            # Each behind its identity, but for the question whether a used connection lives.
            # BEGIN and ROLLBACK are around a rehearsal.
            rehearsals = 2 if step.name.endswith(" -n") else 0
            assert step.statements <= 2 * step.round_trips + rehearsals, seen
            assert step.bytes_sent <= BYTES_A_COMMAND * step.round_trips + BYTES_A_TASK * size, seen


def _way(way_in: str, neon: Neon, database: str, request: pytest.FixtureRequest) -> Way:
    is_pooled = way_in != "tls"
    superuser_url = neon.superuser_url(database)
    person = sign_up(superuser_url, "sizes")
    proxy = neon.pooled if is_pooled else neon.direct
    environ = {
        "TODO_DATABASE_URL": neon.url(database, is_pooled=is_pooled),
        "TODO_SESSION_TOKEN": person.token,
        "TODO_TIMEOUT": TIMEOUT,
    }
    if way_in != "agent":

        def here(words: Sequence[str], stdin: str) -> Finished:
            return call(*words, stdin=stdin, environ=environ, person=person)

        return Way(here, proxy.stats, superuser_url)
    home: AgentHome = request.getfixturevalue("agent_home")

    def by_agent(words: Sequence[str], stdin: str) -> Answer:
        return home.todo(*words, stdin=stdin.encode(), environ=environ)

    return Way(by_agent, proxy.stats, superuser_url)
