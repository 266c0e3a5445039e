"""What client and agent say to each other, and how each makes sure of the other.

    agent   hello: version of this format, fingerprint of the program       (31 bytes)
    client  request: kind, length, payload; with a RUN the descriptors of stdin, stdout, stderr
            and the working directory
    agent   STARTED, or DECLINED: run it yourself
    client  CANCEL, or the end of the connection: stop
    agent   ENDED and the exit code, or DECLINED: it needs the caller's own process

Until STARTED nothing was done, so the client can run the command itself. The client waits for the
hello before it says anything: an agent that wakes up late finds nobody, and runs nothing twice.

Imports nothing that the interpreter has not loaded at its start: a command's time is this import.
So there is no `from __future__ import annotations` here, and `_socket` stands in for `socket`.
"""

import _imp
import _socket
import os
import sys

VERSION = 1
_MAGIC = b"todo-agent" + bytes([VERSION])
FINGERPRINT_BYTES = 16
HELLO_BYTES = len(_MAGIC) + FINGERPRINT_BYTES

RUN, INFO, QUIT = b"R", b"I", b"Q"
STARTED, DECLINED, ENDED, CANCEL = b"S", b"D", b"E", b"C"
DESCRIPTORS = 4
MAX_REQUEST_BYTES = 1024 * 1024
"""Half of what Linux takes for words and environment together; more is run in the own process."""
PATIENCE_SECONDS = 5.0
"""How long the other side may keep silent where it has nothing to work on. With many calls at once
it may wait for a processor that long."""

_INT_BYTES = 4
_MSG_CMSG_CLOEXEC = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
_SO_PEERCRED = getattr(_socket, "SO_PEERCRED", None)
_LOCAL_PEERCRED = 1
"""macOS and the BSDs (unix(4)): a `struct xucred`, whose second field is the uid."""

_LOCAL_PEERPID = 2
"""macOS alone (sys/un.h)."""


class Malformed(Exception):
    """The other side does not speak this format."""


def hello(fingerprint: bytes) -> bytes:
    return _MAGIC + fingerprint


def fingerprint_in(greeting: bytes) -> bytes | None:
    """The fingerprint in a hello; None if it is of another version."""
    if len(greeting) != HELLO_BYTES or not greeting.startswith(_MAGIC):
        return None
    return greeting[len(_MAGIC) :]


def peer(connection: _socket.socket) -> tuple[int, int]:
    """The process and user on the other side, as the kernel says; process -1 where it does not."""
    if _SO_PEERCRED is not None:
        found = connection.getsockopt(_socket.SOL_SOCKET, _SO_PEERCRED, 3 * _INT_BYTES)
        pid = int.from_bytes(found[:_INT_BYTES], sys.byteorder)
    else:
        found = connection.getsockopt(0, _LOCAL_PEERCRED, 2 * _INT_BYTES)
        pid = connection.getsockopt(0, _LOCAL_PEERPID) if sys.platform == "darwin" else -1
    return pid, int.from_bytes(found[_INT_BYTES : 2 * _INT_BYTES], sys.byteorder)


def is_same_user(connection: _socket.socket) -> bool:
    """Whether the other side is a process of our user.

    A process of another PID namespace (a container with the same home folder) shows as 0: it sees
    other files and another network than we do, so it is a stranger too.
    """
    pid, uid = peer(connection)
    return pid != 0 and uid == os.geteuid()


def read_exactly(connection: _socket.socket, size: int) -> bytes:
    """That many bytes, or fewer where the other side has ended."""
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            break
        parts += part
    return parts


def send_request(
    connection: _socket.socket, kind: bytes, payload: bytes = b"", descriptors: tuple[int, ...] = ()
) -> None:
    """Send a request; the descriptors go with its first bytes.

    Raises:
        OSError: it was not sent in full, so that the agent does nothing.
    """
    message = kind + len(payload).to_bytes(_INT_BYTES, "big") + payload
    sent = 0
    if descriptors:
        rights = b"".join(fd.to_bytes(_INT_BYTES, sys.byteorder) for fd in descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
        sent = connection.sendmsg([message], ancillary)
    if sent < len(message):  # else the agent may have answered and gone, and this would fail
        connection.sendall(message[sent:])


def receive_request(connection: _socket.socket) -> tuple[bytes, bytes, list[int]]:
    """The kind, payload and descriptors of a request. The caller closes the descriptors.

    Raises:
        Malformed: it is too long, cut short, or has the wrong number of descriptors.
    """
    head_bytes = 1 + _INT_BYTES
    room = _socket.CMSG_SPACE(DESCRIPTORS * _INT_BYTES)
    head, ancillary, flags, _ = connection.recvmsg(head_bytes, room, _MSG_CMSG_CLOEXEC)
    descriptors = [
        int.from_bytes(data[at : at + _INT_BYTES], sys.byteorder)
        for level, kind, data in ancillary
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
        for at in range(0, len(data) - len(data) % _INT_BYTES, _INT_BYTES)
    ]
    try:
        head += read_exactly(connection, head_bytes - len(head))
        size = int.from_bytes(head[1:], "big")
        expected = DESCRIPTORS if head[:1] == RUN else 0
        if len(head) < head_bytes or flags & _socket.MSG_CTRUNC or size > MAX_REQUEST_BYTES:
            raise Malformed
        payload = read_exactly(connection, size)
        if len(payload) < size or len(descriptors) != expected:
            raise Malformed
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return head[:1], payload, descriptors


def pack_call(words: list[str], data_dir: str, umask: int, environ: list[bytes]) -> bytes:
    """The payload of a RUN. None of its fields can hold a zero byte."""
    fields = [b"%d" % umask, os.fsencode(data_dir), b"%d" % len(words)]
    return b"\0".join([*fields, *map(os.fsencode, words), *environ])


def unpack_call(payload: bytes) -> tuple[list[str], str, int, dict[str, str]]:
    """Words, data folder, umask and environment of a RUN.

    Raises:
        Malformed: it is not what `pack_call` makes.
    """
    umask, data_dir, count, *rest = [*payload.split(b"\0"), b"", b""]
    try:
        words, environ = rest[: int(count)], rest[int(count) : -2]
        pairs = (os.fsdecode(pair).partition("=") for pair in environ)
        return (
            [os.fsdecode(word) for word in words],
            os.fsdecode(data_dir),
            int(umask),
            {name: value for name, _, value in pairs},
        )
    except ValueError as error:
        raise Malformed from error


def digest(data: bytes) -> str:
    """Sixteen characters that stand for the data; no secret, and the same in every process.

    This is what the interpreter marks its own cached files with: hashlib's import is dear.
    """
    return _imp.source_hash(VERSION, data).hex()
