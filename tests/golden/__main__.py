"""Writes the golden files anew: `python -m tests.golden`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.golden import FILES, fill, fill_week, outputs
from tests.support.people import sign_up
from todo_cli.admin import migrate
from todo_cli.database.embedded import EmbeddedServer


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="todo-golden-"))
    server = EmbeddedServer(folder, {})
    server.start()
    try:
        migrate.upgrade(server.url)
        people = [sign_up(server.url, name) for name in ("golden", "plain", "busy")]
        fill(server.url, people[0])
        fill(server.url, people[1], is_plain=True)
        fill_week(server.url, people[2])
        shutil.rmtree(FILES, ignore_errors=True)
        FILES.mkdir()
        for name, content in outputs(server.url, *people):
            (FILES / name).write_bytes(content)
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
