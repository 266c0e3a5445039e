"""Timing whole processes in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Container, Mapping, Sequence

RUNS = 15


def medians(
    commands: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    *,
    runs: int = RUNS,
    terminal: int = subprocess.DEVNULL,
    seen: Container[str] = (),
) -> dict[str, float]:
    """The median wall time of each command in seconds; all in turn, after one warm-up each.

    The answers of those in `seen` go to the terminal, all others nowhere.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            out = terminal if name in seen else subprocess.DEVNULL
            started = time.perf_counter()
            subprocess.run(command, env=environ, check=True, stdout=out, stderr=subprocess.DEVNULL)
            if run:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(measured) for name, measured in times.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
