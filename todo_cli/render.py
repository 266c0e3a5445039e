"""The only writer to stdout and stderr: tables and charts for people, TSV and JSON for programs.

stdout gets data, stderr narration. User text is never markup, and its control characters are shown
and not sent to a terminal. Only the functions that draw import Rich.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from itertools import chain
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, TextIO

from todo_cli.documents import (
    MAY_HAVE_LINES,
    compact_json,
    field,
    json_value,
    session_document,
    stats_document,
    task_document,
    task_record,
)
from todo_cli.errors import AnswerLost
from todo_cli.spinner import spinning
from todo_cli.values import (
    DUE_COLUMNS,
    SOMEDAY,
    WRITTEN_FIELDS,
    AccountSession,
    DayCount,
    Stats,
    TaskPage,
    TaskQuery,
    TaskState,
    printable,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from todo_cli.errors import TodoError
    from todo_cli.models import Task

MAX_CHANGED_SHOWN = 20
"""A terminal shows a line for so many changed tasks. The others are counted."""
MIN_CHART_ROWS = 5
MIN_BAR_WIDTH, MAX_BAR_WIDTH = 6, 30
DAYS_OF_A_YEAR = 365
DEFAULT_HEIGHT = 24
"""The height of a terminal that does not report it."""
DESCRIPTION_MARK = " ¶"
"""Follows the title of a task that has a description, in a table."""
MIN_TITLE_WIDTH = 10
COLUMN_GAP = 2
_LABELS = {"wait_on": "Waits until"}
"""The labels of details that are not the names of their fields."""
_BOLD, _DIM, _CYAN, _DIM_CYAN = "1", "2", "36", "2;36"
"""Parameters of SGR, which sets a terminal's style (ECMA-48, 8.3.117)."""
COPY_CHARACTERS = 1024 * 1024
NARROW = 60
"""A table narrower than this has no times, so that the titles have room."""


