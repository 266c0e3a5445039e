"""Backup and restore of a database that is reached by TLS and SCRAM, as Neon's is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trustme

from tests.admin.test_backup import back_up, bring_back
from tests.admin.test_seed import fingerprint_as_owner, rows
from tests.conftest import Cli, Postgres
from tests.support import encrypted
from tests.support.maintenance import seed
from tests.support.neon import OWNER, Neon
from tests.support.pgbouncer import pooled
from tests.support.proxy import Ending
from tests.support.waiting import wait_until
from todo_cli.admin import client_programs, migrate
from todo_cli.admin import restore as restores
from todo_cli.errors import DatabaseUnreachable, Refused


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return tmp_path / "a dump.pg"


@pytest.fixture
def empty_neon_database(neon: Neon) -> Iterator[str]:
    """The name of an empty database of the stand-in, its owner's."""
    neon.execute(f"create database empty_neon owner {OWNER}")
    yield "empty_neon"
    neon.execute("drop database empty_neon with (force)")


@pytest.mark.parametrize("tasks", [1, 100, 10_000])
def test_what_was_there_comes_back(
    cli: Cli, neon: Neon, neon_database: str, empty_neon_database: str, dump: Path, tasks: int
) -> None:
    source, copy = (
        neon.url(name, is_pooled=False) for name in (neon_database, empty_neon_database)
    )
    seed(source, users=3, tasks=tasks)
    for command, url in (("backup", source), ("restore", copy)):
        done = cli("db", command, str(dump), environ={"TODO_DATABASE_URL": url})
        assert done.exit_code == 0, done.stderr
        assert neon.password not in done.stdout + done.stderr
    assert fingerprint_as_owner(copy) == fingerprint_as_owner(source)
    assert len(rows(copy, "select from tasks")) == tasks


def test_the_unpooled_url_is_taken_where_people_use_the_pooled_one(
    cli: Cli, neon: Neon, neon_database: str, dump: Path
) -> None:
    environ = {
        "TODO_DATABASE_URL": neon.url(neon_database),
        "TODO_DATABASE_URL_UNPOOLED": neon.url(neon_database, is_pooled=False),
    }
    done = cli("db", "backup", str(dump), environ=environ)
    assert done.exit_code == 0, done.stderr
    assert neon.pooled.stats.connections == 0


def test_a_pooler_is_refused_in_a_sentence_for_a_backup_alone(
    postgres: Postgres, database_url: str, empty_database_url: str, dump: Path
) -> None:
    """A pooler of any name: pg_dump sets what would stay for whoever comes next."""
    back_up(database_url, dump)
    names = [url.partition("@/")[2].partition("?")[0] for url in (database_url, empty_database_url)]
    with pooled(postgres.socket_dir, postgres.user, names[0], pool_size=1) as through_pooler:
        with pytest.raises(Refused, match="pooler") as refused:
            back_up(through_pooler, dump.with_name("second"))
        assert "TODO_DATABASE_URL_UNPOOLED" in (refused.value.hint or "")
    with pooled(postgres.socket_dir, postgres.user, names[1], pool_size=1) as through_pooler:
        bring_back(through_pooler, dump)
    assert fingerprint_as_owner(empty_database_url) == fingerprint_as_owner(database_url)


def test_a_pooled_host_whose_direct_one_is_not_known_is_refused(
    neon: Neon, neon_database: str, dump: Path
) -> None:
    # The stand-in's URLs pin an address, so the direct host cannot be worked out.
    with pytest.raises(Refused, match="pooler"):
        back_up(neon.url(neon_database), dump)
    assert list(dump.parent.glob("*dump*")) == []


def run_pg_dump(url: str) -> None:
    arguments = ["--schema=public", "--file=/dev/null"]
    with client_programs.program("pg_dump", arguments, environ=os.environ, url=url):
        pass


def test_pg_dump_itself_verifies_the_certificate(
    neon: Neon, neon_database: str, tmp_path: Path
) -> None:
    url = neon.url(neon_database, is_pooled=False)
    run_pg_dump(url)
    others = tmp_path / "others.pem"
    trustme.CA().cert_pem.write_to_path(str(others))
    with pytest.raises(DatabaseUnreachable, match="certificate"):
        run_pg_dump(url.replace(str(neon.roots), str(others)))


