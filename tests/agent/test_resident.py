"""The resident agent with real processes: the same answers, and nothing that can be lost by it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Postgres
from tests.support.agent import ROOT, AgentHome, Recording, agents_of
from tests.support.people import Person
from tests.support.proxy import UnixUpstream, WireProxy
from tests.support.waiting import wait_until
from todo_cli.agent import place, wire
from todo_cli.agent.peers import Peer
from todo_cli.commands.agent import _stop
from todo_cli.config import Settings
from todo_cli.database.embedded import EmbeddedServer

CLIENT = """
import os, sys
before = set(sys.modules)
from todo_cli.__main__ import main
def end(code):
    sys.stderr.write(" ".join(sorted(set(sys.modules) - before)))
    sys.stderr.flush()
    leave(code)
leave, os._exit = os._exit, end
main()
"""
SABOTAGE = """
import os, sys
if any("resident.server" in word for word in sys.orig_argv):
    import todo_cli.tasks.repository
    def stats(self, *given):
        {deed}
    todo_cli.tasks.repository.TaskRepository.stats = stats
"""
IS_ROOT = os.geteuid() == 0
STRANGER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

NewHome = Callable[..., AgentHome]
Settings_ = dict[str, str]


@pytest.fixture
def new_home() -> Iterator[NewHome]:
    """Makes homes, and ends their agents."""
    made: list[AgentHome] = []

    def new(**settings: str) -> AgentHome:
        made.append(AgentHome(Path(tempfile.mkdtemp(prefix="todo-agent-")), settings))
        return made[-1]

    yield new
    for home in made:
        home.end()
        shutil.rmtree(home.folder)


@pytest.fixture
def as_alice(database_url: str, alice: Person) -> Settings_:
    return {"TODO_DATABASE_URL": database_url, "TODO_SESSION_TOKEN": alice.token}


@pytest.fixture
def as_bob(database_url: str, bob: Person) -> Settings_:
    return {"TODO_DATABASE_URL": database_url, "TODO_SESSION_TOKEN": bob.token}


@pytest.fixture
def home(new_home: NewHome, as_alice: Settings_) -> AgentHome:
    """Alice's, without an agent yet."""
    return new_home(**as_alice)


def commands(home: AgentHome) -> int:
    """How many commands the agent has answered."""
    return int(home.info()["commands"])


def sabotaged(home: AgentHome, deed: str) -> Settings_:
    """Settings under which `stats` does this in the agent, and what it should elsewhere."""
    folder = home.folder / "sabotage"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SABOTAGE.format(deed=deed))
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


# --- starting and handing over -----------------------------------------------------------------


def test_the_first_command_starts_an_agent_and_the_next_are_answered_by_it(home: AgentHome) -> None:
    assert home.todo("add", "-q", "one").stdout == "1\n"
    home.wait_for_agent()
    assert commands(home) == 0
    assert home.todo("add", "-q", "two").stdout == "2\n"
    assert len(home.todo("list").stdout.splitlines()) == 2
    assert commands(home) == 2


def test_first_commands_at_the_same_moment_start_one_agent(home: AgentHome) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: home.todo("add", "-q", f"task {n}"), range(6)))
    assert sorted(int(answer.stdout) for answer in answers) == list(range(1, 7))
    home.wait_for_agent()
    wait_until(lambda: len(agents_of(home.data_dir)) == 1)


@pytest.mark.parametrize("with_agent", [True, False])
def test_many_first_commands_at_once_do_the_work_once(new_home: NewHome, with_agent: bool) -> None:
    """With the agent one process imports the program; the others wait and are answered by it."""
    count = 50 if with_agent else 8
    home = new_home(TODO_AGENT="1" if with_agent else "0")
    recording = Recording(home.folder / "recording")
    home.settings |= recording.environ()
    try:
        started = [home.start("add", "-q", f"task {n}") for n in range(count)]
        answers = [process.communicate(timeout=300) for process in started]
        assert {process.returncode for process in started} == {0}, answers
        assert {err for _, err in answers} == {b""}
        assert sorted(int(out) for out, _ in answers) == list(range(1, count + 1))
        log = (home.data_dir / "postgres.log").read_text()
        assert log.count("starting PostgreSQL") == 1
        assert recording.count("alembic") == 1
        assert recording.count("todo_cli.app") == (1 if with_agent else count)
        if with_agent:
            assert recording.count("agent") == len(agents_of(home.data_dir)) == 1
    finally:
        EmbeddedServer(home.data_dir, {}).stop()


