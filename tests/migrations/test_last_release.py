"""Older programs read and write today's schema: that of the last release, and a later one.

A database is upgraded at once, the programs of the people who use it one by one.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.support.people import Person
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import SOMEDAY, Due, Priority, TaskDraft, TaskRef

ROOT = Path(__file__).parents[2]
LAST_RELEASE = "fb5688c9b1a2401e91c50c28830338bfbb00a3e9"
"""The commit of the last release; move it on with each."""
BEFORE_DUE_DAYS = "f4383f43bcab320f03707254485fe5b8830df16f"
"""A commit whose program knows revision 0013."""

Old = Callable[..., str]


@pytest.fixture(scope="module", params=[LAST_RELEASE, BEFORE_DUE_DAYS])
def old_program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = subprocess.run(
        ["git", "archive", request.param, "todo_cli", "migrations", "alembic.ini"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode != 0:
        pytest.fail(
            f"The program of commit {request.param} is not in this clone. "
            f"Fetch it: git fetch --unshallow\n{archive.stderr.decode()}"
        )
    folder = tmp_path_factory.mktemp("last-release")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(old_program: Path, database_url: str, alice: Person) -> Old:
    """Run a command line of the last release as Alice; its answer."""

    def call(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "todo_cli", *words],
            cwd=old_program,
            env={
                **os.environ,
                "PYTHONPATH": str(old_program),
                "TODO_AGENT": "0",
                "TODO_DATABASE_URL": database_url,
                "TODO_SESSION_TOKEN": alice.token,
            },
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    return call


def test_it_is_the_old_program(old_program: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import todo_cli; print(todo_cli.__file__)"],
        cwd=old_program,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).is_relative_to(old_program)


def test_it_reads_and_writes_todays_tasks(old: Old) -> None:
    old("add", "-", stdin="Buy milk\nBuy bread\nSleep\nWake\n")
    old("edit", "1", "--title", "Buy oat milk", "-d", "two")
    old("done", "1", "2")
    old("reopen", "2")
    old("toggle", "3")
    old("rm", "4")
    old("restore", "4")
    old("rm", "2")
    old("rm", "--permanent", "--yes", "2")
    assert json.loads(old("show", "1", "--json"))["description"] == "two"
    assert json.loads(old("stats", "--json"))["completed"] == 2
    found = json.loads(old("list", "--all", "--search", "OAT", "--json"))
    assert [(task["number"], task["completed"]) for task in found] == [(1, True)]
    everything = json.loads(old("list", "--all", "--json"))
    assert [task["number"] for task in everything] == [4, 3, 1]
    assert old("list", "--trash", "--json") == "[]\n"


def test_its_accounts_are_todays(old: Old) -> None:
    assert json.loads(old("whoami", "--json"))["email"] == "alice@example.org"
    assert len(json.loads(old("sessions", "--json"))) == 1


def test_both_programs_see_the_same_tasks(old: Old, cli_here: Cli) -> None:
    old("add", "Of the old one")
    assert cli_here("add", "Of the new one").exit_code == 0
    new = json.loads(cli_here("list", "--json").stdout)
    known = json.loads(old("list", "--json"))
    assert [{name: task[name] for name in known[0]} for task in new] == known
    assert [task["title"] for task in known] == ["Of the new one", "Of the old one"]


def test_it_leaves_what_it_does_not_know(old: Old, tasks: TaskRepository) -> None:
    said = TaskDraft(
        "Plant tulips",
        due=Due(date(2026, 12, 4), time(17), "Europe/Berlin"),
        wait_on=SOMEDAY,
        priority=Priority.LOW,
        tags=("garden",),
        project="house",
        extra={"x": 1},
    )
    (before,) = tasks.add([said])
    old("edit", "1", "--title", "Plant bulbs")
    old("done", "1")
    old("reopen", "1")
    (after,) = tasks.get([TaskRef.parse("1")])
    assert after.title == "Plant bulbs"
    known = {"title": "", "updated_at": ""}
    assert after.model_dump() | known == before.model_dump() | known
