"""What distance costs: round trips and time of cold commands at 0, 20 and 80 ms.

    python -m tests.benchmarks.distance

Through the stand-in for Neon's pooled host, with TLS and SCRAM. Beside ours: `psql -c` with the
same URL, and a plain SQLModel script (`Session`, `set_config`, statements, `commit`, `refresh`).
"Cold" means a new connection; what Python imports is imported before, so that times compare what
goes over the wire. A time is the median of several; a number of round trips is exact.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlmodel import Session, col, select

from tests.support.command_line import call
from tests.support.neon import Neon, running_neon
from tests.support.people import Person, sign_up
from todo_cli.models import Task

LATENCIES_SECONDS = (0.0, 0.02, 0.08)
REPETITIONS = 5
COMMANDS = {"list": ["list"], "add": ["add", "Buy milk"], "done": ["done", "1"], "stats": ["stats"]}
STATEMENTS = {
    "list": "select * from tasks where not completed order by number desc limit 50",
    "add": "insert into tasks (user_id, title) values ('{user}', 'Buy milk') returning *",
    "done": "update tasks set completed = true where number = 1 returning *",
    "stats": "select completed, count(*) from tasks group by completed",
}


@dataclass(frozen=True)
class Rivals:
    """The same work by three programs, for one person of one database."""

    url: str
    person: Person

    def ours(self, command: str) -> None:
        environ = {"TODO_DATABASE_URL": self.url}
        result = call(*COMMANDS[command], environ=environ, person=self.person)
        assert (result.exit_code, result.stderr) == (0, "")

    def psql(self, command: str) -> None:
        statement = STATEMENTS[command].format(user=self.person.id)
        options = ["--no-psqlrc", "--quiet", "--output=/dev/null"]
        subprocess.run([_psql(), self.url, *options, "-c", statement], check=True)

    def libpq(self, command: str) -> None:
        """What psql does on the wire, for where there is no psql that speaks TLS."""
        statement = STATEMENTS[command].format(user=self.person.id)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())  # without parameters: the simple protocol

    def script(self, command: str) -> None:
        address = self.url.partition("://")[2]
        engine = sa.create_engine(f"postgresql+psycopg://{address}", poolclass=sa.NullPool)
        with Session(engine) as session:
            session.execute(
                sa.text("select set_config('todo.session_token', :token, true)"),
                {"token": self.person.token},
            )
            session.execute(sa.text("select set_config('role', 'todo_app', true)"))
            _SCRIPTS[command](session)
        engine.dispose()


def _list(session: Session) -> None:
    pending = select(Task).where(sa.not_(col(Task.completed)))
    session.exec(pending.order_by(col(Task.number).desc()).limit(50)).all()
    session.commit()


def _add(session: Session) -> None:
    # Not `session.add`: it names columns that only the database may fill.
    session.scalars(sa.insert(Task).values(title="Buy milk").returning(Task)).one()
    session.commit()


def _done(session: Session) -> None:
    task = session.exec(select(Task).where(col(Task.number) == 1)).one()
    task.completed = True
    session.add(task)
    session.commit()
    session.refresh(task)


def _stats(session: Session) -> None:
    for completed in (False, True):
        counted = select(sa.func.count()).select_from(Task)
        session.exec(counted.where(col(Task.completed) == completed)).one()
    session.commit()


_SCRIPTS: dict[str, Callable[[Session], None]] = {
    "list": _list,
    "add": _add,
    "done": _done,
    "stats": _stats,
}


def round_trips(neon: Neon, work: Callable[[str], None], command: str) -> int:
    """How many times the work waits for the pooled host, connecting included."""
    neon.pooled.stats.reset()
    work(command)
    return neon.pooled.stats.connection_round_trips + neon.pooled.stats.round_trips


def main() -> int:
    """Print the tables; answer 1 if a promise about round trips is broken."""
    with running_neon() as neon, neon.database("distance") as database:
        person = sign_up(neon.superuser_url(database), "far")
        rivals = Rivals(neon.url(database), person)
        for _ in range(50):
            rivals.ours("add")
        works: dict[str, Callable[[str], None]] = {
            "ours": rivals.ours,
            "ours, without direct TLS": Rivals(_without_direct_tls(rivals.url), person).ours,
            "psql -c": rivals.psql,
            "SQLModel script": rivals.script,
        }
        counts = _print_round_trips(neon, works)
        _print_times(neon, works)
    return 0 if all(_is_kept(row) for row in counts) else 1


def _without_direct_tls(url: str) -> str:
    return f"{url}&sslnegotiation=postgres"


def _print_round_trips(neon: Neon, works: dict[str, Callable[[str], None]]) -> list[list[int]]:
    _print_row("round trips", *works)
    _print_row(*["---"] * (len(works) + 1))
    rows = []
    for command in COMMANDS:
        rows.append([round_trips(neon, work, command) for work in works.values()])
        _print_row(f"todo {command}", *rows[-1])
    print()
    return rows


def _is_kept(row: list[int]) -> bool:
    ours, without_direct_tls, psql, script = row
    return ours == psql - 1 and without_direct_tls <= psql and ours < script / 2


def _print_times(neon: Neon, works: dict[str, Callable[[str], None]]) -> None:
    _print_row("milliseconds", "distance", *works)
    _print_row(*["---"] * (len(works) + 2))
    for command in COMMANDS:
        for latency in LATENCIES_SECONDS:
            neon.pooled.latency_seconds = latency
            times = [_milliseconds(work, command) for work in works.values()]
            _print_row(f"todo {command}", f"{latency * 1000:.0f} ms", *times)
    neon.heal()


def _milliseconds(work: Callable[[str], None], command: str) -> str:
    times = []
    for _ in range(REPETITIONS):
        began_at = time.perf_counter()
        work(command)
        times.append(time.perf_counter() - began_at)
    return f"{median(times) * 1000:.0f}"


def _print_row(*cells: Any) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def _psql() -> str:
    program = shutil.which("psql")
    if program is None:
        raise SystemExit("psql is missing; for example: apt-get install postgresql-client")
    return program


if __name__ == "__main__":
    sys.exit(main())
