"""What a cut leaves behind, for every command and every message of its conversation, as a table.

    python -m tests.benchmarks.cuts

The stand-in for Neon is cut just before and just after each message of the server, once and then
twice in a row, on the pooled host and on the direct one.
"""

from __future__ import annotations

import sys

from tests.support.command_line import call
from tests.support.cuts import WALKS, CutWalker, Outcomes
from tests.support.neon import Neon, running_neon

_HEADING = ("command", "host", "messages", "cuts in a row", "places", "outcomes")


def main() -> int:
    """Print the table; answer 1 if a change was doubled, halved or told wrongly."""
    print("| " + " | ".join(_HEADING) + " |")
    print("|" + " --- |" * len(_HEADING))
    wrong: list[str] = []
    with running_neon() as neon:
        for host in ("pooled", "direct"):
            wrong += _walk_all(neon, host)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def _walk_all(neon: Neon, host: str) -> list[str]:
    wrong: list[str] = []
    with neon.database(f"cuts_{host}") as database:
        walker = CutWalker(neon, database, call, is_pooled=host == "pooled")
        for walk in WALKS:
            for times in (1, 2):
                outcomes = walker.walk(walk, times=times)
                print(_row(walk.name, host, times, outcomes), flush=True)
                wrong += outcomes.wrong
    return wrong


def _row(name: str, host: str, times: int, outcomes: Outcomes) -> str:
    told = "; ".join(f"{outcome}: {count}" for outcome, count in outcomes.counts.most_common())
    places = outcomes.counts.total()
    return f"| {name} | {host} | {outcomes.messages} | {times} | {places} | {told} |"


if __name__ == "__main__":
    sys.exit(main())
