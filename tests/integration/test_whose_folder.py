"""Who owns what is made in a data folder: root by `sudo`, another user, a disk that takes nothing.

Needs root, who can become another user and mount file systems.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import older
from tests.support.agent import ROOT, Answer, agents_of
from tests.support.people import Person
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

USER = 65534
BECOME_USER = [
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    # The user may not be able to reach the sources, which lie wherever the tests are run.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]


class Shared:
    """A user's home folder, and the same program run there by root and by the user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.data_dir = self.home / ".local/share/todo"
        self.home.mkdir(mode=0o700)
        os.chown(self.home, USER, USER)

    def root(self, *words: str, **environ: str) -> Answer:
        """As `sudo todo` does where sudo keeps HOME."""
        return self._run([], words, environ)

    def user(self, *words: str, **environ: str) -> Answer:
        return self._run(BECOME_USER, words, environ)

    def within(self, prepare: str, *words: str, become: bool = False, **environ: str) -> Answer:
        """In a mount namespace of its own, after a shell command in it."""
        script = f'{prepare} && exec "$@"'
        prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
        return self._run([*prefix, *(BECOME_USER if become else [])], words, environ)

    def owners(self) -> set[int]:
        return {path.lstat().st_uid for path in [self.home, *self.home.rglob("*")]}

    def _run(self, prefix: list[str], words: tuple[str, ...], environ: dict[str, str]) -> Answer:
        own = {"PATH": os.environ["PATH"], "TZ": "UTC", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "todo_cli", *words],
            env={**own, "HOME": str(self.home), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=300,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shared() -> Iterator[Shared]:
    folder = Path(tempfile.mkdtemp(prefix="todo-shared-"))
    folder.chmod(0o755)
    made = Shared(folder)
    yield made
    if agents_of(made.data_dir):
        made.user("agent", "stop")
    if (made.data_dir / "postgres").exists():
        made.user("db", "stop")
    wait_until(lambda: not agents_of(made.data_dir))
    shutil.rmtree(folder)


def assert_one_sentence(answer: Answer, code: int) -> None:
    """An error of the contract: what happened, and what to type."""
    narration = ("Target: ", "Creating a database ")
    lines = [line for line in answer.stderr.splitlines() if not line.startswith(narration)]
    assert (answer.exit_code, answer.stdout) == (code, ""), answer
    assert [line.split(":")[0] for line in lines] == ["Error", "hint"], answer


def test_sudo_takes_neither_the_folder_nor_the_agent_from_the_user(
    shared: Shared, database_url: str, alice: Person
) -> None:
    elsewhere = {"TODO_DATABASE_URL": database_url, "TODO_SESSION_TOKEN": alice.token}

    def root_makes_nothing() -> None:
        refused = [shared.root(*words) for words in (("add", "x"), ("list",), ("db", "start"))]
        for answer in refused:
            assert_one_sentence(answer, 3)
            assert f"belongs to the user nobody (uid {USER})" in answer.stderr
            assert "without sudo" in answer.stderr
        answer = shared.root("list", **elsewhere)
        assert (answer.exit_code, answer.stderr) == (0, "")
        login = ("login", "--with-token", "--credential-store=file")
        assert_one_sentence(shared.root(*login, TODO_DATABASE_URL=database_url), 4)
        assert "belongs to" in json.loads(shared.root("agent", "status", "--json").stdout)["reason"]
        assert_one_sentence(shared.root("agent", "start"), 1)
        assert shared.owners() == {USER}

    root_makes_nothing()
    assert not shared.data_dir.exists()
    assert shared.user("add", "-q", "one").stdout == "1\n"
    root_makes_nothing()
    assert shared.user("add", "-q", "two").stdout == "2\n"
    wait_until(lambda: json.loads(shared.user("agent", "status", "--json").stdout)["running"])
    assert shared.owners() == {USER}


def test_a_users_agent_that_cannot_be_is_told_once(shared: Shared) -> None:
    """As an earlier `sudo todo` left it."""
    assert shared.user("add", "-q", "one", TODO_AGENT="0").stdout == "1\n"
    agent = shared.data_dir / "agent"
    agent.mkdir(mode=0o700)
    told, again = shared.user("list"), shared.user("list")
    assert (told.exit_code, told.stdout) == (again.exit_code, again.stdout) == (0, told.stdout)
    first, hint = told.stderr.splitlines()
    assert first.endswith(f"cannot run: {agent} belongs to the user root (uid 0).")
    assert hint.startswith("hint: Remove it with: sudo rm -r ")
    assert again.stderr == ""
    assert "belongs to" in json.loads(shared.user("agent", "status", "--json").stdout)["reason"]
    assert_one_sentence(shared.user("agent", "start"), 1)
    agent.rmdir()
    assert shared.user("list").stderr == ""
    wait_until(lambda: json.loads(shared.user("agent", "status", "--json").stdout)["running"])


COMMANDS = (("list",), ("add", "x"), ("whoami",), ("db", "start"), ("db", "health"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_another_users_folder_is_one_sentence(shared: Shared, words: tuple[str, ...]) -> None:
    other = shared.folder / "other"
    other.mkdir(mode=0o755)
    os.chown(other, 12345, 12345)
    answer = shared.user(*words, TODO_DATA_DIR=str(other))
    assert_one_sentence(answer, 3)
    assert "belongs to the user with uid 12345" in answer.stderr
    assert list(other.iterdir()) == []


AS_USER = """
import fcntl, importlib, os, pkgutil, pwd, sys
import todo_cli
for module in pkgutil.walk_packages(todo_cli.__path__, "todo_cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from todo_cli.context import Invocation
os.setgroups([]); os.setgid({user}); os.setuid({user})
sys.exit(todo_cli.app.run(Invocation.of_this_process()))
"""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_an_unreadable_folder_is_one_sentence(
    shared: Shared, words: tuple[str, ...], mode: int
) -> None:
    """Without the agent: all is imported before the change of user, who is bound by the modes."""
    shared.data_dir.mkdir(parents=True)
    os.chown(shared.data_dir, USER, USER)
    shared.data_dir.chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", AS_USER.format(user=USER), *words],
        env={"PATH": os.environ["PATH"], "HOME": str(shared.home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    answer = Answer(done.returncode, done.stdout, done.stderr)
    # What cannot be read may be the login; what cannot be made is the database.
    assert_one_sentence(answer, 4 if mode == 0 and words != ("db", "start") else 3)
    assert str(shared.data_dir) in answer.stderr and "Permission denied" in answer.stderr
    shared.data_dir.chmod(0o700)


@pytest.mark.parametrize("become", [False, True])
@pytest.mark.parametrize(
    "mount",
    [
        "mount --bind {0} {0} && mount -o remount,bind,ro {0}",
        "mount -t tmpfs -o size=16k,mode=777 none {0}",
    ],
)
def test_a_disk_that_takes_nothing_is_one_sentence(
    shared: Shared, mount: str, become: bool
) -> None:
    """Read-only, or full."""
    folder = shared.folder / "disk"
    folder.mkdir()
    os.chown(folder, USER if become else 0, USER if become else 0)
    (folder / "data").mkdir()
    mount = mount.format(folder)
    if "tmpfs" in mount:
        mount += f" && {{ head -c 100k /dev/zero > {folder}/filling 2>/dev/null; true; }}"
    for words in (("list", "-q"), ("add", "-q", "x"), ("db", "start")):
        answer = shared.within(mount, *words, become=become, TODO_DATA_DIR=str(folder / "new"))
        assert_one_sentence(answer, 3)
    answer = shared.within(
        mount, "agent", "status", "--json", become=become, TODO_DATA_DIR=str(folder / "new")
    )
    assert answer.exit_code == 0 and "Traceback" not in answer.stderr


def test_a_plain_user_may_name_other_programs(shared: Shared) -> None:
    programs = older.programs()
    named = {"TODO_POSTGRES": str(programs)}
    assert shared.user("add", "-q", "one", **named).stdout == "1\n"
    assert int((shared.data_dir / "postgres/PG_VERSION").read_text()) == older.major(programs)
    wait_until(lambda: json.loads(shared.user("agent", "status", "--json").stdout)["running"])
    assert shared.user("add", "-q", "two", **named).stdout == "2\n"
    assert shared.user("db", "backup", str(shared.home / "tasks.dump"), **named).exit_code == 0
    assert shared.owners() == {USER}
