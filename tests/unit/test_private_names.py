"""The private names of libraries that the program uses.

A library may rename them in any release, so each is used in one module, and is listed here with
what no longer works when it is gone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType

import psycopg
import pytest
import typer
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

import todo_cli
from todo_cli.database import connecting, target
from todo_cli.database.connecting import Deadline

FIRST_QUERIES = "SQLAlchemy would ask the server for it on each new connection: a round trip more."
SYNC = "A pipeline could not be sent whole, with its Sync as the last message."
OWNERS: dict[str, tuple[object, str]] = {
    "_get_server_version_info": (PGDialect_psycopg, FIRST_QUERIES),
    "_get_default_schema_name": (PGDialect_psycopg, FIRST_QUERIES),
    "_set_backslash_escapes": (PGDialect_psycopg, FIRST_QUERIES),
    "_sync_gen": (psycopg.Pipeline, SYNC),
    "_exit_gen": (psycopg.Pipeline, SYNC),
    "_enqueue_sync": (psycopg.Pipeline, SYNC),
    "_communicate_gen": (psycopg.Pipeline, SYNC),
    "_fetch_gen": (psycopg.Pipeline, SYNC),
    "_backslash_escapes": (PGDialect_psycopg, FIRST_QUERIES),
    "_check_connection_ok": (psycopg.Connection, "A connection would not use our pipeline."),
    "_pipeline": (psycopg.Connection, "A connection would not use our pipeline."),
    "_click": (typer, "Help could not be laid out, and no word could be completed."),
    "_resolve_context": ("typer._click.shell_completion", "No word could be completed."),
    "_resolve_incomplete": ("typer._click.shell_completion", "No word could be completed."),
    "_custom_shell_complete": (
        typer.core.TyperOption,
        "A value of free text would not complete to files.",
    ),
}
"""Each name, where the library has it, and what no longer works without it."""

DOCUMENTED = {"_mapping", "_replace", "_exit"}
"""SQLAlchemy's Row, named tuples and `os` document these, for all that they begin with `_`."""


@pytest.mark.parametrize("name", OWNERS)
def test_the_library_still_has_the_name(name: str) -> None:
    owner, loss = OWNERS[name]
    message = f"The library has no {name} any more. {loss} Find its new name, and try it out."
    if isinstance(owner, str):
        owner = importlib.import_module(owner)
    assert _knows(owner, name), message


def test_each_private_name_is_listed_and_used_in_one_module() -> None:
    places = defaultdict(set)
    for name, module in _names_of_libraries():
        places[name].add(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
    assert set(places) == set(OWNERS)


@pytest.fixture
def renamed_timeout() -> Iterator[None]:
    timeout = psycopg.errors._WaitTimeout
    name, timeout.__name__ = timeout.__name__, "RenamedTimeout"
    yield
    timeout.__name__ = name


def test_a_wait_ends_at_its_deadline_whatever_psycopg_calls_the_timeout(
    renamed_timeout: None, database_url: str
) -> None:
    parameters = target.connection_parameters(database_url)
    with connecting.connect(parameters, Deadline(30)) as connection:
        connection.deadline = Deadline(0.3)
        with pytest.raises(psycopg.errors.ConnectionTimeout, match=connecting.NO_ANSWER):
            connection.execute("select pg_sleep(60)")
        assert connection.closed


def _knows(owner: object, name: str) -> bool:
    """Whether a class or a module has the name; an instance may get it only when it is made."""
    if hasattr(owner, name) or not isinstance(owner, type):
        return hasattr(owner, name)
    return any(
        re.search(rf"\bself\.{name}\b", inspect.getsource(sys.modules[each.__module__]))
        for each in owner.__mro__
        if _is_of_a_library(each)
    )


def _is_of_a_library(owner: type) -> bool:
    package = owner.__module__.partition(".")[0]
    return package != "todo_cli" and package not in sys.stdlib_module_names


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(todo_cli.__path__, "todo_cli."):
        if ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def _private_names(tree: ast.AST) -> Iterator[str]:
    """The private names in a text that are no variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def _own_names(tree: ast.AST) -> Iterator[str]:
    """The names that a text gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _names_of_libraries() -> Iterator[tuple[str, str]]:
    """Each private name of a library, with the module of ours that uses it."""
    trees = {module: ast.parse(inspect.getsource(module)) for module in _modules()}
    own = {name for tree in trees.values() for name in _own_names(tree)}
    known = own | DOCUMENTED | sys.stdlib_module_names
    for module, tree in trees.items():
        for name in filter(_is_private, _private_names(tree)):
            if name not in known:
                yield name, module.__name__
        for name, owner in inspect.getmembers(module, inspect.isclass):
            if owner.__module__ == module.__name__:
                for name in _overridden(owner):
                    yield name, module.__name__


def _overridden(owner: type) -> Iterator[str]:
    """What a class of ours does instead of the library's class above it."""
    libraries = [each for each in owner.__mro__ if _is_of_a_library(each)]
    if libraries:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        for name in set(filter(_is_private, _private_names(tree))):
            if any(_knows(each, name) for each in libraries):
                yield name
