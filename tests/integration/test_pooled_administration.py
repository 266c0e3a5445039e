"""`todo db` behind a pooler that its name does not give away: nothing stays in its connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli, Postgres
from tests.support.commands import commands
from tests.support.leftovers import left_behind
from tests.support.pgbouncer import pooled

NEEDS_A_SESSION = {"upgrade", "downgrade", "backup"}
"""These are refused: migrations hold a lock of the session, and `pg_dump` sets what it likes."""
WITHOUT_A_DATABASE = {"start", "stop", "url"}
COMMANDS: dict[str, list[list[str]]] = {
    "upgrade": [["upgrade"]],
    "downgrade": [["downgrade", "0006", "--yes"]],
    "backup": [["backup", "a.dump"]],
    "status": [["status"], ["status", "--check"]],
    "seed": [
        ["seed", "--users", "3", "--tasks", "3000"],
        ["seed", "--users", "2", "--tasks", "6000", "--random-seed", "2"],
    ],
    "archive": [["archive", "--dry-run"], ["archive", "--older-than", "30d"]],
    "purge": [["purge", "--dry-run"], ["purge", "--older-than", "1d", "--yes"]],
    "health": [["health"]],
    "explain": [["explain", "--plans"]],
    "inspect": [["inspect"]],
    "schema": [["schema", "--format", "sql"]],
    "grant": [["grant", "pooled_ada"], ["grant", "pooled_ada", "--revoke"]],
    "grants": [["grants"]],
    "unlock": [["unlock", "alice@example.org"]],
    "cleanup": [["cleanup", "--yes"]],
    "restore": [["restore", "whole.dump"]],
}
"""In the order in which they are run: each finds what the ones before it made."""


@pytest.fixture
def pooled_url(postgres: Postgres, database_url: str) -> Iterator[str]:
    name = database_url.partition("@/")[2].partition("?")[0]
    # As migration 0006 does: a clone of a database does not have the privileges on it.
    postgres.execute(f"revoke temporary on database {name} from public")
    with pooled(postgres.socket_dir, postgres.user, name, pool_size=1) as url:
        yield url


def test_no_command_leaves_anything_in_the_poolers_connection(
    cli_here: Cli,
    pooled_url: str,
    postgres: Postgres,
    empty_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {f"db {name}" for name in {*COMMANDS, *WITHOUT_A_DATABASE}}
    assert named == set(commands("db"))
    assert cli_here("db", "backup", "whole.dump").exit_code == 0
    clean = left_behind(pooled_url)
    empty_name = empty_database_url.partition("@/")[2].partition("?")[0]
    with pooled(postgres.socket_dir, postgres.user, empty_name, pool_size=1) as empty_url:
        clean_empty = left_behind(empty_url)
        for name, calls in COMMANDS.items():
            url, before = (empty_url, clean_empty) if name == "restore" else (pooled_url, clean)
            for words in calls:
                done = cli_here("db", *words, environ={"TODO_DATABASE_URL": url})
                assert left_behind(url) == before, words
                if name in NEEDS_A_SESSION:
                    assert done.exit_code == 1, (words, done.stderr)
                    assert "session of its own" in done.stderr
                    assert "TODO_DATABASE_URL_UNPOOLED" in done.stderr
                else:
                    assert done.exit_code == 0, (words, done.stdout, done.stderr)
