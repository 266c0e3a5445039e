"""Lists written out whole beside psql: `python -m tests.benchmarks.documents --tasks 950000`.

Both write the same tasks of the same server to a file, in turn. psql writes the documents that
PostgreSQL makes by itself. Besides the ratio of the medians, what is exact on any machine: round
trips, and the most memory that a process held.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.benchmarks.timing import medians, table
from tests.support import server
from tests.support.people import sign_up
from tests.support.proxy import UnixUpstream, WireProxy, through
from tests.support.server import wheel_programs
from todo_cli.admin import migrate

FILL = """
insert into tasks (user_id, number, title, description, completed, completed_at)
select %s, n, 'Task number ' || n || ' of ' || md5(n::text),
    case when n %% 3 = 0 then 'A "description" of' || E'\\n' || 'two lines' end,
    n %% 5 < 3, case when n %% 5 < 3 then now() end
from generate_series(1, %s) as n
"""
BESIDE = {
    "--jsonl": "select row_to_json(t) from tasks as t order by number desc",
    "--json": "select json_agg(t order by number desc) from tasks as t",
    "": "copy (select number, completed, title, created_at, updated_at, completed_at, id, "
    "description from tasks order by number desc) to stdout",
    "--jsonl --sort title": "select row_to_json(t) from tasks as t order by lower(title), number",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=950_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with server.running(wheel_programs()) as url, tempfile.TemporaryDirectory() as folder:
        migrate.upgrade(url)
        person = sign_up(url, "somebody")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter table tasks disable trigger user")
            connection.execute(FILL.encode(), (person.id, options.tasks))
            connection.execute("alter table tasks enable trigger user")
            connection.execute("vacuum analyze tasks")
        environ = {
            **os.environ,
            "HOME": folder,
            "TODO_DATA_DIR": folder,
            "TODO_AGENT": "0",
            "TODO_SESSION_TOKEN": person.token,
            "TODO_DATABASE_URL": url,
        }
        rows = [_row(form, url, folder, environ, options.runs) for form in BESIDE]
        counted = [_counts(form, url, environ) for form in BESIDE]
    print(f"{options.tasks:,} tasks", end="\n\n")
    print(table(["todo list --all …", "beside psql", "medians", "ratio"], rows), end="\n\n")
    print(table(["todo list --all …", "round trips", "most memory"], counted))


def _todo(form: str) -> list[str]:
    return [sys.executable, "-m", "todo_cli", "list", "--all", *form.split()]


def _row(form: str, url: str, folder: str, environ: dict[str, str], runs: int) -> list[str]:
    psql = [str(wheel_programs() / "psql"), "-XAt", "-d", url, "-c", BESIDE[form]]
    commands = {"todo": _todo(form), "psql": psql}
    to_file = {
        name: ["sh", "-c", f"exec {shlex.join(command)} > {shlex.quote(str(Path(folder, name)))}"]
        for name, command in commands.items()
    }
    measured = medians(to_file, environ, runs=runs)
    ours, theirs = measured["todo"], measured["psql"]
    statement = BESIDE[form].partition(" from")[0].partition(" (")[0]
    return [f"`{form}`", f"`{statement}`", f"{ours:.1f} / {theirs:.1f} s", f"{ours / theirs:.2f}"]


def _counts(form: str, url: str, environ: dict[str, str]) -> list[str]:
    measured = [sys.executable, "-c", _MEASURE, *_todo(form)]
    with WireProxy(upstream=UnixUpstream(Path(str(conninfo_to_dict(url)["host"])))) as proxy:
        finished = subprocess.run(
            measured,
            env={**environ, "TODO_DATABASE_URL": through(proxy, url)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        trips = proxy.stats.round_trips
    assert finished.returncode == 0, finished.stderr
    return [f"`{form}`", f"{trips:,}", f"{int(finished.stderr) // 1024} MiB"]


_MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


if __name__ == "__main__":
    main()
