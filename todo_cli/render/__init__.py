"""The only writer to stdout and stderr: tables and charts for people, TSV and JSON for programs.

stdout gets data, stderr narration. User text is never markup, and its control characters are shown
and not sent to a terminal. Only the functions that draw import Rich.
"""

from __future__ import annotations

import json
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
from todo_cli.render import terminal
from todo_cli.render.terminal import (
    BOLD,
    DIM,
    has_colour,
    make_console,
    plain_table,
    plain_text,
    styled,
    terminal_width,
)
from todo_cli.render.words import in_words, relative_time
from todo_cli.spinner import spinning
from todo_cli.values import (
    AccountSession,
    GroupCount,
    Stats,
    TaskPage,
    TaskQuery,
    View,
    Viewer,
    printable,
)

if TYPE_CHECKING:
    from rich.console import Console

    from todo_cli.errors import TodoError
    from todo_cli.models import Task

MAX_CHANGED_SHOWN = 20
"""A terminal shows a line for so many changed tasks. The others are counted."""
COPY_CHARACTERS = 1024 * 1024


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

    @property
    def width(self) -> int:
        """The columns of the terminal."""
        return terminal_width(self._stdout, self._environ)

    @property
    def height(self) -> int:
        """The lines of the terminal."""
        return terminal.terminal_height(self._stdout, self._environ)

    @property
    def _has_colour(self) -> bool:
        return has_colour(self._stdout, self._environ)

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style if self._has_colour else "")

    @property
    def is_quiet(self) -> bool:
        """Whether numbers alone are printed: `--quiet` was given, and JSON was not asked for."""
        return self._quiet and not self._json

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
        if self.is_quiet:
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

    def imported(self, summary: Mapping[str, Any], *, is_rehearsal: bool) -> None:
        """What an import read, added and left out: a sentence, fields, or a document."""
        if self._json:
            self._document(summary)
            return
        if not self.is_terminal:
            self._stdout.writelines(
                f"{name}\t{value}\n" for name, value in summary.items() if isinstance(value, int)
            )
        else:
            added = "Would be added" if is_rehearsal else "Added"
            self._stdout.write(
                f"{added}: {summary['added']:,} of {summary['read']:,} tasks. "
                f"Already there: {summary['already_there']:,}. "
                f"Left out: {summary['skipped']:,}.\n"
            )
        for name, sentence in (("kept", "Kept, not shown"), ("lost", "Lost")):
            counts = [f"{what} ({count:,})" for what, count in summary[name].items()]
            if counts:
                self.note(f"{sentence}: {', '.join(counts)}.")

    def exported(self, count: int, lost: Mapping[str, int], path: str) -> None:
        """How many tasks a file got, and what it could not hold."""
        if self._json:
            self._document({"exported": count, "lost": lost})
            return
        self.note(f"Exported {count:,} task{'' if count == 1 else 's'} to {path}.")
        if lost:
            said = ", ".join(f"{name} ({many:,})" for name, many in sorted(lost.items()))
            self.note(f"Not exported: {said}.")

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
        lines = list(self._page_lines(page, query))
        if page.total is not None and page.total > len(page.tasks):
            following = "--limit N" if query.view else f"--after {page.tasks[-1].number}"
            more = "More" if query.view else "The next page"
            cut = f"{len(page.tasks):,} of {page.total:,}. {more}: {following}"
            lines.append(self._styled(cut, DIM))
        self._stdout.write("".join(f"{line}\n" for line in lines))

    def _page_lines(self, page: TaskPage, query: TaskQuery) -> Iterator[str]:
        from todo_cli.render import tasks as tables

        table = tables.task_table(
            page.tasks, query, self._now, self.width, is_styled=self._has_colour
        )
        lines = table.lines()
        if query.view is View.UPCOMING and query.viewer is not None:
            for day, due in tables.upcoming_days(page.tasks, query.viewer):
                heading = tables.day_heading(day, query.viewer)
                yield self._styled(terminal.cut(heading, self.width), BOLD)
                for _ in due:
                    yield next(lines)
            return
        yield table.heading()
        for position, line in enumerate(lines):
            yield line
            if query.with_terms:
                for part in tables.sum_lines(page.terms[position], table.number_width, self.width):
                    yield self._styled(part, DIM)

    def upcoming(self, tasks: Sequence[Task], viewer: Viewer) -> None:
        """The days that come, each with its tasks: one JSON array."""
        from todo_cli.render.tasks import upcoming_days

        self._document(
            [
                {"date": str(day), "tasks": [task_document(task) for task in due], "repeats": []}
                for day, due in upcoming_days(tasks, viewer)
            ]
        )

    def groups(self, groups: Sequence[GroupCount], heading: str, *, is_tree: bool) -> None:
        """Projects or tags, each with its counts."""
        if self._json:
            self._document([vars(group) for group in groups])
        elif not self.is_terminal:
            for group in groups:
                self._stdout.write("\t".join(field(value) for value in vars(group).values()))
                self._stdout.write("\n")
        elif groups:
            from todo_cli.render.tasks import group_lines

            lines = group_lines(groups, heading, self.width, is_tree=is_tree)
            for position, line in enumerate(lines):
                self._stdout.write(self._styled(line, "" if position else BOLD) + "\n")

    def task(self, task: Task, viewer: Viewer) -> None:
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
        from todo_cli.render.tasks import task_details

        for name, value in task_details(task, viewer):
            details.add_row(name, plain_text(value))
        console.print(details)

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

        from todo_cli.render import figures

        console = self._console()
        table = figures.figures_table(list(figures.figures(stats, self._now)), console.width)
        console.print(table)
        bar = ProgressBar(
            total=1, completed=stats.completion_rate, width=min(40, console.width - 8)
        )
        rate = plain_table(header=False)
        rate.add_row(bar, f"{stats.completion_rate:.0%}")
        console.print(rate)
        console.print()
        # Four more lines: the rate, an empty line, the chart's heading, and the next prompt.
        rows = max(figures.MIN_CHART_ROWS, self.height - table.row_count - 4)
        console.print(figures.chart(stats.by_day, console.width, rows))

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
    red, reset = ("\x1b[31m", "\x1b[0m") if has_colour(stderr, environ) else ("", "")
    stderr.write(f"{red}Error:{reset} {printable(error.message)}\n")
    if error.hint:
        stderr.write(f"hint: {printable(error.hint)}\n")
    stderr.flush()


def _json_escaped(character: str) -> str:
    if character == "\n" or printable(character) == character:
        return character
    return f"\\u{ord(character):04x}"
