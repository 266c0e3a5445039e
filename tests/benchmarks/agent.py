"""The agent's targets: whole processes, in turn, as ratios of medians; and what is left of them.

The program is installed from its wheel. Where people see a table, both write to a terminal.
"""

from __future__ import annotations

import os
import pty
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.commands import Bench, bench, taskwarrior
from tests.benchmarks.timing import Cost, costs, medians, table
from tests.support.agent import AgentHome
from tests.support.installed import Installed, build_wheel
from tests.support.proxy import UnixUpstream, WireProxy

RUNS = 41
FAR_RUNS = 15
AWAY_SECONDS = 0.04
SERVED = 10_000
_PARTS = {
    "interpreter without `site`": ["-S", "-c", "pass"],
    "`site` and its .pth files: `python -c pass`": ["-c", "pass"],
    "the client's modules without `site`": ["-S", "-c", "from todo_cli.agent import client"],
}
_SERVE = """
import sys, os
from todo_cli.agent import client, wire
folder = os.open("/", os.O_RDONLY)
words, count = ["list", "--json", "--limit", "20"], int(sys.argv[1])
for _ in range(count):
    connection = client.connect(os.environ["TODO_DATA_DIR"])
    payload = wire.pack_call(words, os.environ["TODO_DATA_DIR"], 0o22, client._environ())
    wire.send_request(connection, wire.RUN, payload, (0, 1, 2, folder))
    assert client._outcome(connection) == 0
    connection.close()
"""


@contextmanager
def terminal() -> Iterator[int]:
    """A terminal that somebody reads."""
    outside, inside = pty.openpty()

    def read() -> None:
        try:
            while os.read(outside, 65_536):
                pass
        except OSError:
            return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield inside
    os.close(inside)
    reader.join()
    os.close(outside)


def near(made: Bench, home: AgentHome, installed: Installed, count: int) -> list[list[str]]:
    """Beside the interpreter and Taskwarrior, with so many tasks."""
    made.have(count)
    environ, todo = home.environ(), str(installed.todo)
    peers = taskwarrior(home.folder / f"task-{count}", count) if shutil.which("task") else {}
    commands = {
        "python -c pass": [str(installed.python), "-c", "pass"],
        "todo --version": [todo, "--version"],
        "todo list --json": [todo, "list", "--json", "--limit", "20"],
        "todo add": [todo, "add", "-q", "one more"],
    }
    seen = {
        "todo list": [todo, "list", "--limit", "20"],
        "todo list of plain tasks": [todo, "list", "--limit", "20", "--reverse"],
        "todo today": [todo, "today", "--limit", "20"],
        "todo next": [todo, "next", "--limit", "10"],
    }
    if peers:
        commands["task add"] = peers.pop("task add")
        seen |= peers
    with terminal() as inside:
        measured = costs(commands | seen, environ, runs=RUNS, terminal=inside, seen=set(seen))
    targets = [("todo list", "task list", "0.4"), ("todo add", "task add", "0.8")]
    if count == 1_000:
        targets = [
            ("todo list", "task list", "1.3"),
            ("todo --version", "python -c pass", "1.1"),
            ("todo list --json", "python -c pass", "1.25"),
            ("todo add", "python -c pass", "1.6"),
        ]
    most = "1.3" if count == 1_000 else "0.4"
    targets += [
        ("todo today", "task next", most),
        ("todo today", "task ready", ""),
        ("todo next", "task next", most),
        ("todo list", "todo list of plain tasks", "1.1"),
    ]
    return [
        row(ours, peer, measured[ours], measured[peer], count, target)
        for ours, peer, target in targets
        if peer in measured
    ]


