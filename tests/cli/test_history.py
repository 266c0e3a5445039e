"""What `undo`, `redo` and `history` say."""

from __future__ import annotations

import json

from tests.conftest import Cli


def test_undo_and_redo_say_what_they_did(cli: Cli) -> None:
    cli("add", "-", stdin="one\ntwo\n")
    cli("done", "1", "2")
    tried = cli("undo", "--dry-run", columns=80)
    assert (tried.exit_code, tried.stderr) == (0, "")
    assert tried.stdout.startswith("Would undo: done (2 tasks, just now)\n")
    document = json.loads(cli("undo", "--json").stdout)
    assert (document["command"], document["count"], document["dry_run"]) == ("done", 2, False)
    assert [task["title"] for task in document["tasks"]] == ["one", "two"]
    records = cli("redo")
    assert [line.split("\t")[::2] for line in records.stdout.splitlines()] == [
        ["1", "one"],
        ["2", "two"],
    ]
    assert records.stderr == "Redone: done (2 tasks, just now)\n"
    assert len(cli("list", "--done").stdout.splitlines()) == 2


def test_what_cannot_be_undone_is_named(cli: Cli) -> None:
    nothing = cli("undo")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr == (
        "Error: There is nothing to undo.\nhint: See what was changed: todo history\n"
    )
    cli("add", "one")
    cli("rm", "--permanent", "--yes", "1")
    refused = json.loads(cli("undo", "--json").stderr)["error"]
    assert (refused["code"], refused["message"]) == (
        "cannot_undo",
        "Cannot undo rm: it deleted task 1 for good.",
    )
    assert cli("redo").exit_code == 1


def test_the_history_as_a_table_as_records_and_as_json(cli: Cli) -> None:
    assert cli("history", columns=80).stderr == "Nothing has changed yet.\n"
    assert cli("history", "--json").stdout == "[]\n"
    cli("add", "-", stdin="\n".join(f"task {n}" for n in range(1, 8)))
    cli("edit", "1", "--title", "[bold]new[/]", "-p", "high", "-D", "2026-12-24 17:00")
    cli("done", "1")
    table = cli("history", columns=72, environ={"NO_COLOR": "1"}).stdout.splitlines()
    assert table[0].split() == ["When", "Command", "What"]
    assert table[1].endswith("done     1 [bold]new[/]: open → done")
    assert "title task 1 → [bold]new[/]; due on …" in table[2]
    assert [line.strip() for line in table[-2:]] == ["5 task 5: added", "… and 2 more"]
    assert max(map(len, table)) <= 72
    done, edit, add = json.loads(cli("history", "--json").stdout)
    assert list(done) == ["batch", "at", "command", "undoes", "changes"]
    assert [entry["command"] for entry in (done, edit, add)] == ["done", "edit", "add"]
    (change,) = edit["changes"]
    assert change["before"] == dict.fromkeys(
        ["title", "due_on", "due_time", "due_zone", "priority"]
    ) | {"title": "task 1"}
    assert change["after"] == {
        "title": "[bold]new[/]",
        "due_on": "2026-12-24",
        "due_time": "17:00",
        "due_zone": "UTC",
        "priority": "high",
    }
    assert [change["before"] for change in add["changes"]] == [None] * 7
    records = [line.split("\t") for line in cli("history", "1", "--limit", "2").stdout.splitlines()]
    assert [record[2:4] for record in records] == [["done", "1"], ["edit", "1"]]
    assert json.loads(records[1][6]) == change["after"]
    missing = cli("history", "99")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr.startswith("Error: No task 99.\n")


def test_show_tells_the_last_changes_on_a_terminal_alone(cli: Cli) -> None:
    cli("add", "one")
    assert "Command" not in cli("show", "1", columns=80).stdout
    for title in ("two", "three", "four", "[b]five"):
        cli("edit", "1", "--title", title)
    shown = cli("show", "1", columns=80, environ={"NO_COLOR": "1"}).stdout.splitlines()
    assert [line.split("  ")[-1].strip() for line in shown[-4:]] == [
        "What",
        "title four → [b]five",
        "title three → four",
        "title two → three",
    ]
    assert "three" not in cli("show", "1", "--json").stdout + cli("show", "1").stdout
    missing = cli("show", "9", columns=80)
    assert (missing.exit_code, missing.stdout) == (1, "")
