"""The caller's side: hand a command line to the agent, or say that it has to be run here.

What this module and those it imports cost is paid by every command, so they import nothing that
the interpreter has not loaded already. See `wire` for the conversation.
"""

import _socket
import os
import sys
import time

from todo_cli.agent import place, wire

OWN_PROCESS = frozenset(
    {"agent", "db", "register", "login", "logout", "passwd", "import", "export"}
)
"""Commands that ask, wait long or change what the agent lives on: they stay with the caller."""
_OWN_OPTIONS = frozenset(
    {"--help", "-h", "--version", "--debug", "--install-completion", "--show-completion"}
)
WARM_UP_SECONDS = 30
"""How long a call waits for an agent that was just started. It listens before it can answer."""
BACKLOG = 1024
"""Calls that can wait for an agent to accept them."""

CANCEL_SECONDS = 1.0
"""How long Ctrl-C waits for the agent to end the command."""

_INTERRUPTED = 130
_REFUSED = 1
START_SECONDS = 3
"""How long an agent waits for the end of the command that started it, to be in nobody's way. It
begins at once when another call connects."""
_SPAWN = (
    "import os, select, sys;"
    f" select.select([0, int(sys.argv[5])], [], [], {START_SECONDS});"
    " sys.path[:] = sys.argv[1].split(os.pathsep) if sys.argv[1] else sys.path;"
    " from todo_cli.resident.server import main; main()"
)
missed: list[str] = []
"""The data folder whose agent this call would have been for, if there is none."""
_waiting: list[int] = []
"""Descriptors that the agent waits for the end of: they close when this process ends."""


def call(words: list[str]) -> int | None:
    """Have the agent run a command line; answer its exit code, or None: run it here.

    Where no agent is running, one is started for the next command.
    """
    if not _may_be_handed_over(words):
        return None
    try:
        data_dir = place.data_dir(os.environ)
        if data_dir is None:
            return None
        payload = wire.pack_call(words, data_dir, _umask(), _environ())
        folder = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
        connection = connect(data_dir)
        if connection is None:
            missed.append(data_dir)
        if connection is None or len(payload) > wire.MAX_REQUEST_BYTES:
            return None
        wire.send_request(connection, wire.RUN, payload, (0, 1, 2, folder))
    except (OSError, ValueError):
        return None
    try:
        return _outcome(connection)
    except KeyboardInterrupt:
        return _interrupted(connection)


def connect(data_dir: str, *, start: bool = True) -> _socket.socket | None:
    """A connection to the agent of this call's world, or None.

    With `start` an agent that is missing is started, and one of another program version is told
    to end and replaced. One that does not answer in time is left to itself: the next is started
    beside it. One that was just started is waited for: many calls at once start one agent and are
    answered by it.
    """
    folder, name = place.folder(data_dir), place.name(os.environb)
    connection = None
    if os.path.lexists(folder):
        if not place.is_private(folder):
            return None
        connection = open_connection(folder, name)
    if connection is None and start and not spawn(data_dir, name):
        connection = _open_soon(folder, name)
    if connection is None:
        return None
    fingerprint = place.fingerprint()  # while the agent wakes up
    try:
        greeting = read_hello(connection, folder, name)
    except TimeoutError:
        abandon(folder, name)
        return None
    if wire.fingerprint_in(greeting) == fingerprint:
        return connection
    if start:
        if greeting:
            wire.send_request(connection, wire.QUIT)
            connection.recv(1)  # it closes the connection when its place is free
        spawn(data_dir, name)
    connection.close()
    return None


def read_hello(connection: _socket.socket, folder: str, name: str) -> bytes:
    """The agent's hello; fewer bytes if it has ended.

    Raises:
        TimeoutError: it does not answer, and is not just starting.
    """
    while True:
        try:
            return wire.read_exactly(connection, wire.HELLO_BYTES)
        except TimeoutError:
            if not _is_starting(folder, name):
                raise


def open_connection(folder: str, name: str) -> _socket.socket | None:
    """A connection to an agent of our user; None where nobody listens."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(wire.PATIENCE_SECONDS)
    try:
        with SocketPath(folder, f"{name}.sock") as path:
            connection.connect(path)
        if wire.is_same_user(connection):
            return connection
    except OSError:
        pass
    connection.close()
    return None


class SocketPath:
    """A path for a socket in the folder, also where the folder's is too long for one."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name
        self._descriptor: int | None = None

    def __enter__(self) -> str:
        path = os.path.join(self._folder, self._name)
        if len(os.fsencode(path)) <= place.MAX_SOCKET_PATH_BYTES:
            return path
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def abandon(folder: str, name: str) -> None:
    """Clear the place of an agent that does not answer. It ends when it finds out."""
    for ending in ("sock", "lock"):
        try:
            os.unlink(os.path.join(folder, f"{name}.{ending}"))
        except OSError:
            continue


def spawn(data_dir: str, name: str, *, at_once: bool = False) -> bool:
    """Start an agent; True if this call started it, False if another did or there can be none.

    The agent inherits the lock of its name, which it holds as long as it lives, and a socket that
    listens already: calls that come meanwhile wait for it and start no other.

    It begins its work when this process ends, to be in nobody's way: its standard input is the end
    of a pipe whose other end only this process has. With `at_once` that is closed now.
    """
    if not sys.executable or hasattr(sys, "frozen") or not _may_spawn(data_dir):
        return False
    folder = place.folder(data_dir)
    lock = listener = None
    try:
        if place.foreign(data_dir):
            return False
        place.make_folders(folder)
        lock = _lock(folder, name) if place.is_private(folder) else None
        if lock is None:
            return False
        listener = _listen(folder, name)
        _start_process(data_dir, name, (lock, listener.fileno()), at_once=at_once)
    except OSError:
        return False
    finally:  # the agent has its own copies
        if lock is not None:
            os.close(lock)
        if listener is not None:
            listener.close()
    return True