def test_lines_on_stdin_survive_that_there_is_no_database_yet(new_home: NewHome) -> None:
    home = new_home()
    home.begin()
    try:
        answer = home.todo("add", "-q", "-", stdin=b"one\ntwo\n")
        assert (answer.exit_code, answer.stdout) == (0, "1\n2\n")
    finally:
        EmbeddedServer(home.data_dir, {}).stop()


def test_a_client_imports_nothing_but_itself(agent_home: AgentHome, as_alice: Settings_) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", CLIENT, "list"],
        env=agent_home.environ(**as_alice),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    own = {"__main__", "agent", "agent.client", "agent.place", "agent.wire"}
    expected = {"_socket", "todo_cli"} | {f"todo_cli.{name}" for name in own}
    assert set(finished.stderr.decode().split()) == expected


def test_the_clients_folder_imports_nothing_of_the_program() -> None:
    every = """
import pkgutil, sys, todo_cli.agent
for module in pkgutil.iter_modules(todo_cli.agent.__path__, "todo_cli.agent."):
    __import__(module.name)
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", every], capture_output=True, check=True).stdout
    own = {name for name in loaded.decode().split() if name.startswith("todo_cli.")}
    assert {name for name in own if not name.startswith("todo_cli.agent")} == set()


def test_todo_agent_0_runs_in_the_callers_process(home: AgentHome) -> None:
    assert home.todo("list", environ={"TODO_AGENT": "0"}).exit_code == 0
    assert not home.agent_dir.exists()


def test_an_agent_keeps_no_descriptor_of_the_one_who_started_it(home: AgentHome) -> None:
    """Else `words=$(todo list)` would wait for the agent's end."""
    reader, writer = os.pipe()
    null = subprocess.DEVNULL
    assert home.start("list", pass_fds=[writer], stdout=null, stderr=null).wait() == 0
    os.close(writer)
    home.wait_for_agent()
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""


def test_help_debug_and_database_work_stay_with_the_caller(
    agent_home: AgentHome, as_alice: Settings_
) -> None:
    before = commands(agent_home)
    for words in (["--help"], ["--version"], ["list", "--debug"], ["agent", "status"]):
        assert agent_home.todo(*words, environ=as_alice).exit_code == 0
    assert commands(agent_home) == before


def test_the_data_folder_is_the_one_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("HOME", str(tmp_path)),
        ("XDG_DATA_HOME", str(tmp_path / "data")),
        ("XDG_DATA_HOME", "relative"),
        ("TODO_DATA_DIR", "~/todo"),
        ("TODO_DATA_DIR", "relative"),
    ):
        monkeypatch.setenv(name, value)
        assert place.data_dir(os.environ) == str(Settings.from_environment(os.environ).data_dir)


# --- the same in every way ---------------------------------------------------------------------


def test_the_width_is_that_of_the_callers_terminal(
    agent_home: AgentHome, as_alice: Settings_
) -> None:
    agent_home.todo("add", "long " * 60, environ=as_alice)
    for columns in (50, 100):
        plain = {**as_alice, "NO_COLOR": "1"}
        lines = agent_home.todo("list", columns=columns, environ=plain).stdout.splitlines()
        assert max(map(len, lines)) <= columns
        assert any("…" in line for line in lines)


def test_folder_and_umask_are_the_callers(home: AgentHome, tmp_path: Path) -> None:
    environ = sabotaged(home, "os.write(2, b''); raise RuntimeError(os.getcwd(), os.umask(0))")
    assert home.todo("agent", "start", environ=environ).exit_code == 0
    for folder, umask in ((tmp_path, 0o027), (home.folder, 0o077)):
        answer = home.todo("stats", environ=environ, cwd=folder, umask=umask)
        assert f"RuntimeError: ('{folder}', {umask})" in answer.stderr


def test_standard_input_may_be_a_pipe_or_closed(agent_home: AgentHome, as_alice: Settings_) -> None:
    before = commands(agent_home)
    piped = agent_home.todo("add", "-q", "-", stdin=b"one\ntwo\n", environ=as_alice)
    assert (piped.exit_code, piped.stdout) == (0, "1\n2\n")
    assert commands(agent_home) == before + 1
    words = f'"{sys.executable}" -m todo_cli add - <&-'
    closed = subprocess.run(
        ["sh", "-c", words], env=agent_home.environ(**as_alice), capture_output=True, check=False
    )
    assert (closed.returncode, closed.stdout) == (2, b"")
    assert b"no standard input" in closed.stderr


