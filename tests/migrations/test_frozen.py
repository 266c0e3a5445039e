"""A migration is frozen: it does for ever what it did when it was released."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

VERSIONS = sorted((Path(__file__).parents[2] / "migrations" / "versions").glob("*.py"))
LIBRARIES = {"alembic", "sqlalchemy"}


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_imports_nothing_of_the_program(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    imported = {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in imported}
    changing = packages - LIBRARIES - sys.stdlib_module_names
    assert not changing, f"{path.name} imports {changing}: write out what it needs"
