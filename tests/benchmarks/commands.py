"""What the everyday commands cost: round trips, imported modules, and time beside their peers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.timing import medians, table
from tests.support.proxy import UnixUpstream, WireProxy
from todo_cli.credentials import file_store
from todo_cli.database.embedded import EmbeddedServer
from todo_cli.database.target import EMBEDDED

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "add": ["add", "Buy milk"],
    "add - (100 lines)": ["add", "-"],
    "list": ["list"],
    "show": ["show", "1"],
    "done (3)": ["done", "1", "2", "3"],
    "edit": ["edit", "1", "--title", "Buy oat milk"],
    "rm": ["rm", "1"],
    "stats": ["stats"],
    "today": ["today"],
    "upcoming": ["upcoming"],
    "next": ["next"],
    "projects": ["projects"],
    "tags": ["tags"],
}
TODO = [sys.executable, "-m", "todo_cli"]
_MODULES = """
import sys
from todo_cli.__main__ import main
try:
    main()
finally:
    print(len(sys.modules), file=sys.stderr)
"""


_SAY = """
update tasks set due_on = %(due)s, tags = %(tags)s, project = %(project)s,
    priority = array_position(array['H', 'M', 'L'], %(priority)s)
where number = %(number)s + 1
"""
PLAIN = 50
"""So many tasks, the oldest, have nothing but a title."""


def _said(number: int) -> dict[str, Any]:
    """What a task says besides its title, by the names of Taskwarrior's fields; None is nothing."""
    days = number * 7 % 120 - 10
    return {
        "number": number,
        "due": date.today() + timedelta(days=days) if number % 2 else None,  # noqa: DTZ011 - here
        "tags": [[], ["home"], ["phone", "work"]][number % 3],
        "project": [None, "house", "house.garden", None, "work"][number % 5],
        "priority": [None, "H", None, "M", None, None, "L"][number % 7],
    }


def _taskwarriors(number: int) -> dict[str, Any]:
    """The same task as Taskwarrior imports it."""
    said = _said(number) if number >= PLAIN else {}
    due: date | None = said.get("due")
    kept = {name: said[name] for name in ("tags", "project", "priority") if said.get(name)}
    if due is not None:
        local = datetime.combine(due, time()).astimezone()
        kept["due"] = f"{local.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return {"description": f"task {number} of some length", "status": "pending", **kept}


class Bench:
    """An embedded database of its own, and the environment to reach it."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder, {})
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TODO_DATA_DIR": str(folder),
            "TODO_AGENT": "0",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }
        self.todo("list")
        kept = file_store(folder).load(EMBEDDED)
        assert kept is not None
        self.token = kept.token

    def todo(self, *words: str, stdin: str = "") -> str:
        return subprocess.run(
            [*TODO, *words],
            env=self.environ,
            check=True,
            capture_output=True,
            text=True,
            input=stdin,
        ).stdout

    def have(self, count: int) -> None:
        """Empty the list, then fill it. All but the first `PLAIN` tasks say more than a title."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute("truncate tasks, todo_auth.task_counters")
        self.todo(
            "add", "-", "-q", stdin="".join(f"task {n} of some length\n" for n in range(count))
        )
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute("alter table tasks disable trigger user")
            with connection.cursor() as cursor:
                cursor.executemany(_SAY, [_said(number) for number in range(PLAIN, count)])
            connection.execute("alter table tasks enable trigger user")
            connection.execute("vacuum full analyze tasks")


@contextmanager
def bench() -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="todo-bench-"))
    made = Bench(folder)
    try:
        yield made
    finally:
        made.server.stop()
        shutil.rmtree(folder)


def costs(made: Bench) -> str:
    """Round trips after the connection, and modules in `sys.modules` at the end."""
    made.have(10)
    rows = []
    with WireProxy(upstream=UnixUpstream(made.server.socket_dir)) as proxy:
        environ = {
            **made.environ,
            "TODO_DATABASE_URL": f"postgresql://todo@{proxy.host}:{proxy.port}/todo",
            "TODO_SESSION_TOKEN": made.token,
        }
        for name, words in COMMANDS.items():
            proxy.stats.reset()
            finished = subprocess.run(
                [sys.executable, "-c", _MODULES, *words],
                env=environ,
                check=True,
                capture_output=True,
                text=True,
                input="line\n" * 100,
            )
            modules = finished.stderr.split()[-1]
            rows.append([f"`todo {name}`", str(proxy.stats.round_trips), modules])
    return table(["command", "round trips", "modules"], rows)


def times(made: Bench, count: int) -> str:
    """Medians of whole processes, in turn; the ratio is to the peer named in the row."""
    made.have(count)
    psql = ["psql", "-h", str(made.server.socket_dir), "-U", "todo", "todo", "-c"]
    commands = {
        "list": [*TODO, "list", "--limit", "20"],
        "add": [*TODO, "add", "-q", "one more"],
        "python": [sys.executable, "-c", "pass"],
        "imports": [sys.executable, "-c", "import typer, sqlmodel, psycopg"],
        "psql": [*psql, "select * from tasks order by number desc limit 20"],
    }
    if shutil.which("task"):
        commands |= taskwarrior(Path(made.environ["HOME"]) / f"task-{count}", count)
    measured = medians(commands, made.environ)
    rows = []
    for ours in ("list", "add"):
        for peer in ("task " + ours, "psql", "imports", "python"):
            if peer in measured:
                milliseconds = f"{measured[ours] * 1000:.0f} / {measured[peer] * 1000:.0f} ms"
                ratio = f"{measured[ours] / measured[peer]:.2f}"
                rows.append([f"`todo {ours}`", f"{count:,}", f"`{peer}`", milliseconds, ratio])
    return table(["command", "tasks", "beside", "medians", "ratio"], rows)


def taskwarrior(folder: Path, count: int) -> dict[str, list[str]]:
    """Taskwarrior with the same tasks of its own."""
    folder.mkdir()
    config = folder / "taskrc"
    config.write_text(f"data.location={folder}\nconfirmation=off\nverbose=nothing\n")
    tasks = [_taskwarriors(number) for number in range(count)]
    task = ["task", f"rc:{config}"]
    subprocess.run(
        [*task, "import", "-"], input=json.dumps(tasks), text=True, check=True, capture_output=True
    )
    return {
        "task list": [*task, "list", "limit:20"],
        "task ready": [*task, "ready", "limit:20"],
        "task next": [*task, "next", "limit:10"],
        "task add": [*task, "add", "one more"],
    }


def main() -> None:
    with bench() as made:
        print(costs(made), end="\n\n")
        for count in (1_000, 10_000):
            print(times(made, count), end="\n\n")
