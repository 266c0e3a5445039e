"""Text that means harm: stored and printed exactly, or refused; never styled, never executed."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Cli
from todo_cli.documents import TASK_FIELDS

KEPT = [
    "[bold red]not bold[/bold red] [link=https://example.org]x[/link]",
    ":smile: &amp; <b>x</b> {0} %s %(x)s $HOME `id` $(id)",
    "'; drop table tasks; --",
    "quoted \"twice\" 'and once' $$dollar$$ E'\\x00' \\",
    "👩‍👩‍👧 é ñ 宽 ﷽ Z̴̧a̷lgo",
    "bidi \u202e evil \u2066 isolate \u2069",
    "\u00ad\ufeff\u200b invisible",
    "-- starts with dashes",
    "null NULL None NaN true",
    "x" * 500,
    "é" * 500,
]
REFUSED = [
    "escape \x1b[31mred\x1b[0m",
    "osc 8 \x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
    "c1 \x9b31m",
    "bell \x07",
    "nul \x00",
    "x" * 501,
    "lone \udcff surrogate",
    "\ud800",
    "",
    " \t ",
]


@pytest.mark.parametrize("title", KEPT)
def test_it_is_kept_and_given_back_exactly(cli: Cli, title: str) -> None:
    for words in (["add", "--", title], ["add", "one", "-d", title]):
        assert cli(*words).exit_code == 0
    documents = json.loads(cli("list", "--json").stdout)
    assert documents[1]["title"] == title
    assert documents[0]["description"] == title
    assert cli("list").stdout.splitlines()[1].split("\t")[2] == title
    assert cli("edit", "2", "--title", title).exit_code == 0
    assert json.loads(cli("show", "2", "--json").stdout)["title"] == title
    found = json.loads(cli("list", "--search", title[:20], "--json").stdout)
    assert len(found) == 2


@pytest.mark.parametrize("title", REFUSED)
def test_it_is_refused_with_exit_2(cli: Cli, title: str) -> None:
    cli("add", "one")
    attempts = [["add", "--", title], ["edit", "1", "--title", title]]
    if title.strip() and len(title) < 501:
        attempts += [["edit", "1", "-d", title], ["list", "--search", title]]
    for words in attempts:
        result = cli(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.stderr)
        assert "Traceback" not in result.stderr
        json.loads(cli("--json", *words).stderr)
    assert len(cli("list").stdout.splitlines()) == 1


@pytest.mark.parametrize("stdin", [b"\xff\xfe", b"ok\n\xc3\x28\n", b"nul \x00\n"])
def test_stdin_that_is_no_text_adds_nothing(cli: Cli, stdin: bytes) -> None:
    result = cli("add", "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert cli("list").stdout == ""


@pytest.mark.parametrize("reference", ["\x1b[31m", "\udcff", "\u202e1", "1;--", "", "١"])
def test_a_hostile_reference_is_no_task(cli: Cli, reference: str) -> None:
    result = cli("show", reference)
    assert result.exit_code == 2
    assert not set("\x1b\u202e") & set(result.stderr)


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["show", "1"], ["done", "1"]])
def test_a_terminal_is_not_steered_even_by_rows_of_another_program(
    cli: Cli, database_url: str, words: list[str]
) -> None:
    """An old row may hold what is refused today."""
    import psycopg

    title = "old \x1b[2J\x07 \u202e \x9b \u2028 \ue000"
    with psycopg.connect(database_url, autocommit=True) as connection:
        for check in ("title", "description"):
            connection.execute(
                f"alter table tasks drop constraint ck_tasks_{check}_control_characters".encode()
            )
        connection.execute(
            "insert into tasks (user_id, title, description) select id, %s, %s from users",
            (title, title + "\r\n"),
        )
    result = cli(*words, columns=80, environ={"NO_COLOR": "1"})
    assert result.exit_code == 0
    for character in result.stdout + result.stderr:
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Zl", "Zp")
        assert character != "\u202e"
    if words == ["list", "--json"]:
        assert json.loads(result.stdout)[0]["title"] == title


TEXT = st.text(min_size=1, max_size=60)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(title=TEXT, description=TEXT)
def test_any_text_comes_back_as_it_went_in_or_not_at_all(
    cli: Cli, title: str, description: str
) -> None:
    added = cli("add", "--json", f"--description={description}", "--", title)
    assert added.exit_code in (0, 2)
    assert "Traceback" not in added.stderr
    if added.exit_code == 2:
        assert added.stdout == ""
        return
    task = json.loads(added.stdout)
    assert task["title"] == " ".join(title.split())
    lines = description.replace("\r\n", "\n").replace("\r", "\n")
    assert task["description"] == (lines if lines.strip() else None)
    record = cli("show", str(task["number"])).stdout
    assert len(record.split("\n")) == len(TASK_FIELDS) + 1
