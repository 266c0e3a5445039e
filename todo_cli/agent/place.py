"""Where the agent of a call is, and which program it has to be. As light to import as `wire`.

An agent serves the calls that would find the same world as it does: the same program, the same
data folder, the same of those variables that C libraries and the interpreter read by themselves.
Calls that differ in one of them get an agent of their own.
"""

import os
import stat
import sys

from todo_cli.agent import wire

_PACKAGE = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
_BOUND = (
    *("PG", "KRB5", "SSL_", "OPENSSL", "LD_", "DYLD_", "MALLOC_", "PYTHON", "KEYRING_", "DBUS_"),
    *("LC_", "LANG", "TZ", "HOME", "GNOME_KEYRING", "XDG_RUNTIME_DIR", "XDG_CONFIG_", "XDG_DATA_"),
    *("TODO_AGENT_IDLE", "RES_OPTIONS", "HOSTALIASES", "LOCALDOMAIN"),
)
"""Beginnings of the names of variables that are read by others than this program's own code."""
_NAMESPACES = ("net", "mnt", "user")
MAX_AGENTS = 4
"""So many at once for one data folder: a script that sets LANG to a hundred values gets no hundred
agents."""
MAX_SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""`sun_path` without its final zero byte: 108 bytes on Linux (unix(7)), 104 on macOS."""


def data_dir(environ: "os._Environ[str]") -> str | None:
    """What `Settings.data_dir` says, without pathlib; None where it takes more than a look."""
    if chosen := environ.get("TODO_DATA_DIR"):
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform != "linux":
        home = environ.get("HOME", "")
        return f"{home}/Library/Application Support/todo" if sys.platform == "darwin" else None
    base = environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(base):
        return os.path.join(base, "todo")
    home = environ.get("HOME", "")
    return os.path.join(home, ".local/share/todo") if os.path.isabs(home) else None


def folder(data_dir: str) -> str:
    return os.path.join(data_dir, "agent")


def foreign(data_dir: str) -> tuple[str, str] | None:
    """Why we must make no file in the data folder, and what to type; None if we may.

    Root makes files only in its own folders, also where the data folder is still missing: `sudo`
    may keep the user's HOME, and the user could not use what root makes there. Others may use a
    folder of root's that root has opened to them.
    """
    me, path = os.geteuid(), data_dir
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return None
    if owner == me or (me != 0 and (owner == 0 or path != data_dir)):
        return None
    hint = "Run todo as that user (without sudo), or set TODO_DATA_DIR to another folder."
    return f"{path} belongs to {user(owner)}.", hint


def fault(data_dir: str) -> tuple[str, str] | None:
    """Why no agent can run for this data folder, and what to type; None if one can."""
    if found := foreign(data_dir):
        return found
    path = folder(data_dir)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    try:
        found_status = os.lstat(path)
        if path == folder(data_dir) and found_status.st_uid != os.geteuid():
            owner = user(found_status.st_uid)
            return f"{path} belongs to {owner}.", f"Remove it with: sudo rm -r '{path}'"
        if path == folder(data_dir) and not is_private(path):
            return f"{path} is not a folder that only you can open (mode 0700).", "Remove it."
    except OSError:
        pass
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{path} cannot be written.", "Check the folder and the disk."
    return None


def user(uid: int) -> str:
    """How messages name a user."""
    import pwd  # not at the top: nearly no call needs it

    try:
        return f"the user {pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"the user with uid {uid}"


def make_folders(folder: str) -> None:
    """Make a folder and those above it that are missing, open to us alone; others stay as is."""
    if os.path.isdir(folder):
        return
    make_folders(os.path.dirname(folder))
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:  # made by another call meanwhile, or something else is in the way
        if not os.path.isdir(folder):
            raise


def name(environ: "os._Environ[bytes]") -> str:
    """The agent's name in its folder. It is computed afresh by each call."""
    bound = tuple(map(os.fsencode, _BOUND))
    world = sorted(k + b"=" + v for k, v in environ.items() if k.startswith(bound))
    # Not `sys.prefix`: only `site` finds out that it is a virtual environment's.
    interpreter = os.path.realpath(os.path.dirname(sys.executable))
    program = f"{_PACKAGE}\n{interpreter}\n{sys.hexversion}\n{_namespaces()}"
    return wire.digest(b"\0".join([os.fsencode(program), *world]))


def _namespaces() -> str:
    """Two containers may share a home folder; what is in the one is no use to the other."""
    try:
        return " ".join(os.readlink(f"/proc/self/ns/{kind}") for kind in _NAMESPACES)
    except OSError:
        return ""


def site_packages() -> str:
    """The folder of this interpreter's libraries, as far as it is known without `site`. The start
    file `todo` says the same."""
    prefix = os.path.dirname(os.path.dirname(sys.executable))
    return f"{prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def fingerprint() -> bytes:
    """What changes when the program or a library is replaced: sizes and times of our files, and
    the times of the folders that libraries are installed in.

    It does not depend on `sys.path` or `sys.prefix`: the client has no `site`, the agent has.
    """
    found = [_time_of_libraries(os.path.dirname(_PACKAGE)), _time_of_libraries(site_packages())]
    folders = [_PACKAGE]
    for path in folders:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return wire.digest("\n".join(sorted(found)).encode(errors="surrogateescape")).encode()


def _time_of_libraries(folder: str) -> str:
    """When a library was last installed in this folder; nothing if it is no folder of libraries."""
    if not folder.endswith("-packages"):
        return ""
    try:
        return str(os.stat(folder).st_mtime_ns)
    except OSError:
        return ""


def is_private(folder: str) -> bool:
    """Whether it is a real folder, ours, and closed to others. lstat: a link is not one.

    Raises:
        FileNotFoundError: there is none.
    """
    found = os.lstat(folder)
    return (
        stat.S_ISDIR(found.st_mode)
        and stat.S_IMODE(found.st_mode) == 0o700
        and found.st_uid == os.geteuid()
    )


def spawn_environ(environ: "os._Environ[bytes]") -> dict[bytes, bytes]:
    """The agent's own environment: none of a call's settings and secrets.

    Those come with each call. What `name` looks at stays, since libraries read it.
    """
    settings = (b"TODO_", b"DATABASE_URL", b"_TODO", b"_TYPER", b"COMP_")
    kept = (b"TODO_DATA_DIR", b"TODO_AGENT_IDLE")
    return {
        name: value
        for name, value in environ.items()
        if name in kept or not name.startswith(settings)
    }
