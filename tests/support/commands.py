"""The commands of the program, read from its tree, so that no test lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from todo_cli.app import command_tree


def command_or_group(words: str = "") -> Any:
    """What the words lead to; the program itself without any."""
    found: Any = command_tree()
    for word in words.split():
        found = found.get_command(None, word)
    return found


def all_paths(above: str = "") -> Iterator[str]:
    """The words of every command and group, beginning with the program itself, which has none."""
    yield above
    group = command_or_group(above)
    if is_group(group):
        for name in group.list_commands(None):
            yield from all_paths(f"{above} {name}".lstrip())


def commands(above: str = "") -> list[str]:
    """The words of the commands that do something by themselves, those without help included."""
    return [path for path in all_paths(above) if not is_group(command_or_group(path))]


def listed_commands() -> list[str]:
    """Those that the help lists."""
    return [path for path in commands() if not command_or_group(path).hidden]


def is_group(command: Any) -> bool:
    return hasattr(command, "list_commands")
