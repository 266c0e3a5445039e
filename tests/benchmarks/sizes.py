"""What commands for many tasks cost, by their number and by the way in, as a table.

    python -m tests.benchmarks.sizes [SIZE…]

The sizes are 1, 100, 10,000 and 100,000 unless told. The ways in: the agent and this process on a
local server, this process by TLS, and by a pooler. Nothing has been analyzed, as right after the
first large `add`. Answers 1 if a command failed or named other tasks than it should.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from tests.support.agent import AgentHome, Answer
from tests.support.command_line import call
from tests.support.neon import Neon, running_neon
from tests.support.people import sign_up
from tests.support.proxy import UnixUpstream, WireProxy, through
from tests.support.sizes import Step, Way, walk

SIZES = (1, 100, 10_000, 100_000)
TIMEOUT_SECONDS = 600

_HEADING = ("way in", "tasks", "command", "seconds", "round trips", "statements", "bytes sent")


def main() -> int:
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    print("| " + " | ".join(_HEADING) + " |")
    print("|" + " --- |" * len(_HEADING))
    wrong: list[str] = []
    with running_neon() as neon:
        for name, open_way in _WAYS.items():
            with (
                neon.database(f"sizes_{name.replace(' ', '_')}") as database,
                open_way(neon, database) as way,
            ):
                wrong += _measure(name, way, sizes)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def _measure(name: str, way: Way, sizes: Sequence[int]) -> Iterator[str]:
    with psycopg.connect(way.url) as connection:
        for table in ("tasks", "tasks_archive"):
            connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
    for size in sizes:
        for step in walk(way, size):
            print(_row(name, size, step), flush=True)
            if step.answer.exit_code or step.numbers != step.expected:
                yield f"{name}, {size}: {step.name}: {step.answer.stderr[:300]}"


def _row(name: str, size: int, step: Step) -> str:
    counts = (step.round_trips, step.statements, step.bytes_sent)
    cells = [name, f"{size:,}", step.name, f"{step.seconds:.2f}", *(f"{n:,}" for n in counts)]
    return "| " + " | ".join(cells) + " |"


@contextmanager
def _local(neon: Neon, database: str, *, with_agent: bool) -> Iterator[Way]:
    person = sign_up(neon.superuser_url(database), "sizes")
    folder = Path(tempfile.mkdtemp(prefix="todo-sizes-"))
    home = AgentHome(folder)
    with WireProxy(upstream=UnixUpstream(neon.server_socket_dir)) as proxy:
        environ = {
            "TODO_DATABASE_URL": through(proxy, neon.superuser_url(database)),
            "TODO_SESSION_TOKEN": person.token,
            "TODO_TIMEOUT": str(TIMEOUT_SECONDS),
            "TODO_AGENT": "1" if with_agent else "0",
        }

        def run(words: Sequence[str], stdin: str) -> Answer:
            process = home.start(*words, environ=environ, stdin=subprocess.PIPE)
            out, err = process.communicate(stdin.encode(), timeout=TIMEOUT_SECONDS)
            return Answer(process.returncode, out.decode(), err.decode())

        try:
            if with_agent:
                home.begin()
            yield Way(run, proxy.stats, neon.superuser_url(database))
        finally:
            home.end()
            shutil.rmtree(folder)


@contextmanager
def _remote(neon: Neon, database: str, *, is_pooled: bool) -> Iterator[Way]:
    person = sign_up(neon.superuser_url(database), "sizes")
    environ = {
        "TODO_DATABASE_URL": neon.url(database, is_pooled=is_pooled),
        "TODO_TIMEOUT": str(TIMEOUT_SECONDS),
    }
    proxy = neon.pooled if is_pooled else neon.direct
    yield Way(
        lambda words, stdin: call(*words, stdin=stdin, environ=environ, person=person),
        proxy.stats,
        neon.superuser_url(database),
    )


_WAYS: dict[str, Callable[[Neon, str], AbstractContextManager[Way]]] = {
    "agent": lambda neon, database: _local(neon, database, with_agent=True),
    "no agent": lambda neon, database: _local(neon, database, with_agent=False),
    "tls": lambda neon, database: _remote(neon, database, is_pooled=False),
    "pooler": lambda neon, database: _remote(neon, database, is_pooled=True),
}

if __name__ == "__main__":
    sys.exit(main())
