"""Timing whole processes in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

RUNS = 15


class Cost(NamedTuple):
    """The time of a whole process in seconds."""

    wall: float
    processor: float
    """In user and system mode: steadier on a busy machine, but without what it waits for."""


def costs(
    commands: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    *,
    runs: int = RUNS,
    terminal: int = subprocess.DEVNULL,
    seen: Container[str] = (),
) -> dict[str, Cost]:
    """The medians of each command; all in turn, after one warm-up each.

    The answers of those in `seen` go to the terminal, all others nowhere.
    """
    measured: dict[str, list[Cost]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            out = terminal if name in seen else subprocess.DEVNULL
            before, started = _processor_seconds(), time.perf_counter()
            subprocess.run(command, env=environ, check=True, stdout=out, stderr=subprocess.DEVNULL)
            if run:
                wall = time.perf_counter() - started
                measured[name].append(Cost(wall, _processor_seconds() - before))
    return {
        name: Cost(*map(statistics.median, zip(*each, strict=True)))
        for name, each in measured.items()
    }


def medians(
    commands: Mapping[str, Sequence[str]], environ: Mapping[str, str], *, runs: int = RUNS
) -> dict[str, float]:
    """The median wall time of each command in seconds."""
    return {name: cost.wall for name, cost in costs(commands, environ, runs=runs).items()}


def _processor_seconds() -> float:
    """What all children took that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
