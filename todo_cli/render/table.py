"""A table of cells for a terminal: which columns fit, and how each line is drawn.

Not Rich's table: this is what people wait for most often, and that one takes as long as the rest of
the command, and as long again to import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from todo_cli.render.terminal import BOLD, COLUMN_GAP, CYAN, DIM, DIM_CYAN, fitted, styled

MIN_CUT_WIDTH = 8
"""Columns of the terminal. A cell that may be cut is not cut to less."""


@dataclass(frozen=True)
class Cell:
    """Text that is harmless on a terminal, its style, and a mark that stays where it is cut."""

    text: str = ""
    style: str = ""
    mark: str = ""

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return cell_len(self.text) + len(self.mark)


@dataclass
class Column:
    """A heading above cells. `max_width` cuts them; None shows them whole."""

    heading: str
    cells: Sequence[Cell]
    max_width: int | None = None
    width: int = field(init=False)

    def __post_init__(self) -> None:
        widest = max(len(self.heading), *(cell.width for cell in self.cells))
        self.width = widest if self.max_width is None else min(widest, self.max_width)

    @property
    def is_empty(self) -> bool:
        return not any(cell.text for cell in self.cells)


def fit(columns: Sequence[tuple[Column, int]], room: int, wanted: int) -> list[Column]:
    """The columns that fit beside the main one, the most important first.

    Each comes with the width that it must leave to the main column, if that one wants as much.
    """
    kept = []
    for column, width_left in columns:
        least = min(column.width, MIN_CUT_WIDTH) if column.max_width else column.width
        free = room - min(wanted, width_left) - COLUMN_GAP
        if free < least:
            continue
        column.width = min(column.width, free)
        room -= column.width + COLUMN_GAP
        kept.append(column)
    return kept


@dataclass(frozen=True)
class Table:
    """Numbers, then columns. Lines of faded rows are dim as a whole."""

    numbers: Sequence[str]
    columns: Sequence[Column]
    faded: Sequence[bool]
    is_styled: bool

    @property
    def number_width(self) -> int:
        return max(map(len, self.numbers))

    def heading(self) -> str:
        cells = [column.heading.ljust(column.width) for column in self.columns]
        line = _joined(["#".rjust(self.number_width), *cells])
        return self._styled(line, BOLD)

    def lines(self) -> Iterator[str]:
        for row, number in enumerate(self.numbers):
            is_faded = self.faded[row]
            first = self._styled(number.rjust(self.number_width), DIM_CYAN if is_faded else CYAN)
            cells = [self._cell(column, row, is_faded) for column in self.columns]
            rest = _joined(["", *cells])
            yield first + (self._styled(rest, DIM) if is_faded else rest)

    def _cell(self, column: Column, row: int, is_faded: bool) -> str:
        cell = column.cells[row]
        text = fitted(cell.text, column.width, cell.mark)
        return text if is_faded or not cell.text else self._styled(text, cell.style)

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style if self.is_styled else "")


def _joined(cells: Sequence[str]) -> str:
    return (" " * COLUMN_GAP).join(cells)