def test_a_closed_pipe_is_no_error(agent_home: AgentHome, as_alice: Settings_) -> None:
    lines = b"".join(b"task %d\n" % n for n in range(2000))
    assert agent_home.todo("add", "-q", "-", stdin=lines, environ=as_alice).exit_code == 0
    command = f'("{sys.executable}" -m todo_cli list; echo code $? >&2) | head -1'
    finished = subprocess.run(
        ["bash", "-c", command],
        env=agent_home.environ(**as_alice),
        capture_output=True,
        check=True,
    )
    assert (len(finished.stdout.splitlines()), finished.stderr) == (1, b"code 0\n")


def test_times_are_those_of_the_callers_zone(home: AgentHome) -> None:
    home.todo("add", "one")
    shown = {
        zone: home.todo("stats", "--days", "1", "--json", environ={"TZ": zone}).stdout
        for zone in ("Etc/GMT+12", "Etc/GMT-14", "Etc/GMT+12", "Etc/GMT-14")
    }
    days = {json.loads(text)["by_day"][0]["date"] for text in shown.values()}
    assert len(days) == 2


# --- side by side ------------------------------------------------------------------------------


def test_fifty_at_once_never_mix(
    agent_home: AgentHome, as_alice: Settings_, as_bob: Settings_
) -> None:
    people = [("alice", as_alice), ("bob", as_bob)]

    def add(n: int) -> tuple[int, int]:
        name, settings = people[n % 2]
        answer = agent_home.todo("add", "-q", f"{name} {n}", environ=settings)
        assert (answer.exit_code, answer.stderr) == (0, "")
        return n % 2, int(answer.stdout)

    with ThreadPoolExecutor(50) as pool:
        numbers = sorted(pool.map(add, range(50)))
    assert numbers == [(person, n) for person in (0, 1) for n in range(1, 26)]
    for name, settings in people:
        tasks = json.loads(agent_home.todo("list", "--json", environ=settings).stdout)
        assert {task["title"].split()[0] for task in tasks} == {name}


def test_a_connection_is_used_again_and_each_command_is_one_round_trip(
    agent_home: AgentHome, postgres: Postgres, as_alice: Settings_
) -> None:
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        name = as_alice["TODO_DATABASE_URL"].partition("@/")[2].partition("?")[0]
        url = f"postgresql://{postgres.user}@{proxy.host}:{proxy.port}/{name}"
        settings = {**as_alice, "TODO_DATABASE_URL": url}
        agent_home.todo("list", environ=settings)
        proxy.stats.reset()
        for words in (["list"], ["add", "one"], ["done", "1"], ["stats"]):
            assert agent_home.todo(*words, environ=settings).exit_code == 0
        assert (proxy.stats.connections, proxy.stats.round_trips) == (0, 4)


def test_a_connection_that_was_cut_meanwhile_is_made_anew(
    agent_home: AgentHome, as_alice: Settings_, postgres: Postgres
) -> None:
    agent_home.todo("add", "-q", "one", environ=as_alice)
    postgres.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'todo'"
    )
    answer = agent_home.todo("add", "-q", "two", environ=as_alice)
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "2\n", "")


def test_an_ended_session_takes_effect_at_once(agent_home: AgentHome, as_alice: Settings_) -> None:
    assert agent_home.todo("list", environ=as_alice).exit_code == 0
    with psycopg.connect(as_alice["TODO_DATABASE_URL"]) as connection:
        connection.execute("delete from sessions")
    answer = agent_home.todo("list", environ=as_alice)
    assert (answer.exit_code, answer.stdout) == (4, "")


def test_a_slow_command_holds_up_no_other_and_ctrl_c_cancels_it(
    agent_home: AgentHome, as_alice: Settings_, database_url: str
) -> None:
    agent_home.todo("add", "one", environ=as_alice)
    with psycopg.connect(database_url) as blocker:
        blocker.execute("lock table tasks in exclusive mode")
        slow = agent_home.start("add", "never", environ=as_alice)
        wait_until(lambda: waiting(blocker) == 1)
        assert agent_home.todo("list", environ=as_alice).exit_code == 0
        slow.send_signal(signal.SIGINT)
        out, err = slow.communicate(timeout=30)
        assert (slow.returncode, out, err) == (130, b"", b"")
        wait_until(lambda: waiting(blocker) == 0)
    tasks = json.loads(agent_home.todo("list", "--json", environ=as_alice).stdout)
    assert [task["title"] for task in tasks] == ["one"]