class Renderer:
    """Writes the result of one run, in a form that depends on the options and the streams."""

    def __init__(
        self,
        *,
        stdout: TextIO,
        stderr: TextIO,
        environ: Mapping[str, str],
        json: bool,
        quiet: bool,
        now: datetime,
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._environ = environ
        self._json = json
        self._quiet = quiet
        self._now = now

    @property
    def is_terminal(self) -> bool:
        """Whether people read the result: stdout is a terminal, and JSON was not asked for."""
        return not self._json and self._stdout.isatty()

    # --- narration -------------------------------------------------------------------------

    def note(self, sentence: str) -> None:
        """Write a sentence for the user to stderr, unless `--quiet` was given."""
        if not self._quiet:
            self._stderr.write(printable(sentence) + "\n")
            self._stderr.flush()

    def waiting(self, describe: Callable[[], str]) -> AbstractContextManager[None]:
        """Show on a terminal what a long wait is for, while it lasts."""
        if self._quiet or not self._stderr.isatty():
            return nullcontext()
        is_animated = self._environ.get("TERM") != "dumb"
        return spinning(self._stderr, describe, is_animated=is_animated)

    def prompt(self, question: str, about: Sequence[str] = ()) -> None:
        """Write a question below the lines in `about`."""
        self._stderr.writelines(f"{printable(line)}\n" for line in about)
        self._stderr.write(printable(question))
        self._stderr.flush()

    # --- tasks -----------------------------------------------------------------------------

    def added(self, added: Task | list[Task]) -> None:
        """The added tasks: one task, or a list of them from lines of input."""
        tasks = added if isinstance(added, list) else [added]
        if self._quiet and not self._json:
            self._stdout.write("".join(f"{task.number}\n" for task in tasks))
        else:
            self.changed("Added", tasks, as_array=isinstance(added, list))

    def changed(
        self, outcomes: str | Sequence[str], tasks: Sequence[Task], *, as_array: bool = True
    ) -> None:
        """Changed tasks, with one outcome for all or one for each: lines, records or JSON."""
        if self._json:
            documents = [task_document(task) for task in tasks]
            self._document(documents if as_array else documents[0])
        elif self.is_terminal:
            each = [outcomes] * len(tasks) if isinstance(outcomes, str) else outcomes
            self._changed_lines(each, tasks)
        else:
            self.records(tasks)

    def json_array(self, pages: Iterable[str]) -> None:
        """One JSON array of documents, or nothing if a page cannot be read.

        Several pages are collected in a temporary file until the last one is read, so that they
        take the memory of one or two.
        """
        coming = iter(pages)
        first, second = next(coming, ""), next(coming, None)
        if second is None:
            self._stdout.writelines(self._array_parts([first]))
            return
        with temporary_file() as waiting:
            waiting.writelines(self._array_parts(chain([first, second], coming)))
            waiting.seek(0)
            copyfileobj(waiting, self._stdout, COPY_CHARACTERS)

    def _array_parts(self, pages: Iterable[str]) -> Iterator[str]:
        """An array of compact documents: on one line, or indented for a terminal."""
        indented = self._stdout.isatty()
        opening, separator, closing = ("[\n  ", ",\n  ", "\n]\n") if indented else ("[", ",", "]\n")
        is_empty = True
        for page in filter(None, pages):
            yield opening if is_empty else separator
            is_empty = False
            documents = map(self._indented, page.split("\n")) if indented else page.split("\n")
            yield separator.join(documents)
        yield "[]\n" if is_empty else closing

    def _indented(self, document: str) -> str:
        return self._json_text(json.loads(document)).replace("\n", "\n  ")

    def lines(self, pages: Iterable[str]) -> None:
        """Records or documents, one a line. Each page is written as soon as it is read."""
        for page in filter(None, pages):
            self._stdout.write(page)
            self._stdout.write("\n")

    def records(self, tasks: Iterable[Task]) -> None:
        """One tab-separated record a line, with nothing truncated."""
        self._stdout.writelines(f"{task_record(task)}\n" for task in tasks)

    def page(self, page: TaskPage, query: TaskQuery) -> None:
        """A table of tasks, and their total if the table does not show all."""
        styled = _has_colour(self._stdout, self._environ)
        width = terminal_width(self._stdout, self._environ)
        lines = list(self._table(page.tasks, query, width, styled=styled))
        if page.total is not None and page.total > len(page.tasks):
            last = page.tasks[-1].number
            cut = f"{len(page.tasks):,} of {page.total:,}. The next page: --after {last}"
            lines.append(_styled(cut, _DIM, styled))
        self._stdout.write("".join(f"{line}\n" for line in lines))

    def _table(
        self, tasks: Sequence[Task], query: TaskQuery, width: int, *, styled: bool
    ) -> Iterator[str]:
        """The lines of a table. Titles are truncated to fit; numbers and times are not.

        Rich's table would triple the time of the command that people run most: it takes as long
        as the rest of the command, and its import again as long.
        """
        from rich.cells import cell_len

        with_status = query.state is TaskState.ALL
        heading = _time_heading(query) if width >= NARROW else ""
        titles = [printable(task.title) for task in tasks]
        marks = [DESCRIPTION_MARK if task.description else "" for task in tasks]
        times = [relative_time(_time_shown(task, query), self._now) for task in tasks]
        number_width = max(len(str(task.number)) for task in tasks)
        time_width = max(len(heading), *map(len, times))
        taken = number_width + COLUMN_GAP
        taken += (1 + COLUMN_GAP) * with_status + (time_width + COLUMN_GAP) * bool(heading)
        room = max(MIN_TITLE_WIDTH, width - taken)
        widths = [cell_len(title) + len(mark) for title, mark in zip(titles, marks, strict=True)]
        title_width = min(room, max(len("Task"), *widths))

        def row(number: str, status: str, title: str, mark: str, time: str) -> Iterator[str]:
            yield number.rjust(number_width)
            if with_status:
                yield status
            yield _fitted(title, title_width, mark)
            if heading:
                yield time.ljust(time_width)

        gap = " " * COLUMN_GAP
        yield _styled(gap.join(row("#", " ", "Task", "", heading)), _BOLD, styled)
        for task, title, mark, time in zip(tasks, titles, marks, times, strict=True):
            status = "✓" if task.completed else "·"
            number, *cells = row(str(task.number), status, title, mark, time)
            faded = with_status and task.completed
            if faded:
                last = _styled(gap.join(["", *cells]), _DIM, styled)
            elif heading:
                last = gap.join(["", *cells[:-1], _styled(cells[-1], _DIM, styled)])
            else:
                last = gap.join(["", *cells])
            yield _styled(number, _DIM_CYAN if faded else _CYAN, styled) + last

    def task(self, task: Task) -> None:
        """One task with all its fields."""
        if self._json:
            self._document(task_document(task))
            return
        if not self.is_terminal:
            for name, value in task_document(task).items():
                text = field(value, may_have_lines=name in MAY_HAVE_LINES)
                self._stdout.write(f"{name}\t{text}\n")
            return
        console = self._console()
        console.print(plain_text(printable(task.title)), style="bold")
        if task.description:
            console.print()
            console.print(plain_text(printable(task.description, keep="\n\t")))
        console.print()
        details = plain_table(header=False)
        details.add_column(style="dim", no_wrap=True)
        details.add_column(overflow="fold")
        for name, value in self._details(task):
            details.add_row(name, plain_text(value))
        console.print(details)

    def _details(self, task: Task) -> Iterator[tuple[str, str]]:
        yield "Number", str(task.number)
        yield "UUID", str(task.id)
        yield "Status", "done" if task.completed else "pending"
        yield from _written_details(task)
        for name, instant in (
            ("Created", task.created_at),
            ("Changed", task.updated_at),
            ("Completed", task.completed_at),
            ("In the trash since", task.deleted_at),
        ):
            if instant is not None:
                local = instant.astimezone().strftime("%Y-%m-%d %H:%M")
                yield name, f"{local} ({relative_time(instant, self._now)})"

    def _changed_lines(self, outcomes: Sequence[str], tasks: Sequence[Task]) -> None:
        console = self._console()
        for outcome, task in zip(outcomes[:MAX_CHANGED_SHOWN], tasks, strict=False):
            line = plain_text(f"{outcome} ")
            line.append(str(task.number), style="cyan")
            line.append(f"  {printable(task.title)}")
            line.truncate(console.width, overflow="ellipsis")
            console.print(line, no_wrap=True)
        if len(tasks) > MAX_CHANGED_SHOWN:
            counts = [f"{n:,} {outcome.lower()}" for outcome, n in Counter(outcomes).items()]
            more = f"… and {len(tasks) - MAX_CHANGED_SHOWN:,} more. In all: {', '.join(counts)}."
            console.print(plain_text(more), style="dim")

    # --- statistics ------------------------------------------------------------------------

    def stats(self, stats: Stats) -> None:
        if self._json:
            self._document(stats_document(stats))
        elif self.is_terminal:
            self._stats_tables(stats)
        else:
            document = stats_document(stats)
            days = document.pop("by_day")
            for name, value in document.items():
                self._stdout.write(f"{name}\t{field(value)}\n")
            for day in days:
                self._stdout.write("day\t" + "\t".join(str(value) for value in day.values()) + "\n")

    def _stats_tables(self, stats: Stats) -> None:
        from rich.progress_bar import ProgressBar

        console = self._console()
        figures = _figures_table(list(_figures(stats, self._now)), console.width)
        console.print(figures)
        bar = ProgressBar(
            total=1, completed=stats.completion_rate, width=min(40, console.width - 8)
        )
        rate = plain_table(header=False)
        rate.add_row(bar, f"{stats.completion_rate:.0%}")
        console.print(rate)
        console.print()
        height = terminal_height(self._stdout, self._environ)
        # Four more lines: the rate, an empty line, the chart's heading, and the next prompt.
        rows = max(MIN_CHART_ROWS, height - figures.row_count - 4)
        console.print(_chart(stats.by_day, console.width, rows))

    # --- accounts --------------------------------------------------------------------------

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Names and values: a table, lines, or a JSON object."""
        if self._json:
            self._document({name: json_value(value) for name, value in facts.items()})
        elif not self.is_terminal:
            for name, value in facts.items():
                self._stdout.write(f"{name}\t{field(json_value(value))}\n")
        else:
            table = plain_table(header=False)
            table.add_column(style="dim", no_wrap=True)
            table.add_column(overflow="fold")
            for name, value in facts.items():
                table.add_row(plain_text(name.replace("_", " ")), plain_text(self._shown(value)))
            self._console().print(table)

    def version(self, version: str) -> None:
        if self._json:
            self._document({"version": version})
        else:
            self._stdout.write(f"todo {version}\n")

    def line(self, text: str) -> None:
        """One line without decoration, such as a URL to copy."""
        self._stdout.write(printable(text) + "\n")

    def sessions(self, sessions: Sequence[AccountSession]) -> None:
        """An account's sessions. The current one is marked."""
        if self._json:
            self._document([session_document(session) for session in sessions])
        elif not self.is_terminal:
            for session in sessions:
                values = session_document(session).values()
                self._stdout.write("\t".join(field(value) for value in values) + "\n")
        else:
            self._sessions_table(sessions)

    def _sessions_table(self, sessions: Sequence[AccountSession]) -> None:
        table = plain_table()
        table.add_column("", style="green", no_wrap=True)
        table.add_column("Session", style="cyan", no_wrap=True)
        table.add_column("Where", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("Last used", no_wrap=True, style="dim")
        for session in sessions:
            table.add_row(
                "*" if session.is_current else "",
                str(session.id)[:8],
                plain_text(printable(session.user_agent or "unknown")),
                relative_time(session.updated_at, self._now),
            )
        self._console().print(table)

    def _shown(self, value: Any) -> str:
        if isinstance(value, datetime):
            return value.astimezone().strftime("%Y-%m-%d %H:%M")
        return printable(in_words(value))

    # --- output ----------------------------------------------------------------------------

    def _document(self, document: Any) -> None:
        """One JSON document: compact on a pipe, indented on a terminal."""
        self._stdout.write(self._json_text(document) + "\n")

    def _json_text(self, document: Any) -> str:
        if not self._stdout.isatty():
            return compact_json(document)
        text = json.dumps(document, ensure_ascii=False, indent=2)
        # JSON's escapes mean the same to a parser, and are safe for a terminal.
        return "".join(_json_escaped(character) for character in text)

    def _console(self) -> Console:
        return make_console(self._stdout, self._environ)


@contextmanager
def temporary_file() -> Iterator[TextIO]:
    """A temporary file without a name.

    Raises:
        AnswerLost: no folder for temporary files is writable.
    """
    from tempfile import TemporaryFile

    try:
        file = TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - closed below
    except OSError as error:
        raise AnswerLost(
            f"Cannot create a temporary file for the answer: {error.strerror}.",
            hint="Set TMPDIR to a writable folder, or use --jsonl.",
        ) from error
    with file:
        yield file


def write_error(
    error: TodoError, stderr: TextIO, environ: Mapping[str, str], *, json: bool
) -> None:
    """Write an error and its hint to stderr: two lines, or one JSON document."""
    if json:
        body = {"code": error.code, "message": error.message, "hint": error.hint}
        stderr.write(compact_json({"error": body}) + "\n")
        return
    red, reset = ("\x1b[31m", "\x1b[0m") if _has_colour(stderr, environ) else ("", "")
    stderr.write(f"{red}Error:{reset} {printable(error.message)}\n")
    if error.hint:
        stderr.write(f"hint: {printable(error.hint)}\n")
    stderr.flush()


def _written_details(task: Task) -> Iterator[tuple[str, str]]:
    """What somebody said of the task besides its texts, each with its label."""
    document = task_document(task) | {"extra": task.extra and compact_json(task.extra)}
    due = [document[name] for name in DUE_COLUMNS]
    document["due"] = " ".join(filter(None, due))
    if task.wait_on == SOMEDAY:
        document["wait_on"] = "someday"
    for name in WRITTEN_FIELDS:
        if name not in ("title", "description") and document[name]:
            label = _LABELS.get(name, name.replace("_", " ").capitalize())
            yield label, printable(field(document[name]))


def relative_time(instant: datetime, now: datetime) -> str:
    """How long ago, in the largest whole unit. After a year, the date."""
    seconds = (now - instant).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, length, limit in (
        ("minute", 60, 3600),
        ("hour", 3600, 86_400),
        ("day", 86_400, 7 * 86_400),
        ("week", 7 * 86_400, 30 * 86_400),
        ("month", 30 * 86_400, 365 * 86_400),
    ):
        if seconds < limit:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return instant.astimezone().strftime("%Y-%m-%d")


def in_words(value: Any) -> str:
    """A value, formatted for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(part) for part in value) or "–"
    return str(value)


def _json_escaped(character: str) -> str:
    if character == "\n" or printable(character) == character:
        return character
    return f"\\u{ord(character):04x}"


def _figures(stats: Stats, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Pending", f"{stats.pending:,}"
    yield "Completed", f"{stats.completed:,}"
    if stats.trash:
        yield "In the trash", f"{stats.trash:,}"
    yield "Created in 7 days", f"{stats.created_last_7_days:,}"
    yield "Completed in 7 days", f"{stats.completed_last_7_days:,}"
    yield "Streak", f"{stats.streak_days:,} day{'' if stats.streak_days == 1 else 's'}"
    if stats.median_hours_to_done is not None:
        yield "Median time to done", duration(stats.median_hours_to_done * 3600)
    if stats.oldest_pending is not None:
        yield "Oldest pending", relative_time(stats.oldest_pending, now)


def duration(seconds: float) -> str:
    """A length of time in the largest whole unit, to one decimal."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            count = f"{seconds / length:.1f}"
            return f"1 {unit[:-1]}" if count == "1.0" else f"{count} {unit}"
    return f"{seconds:.0f} seconds"


def _figures_table(figures: Sequence[tuple[str, str]], width: int) -> Table:
    """The figures, in two columns if they fit, so that the chart has more lines."""
    columns = 1 if width < NARROW else 2
    lines = -(-len(figures) // columns)
    table = plain_table(header=False)
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", style="bold", no_wrap=True)
    for line in range(lines):
        table.add_row(*(text for figure in figures[line::lines] for text in figure))
    return table


def _chart(days: Sequence[DayCount], width: int, max_rows: int) -> Table:
    """Bars of created and completed tasks per day, or per span of days if there are many days."""
    from rich.bar import Bar

    span = -(-len(days) // max_rows)
    rows = [days[start : start + span] for start in range(0, len(days), span)]
    counts = [(sum(d.created for d in row), sum(d.completed for d in row)) for row in rows]
    most = max(1, *(count for pair in counts for count in pair))
    date_format = "%m-%d" if len(days) <= DAYS_OF_A_YEAR else "%Y-%m-%d"
    texts = [row[0].date.strftime(date_format) for row in rows]
    taken = len(texts[0]) + 2 * len(f"{most:,}") + 4 * COLUMN_GAP
    bar_width = max(MIN_BAR_WIDTH, min(MAX_BAR_WIDTH, (width - taken) // 2))
    table = plain_table()
    table.add_column("Day" if span == 1 else "From", style="dim", no_wrap=True)
    table.add_column("Created", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("Completed" if width >= NARROW else "Done", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for text, (created, completed) in zip(texts, counts, strict=True):
        table.add_row(
            text,
            Bar(most, 0, created, width=bar_width, color="cyan"),
            f"{created:,}" if created else "",
            Bar(most, 0, completed, width=bar_width, color="green"),
            f"{completed:,}" if completed else "",
        )
    return table


def _time_heading(query: TaskQuery) -> str:
    headings = {
        TaskState.DONE: "Completed",
        TaskState.ARCHIVED: "Completed",
        TaskState.TRASH: "Removed",
    }
    return headings.get(query.state, "Created")


def _time_shown(task: Task, query: TaskQuery) -> datetime:
    shown = {
        TaskState.DONE: task.completed_at,
        TaskState.ARCHIVED: task.completed_at,
        TaskState.TRASH: task.deleted_at,
    }
    return shown.get(query.state) or task.created_at


def _fitted(text: str, width: int, mark: str = "") -> str:
    """Text and mark in exactly `width` columns. The text is truncated, or padded with spaces."""
    from rich.cells import set_cell_size

    return set_cell_size(cut(text, width - len(mark)) + mark, width)


def cut(text: str, width: int) -> str:
    """Text in at most `width` columns. Truncated text ends with an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _styled(text: str, style: str, styled: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if styled else text


def plain_table(*, header: bool = True) -> Table:
    from rich.table import Table

    return Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 1))


def plain_text(text: str) -> Any:
    """Text for Rich without markup and emoji codes."""
    from rich.text import Text

    return Text(text)


def _has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def make_console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    from rich.console import Console

    # Rich would read missing settings from this process's environment, not from the caller's.
    colour = _has_colour(stream, environ)
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
