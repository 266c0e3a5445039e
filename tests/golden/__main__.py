"""Writes the golden files anew: `python -m tests.golden`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.golden import FILES, fill, outputs
from tests.support.people import sign_up
from todo_cli.admin import migrate
from todo_cli.database.embedded import EmbeddedServer


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="todo-golden-"))
    server = EmbeddedServer(folder, {})
    server.start()
    try:
        migrate.upgrade(server.url)
        person = sign_up(server.url, "golden")
        fill(server.url, person)
        shutil.rmtree(FILES, ignore_errors=True)
        FILES.mkdir()
        for name, content in outputs(server.url, person):
            (FILES / name).write_bytes(content)
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