def _lock(folder: str, name: str) -> int | None:
    """A descriptor that holds the lock of the agent's name; None if an agent holds it."""
    import fcntl  # not at the top: nearly no call needs it

    path = os.path.join(folder, f"{name}.lock")
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who clears up after a dead agent unlinks its lock: then this one excludes nobody.
        if os.fstat(lock).st_ino == os.stat(path).st_ino:
            os.utime(lock)
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _listen(folder: str, name: str) -> _socket.socket:
    """The socket of an agent to be. It is bound under another name and moved when it listens, so
    that nobody is refused."""
    new, final = (os.path.join(folder, f"{name}.{ending}") for ending in ("new", "sock"))
    if os.path.lexists(new):
        os.unlink(new)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    with SocketPath(folder, f"{name}.new") as path:
        listener.bind(path)
    os.chmod(new, 0o600)
    listener.listen(BACKLOG)
    os.rename(new, final)
    return listener


def _start_process(data_dir: str, name: str, inherited: tuple[int, int], *, at_once: bool) -> None:
    here, there = os.pipe()
    words = [sys.executable, "-P", "-c", _SPAWN, _import_path(), data_dir, name]
    actions = [
        (os.POSIX_SPAWN_DUP2, here, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    for descriptor in inherited:
        os.set_inheritable(descriptor, True)
    try:
        os.posix_spawn(
            sys.executable,
            [*words, *map(str, inherited)],
            place.spawn_environ(os.environb),
            file_actions=actions,
            setsigmask=(),
        )
        if not at_once:
            _waiting.append(os.dup(there))
    finally:
        os.close(here)
        os.close(there)


def _may_be_handed_over(words: list[str]) -> bool:
    if os.name != "posix" or os.environ.get("TODO_AGENT") == "0":
        return False
    if None in (sys.stdin, sys.stdout, sys.stderr) or not _OWN_OPTIONS.isdisjoint(words):
        return False
    return _command(words) not in OWN_PROCESS


def _command(words: list[str]) -> str | None:
    """The command's name: the first word that is no option and no option's value."""
    skipping = False
    for word in words:
        if skipping:
            skipping = False
        elif word.startswith("-"):
            skipping = word == "--database-url"
        else:
            return word
    return None


def _import_path() -> str:
    """Where this process finds modules: the agent is to find the same, whatever its folder is.

    Nothing if `site` has not run here: the agent starts the ordinary way and finds out by itself.
    """
    if "site" not in sys.modules:
        return ""
    return os.pathsep.join(map(os.path.abspath, sys.path))


def _environ() -> list[bytes]:
    return [name + b"=" + value for name, value in os.environb.items()]


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _open_soon(folder: str, name: str) -> _socket.socket | None:
    """A connection to the agent that another call is starting at this moment, or None."""
    while True:
        connection = open_connection(folder, name)
        if connection is not None or not _is_starting(folder, name):
            return connection
        time.sleep(0.005)


def _is_starting(folder: str, name: str) -> bool:
    """Whether an agent was started a moment ago. One that is ready sets its lock's time to 0."""
    try:
        age = time.time() - os.stat(os.path.join(folder, f"{name}.lock")).st_mtime
    except OSError:
        return False
    return -WARM_UP_SECONDS < age < WARM_UP_SECONDS


def _may_spawn(data_dir: str) -> bool:
    """Whether there is room for another agent; those that died without a word are cleared first."""
    folder = place.folder(data_dir)
    try:
        names = [name[: -len(".sock")] for name in os.listdir(folder) if name.endswith(".sock")]
        if len(names) < place.MAX_AGENTS or not place.is_private(folder):
            return len(names) < place.MAX_AGENTS
    except OSError:
        return True
    return sum(not _clear_if_dead(folder, name) for name in names) < place.MAX_AGENTS


def _clear_if_dead(folder: str, name: str) -> bool:
    """Unlink what a killed agent left behind. One that lives holds its lock, also where it cannot
    be reached from here: in another container, or at work on something."""
    import fcntl  # not at the top: nearly no call needs it

    try:
        lock = _open_lock(os.path.join(folder, f"{name}.lock"))
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        connection = open_connection(folder, name)
        if connection is None:
            abandon(folder, name)
            return True
        connection.close()
    except OSError:
        pass
    finally:
        os.close(lock)
    return False


def _outcome(connection: _socket.socket) -> int | None:
    """Wait for the command's end. Nothing was done where the agent ended without STARTED."""
    connection.settimeout(None)
    try:
        if connection.recv(1) != wire.STARTED:
            return None
    except OSError:
        return None
    try:
        answer = wire.read_exactly(connection, 2)
    except OSError:
        answer = b""
    if answer[:1] == wire.DECLINED:
        return None
    return answer[1] if len(answer) == 2 and answer[:1] == wire.ENDED else _lost()


def _lost() -> int:
    sys.stderr.write(
        "Error: The agent ended in the middle of the command; it may be done or not.\n"
        "hint: Look with: todo list --all\n"
    )
    return _REFUSED


def _interrupted(connection: _socket.socket) -> int:
    """Have the agent cancel the query; its answer is awaited so that nothing is written later."""
    try:
        connection.settimeout(CANCEL_SECONDS)
        connection.send(wire.CANCEL)
        while connection.recv(16):
            pass
    except (OSError, KeyboardInterrupt):
        pass
    return _INTERRUPTED
