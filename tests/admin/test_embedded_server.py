"""`todo db start` and `stop`, and the administrators' commands on the embedded database."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.support.agent import AgentHome
from todo_cli.admin import migrate
from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.database.embedded import EmbeddedServer


@pytest.fixture
def embedded_environ() -> Iterator[dict[str, str]]:
    """No URL, and a data folder with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="todo-db-"))
    settings = {"TODO_DATABASE_URL": "", "TODO_SESSION_TOKEN": "", "TODO_DATA_DIR": str(folder)}
    yield settings
    AgentHome(folder, settings).end()
    EmbeddedServer(folder, {}).stop()
    shutil.rmtree(folder)


def test_the_embedded_server_is_started_used_and_stopped(
    cli: Cli, embedded_environ: dict[str, str]
) -> None:
    def db(*words: str) -> dict[str, object]:
        result = cli("db", *words, "--json", environ=embedded_environ)
        assert result.exit_code == 0, result.stderr
        return dict(json.loads(result.stdout))

    assert db("start") == {"running": True, "changed": True}
    assert db("start") == {"running": True, "changed": False}
    assert db("status")["current"] is None
    assert db("upgrade")["pending"] == []
    assert db("stop") == {"running": False, "changed": True}
    assert db("stop") == {"running": False, "changed": False}
    assert cli("add", "Milk", "-q", environ=embedded_environ).stdout == "1\n"
    label = cli("db", "status", environ=embedded_environ).stderr
    assert label == "Target: the embedded database\n"


def test_the_head_that_commands_know_is_the_newest_revision() -> None:
    assert migrate.head() == SCHEMA_HEAD
