"""The start file `todo`, from a wheel in an environment: however it is found, whoever calls it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.agent import AgentHome
from tests.support.installed import Installed, build_wheel
from tests.support.people import Person
from tests.support.waiting import wait_until
from todo_cli import __version__

VERSION = f"todo {__version__}\n"

REPORTING_PACKAGE = """
import os, sys
def leave(code, leave=os._exit):
    print(*sorted(sys.modules), file=sys.stderr, flush=True)
    leave(code)
os._exit = leave
__path__[:] = [{package!r}]
__version__ = {version!r}
"""
"""Stands in for the package's `__init__.py`: names the modules that a light command imported."""


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    folder = Path(tempfile.mkdtemp(prefix="todo-start-"))
    yield Installed.from_wheel(build_wheel(folder), folder / "an environment")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def warm(installed: Installed) -> Iterator[AgentHome]:
    """A home whose agent was started by the installed program."""
    folder = Path(tempfile.mkdtemp(prefix="todo-agent-"))
    home = AgentHome(folder, {"PYTHONPATH": ""})
    assert start(installed.todo, "agent", "start", environ=home.environ()).returncode == 0
    yield home
    home.end()
    shutil.rmtree(folder)


@pytest.fixture
def environ(warm: AgentHome, database_url: str, alice: Person) -> dict[str, str]:
    """Alice's settings, at home where the agent is."""
    return warm.environ(TODO_DATABASE_URL=database_url, TODO_SESSION_TOKEN=alice.token)


def start(
    program: Path | str, *words: str, environ: dict[str, str], **options: Any
) -> subprocess.CompletedProcess[str]:
    given: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "env": environ}
    return subprocess.run([program, *words], check=False, **{**given, **options})


def commands(home: AgentHome) -> int:
    """How many commands the agent has answered."""
    return int(home.info()["commands"])


def absolute_link(todo: Path, folder: Path) -> list[str]:
    (folder / "todo").symlink_to(todo)
    return [str(folder / "todo")]


def relative_link_through_a_linked_folder(todo: Path, folder: Path) -> list[str]:
    (folder / "deep" / "bin").mkdir(parents=True)
    (folder / "bin").symlink_to("deep/bin")
    (folder / "bin" / "todo").symlink_to(os.path.relpath(todo, (folder / "deep" / "bin").resolve()))
    return [str(folder / "bin" / "todo")]


def link_to_a_link(todo: Path, folder: Path) -> list[str]:
    (folder / "first").symlink_to(todo)
    (folder / "todo").symlink_to("first")
    return [str(folder / "todo")]


def found_on_a_relative_path(todo: Path, folder: Path) -> list[str]:
    (folder / "bin").symlink_to(todo.parent)
    return ["sh", "-c", f'cd "{folder}" && PATH=bin:"$PATH" && todo "$@"', "sh"]


def found_in_the_working_folder(todo: Path, folder: Path) -> list[str]:
    return ["sh", "-c", f'cd "{todo.parent}" && sh todo "$@"', "sh"]


def itself(todo: Path, folder: Path) -> list[str]:
    return [str(todo)]


Way = Callable[[Path, Path], list[str]]
WAYS: list[Way] = [
    itself,
    absolute_link,
    relative_link_through_a_linked_folder,
    link_to_a_link,
    found_on_a_relative_path,
    found_in_the_working_folder,
]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_the_start_file_ends_at_the_same_agent(
    installed: Installed, warm: AgentHome, environ: dict[str, str], tmp_path: Path, way: Way
) -> None:
    command = way(installed.todo, tmp_path)
    before, pid = commands(warm), warm.pid()
    added = start(command[0], *command[1:], "add", "-q", "a b", "", " c", environ=environ)
    assert (added.returncode, added.stdout, added.stderr) == (0, "1\n", "")
    assert (commands(warm), warm.pid()) == (before + 1, pid)
    here = start(command[0], *command[1:], "list", "--json", environ=environ | {"TODO_AGENT": "0"})
    assert [task["title"] for task in json.loads(here.stdout)] == ["a b c"]
    assert commands(warm) == before + 1


