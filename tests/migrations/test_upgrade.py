"""`upgrade` on the stand-in for Neon: cut in the middle, run by two at once, run by an old program.

And what a person's command says where the schema is missing, behind, or ahead.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Cli
from tests.migrations.test_revisions import REVISIONS
from tests.support.neon import OWNER, Neon
from tests.support.people import Person, sign_up
from todo_cli.admin import migrate
from todo_cli.admin.tables import SCHEMA_HEAD
from todo_cli.errors import DatabaseUnreachable, SchemaNewer

PLACES = 8
"""In how many places of an upgrade's conversation it is cut; the last few are where it commits."""

_names = itertools.count(1)


@pytest.fixture
def make_empty(neon: Neon) -> Iterator[Callable[[], str]]:
    """Make empty databases of the owner's; answer their names."""
    made: list[str] = []

    def make() -> str:
        name = f"empty_{next(_names)}"
        neon.execute(f"create database {name} owner {OWNER} strategy file_copy")
        made.append(name)
        return name

    yield make
    for name in made:
        neon.execute(f"drop database {name} with (force)")


def revision_of(neon: Neon, database: str) -> str | None:
    """The one revision, or None; with no table half made."""
    with psycopg.connect(neon.superuser_url(database)) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        if not tables:
            return None
        rows: list[Any] = connection.execute("select version_num from alembic_version").fetchall()
    assert len(rows) == 1
    return str(rows[0][0])


def upgrade(neon: Neon, database: str, *, timeout_seconds: float = 30) -> None:
    migrate.upgrade(neon.url(database, is_pooled=False), timeout_seconds=timeout_seconds)


class TestACut:
    def test_leaves_one_revision_or_another(
        self, neon: Neon, make_empty: Callable[[], str]
    ) -> None:
        upgrade(neon, make_empty())
        count = len(neon.direct.server_messages_seen)
        step = count // PLACES
        found = set()
        for message in (*range(1, count - 3, step), *range(count - 3, count + 1)):
            database = make_empty()
            neon.direct.stats.reset()
            neon.direct.cut(before_server_message=message)
            with pytest.raises(DatabaseUnreachable):
                upgrade(neon, database, timeout_seconds=0)
            assert neon.direct.stats.cuts == 1
            found.add(revision_of(neon, database))
        # Each revision is a transaction of its own, and large indexes are built between two.
        assert {None, SCHEMA_HEAD} <= found <= {None, *REVISIONS}

    @pytest.mark.parametrize("share", [0.5, 1.0], ids=["in the middle", "at the end"])
    def test_is_mended_by_another_try(
        self, neon: Neon, make_empty: Callable[[], str], share: float
    ) -> None:
        upgrade(neon, make_empty())
        count = len(neon.direct.server_messages_seen)
        database = make_empty()
        neon.direct.stats.reset()
        neon.direct.cut(before_server_message=int(count * share))
        upgrade(neon, database)
        assert neon.direct.stats.cuts == 1
        assert revision_of(neon, database) == SCHEMA_HEAD


def test_two_at_once_do_not_harm_each_other(neon: Neon, make_empty: Callable[[], str]) -> None:
    database = make_empty()
    url = neon.url(database, is_pooled=False)
    neon.direct.latency_seconds = 0.002  # so that they do meet
    code = f"from todo_cli.admin import migrate; migrate.upgrade({url!r})"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in both] == [
        ("", 0),
        ("", 0),
    ]
    assert revision_of(neon, database) == SCHEMA_HEAD


def test_a_compute_that_sleeps_is_waited_for(neon: Neon, make_empty: Callable[[], str]) -> None:
    database = make_empty()
    neon.direct.refuse("Couldn't connect to compute node", times=2)
    upgrade(neon, database)
    assert revision_of(neon, database) == SCHEMA_HEAD


class TestPeoplesCommands:
    @pytest.fixture
    def erin(self, neon: Neon, neon_database: str) -> Person:
        return sign_up(neon.superuser_url(neon_database), "erin")

    @pytest.mark.parametrize("revision", [None, "0002", "0003"])
    @pytest.mark.parametrize("words", [["list"], ["add", "x"], ["done", "1"], ["stats"]])
    def test_say_what_to_do_without_asking_more(
        self,
        neon: Neon,
        make_empty: Callable[[], str],
        cli: Cli,
        words: list[str],
        revision: str | None,
    ) -> None:
        database = make_empty()
        person = None
        if revision is not None:
            migrate.upgrade(neon.url(database, is_pooled=False), revision)
            person = sign_up(neon.superuser_url(database), "early")
        neon.heal()
        environ = {"TODO_DATABASE_URL": neon.url(database)}
        result = cli(*words, environ=environ, person=person)
        assert (result.exit_code, result.stdout) == (5, "")
        assert result.stderr == (
            "Error: The database's schema is missing or behind.\nhint: Run: todo db upgrade\n"
        )
        assert (neon.pooled.stats.connections, neon.pooled.stats.round_trips) == (1, 1)
        assert revision_of(neon, database) == revision

    def test_work_with_a_schema_that_only_added(
        self, neon: Neon, neon_database: str, cli: Cli, erin: Person
    ) -> None:
        for statement in (
            "alter table tasks add later_text text not null default 'low'",
            "alter table tasks add due_at timestamptz",
            "create index on tasks (due_at)",
            "create table tags (id uuid primary key, name text)",
            "alter table sessions add device text",
            "update alembic_version set version_num = '9999'",
        ):
            neon.execute(statement, neon_database)
        environ = {"TODO_DATABASE_URL": neon.url(neon_database)}
        for words in (
            ["add", "Buy milk"],
            ["add", "Buy bread"],
            ["list", "--json"],
            ["list", "--jsonl"],
            ["show", "1"],
            ["edit", "1", "--title", "Buy oat milk"],
            ["done", "1"],
            ["reopen", "1"],
            ["toggle", "1"],
            ["rm", "1"],
            ["restore", "1"],
            ["rm", "--permanent", "--yes", "2"],
            ["stats"],
        ):
            result = cli(*words, environ=environ, person=erin)
            assert (result.exit_code, result.stderr) == (0, ""), words
        # Nor does an upgrade by a program that is older than the schema take anything back.
        with pytest.raises(SchemaNewer):
            upgrade(neon, neon_database)
        assert revision_of(neon, neon_database) == "9999"
