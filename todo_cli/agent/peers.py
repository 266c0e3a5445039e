"""Agents as `todo agent` sees them: found by their sockets, asked, and told to end."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from todo_cli.agent import client, place, wire


@dataclass(frozen=True)
class Peer:
    """An agent that listens. One that does not answer is wedged."""

    folder: str
    name: str
    pid: int
    answers: bool

    def info(self) -> dict[str, Any]:
        """Its figures; none if it ended meanwhile."""
        said = self._ask(wire.INFO)
        return dict(json.loads(said)) if said else {"running": False}

    def quit(self) -> None:
        self._ask(wire.QUIT)

    def abandon(self) -> None:
        client.abandon(self.folder, self.name)

    def _ask(self, kind: bytes) -> bytes:
        connection = client.open_connection(self.folder, self.name)
        if connection is None:
            return b""
        with closing(connection):
            try:
                client.read_hello(connection, self.folder, self.name)
                wire.send_request(connection, kind)
                return wire.read_exactly(connection, wire.MAX_REQUEST_BYTES)
            except OSError:
                return b""


def find(data_dir: str) -> Peer | None:
    """The agent that serves calls like this one."""
    return _peer(place.folder(data_dir), place.name(os.environb))


def find_all(data_dir: str) -> list[Peer]:
    """All agents of the data folder."""
    folder = place.folder(data_dir)
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".sock")]
    except OSError:
        return []
    found = (_peer(folder, name.removesuffix(".sock")) for name in names)
    return [peer for peer in found if peer is not None]


def _peer(folder: str, name: str) -> Peer | None:
    connection = client.open_connection(folder, name)
    if connection is None:
        return None
    with closing(connection):
        pid, _ = wire.peer(connection)
        try:
            answers = len(client.read_hello(connection, folder, name)) > 0
        except OSError:
            answers = False
    return Peer(folder, name, pid, answers)