def far(made: Bench, home: AgentHome, installed: Installed) -> list[list[str]]:
    """Over 40 ms there and back."""
    made.have(1_000)
    rows, todo = [], str(installed.todo)
    upstream = UnixUpstream(made.server.socket_dir)
    with WireProxy(upstream=upstream, latency_seconds=AWAY_SECONDS) as proxy:
        url = f"postgresql://todo@{proxy.host}:{proxy.port}/todo"
        environ = home.environ(TODO_DATABASE_URL=url, TODO_SESSION_TOKEN=made.token)
        commands = {
            "todo list": [todo, "list", "--limit", "20"],
            "todo add": [todo, "add", "-q", "one more"],
            "todo done": [todo, "done", "1"],
            "todo stats": [todo, "stats"],
            "python -c pass": [str(installed.python), "-c", "pass"],
        }
        measured = medians(commands, environ, runs=FAR_RUNS)
    floor = AWAY_SECONDS + measured.pop("python -c pass")
    for name, seconds in measured.items():
        rows.append(row(name, "40 ms + python -c pass", seconds, floor, 1_000, "1.5"))
    return rows


def row(
    ours: str, peer: str, cost: Cost | float, beside: Cost | float, count: int, target: str
) -> list[str]:
    """A row of the table. The ratio of processor times is in it where both are known."""
    processor = ""
    if isinstance(cost, Cost) and isinstance(beside, Cost):
        processor = f"{cost.processor / beside.processor:.2f}"
        cost, beside = cost.wall, beside.wall
    assert not isinstance(cost, Cost) and not isinstance(beside, Cost)
    times = f"{cost * 1000:.1f} / {beside * 1000:.1f} ms"
    ratio = f"{cost / beside:.2f}"
    return [f"`{ours}`", f"{count:,}", f"`{peer}`", times, ratio, target, processor]


def parts(home: AgentHome) -> str:
    """What is left is the interpreter's start: of what it consists."""
    commands = {name: [sys.executable, *words] for name, words in _PARTS.items()}
    measured = medians(commands, home.environ(), runs=RUNS)
    return table(
        ["start-up", "median"],
        [[name, f"{seconds * 1000:.1f} ms"] for name, seconds in measured.items()],
    )


def first_commands(home: AgentHome, todo: str) -> list[list[str]]:
    """The command that starts an agent beside one that is told not to."""

    samples: dict[str, list[float]] = {"1": [], "0": []}
    for _ in range(FAR_RUNS):
        for choice, measured in samples.items():
            shutil.rmtree(home.agent_dir, ignore_errors=True)
            environ = home.environ(TODO_AGENT=choice)
            started = time.perf_counter()
            subprocess.run([todo, "list"], env=environ, check=True, capture_output=True)
            measured.append(time.perf_counter() - started)
            home.end()
    starts, does_not = (statistics.median(measured) for measured in samples.values())
    return [row("the first todo", "TODO_AGENT=0 todo", starts, does_not, 0, "1.03")]


def memory(home: AgentHome) -> str:
    """The agent's memory as it serves many commands."""
    home.begin()
    rows = []
    for count in (100, SERVED - 100):
        command = [sys.executable, "-c", _SERVE, str(count)]
        subprocess.run(
            command,
            env=home.environ(),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        info = home.info()
        rows.append([f"{info['commands']:,}", f"{info['memory_bytes'] / 1024**2:.0f} MiB"])
    home.end()
    return table(["commands served", "memory"], rows)


def main() -> None:
    with bench() as made:
        home = AgentHome(
            Path(made.environ["HOME"]), {"TODO_DATA_DIR": made.environ["TODO_DATA_DIR"]}
        )
        installed = Installed.from_wheel(build_wheel(home.folder), home.folder / "environment")
        home.settings["PYTHONPATH"] = ""  # what is measured is what was installed
        todo = str(installed.todo)
        header = ["command", "tasks", "beside", "medians", "ratio", "target", "processor time"]
        rows = first_commands(home, todo)
        try:
            subprocess.run(
                [todo, "agent", "start"], env=home.environ(), check=True, capture_output=True
            )
            for count in (1_000, 10_000):
                rows += near(made, home, installed, count)
            rows += far(made, home, installed)
            print(table(header, rows), end="\n\n")
            print(parts(home), end="\n\n")
            home.end()
            print(memory(home), end="\n\n")
        finally:
            home.end()


if __name__ == "__main__":
    main()
