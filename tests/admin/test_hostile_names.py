"""Names and texts of a database that would steer a terminal: `todo db` shows them, harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Cli, Postgres
from tests.support.people import Person

EVIL = "e\x1b[2J\x07\x9b\u202e\u2028\r x"
SHOWN = "<U+001B>[2J"


@pytest.fixture
def hostile_url(postgres: Postgres, database_url: str, alice: Person) -> Iterator[str]:
    """A database in which everything that can have a name is named to do harm."""
    evil = sql.Identifier(EVIL)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in (
            "create table {evil} ({evil} int default 1 constraint {evil} check ({evil} > 0))",
            "comment on table {evil} is {text}",
            "comment on column {evil}.{evil} is {text}",
            "create index {index} on {evil} ({evil})",
            "create index {evil2} on tasks (user_id, number desc) where deleted_at is null",
            "create policy {evil} on {evil} using (true)",
            "create function {evil}() returns trigger language plpgsql as 'begin return null; end'",
            "create trigger {evil} after insert on {evil} execute function {evil}()",
            "insert into tasks (user_id, title) select id, 'Milk' from users",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    evil=evil,
                    text=sql.Literal(EVIL),
                    index=sql.Identifier(f"{EVIL}_index"),
                    evil2=sql.Identifier(f"{EVIL}_2"),
                )
            )
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        role = sql.Identifier(f"{EVIL}_role")
        connection.execute(sql.SQL("create role {} login superuser").format(role))
        connection.execute(sql.SQL("comment on role {} is 'todo: for people'").format(role))
    hostile = quote(f"{EVIL}_role", safe="")
    own = database_url.replace(f"{postgres.user}@", f"{hostile}@")
    with psycopg.connect(own, application_name="x") as somebody:
        somebody.execute(sql.SQL("select 1 as {}").format(evil))
        yield database_url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop role {}").format(role))


def assert_harmless(text: str) -> None:
    for character in text:
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Zl", "Zp")
        assert character != "\u202e"


@pytest.mark.parametrize(
    "words",
    [
        ["schema"],
        ["schema", "--format", "sql"],
        ["schema", "--format", "json"],
        ["schema", "--json"],
        ["inspect"],
        ["inspect", "--json"],
        ["health"],
        ["health", "--json"],
        ["explain", "--plans"],
        ["explain", "--json"],
        ["status"],
        ["grants"],
        ["grants", "--json"],
    ],
    ids=" ".join,
)
def test_a_terminal_is_not_steered(cli_here: Cli, hostile_url: str, words: list[str]) -> None:
    result = cli_here("db", *words, columns=200, environ={"NO_COLOR": "1"})
    assert result.exit_code in (0, 1), result.stderr
    assert_harmless(result.stdout + result.stderr)
    if words[0] in ("schema", "inspect", "grants") and "json" not in "".join(words):
        assert SHOWN in result.stdout


def test_a_file_gets_the_statements_as_they_are(cli_here: Cli, hostile_url: str) -> None:
    assert EVIL in cli_here("db", "schema", "--format", "sql").stdout


def test_a_database_of_a_hostile_name_is_named_harmlessly(cli_here: Cli) -> None:
    url = f"postgresql://todo@/{quote(EVIL)}?host=/nonexistent"
    for words in (["health"], ["status"], ["url"], ["schema"], ["backup", f"{EVIL}/x"]):
        result = cli_here(
            "db", *words, columns=80, environ={"NO_COLOR": "1", "TODO_DATABASE_URL": url,
            "TODO_TIMEOUT": "0.2"}
        )  # fmt: skip
        assert_harmless(result.stdout + result.stderr)
