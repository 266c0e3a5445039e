"""The output of the `todo db` commands. A module of its own, since few people load it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from todo_cli.documents import field, rfc3339
from todo_cli.render import Renderer
from todo_cli.render.terminal import COLUMN_GAP, make_console, plain_table, plain_text
from todo_cli.render.words import in_words, relative_time
from todo_cli.values import printable

Progress = Callable[[int, int | None, str], None]
"""Done so far, in all (None where nobody knows), and what is being done now."""


class DatabaseRenderer(Renderer):
    """Writes what administrators read."""

    def document(self, document: Any) -> None:
        """One JSON document."""
        self._document(document)

    @property
    def wants_json(self) -> bool:
        return self._json

    def sql(self, text: str) -> None:
        """Statements or another program's text: in a file as they are, harmless on a terminal."""
        shown = printable(text, keep="\n\t") if self._stdout.isatty() else text
        self._stdout.write(shown if shown.endswith("\n") else shown + "\n")

    def rows(self, rows: Sequence[Mapping[str, Any]], *, nothing: str = "Nothing.") -> None:
        """Records of the same fields: a JSON array, a table, or tab-separated lines."""
        if self._json:
            self._document([_recorded(row) for row in rows])
        elif not self.is_terminal:
            for row in rows:
                fields = (field(value) for value in _recorded(row).values())
                self._stdout.write("\t".join(fields) + "\n")
        elif not rows:
            self.note(nothing)
        else:
            console = self._console()
            console.print(_table(rows, self._now, console.width))

    def sections(
        self, sections: Mapping[str, Sequence[Mapping[str, Any]]], *, as_array: bool
    ) -> None:
        """Several named lists of records. With `as_array` there is just one."""
        if self._json and not as_array:
            self._document({name: [*map(_recorded, rows)] for name, rows in sections.items()})
            return
        for name, rows in sections.items():
            if self.is_terminal:
                self._console().print(plain_text(name), style="bold underline")
            if as_array or self.is_terminal:
                self.rows(rows)
            else:
                self.rows([{"section": name, **row} for row in rows])

    def health(self, status: str, target: str, checks: Sequence[Mapping[str, Any]]) -> None:
        """The checks. On a terminal a table, with hints for the checks that did not pass."""
        if self._json:
            document = [dict(check) for check in checks]
            self._document({"status": status, "target": target, "checks": document})
            return
        if not self.is_terminal:
            for check in checks:
                self._stdout.write("\t".join(field(value) for value in check.values()) + "\n")
            return
        console = self._console()
        table = plain_table(header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        for check in checks:
            sign, style = _SIGNS[str(check["status"])]
            said = f"{check['message']} {check['hint'] or ''}".strip()
            table.add_row(
                plain_text(sign),
                plain_text(check["name"]),
                plain_text(printable(said)),
                style=style,
            )
        console.print(table)
        console.print(plain_text(printable(f"{status}: {target}")), style="bold")

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A progress bar with the rate and the time left, if stderr is a terminal."""
        if self._quiet or not self._stderr.isatty():
            yield lambda *_: None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
        )
        console = make_console(self._stderr, self._environ)
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=None, figures="")

            def advance(done: int, total: int | None, now: str) -> None:
                speed = bar.tasks[0].speed
                rate = f" {speed:,.0f}/s" if speed else ""
                bar.update(
                    task,
                    completed=done,
                    total=total,
                    description=printable(now or what),
                    figures=f"{done:,}{rate}",
                )

            yield advance


_SIGNS = {"ok": ("✓", None), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def _recorded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record for programs, with instants as text."""
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


LONG_CELL = 40
"""A longer cell with spaces may be folded: it is a statement, not a name."""
MIN_LONG_CELL = 20


def _table(rows: Sequence[Mapping[str, Any]], now: datetime, width: int) -> Any:
    """One row for each record, or one line for each field if the columns do not fit."""
    cells = [[_cell(name, value, now) for name, value in row.items()] for row in rows]
    headings = [name.replace("_", " ") for name in rows[0]]
    if _needed_width(headings, cells) > width:
        headings = [heading.replace(" ", "\n") for heading in headings]
    if _needed_width(headings, cells) > width:
        return _fields(rows, cells)
    table = plain_table()
    for heading, column, value in zip(
        headings, zip(*cells, strict=True), rows[0].values(), strict=True
    ):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=not _is_long(column),
        )
    for row in cells:
        table.add_row(*map(plain_text, row))
    return table


def _needed_width(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """The width of a table that folds only long cells."""
    from rich.cells import cell_len

    width = 0
    for heading, column in zip(headings, zip(*cells, strict=True), strict=True):
        shown = MIN_LONG_CELL if _is_long(column) else max(map(cell_len, column))
        width += max(shown, *map(cell_len, heading.split("\n"))) + COLUMN_GAP
    return width - COLUMN_GAP


def _is_long(column: Sequence[str]) -> bool:
    return any(len(cell) > LONG_CELL and " " in cell for cell in column)


def _fields(rows: Sequence[Mapping[str, Any]], cells: Sequence[Sequence[str]]) -> Any:
    table = plain_table(header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for position, (row, values) in enumerate(zip(rows, cells, strict=True)):
        if position:
            table.add_row("", "")
        for name, value in zip(row, values, strict=True):
            table.add_row(plain_text(name.replace("_", " ")), plain_text(value))
    return table


def _cell(name: str, value: Any, now: datetime) -> str:
    """A value, formatted for people."""
    if isinstance(value, datetime):
        return relative_time(value, now)
    if isinstance(value, int) and name.endswith("bytes"):
        from rich.filesize import decimal

        return decimal(value)
    return printable(in_words(value))
