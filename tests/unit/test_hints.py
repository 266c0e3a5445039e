"""Hints that name commands belong to the command line; errors carry codes and data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer import Context
from typer.core import TyperGroup

from todo_cli import errors
from todo_cli.app import command_tree
from todo_cli.commands.hints import HINTS, hint_of
from todo_cli.errors import CredentialStoreError, InvalidInput, TaskNotFound, TodoError

PACKAGE = Path(errors.__file__).parent
OTHER_FRONT_ENDS_USE = [
    *(PACKAGE / "tasks").glob("*.py"),
    *(PACKAGE / "database").glob("*.py"),
    *(PACKAGE / name for name in ("accounts.py", "credentials.py", "errors.py", "values.py")),
    *(PACKAGE / name for name in ("workspace.py", "api.py", "config.py", "documents.py")),
]
A_COMMAND = re.compile(r"\btodo [a-z]{2,}|(?<![\w-])--[a-z]")


def hints_in(path: Path) -> Iterator[str]:
    """The texts that a module gives as `hint`, as they stand or by a constant's name."""
    module = ast.parse(path.read_text())
    constants = {
        target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            for part in ast.walk(node.value):
                named = constants.get(part.id, part) if isinstance(part, ast.Name) else part
                if isinstance(named, ast.Constant) and isinstance(named.value, str):
                    yield named.value


IS_OF_THE_COMMAND_LINE = ("commands/", "app.py", "agent/client.py")
"""The light client prints one hint itself, since it imports nothing of the program."""


def texts_in(module: ast.Module) -> Iterator[str]:
    """The strings of a module, without its docstrings."""
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


@pytest.fixture(scope="module")
def named_command() -> re.Pattern[str]:
    """Any command of the program, as a hint names it."""
    tree = command_tree()
    context = Context(tree)
    names = tree.list_commands(context)
    inner = [
        f"{name} {child}"
        for name in names
        if isinstance(group := tree.get_command(context, name), TyperGroup)
        for child in group.list_commands(context)
    ]
    outer = [name for name in names if not any(each.startswith(f"{name} ") for each in inner)]
    return re.compile(rf"\btodo ({'|'.join(map(re.escape, outer + inner))})\b")


def test_only_the_command_line_names_commands(named_command: re.Pattern[str]) -> None:
    assert named_command.search("See who with: todo db inspect locks")
    assert named_command.search("Log in with: todo login")
    found = {
        name: named
        for path in PACKAGE.rglob("*.py")
        if not (name := str(path.relative_to(PACKAGE))).startswith(IS_OF_THE_COMMAND_LINE)
        if (named := list(filter(named_command.search, texts_in(ast.parse(path.read_text())))))
    }
    assert found == {}


def codes(kind: type[TodoError] = TodoError) -> Iterator[str]:
    for child in kind.__subclasses__():
        yield child.code
        yield from codes(child)


@pytest.mark.parametrize("path", OTHER_FRONT_ENDS_USE, ids=lambda path: path.name)
def test_no_hint_below_the_commands_names_one(path: Path) -> None:
    assert [hint for hint in hints_in(path) if A_COMMAND.search(hint)] == []


def test_a_hint_is_found_by_reason_then_by_code() -> None:
    plain, in_trash = TaskNotFound("No."), TaskNotFound("No.", reason="task_in_trash", number=7)
    assert hint_of(plain, command="todo done") == "See the numbers with: todo list --all"
    assert hint_of(in_trash, command="todo done") == "Bring it back with: todo restore 7"
    assert hint_of(TaskNotFound("No.", hint="Own."), command="todo done") == "Own."
    assert hint_of(InvalidInput("No."), command="todo add") == "See: todo add --help"


@pytest.mark.parametrize(
    ("command", "named"), [("todo list", "todo login"), ("todo register", "todo register")]
)
def test_the_store_is_named_with_the_command_that_keeps(command: str, named: str) -> None:
    hint = hint_of(CredentialStoreError("No."), command=command) or ""
    assert f"{named} --credential-store=file" in hint


def test_every_hint_is_of_a_code_or_a_reason() -> None:
    known = set(codes())
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "hints.py")
    assert [name for name in HINTS if name not in known and f'"{name}"' not in text] == []
