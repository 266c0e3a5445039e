"""The layout of `--help`: as wide as the terminal, and readable in 40 columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from todo_cli.commands.click import HelpFormatter

MAX_WIDTH = 120
"""Longer lines are hard to read."""
MARGIN = 2

_PYTHON_TYPE = re.compile(r" <(list\[)?\w+\]?>$")
"""What Typer shows behind an argument's name: `<list[TaskRef]>`."""


class Help(HelpFormatter):
    """Lays out one help text for a terminal of so many columns."""

    def __init__(self, columns: int) -> None:
        super().__init__(width=min(columns, MAX_WIDTH) - MARGIN)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        for end in "}]":  # Typer adds dots of its own
            args = args.replace(f"...{end}...", f"{end}...")
        super().write_usage(prog, args, prefix)

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        rows = [(_PYTHON_TYPE.sub("", name), meaning) for name, meaning in rows]
        # In 40 columns the names may not take 30: what they mean would have 8.
        super().write_dl(rows, min(col_max, self.width // 3), col_spacing)
