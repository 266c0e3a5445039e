"""How commands are registered: looked at in the tree of all commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from todo_cli import commands
from todo_cli.agent import client
from todo_cli.app import command_tree
from todo_cli.commands.options import CommandGroup, TodoCommand, TodoGroup


def members_of(group: Any, path: str = "todo") -> Iterator[tuple[str, Any]]:
    """Every command and group of the tree, with its path."""
    yield path, group
    for name in group.list_commands(None) if hasattr(group, "list_commands") else ():
        yield from members_of(group.get_command(None, name), f"{path} {name}")


def of_another_class(tree: Any) -> list[str]:
    """The commands that do not take the options which every command takes."""
    return [path for path, one in members_of(tree) if not isinstance(one, TodoCommand | TodoGroup)]


def test_every_command_takes_what_all_commands_take() -> None:
    assert of_another_class(command_tree()) == []


@pytest.mark.parametrize("kind", [CommandGroup, typer.Typer])
def test_a_command_whose_class_is_forgotten_is_found(kind: type[typer.Typer]) -> None:
    app, group = CommandGroup(), kind()
    group.command("first")(lambda: None)
    group.command("second")(lambda: None)
    app.add_typer(group, name="group")
    forgotten = of_another_class(typer.main.get_command(app))
    everything = ["todo group", "todo group first", "todo group second"]
    assert forgotten == ([] if kind is CommandGroup else everything)


def test_the_light_client_keeps_what_needs_its_callers_process() -> None:
    tree: Any = command_tree()
    marked = {
        name for name in tree.list_commands(None) if tree.get_command(None, name).needs_own_process
    }
    assert marked == client.OWN_PROCESS


@pytest.mark.parametrize("name", sorted(client.OWN_PROCESS))
def test_the_light_client_hands_none_of_them_over(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TODO_AGENT", "")
    for words in ([name], ["--json", name], ["--database-url", "postgresql:///x", name]):
        assert not client._may_be_handed_over(words)
    assert client._may_be_handed_over(["list"])


def test_no_command_asks_whether_the_database_is_embedded() -> None:
    for path in Path(commands.__file__).parent.glob("*.py"):
        assert "is_embedded" not in path.read_text(), path
