"""The commands on tasks, as typed: exit code, stdout and stderr."""

from __future__ import annotations

import json

from tests.conftest import Cli


def test_a_task_is_added_listed_and_done(cli: Cli) -> None:
    assert cli("add", "Buy", "milk", "-q").stdout == "1\n"
    listed = cli("list", "--json")
    assert listed.exit_code == 0
    assert listed.stderr == ""
    assert [task["title"] for task in json.loads(listed.stdout)] == ["Buy milk"]
    assert cli("done", "1").exit_code == 0
    assert json.loads(cli("list", "--json").stdout) == []