def waiting(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """How many statements wait for a lock in this database."""
    row = connection.execute(
        "select count(*) from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database())"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_client_that_is_killed_takes_its_query_along(
    agent_home: AgentHome, as_alice: Settings_, database_url: str
) -> None:
    with psycopg.connect(database_url) as blocker:
        blocker.execute("lock table tasks in exclusive mode")
        slow = agent_home.start("add", "never", environ=as_alice)
        wait_until(lambda: waiting(blocker) == 1)
        slow.kill()
        slow.communicate(timeout=30)
        wait_until(lambda: waiting(blocker) == 0)


# --- whatever happens --------------------------------------------------------------------------


def test_a_killed_agent_is_replaced(home: AgentHome) -> None:
    pid = home.begin()
    os.kill(pid, signal.SIGKILL)
    lock = next(home.agent_dir.glob("*.lock"))
    os.utime(lock, (0, 0))  # as if it had begun a while ago
    assert home.todo("add", "-q", "one").stdout == "1\n"
    home.wait_for_agent()
    assert home.todo("add", "-q", "two").stdout == "2\n"
    assert (home.pid() != pid, commands(home)) == (True, 1)


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(new_home: NewHome) -> None:
    home = new_home()
    pid_file = home.data_dir / "postgres" / "postmaster.pid"
    assert home.todo("add", "-q", "task 0").stdout == "1\n"
    home.wait_for_agent()

    def add(n: int) -> tuple[int, str]:
        if n in (8, 20):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        answer = home.todo("add", "-q", f"task {n}")
        return answer.exit_code, answer.stderr

    try:
        with ThreadPoolExecutor(6) as pool:
            answers = set(pool.map(add, range(1, 31)))
        assert answers == {(0, "")}
        tasks = json.loads(home.todo("list", "--limit", "0", "--json").stdout)
        assert sorted(task["title"] for task in tasks) == sorted(f"task {n}" for n in range(31))
    finally:
        EmbeddedServer(home.data_dir, {}).stop()


def leave_dead_sockets(home: AgentHome) -> list[Path]:
    """What as many killed agents leave behind as there may be; one lost its lock file too."""
    home.data_dir.mkdir()
    home.agent_dir.mkdir(mode=0o700)
    left = [home.agent_dir / f"dead{n}.sock" for n in range(place.MAX_AGENTS)]
    for path in left:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        path.with_suffix(".lock").touch(mode=0o600)
    left[0].with_suffix(".lock").unlink()
    return left


def test_killed_agents_leave_room_for_the_next(home: AgentHome) -> None:
    left = leave_dead_sockets(home)
    assert home.todo("list").exit_code == 0
    home.wait_for_agent()
    assert not any(path.exists() or path.with_suffix(".lock").exists() for path in left)
    assert len(list(home.agent_dir.glob("*.sock"))) == 1


def test_agents_that_hold_their_locks_are_left_alone_and_no_more_are_started(
    home: AgentHome,
) -> None:
    """They live, though they cannot be reached from here: in another container."""
    left = leave_dead_sockets(home)
    with contextlib.ExitStack() as held:
        for path in left:
            lock = held.enter_context(path.with_suffix(".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert home.todo("list").exit_code == 0
        assert agents_of(home.data_dir) == []
        assert all(path.exists() and path.with_suffix(".lock").exists() for path in left)


def test_an_agent_that_is_killed_in_the_middle_is_told(home: AgentHome) -> None:
    environ = sabotaged(home, "os.kill(os.getpid(), 9)")
    home.todo("agent", "start", environ=environ)
    answer = home.todo("stats", environ=environ)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "may be done or not" in answer.stderr


def test_a_crash_in_a_command_is_that_commands_alone(home: AgentHome) -> None:
    environ = sabotaged(home, "raise RuntimeError('a bug')")
    home.todo("agent", "start", environ=environ)
    pid = home.pid()
    answer = home.todo("stats", environ=environ)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Traceback") and "RuntimeError: a bug" in answer.stderr
    assert home.todo("list", environ=environ).exit_code == 0
    assert (home.pid(), commands(home)) == (pid, 2)


def test_a_wedged_agent_is_given_up_and_ends_when_it_wakes(home: AgentHome) -> None:
    wedged = home.begin()
    os.kill(wedged, signal.SIGSTOP)
    assert home.todo("add", "-q", "one").stdout == "1\n"  # in its own process, after a second
    assert home.todo("add", "-q", "two").stdout == "2\n"
    home.wait_for_agent()
    assert home.pid() != wedged
    os.kill(wedged, signal.SIGCONT)
    wait_until(lambda: wedged not in agents_of(home.data_dir))
    assert home.todo("add", "-q", "three").stdout == "3\n"
    assert len(json.loads(home.todo("list", "--json").stdout)) == 3


def test_an_upgraded_program_gets_a_new_agent(home: AgentHome, tmp_path: Path) -> None:
    for folder in ("todo_cli", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    home.settings["PYTHONPATH"] = str(tmp_path)

    def lists() -> bool:
        return home.todo("list", cwd=tmp_path).exit_code == 0

    assert lists()
    home.wait_for_agent()
    assert lists()
    assert commands(home) == 1
    old = home.pid()
    with (tmp_path / "todo_cli" / "values.py").open("a") as source:
        source.write("# changed\n")
    assert lists()
    wait_until(lambda: old not in agents_of(home.data_dir))
    home.wait_for_agent()
    assert lists()
    assert (home.pid() != old, commands(home)) == (True, 1)


def test_no_place_for_an_agent_is_no_error(home: AgentHome) -> None:
    """It is told once, and each time by `todo agent status`."""
    home.data_dir.mkdir()
    home.agent_dir.write_text("in the way")
    told = home.todo("list")
    assert (told.exit_code, "The agent, which" in told.stderr) == (0, True)
    assert "not a folder" in json.loads(home.todo("agent", "status", "--json").stdout)["reason"]
    answer = home.todo("list")
    assert (answer.exit_code, answer.stderr) == (0, "")
    wait_until(lambda: not agents_of(home.data_dir))


def test_a_call_that_is_too_large_is_run_by_the_caller(
    agent_home: AgentHome, as_alice: Settings_
) -> None:
    before = commands(agent_home)
    padding = {f"PADDING_{n}": "x" * 100_000 for n in range(12)}
    assert agent_home.todo("list", environ={**as_alice, **padding}).exit_code == 0
    assert commands(agent_home) == before


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"R",
        b"R\xff\xff\xff\xff",
        b"R\0\0\0\x05hello",
        b"Z\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_dropped(agent_home: AgentHome, said: bytes) -> None:
    (path,) = agent_home.agent_dir.glob("*.sock")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        assert len(wire.read_exactly(connection, wire.HELLO_BYTES)) == wire.HELLO_BYTES
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):  # it did not read to the end
            assert connection.recv(1) == b""
    assert agent_home.todo("agent", "status").exit_code == 0


# --- closed to others --------------------------------------------------------------------------


def test_folder_and_socket_are_closed_to_others(agent_home: AgentHome) -> None:
    assert stat.S_IMODE(agent_home.agent_dir.stat().st_mode) == 0o700
    (path,) = agent_home.agent_dir.glob("*.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_or_an_open_folder_is_not_used(home: AgentHome, tmp_path: Path) -> None:
    home.data_dir.mkdir()
    tmp_path.chmod(0o700)
    home.agent_dir.symlink_to(tmp_path)
    assert home.todo("list").exit_code == 0
    home.agent_dir.unlink()
    home.agent_dir.mkdir(mode=0o755)
    assert home.todo("list").exit_code == 0
    wait_until(lambda: not agents_of(home.data_dir))
    assert not list(tmp_path.glob("*.sock")) and not list(home.agent_dir.iterdir())


def as_stranger(program: str, *words: str) -> subprocess.Popen[str]:
    """A Python program as another user; where we cannot become one, as ourselves."""
    return subprocess.Popen(
        [*(STRANGER if IS_ROOT else []), sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={},
    )


ASK = """
import socket, sys
asking = socket.socket(socket.AF_UNIX)
try:
    asking.connect(sys.argv[1])
    print(len(asking.recv(99)))
except PermissionError:
    print("refused")
"""
PRETEND = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
print(len(connection.recv(99)))
"""


def test_another_user_reaches_no_agent_even_through_an_open_door(home: AgentHome) -> None:
    home.begin()
    (path,) = home.agent_dir.glob("*.sock")
    if IS_ROOT:
        assert as_stranger(ASK, str(path)).communicate()[0] == "refused\n"
    for folder in (home.folder, home.data_dir, home.agent_dir):
        folder.chmod(0o755)
    path.chmod(0o666)
    heard = as_stranger(ASK, str(path)).communicate()[0]
    assert heard == ("0\n" if IS_ROOT else f"{wire.HELLO_BYTES}\n")


def test_a_client_says_nothing_to_an_agent_of_another_user(home: AgentHome) -> None:
    home.begin()
    name = next(home.agent_dir.glob("*.sock")).name
    home.end()
    outside = Path(tempfile.mkdtemp(prefix="todo-stranger-"))
    outside.chmod(0o777)
    pretender = as_stranger(PRETEND, str(outside / "socket"))
    try:
        assert pretender.stdout is not None and pretender.stdout.readline() == "listening\n"
        (home.agent_dir / name).unlink()
        (outside / "socket").rename(home.agent_dir / name)
        answer = home.todo("add", "-q", "one")
        assert (answer.exit_code, answer.stdout) == (0, "1\n")
        assert pretender.communicate(timeout=30)[0] == "0\n"
    finally:
        pretender.kill()
        pretender.communicate()
        shutil.rmtree(outside)


def test_the_process_shows_no_secret(home: AgentHome, as_alice: Settings_) -> None:
    pid = home.begin()
    for name in ("cmdline", "environ"):
        shown = Path(f"/proc/{pid}/{name}").read_text()
        assert as_alice["TODO_SESSION_TOKEN"] not in shown
        assert as_alice["TODO_DATABASE_URL"] not in shown


# --- the end -----------------------------------------------------------------------------------


def test_an_idle_agent_ends_with_the_server_that_it_came_with(
    new_home: NewHome,
) -> None:
    home = new_home(TODO_AGENT_IDLE="10")
    assert home.todo("add", "-q", "one").stdout == "1\n"
    home.wait_for_agent()
    assert home.todo("list").exit_code == 0
    assert (home.data_dir / "postgres" / "postmaster.pid").exists()
    wait_until(lambda: not agents_of(home.data_dir))
    assert not (home.data_dir / "postgres" / "postmaster.pid").exists()
    assert not list(home.agent_dir.glob("*.sock"))
    assert home.todo("add", "-q", "two", environ={"TODO_AGENT": "0"}).stdout == "2\n"
    EmbeddedServer(home.data_dir, {}).stop()


FEW_SECONDS_BETWEEN_LOOKS = """
import sys
if any("resident.server" in word for word in sys.orig_argv):
    import todo_cli.resident.server
    todo_cli.resident.server.PROGRAM_CHECK_SECONDS = 0.5
"""


def test_agent_and_server_end_when_their_program_is_removed(
    new_home: NewHome, tmp_path: Path
) -> None:
    """As `pip uninstall` and the removal of the virtual environment do."""
    installed = tmp_path / "site-packages"
    for name in ("psycopg", "psycopg_binary", "psycopg_binary.libs", "sqlalchemy", "sqlmodel"):
        shutil.copytree(Path(psycopg.__file__).parents[1] / name, installed / name)
    shutil.copytree(ROOT / "todo_cli", installed / "todo_cli")
    shutil.copytree(ROOT / "migrations", installed / "todo_cli" / "migrations")
    shutil.copy(ROOT / "alembic.ini", installed / "todo_cli")
    (installed / "sitecustomize.py").write_text(FEW_SECONDS_BETWEEN_LOOKS)
    home = new_home(PYTHONPATH=str(installed))
    assert home.todo("add", "-q", "one", cwd=tmp_path).stdout == "1\n"
    home.wait_for_agent()
    assert home.todo("add", "-q", "two", cwd=tmp_path).stdout == "2\n"
    assert (home.data_dir / "postgres" / "postmaster.pid").exists()
    shutil.rmtree(installed)
    wait_until(lambda: not agents_of(home.data_dir))
    assert not (home.data_dir / "postgres" / "postmaster.pid").exists()
    home.settings["PYTHONPATH"] = str(ROOT)
    try:
        assert home.todo("add", "-q", "three").stdout == "3\n"
    finally:
        EmbeddedServer(home.data_dir, {}).stop()


def wake_ups(pid: int) -> int:
    """How often the process's main thread has gone to sleep."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError


def test_an_idle_agent_uses_no_processor(agent_home: AgentHome, as_alice: Settings_) -> None:
    agent_home.todo("list", environ=as_alice)
    pid = agent_home.pid()
    subprocess.run(["sleep", "0.5"], check=True)  # the last call's threads are over

    def wakes_up() -> bool:
        before = wake_ups(pid)
        subprocess.run(["sleep", "1.5"], check=True)
        return wake_ups(pid) != before

    # Once a minute it looks for its program, so of two spells in a row one is without any.
    assert not (wakes_up() and wakes_up())


def test_an_agent_is_looked_at_stopped_and_started(home: AgentHome) -> None:
    nothing = json.loads(home.todo("agent", "status", "--json").stdout)
    assert nothing["running"] is False and set(nothing.values()) == {False, None}
    started = json.loads(home.todo("agent", "start", "--json").stdout)
    assert started["running"] is True and started["pid"] == home.pid()
    home.todo("list")
    status = json.loads(home.todo("agent", "status", "--json").stdout)
    assert set(status) == set(nothing)
    assert (status["commands"], status["version"]) == (1, started["version"])
    assert 0 < status["memory_bytes"] < 150 * 1024 * 1024
    again = json.loads(home.todo("agent", "restart", "--json").stdout)
    assert again["pid"] != started["pid"] and again["commands"] == 0
    assert json.loads(home.todo("agent", "stop", "--json").stdout) == nothing
    assert agents_of(home.data_dir) == []


def test_nobody_is_killed_where_the_system_does_not_tell_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill(-1)` would end every process of the user."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    socket_file = tmp_path / "name.sock"
    socket_file.touch()
    _stop(Peer(str(tmp_path), "name", -1, answers=False))
    assert (killed, socket_file.exists()) == ([], False)


def test_a_person_is_answered_in_words(home: AgentHome) -> None:
    def said(*words: str) -> str:
        answer = home.todo(*words, columns=80, environ={"NO_COLOR": "1"})
        assert (answer.exit_code, answer.stderr) == (0, "")
        assert "None" not in answer.stdout and "<U+" not in answer.stdout
        return answer.stdout

    assert said("agent", "status") == "No agent is running.\n"
    assert said("agent", "stop") == "No agent was running.\n"
    assert said("agent", "start") == f"The agent has started (process {home.pid()}).\n"
    assert said("agent", "start") == f"The agent was already running (process {home.pid()}).\n"
    lines = said("agent", "status").splitlines()
    assert lines[0] == "The agent is running."
    shown = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines[1:]}
    assert shown["process"] == str(home.pid())
    assert (shown["started"], shown["commands"]) == ("just now", "0")
    assert shown["database"] == "none used yet" and shown["memory"].endswith(" MB")
    assert said("agent", "restart") == f"A new agent has started (process {home.pid()}).\n"
    assert said("agent", "stop") == "The agent has stopped.\n"


def test_a_group_without_a_command_is_one_line_and_a_hint(home: AgentHome) -> None:
    for group in ("agent", "db"):
        answer = home.todo(group)
        hint = f"hint: See: todo {group} --help"
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert answer.stderr == f"Error: Missing command.\n{hint}\n"


def test_memory_does_not_grow(agent_home: AgentHome, as_alice: Settings_) -> None:
    def serve(count: int) -> int:
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(
                lambda _: agent_home.todo("list", environ=as_alice), range(count)
            ):
                assert answer.exit_code == 0
        return int(agent_home.info()["memory_bytes"])

    first = serve(60)
    assert serve(120) - first < 4 * 1024 * 1024


def test_the_memory_of_a_large_answer_is_given_back(
    home: AgentHome, alice: Person, as_alice: Settings_
) -> None:
    home.begin()
    add = (
        "insert into tasks (user_id, title, description, number) "
        "select id, 'task ' || n, repeat('words ', 300), n from users, generate_series(1, 10000) n"
        " where email = %s"
    )
    with psycopg.connect(as_alice["TODO_DATABASE_URL"]) as connection:
        connection.execute(add, [alice.email])
    assert home.todo("list", "--limit", "10").exit_code == 0
    before = int(home.info()["memory_bytes"])
    for words in (("list", "--json"), ("list", "--all", "--search", "words", "--json")):
        answer = home.todo(*words)
        assert (answer.exit_code, len(json.loads(answer.stdout))) == (0, 10_000)
        wait_until(lambda: int(home.info()["memory_bytes"]) < 1.5 * before)