def test_the_client_starts_without_site_and_the_program_with_it(
    installed: Installed, warm: AgentHome, environ: dict[str, str], tmp_path: Path
) -> None:
    """PYTHONPATH counts in both, sitecustomize only for the program."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.stderr.write('customized')")
    environ |= {"PYTHONPATH": str(tmp_path), "TODO_AGENT": "0"}
    assert start(installed.todo, "--version", environ=environ).stderr == ""
    assert start(installed.todo, "version", environ=environ).stderr == "customized"
    assert start(installed.todo, "--help", environ=environ).stderr == "customized"


@pytest.fixture
def own_home(database_url: str, alice: Person) -> Iterator[AgentHome]:
    """A home without an agent: each PYTHONPATH would get one of its own."""
    folder = Path(tempfile.mkdtemp(prefix="todo-agent-"))
    settings = {"TODO_DATABASE_URL": database_url, "TODO_SESSION_TOKEN": alice.token}
    yield (home := AgentHome(folder, settings))
    home.end()
    shutil.rmtree(folder)


def test_the_client_imports_neither_site_nor_the_program(
    installed: Installed, own_home: AgentHome, tmp_path: Path
) -> None:
    package = str(installed.site_packages / "todo_cli")
    stand_in = REPORTING_PACKAGE.format(package=package, version=__version__)
    (tmp_path / "todo_cli").mkdir()
    (tmp_path / "todo_cli" / "__init__.py").write_text(stand_in)
    environ = own_home.environ(PYTHONPATH=str(tmp_path))
    assert start(installed.todo, "agent", "start", environ=environ).returncode == 0
    own = {"todo_cli", "todo_cli.__main__"}
    agents = {f"todo_cli.agent{name}" for name in ("", ".client", ".place", ".wire")}
    for words, expected in ((["--version"], own), (["list"], own | agents)):
        done = start(installed.todo, *words, environ=environ)
        imported = set(done.stderr.split())
        assert done.returncode == 0
        assert "site" not in imported
        assert {name for name in imported if name.startswith("todo_cli")} == expected
    assert commands(own_home) == 1


def test_the_version_is_the_one_that_the_app_tells(
    installed: Installed, environ: dict[str, str]
) -> None:
    assert start(installed.todo, "--version", environ=environ).stdout == VERSION
    assert start(installed.todo, "version", environ=environ).stdout == VERSION
    as_json = start(installed.todo, "--version", "--json", environ=environ).stdout
    assert json.loads(as_json) == {"version": __version__}


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("--version > /dev/full", 1, ""),
        ("--version >&-", 0, ""),
        ("show 99", 1, ""),
        ("nosuch", 2, ""),
        ("list | head -1", 0, ""),
        ("add -q - <&-", 2, ""),
        ("add -q - << END\none\ntwo\nEND", 0, "1\n2\n"),
        ("add -q three 2>&-", 0, "1\n"),
    ],
)
def test_streams_and_exit_codes_pass_through_the_shell(
    installed: Installed, environ: dict[str, str], line: str, code: int, out: str
) -> None:
    done = start("sh", "-c", f'"$0" {line}', str(installed.todo), environ=environ)
    assert (done.returncode, done.stdout) == (code, out)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("agent", ["1", "0"])
def test_ctrl_c_ends_the_command_and_nohup_survives_its_terminal(
    installed: Installed, environ: dict[str, str], database_url: str, agent: str
) -> None:
    environ |= {"TODO_AGENT": agent}
    nohup = ["nohup", str(installed.todo), "add", "-q", "kept"]
    with psycopg.connect(database_url) as blocker:
        blocker.execute("lock table tasks in exclusive mode")
        started = [
            subprocess.Popen(
                words,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for words in ([str(installed.todo), "add", "never"], nohup)
        ]
        wait_until(lambda: _waiting(blocker) == 2)
        for process, sent in zip(started, (signal.SIGINT, signal.SIGHUP), strict=True):
            process.send_signal(sent)
        assert started[0].communicate(timeout=30) == (b"", b"")
    out, _ = started[1].communicate(timeout=30)
    assert [process.returncode for process in started] == [130, 0]
    assert out in (b"1\n", b"2\n")  # the other one may have taken a number first


def _waiting(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute(
        "select count(*) from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database())"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_an_editable_install_works(environ: dict[str, str], tmp_path: Path) -> None:
    """Its folder holds the migrations as `todo_cli`, and a .pth file names the checkout."""
    wheel = build_wheel(tmp_path, editable=True)
    made = Installed.from_wheel(wheel, tmp_path / "environment")
    assert not (made.site_packages / "todo_cli" / "__init__.py").exists()
    assert start(made.todo, "--version", environ=environ).stdout == VERSION
    environ |= {"TODO_AGENT": "0"}
    assert start(made.todo, "add", "-q", "one", environ=environ).stdout == "1\n"


def test_without_python3_beside_it_todo_neon_is_used(
    installed: Installed, environ: dict[str, str], tmp_path: Path
) -> None:
    """As where pip installs to /usr/local/bin, and Python is in /usr/bin."""
    shutil.copy(installed.todo, tmp_path)
    alone = start(tmp_path / "todo", "--version", environ=environ)
    assert (alone.returncode, alone.stdout) == (1, "")
    assert alone.stderr.splitlines()[0].endswith(f"beside it, in {tmp_path}.")
    shutil.copy(installed.folder / "bin" / "todo-neon", tmp_path)
    assert start(tmp_path / "todo", "--version", environ=environ).stdout == VERSION
    (tmp_path / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]  # not in typeshed
    assert start(tmp_path / "todo", "--version", environ=environ).stdout == VERSION


def test_the_first_command_starts_an_agent_that_answers_the_second(
    installed: Installed, own_home: AgentHome
) -> None:
    """Also where PYTHONPATH is relative; the agent runs in another folder than the caller."""
    (own_home.folder / "lib").mkdir()
    environ = own_home.environ(PYTHONPATH="lib")
    for n in (1, 2):
        added = start(installed.todo, "add", "-q", "x", environ=environ, cwd=own_home.folder)
        assert (added.stdout, added.stderr) == (f"{n}\n", "")
        own_home.wait_for_agent()
    assert commands(own_home) == 1
