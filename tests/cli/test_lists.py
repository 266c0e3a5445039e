"""Lists that are written out whole: their columns, what an error leaves behind, where they wait."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import Cli
from todo_cli.documents import RECORD_COLUMNS
from todo_cli.tasks import repository, statements

DESCRIPTION = RECORD_COLUMNS.index("description")
README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("place", ["README", "help"])
def test_the_columns_of_a_record_are_named_in_their_order(cli: Cli, place: str) -> None:
    text = README.read_text() if place == "README" else cli("list", "--help").stdout
    words = " ".join(text.replace("`", "").split())
    assert ", ".join(RECORD_COLUMNS) in words
    assert r"\\, \t and \n stand for a backslash, a tab and a line break" in words


def test_a_description_has_its_column_wherever_records_are_written(cli: Cli) -> None:
    about = "two\nlines,\ta tab, a \\ and a \\n"
    escaped = r"two\nlines,\ta tab, a \\ and a \\n"
    for words in (
        ["add", "one", "-d", about],
        ["list"],
        ["list", "--all"],
        ["edit", "1", "--title", "uno"],
        ["done", "1"],
        ["list", "--done"],
        ["rm", "1"],
        ["list", "--trash"],
        ["restore", "1"],
        ["toggle", "1"],
    ):
        result = cli(*words)
        assert result.exit_code == 0
        (line,) = result.stdout.splitlines()
        fields = line.split("\t")
        assert (len(fields), fields[DESCRIPTION]) == (len(RECORD_COLUMNS), escaped)
    fields = cli("edit", "1", "-d", "").stdout.removesuffix("\n").split("\t")
    assert (len(fields), fields[DESCRIPTION]) == (len(RECORD_COLUMNS), "")


@pytest.fixture
def session_that_ends(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """Pages of two tasks, and a session that ends after the first page is read."""
    real: Any = statements.texts

    def statement(*given: Any, following: int | None = None) -> Any:
        if following is not None:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("delete from sessions")
        return real(*given, following=following)

    monkeypatch.setattr(repository, "PAGE_TASKS", 2)
    monkeypatch.setattr(statements, "texts", statement)


@pytest.mark.parametrize("columns", [None, 80], ids=["pipe", "terminal"])
def test_an_array_that_cannot_be_read_whole_is_not_begun(
    cli_here: Cli, session_that_ends: None, columns: int | None
) -> None:
    assert cli_here("add", "-", stdin="one\ntwo\nthree\n").exit_code == 0
    result = cli_here("list", "--json", columns=columns)
    assert (result.exit_code, result.stdout) == (4, "")
    assert json.loads(result.stderr)["error"]["code"] == "not_logged_in"


@pytest.mark.parametrize("form", [[], ["--jsonl"]], ids=["records", "lines"])
def test_lines_that_cannot_be_read_whole_are_whole_lines_and_an_error(
    cli_here: Cli, session_that_ends: None, form: list[str]
) -> None:
    assert cli_here("add", "-", stdin="one\ntwo\nthree\n").exit_code == 0
    result = cli_here("list", *form)
    assert result.exit_code == 4
    assert len(result.stdout.split("\n")) == 3 and result.stdout.endswith("\n")
    assert "session" in result.stderr


@pytest.mark.parametrize("columns", [None, 80], ids=["pipe", "terminal"])
@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_an_array_of_several_pages_is_that_of_one(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch, page: int, columns: int | None
) -> None:
    lines = "".join(f"task {n}, [{{]}}\n" for n in range(6))
    assert cli_here("add", "-", stdin=lines).exit_code == 0
    whole = cli_here("list", "--json", columns=columns).stdout
    monkeypatch.setattr(repository, "PAGE_TASKS", page)
    result = cli_here("list", "--json", columns=columns)
    assert (result.exit_code, result.stdout) == (0, whole)
    indent = None if columns is None else 2
    separators = (",", ":") if columns is None else None
    again = json.dumps(json.loads(whole), ensure_ascii=False, indent=indent, separators=separators)
    assert whole == again + "\n"


def test_no_room_for_a_temporary_file_is_told(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PAGE_TASKS", 1)
    assert cli_here("add", "-", stdin="one\ntwo\n").exit_code == 0
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    result = cli_here("list", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    error = json.loads(result.stderr)["error"]
    assert error["message"].startswith("Cannot create a temporary file for the answer: ")
    assert "TMPDIR" in error["hint"]
