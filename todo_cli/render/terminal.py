"""What a stream can show: its colours and its size, and text that is cut to fit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

DEFAULT_HEIGHT = 24
"""The height of a terminal that does not report it."""
COLUMN_GAP = 2
NARROW = 60
"""Below this many columns a table leaves out what is least important."""
BOLD, DIM, CYAN, DIM_CYAN = "1", "2", "36", "2;36"
BOLD_RED, BOLD_YELLOW = "1;31", "1;38;5;136"
"""Parameters of SGR, which sets a terminal's style (ECMA-48, 8.3.117). The yellow is number 136 of
256, which is legible on white as well: a terminal's own yellow seldom is."""


def styled(text: str, style: str) -> str:
    """The text in a style of SGR; as it is in none."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text


def cut(text: str, width: int) -> str:
    """Text in at most `width` columns. Truncated text ends with an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def fitted(text: str, width: int, mark: str = "") -> str:
    """Text and mark in exactly `width` columns. The text is truncated, or padded with spaces."""
    from rich.cells import set_cell_size

    return set_cell_size(cut(text, width - len(mark)) + mark, width)


def plain_table(*, header: bool = True) -> Table:
    from rich.table import Table

    return Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 1))


def plain_text(text: str) -> Any:
    """Text for Rich without markup and emoji codes."""
    from rich.text import Text

    return Text(text)


def has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def make_console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    from rich.console import Console

    # Rich would read missing settings from this process's environment, not from the caller's.
    colour = has_colour(stream, environ)
    truecolor = environ.get("COLORTERM") in ("truecolor", "24bit")
    return Console(
        file=stream,
        width=terminal_width(stream, environ),
        height=terminal_height(stream, environ),
        no_color=not colour,
        force_terminal=colour,
        force_interactive=colour and environ.get("TERM") != "dumb",
        color_system=("truecolor" if truecolor else "256") if colour else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int:
    """The columns of the stream's terminal, else 80."""
    columns = environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def terminal_height(stream: TextIO, environ: Mapping[str, str]) -> int:
    """The lines of the stream's terminal, else 24."""
    lines = environ.get("LINES", "")
    if lines.isdigit() and int(lines) > 0:
        return int(lines)
    try:
        return os.get_terminal_size(stream.fileno()).lines or DEFAULT_HEIGHT
    except (OSError, ValueError):
        return DEFAULT_HEIGHT