def test_a_wrong_certificate_is_refused(
    neon: Neon, neon_database: str, dump: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others.pem"
    trustme.CA().cert_pem.write_to_path(str(others))
    url = neon.url(neon_database, is_pooled=False).replace(str(neon.roots), str(others))
    with pytest.raises(DatabaseUnreachable, match="certificate"):
        back_up(url, dump)
    assert list(dump.parent.glob("*dump*")) == []


@pytest.mark.parametrize("how", ["rst", "eof", "57P01"])
@pytest.mark.parametrize("message", [2, 20, 3_000], ids=["start", "catalogs", "rows"])
def test_a_line_that_is_cut_under_pg_dump_is_told(
    neon: Neon, neon_database: str, how: Ending, message: int
) -> None:
    url = neon.url(neon_database, is_pooled=False)
    seed(url, users=3, tasks=5_000)
    neon.direct.stats.reset()
    neon.direct.cut(after_server_message=message, how=how)
    with pytest.raises(DatabaseUnreachable):
        run_pg_dump(url)
    assert neon.direct.stats.cuts == 1


@pytest.mark.parametrize("how", ["rst", "eof", "57P01"])
def test_a_restore_whose_line_is_cut_leaves_the_database_empty(
    neon: Neon, neon_database: str, empty_neon_database: str, dump: Path, how: Ending
) -> None:
    source, copy = (
        neon.url(name, is_pooled=False) for name in (neon_database, empty_neon_database)
    )
    seed(source, users=3, tasks=2_000)
    back_up(source, dump)
    neon.direct.stats.reset()

    def cut_psql(done: int, total: int | None, now: str) -> None:
        if now == "Restoring" and done == 0:
            neon.direct.cut(after_server_message=50, how=how)

    with pytest.raises(DatabaseUnreachable):
        restores.restore(copy, dump, environ=os.environ, progress=cut_psql)
    assert neon.direct.stats.cuts == 1
    assert rows(copy, "select from pg_class where relnamespace = 'public'::regnamespace") == []


def test_the_password_is_in_no_argument(neon: Neon, neon_database: str) -> None:
    arguments = ["--file=/dev/null"]
    url = neon.url(neon_database, is_pooled=False)
    # It waits for the lock, so it is certainly there when its arguments are read.
    with psycopg.connect(neon.superuser_url(neon_database)) as blocker:
        blocker.execute("lock table tasks in access exclusive mode")
        with client_programs.program("pg_dump", arguments, environ=os.environ, url=url) as running:
            cmdline = Path(f"/proc/{running.pid}/cmdline")
            wait_until(
                lambda: bool(cmdline.read_bytes())
            )  # empty for a moment while the program is loaded
            seen = cmdline.read_bytes()
            blocker.rollback()
    assert seen and neon.password.encode() not in seen


def test_the_library_is_the_one_that_this_process_uses() -> None:
    assert psycopg.pq.version() // 10_000 >= 18
    assert client_programs.path().name.startswith("libpq")
    if sys.platform == "linux":
        assert str(client_programs.path()) in Path("/proc/self/maps").read_text()


def test_a_password_that_is_bound_to_tls_is_taken(dump: Path) -> None:
    with encrypted.running() as server:
        for name in ("source", "copy"):
            server.execute(f"create database {name} owner owner")
        source, copy = (
            server.url("owner", name, "&channel_binding=require") for name in ("source", "copy")
        )
        migrate.upgrade(source)
        seed(source, users=3, tasks=500)
        back_up(source, dump)
        bring_back(copy, dump)
        assert fingerprint_as_owner(copy) == fingerprint_as_owner(source)


def test_a_folder_with_a_space_or_a_colon_may_hold_the_library(
    neon: Neon, neon_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = client_programs.path()
    (tmp_path / "my: place").symlink_to(library.parent)
    monkeypatch.setattr(client_programs, "path", lambda: tmp_path / "my: place" / library.name)
    run_pg_dump(neon.url(neon_database, is_pooled=False))


def test_an_older_libpq_is_not_mixed_with_newer_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    client_programs.path.cache_clear()
    monkeypatch.setattr(psycopg.pq, "version", lambda: 170_000)
    with pytest.raises(Refused, match="libpq"):
        client_programs.path()


def test_options_of_the_url_are_kept_beside_those_of_a_backup() -> None:
    _, address = client_programs.access("postgresql://ann@h/d?options=-c%20geqo%3Doff")
    assert address is not None
    assert "options='-c geqo=off -c todo.maintenance=on'" in address
