"""From nothing: an empty home, no server, no configuration. Real processes throughout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from todo_cli.database.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
TODO = ("-m", "todo_cli")

ADD_SEVERAL = """
import os, sys
from todo_cli.app import run
from todo_cli.context import Invocation
for title in sys.argv[1:]:
    words = ["add", "-q", title]
    code = run(Invocation(words, os.environ, sys.stdin, sys.stdout, sys.stderr))
    print("exit", code, flush=True)
"""
"""A process that runs one command after another, so that its start is not what takes the time."""


class Home:
    """An empty data folder and the program that uses it, as a person types it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.server = EmbeddedServer(data_dir, {})

    def start(self, *words: str, program: tuple[str, str] = TODO) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *program, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TODO_DATA_DIR": str(self.data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def todo(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def kill_server(self) -> None:
        """As a power cut would: without a word to anybody."""
        pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "data")
    yield made
    made.server.stop()


def test_the_first_command_makes_everything_and_says_so(home: Home) -> None:
    code, out, err = home.todo("add", "Buy milk", "-q")
    assert (code, out, err) == (0, "1\n", "")
    code, out, err = home.todo("list", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["title"] == "Buy milk"
    for path in (home.data_dir, home.data_dir / "credentials", home.data_dir / "postgres"):
        assert path.stat().st_mode & 0o077 == 0


def test_it_is_told_once_on_stderr(home: Home) -> None:
    _, _, err = home.todo("list")
    assert str(home.data_dir) in err
    assert home.todo("list") == (0, "", "")


def test_first_commands_at_the_same_moment_all_succeed_with_one_server(home: Home) -> None:
    processes = [home.start("add", "-q", f"task {n}") for n in range(4)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, answers
    assert sorted(out for out, _ in answers) == ["1\n", "2\n", "3\n", "4\n"]


def test_a_killed_server_is_started_by_the_next_command(home: Home) -> None:
    home.todo("add", "-q", "before")
    home.kill_server()
    code, out, _ = home.todo("add", "-q", "after")
    assert (code, out) == (0, "2\n")
    assert [task["title"] for task in json.loads(home.todo("list", "--json")[1])] == [
        "after",
        "before",
    ]


def add_side_by_side(
    home: Home, titles: list[str], *, processes: int, after: Callable[[int], None] = lambda _: None
) -> tuple[list[int], list[int]]:
    """Add the titles by so many processes at once; answer the exit codes and the numbers.

    `after` is called with the count of commands that have ended.
    """
    codes: list[int] = []
    numbers: list[int] = []

    def read(process: subprocess.Popen[str]) -> None:
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("exit "):
                    codes.append(int(line.removeprefix("exit ")))
                    after(len(codes))
                else:
                    numbers.append(int(line))

    started = [
        home.start(*titles[first::processes], program=("-c", ADD_SEVERAL))
        for first in range(processes)
    ]
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(read, started))
    return codes, numbers


def test_a_killed_server_loses_no_task_and_doubles_none(home: Home) -> None:
    """Every add that exited 0 is there once, whatever happened to the server meanwhile."""
    home.todo("list")
    titles = [f"task {n}" for n in range(30)]

    def kill_once(done: int) -> None:
        if done == 12:
            home.kill_server()

    codes, numbers = add_side_by_side(home, titles, processes=6, after=kill_once)
    kept = {task["number"]: task["title"] for task in json.loads(home.todo("list", "--json")[1])}
    assert len(codes) == 30
    assert max(Counter(kept.values()).values()) == 1
    assert set(numbers) <= set(kept)
    assert len(numbers) == codes.count(0) >= 29


def test_numbers_have_no_gap_and_no_double_under_load(home: Home) -> None:
    home.todo("list")
    titles = [f"task {n}" for n in range(40)]
    codes, numbers = add_side_by_side(home, titles, processes=8)
    assert codes == [0] * 40
    assert sorted(numbers) == list(range(1, 41))


def test_a_closed_pipe_is_no_error(home: Home) -> None:
    home.todo("add", "-q", "one")
    command = f"{sys.executable} -m todo_cli list --all; echo code $? >&2"
    for reader in ("head -1", "true", "head -c 1"):
        finished = subprocess.run(
            ["bash", "-c", f"({command}) | {reader}"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TODO_DATA_DIR": str(home.data_dir)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert finished.stderr == "code 0\n"


def test_a_lost_session_file_is_made_again_for_the_same_account(home: Home) -> None:
    home.todo("add", "-q", "one")
    (home.data_dir / "credentials" / "embedded.json").unlink()
    assert home.todo("add", "-q", "two")[1] == "2\n"


def test_a_downgrade_of_the_embedded_database_locks_nobody_out(home: Home) -> None:
    """The local account has no password to come back with."""
    home.todo("add", "-q", "one")
    assert home.todo("db", "downgrade", "base", "--yes")[0] == 0
    assert home.todo("add", "-q", "two")[:2] == (0, "1\n")
    assert home.todo("list", "--json")[0] == 0


def test_only_the_first_command_says_that_it_makes_the_database(home: Home, tmp_path: Path) -> None:
    """A downgrade and a restore have the next command look at the schema again; it makes none."""
    backup = str(tmp_path / "backup.dump")
    assert "Creating a database" in home.todo("list")[2]
    assert home.todo("db", "backup", backup)[0] == 0
    assert home.todo("db", "restore", backup)[0] == 1
    assert home.todo("list") == (0, "", "")
    assert home.todo("db", "downgrade", "0006", "--yes")[0] == 0
    assert home.todo("list") == (0, "", "")


@pytest.mark.parametrize(
    ("redirection", "code"), [(">&-", 0), ("> /dev/full", 1), ("2>&- > /dev/null", 0)]
)
def test_an_answer_that_nobody_can_read_is_no_traceback(
    home: Home, redirection: str, code: int
) -> None:
    home.todo("list")
    finished = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m todo_cli add one {redirection}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TODO_DATA_DIR": str(home.data_dir)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == code
    assert "Traceback" not in finished.stderr
    assert ("was carried out" in finished.stderr) == (code == 1)
    assert len(json.loads(home.todo("list", "--json")[1])) == 1
