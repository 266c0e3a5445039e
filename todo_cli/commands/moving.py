"""The commands that move tasks in and out: `import` and `export`."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, TextIO

import typer

from todo_cli.commands.changing import read_filter
from todo_cli.commands.options import CommandGroup, current_run
from todo_cli.commands.tasks import FilterWords
from todo_cli.context import Run
from todo_cli.errors import InvalidInput
from todo_cli.values import TaskQuery, TaskState, printable

commands = CommandGroup()

CHUNK_TASKS = 10_000
CHUNK_CHARACTERS = 8 * 1024 * 1024
"""What one statement of an import carries at most."""
MAX_DOUBTS_SHOWN = 20
PEEK_BYTES = 64 * 1024
_EVERYTHING = "is:pending or is:waiting or is:done or is:trash"


@dataclass
class _Summary:
    """What an import did, or would do."""

    read: int = 0
    added: int = 0
    skipped: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    doubts: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "added": self.added,
            "already_there": self.read - self.skipped - self.added,
            "skipped": self.skipped,
            "lost": dict(sorted(self.lost.items())),
            "kept": dict(sorted(self.kept.items())),
        }


@commands.command("import", needs_own_process=True)
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file, or `-`.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help="json, csv, taskwarrior or todotxt; else guessed."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that cannot be read.")
    ] = False,
) -> None:
    """Import tasks from a file: all of them, or none if one cannot be read.

    The file may be our own export, Taskwarrior's JSON, or todo.txt. Importing the same file again
    adds nothing. Fields that todo does not have are kept, and exported again to the same format.
    What cannot be kept is counted.

    \b
    Examples:
      task export | todo import -
      todo import todo.txt --dry-run
      todo import old.json --skip-bad
      todo import tasks.csv --from csv
    """
    from todo_cli.render import temporary_file

    run = current_run(ctx)
    with temporary_file() as rows:
        with _opened(run, file) as stream:
            summary = _read(run, stream, file, from_, rows, skip_bad=skip_bad)

        def chunks() -> Iterator[str]:
            return _chunks(rows)

        tasks = run.workspace.tasks
        if summary.read > summary.skipped:
            summary.added = tasks.import_tasks(chunks, is_rehearsal=dry_run)
    run.render.imported(summary.document(), is_rehearsal=dry_run)
    for doubt in summary.doubts[:MAX_DOUBTS_SHOWN]:
        run.render.note(doubt)
    if len(summary.doubts) > MAX_DOUBTS_SHOWN:
        run.render.note(f"… and {len(summary.doubts) - MAX_DOUBTS_SHOWN:,} more.")


@contextmanager
def _opened(run: Run, file: str) -> Iterator[Any]:
    if file == "-":
        stdin = run.invocation.stdin
        if stdin is None or stdin.closed:
            raise InvalidInput("There is no standard input to read.")
        raw: Any = stdin.buffer  # read through a buffer of our own, which can look ahead
        reader = io.BufferedReader(raw, PEEK_BYTES)
        try:
            yield reader
        finally:
            reader.detach()
        return
    try:
        with open(file, "rb", buffering=PEEK_BYTES) as stream:
            yield stream
    except OSError as error:
        raise InvalidInput(f"{printable(file)} cannot be read: {error.strerror}.") from error


def _read(
    run: Run,
    stream: Any,
    file: str,
    from_: str | None,
    rows: TextIO,
    *,
    skip_bad: bool,
) -> _Summary:
    """Read the whole file into rows, one a line, before anything is sent."""
    from todo_cli import formats

    summary = _Summary()
    named = "Standard input" if file == "-" else printable(file)
    with run.render.waiting(lambda: f"Reading tasks: {summary.read:,}…"):
        try:
            kind = _format(from_, formats.READERS) or formats.guess(stream.peek(PEEK_BYTES))
            for record in formats.READERS[kind](stream, formats.Context(run.time_zone)):
                summary.read += 1
                row = _row(record)
                if isinstance(row, dict):
                    assert isinstance(record, formats.Record)
                    rows.write(json.dumps(row, ensure_ascii=False) + "\n")
                    summary.lost.update(record.lost)
                    summary.kept.update(record.kept)
                    summary.doubts += [f"line {record.line:,}: {doubt}" for doubt in record.doubts]
                elif skip_bad:
                    summary.skipped += 1
                    summary.doubts.append(f"Left out: {row.message}")
                else:
                    raise row
        except InvalidInput as error:
            raise InvalidInput(
                f"{named}, {error.message}" if error.reason == "bad_record" else error.message,
                hint=error.hint,
                reason=error.reason,
            ) from error
    return summary


def _row(record: Any) -> dict[str, Any] | InvalidInput:
    from todo_cli.formats.record import bad

    if isinstance(record, InvalidInput):
        return record
    try:
        row: dict[str, Any] = record.row()
        return row
    except InvalidInput as error:
        return bad(record.line, error)


def _format(name: str | None, known: Any) -> Any:
    """The format with that name, None without one."""
    if name is None:
        return None
    for kind in known:
        if kind == name:
            return kind
    raise InvalidInput(
        f"{printable(name)!r} is not a format here.", hint=f"Take one of: {', '.join(known)}"
    )


def _chunks(rows: TextIO) -> Iterator[str]:
    """JSON arrays of the rows, each bounded in number and size."""
    rows.seek(0)
    chunk: list[str] = []
    size = 0
    for line in rows:
        if len(chunk) == CHUNK_TASKS or (chunk and size + len(line) > CHUNK_CHARACTERS):
            yield f"[{','.join(chunk)}]"
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield f"[{','.join(chunk)}]"


@commands.command(needs_own_process=True)
def export(
    ctx: typer.Context,
    words: FilterWords = [],  # noqa: B006 - Typer copies it
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help="json (default), csv, taskwarrior, todotxt or markdown."
        ),
    ] = "json",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write this file, whole or not at all."),
    ] = None,
) -> None:
    """Export tasks: all of them, done and in the trash too, oldest first.

    With a FILTER, only what `todo list FILTER` shows. Our own JSON and CSV lose nothing. What
    another format cannot hold is counted.

    \b
    Examples:
      todo export --output tasks.json
      todo export --to taskwarrior | task import -
      todo export @home due:any --to markdown
      todo export --to csv --output tasks.csv
    """
    from todo_cli import formats

    run = current_run(ctx)
    kind = _format(to, formats.Format)
    if run.options.json and output is None and kind is not formats.Format.JSON:
        raise InvalidInput("With --json, another format needs --output FILE.")
    viewer = run.viewer()
    filter_ = read_filter(run, words or _EVERYTHING, viewer, TaskState.PENDING)
    query = TaskQuery(filter=filter_, viewer=viewer, reverse=True)
    counted, lost = Counter[str](), Counter[str]()
    pages = _counted(run.workspace.tasks.export(query), counted)
    if kind is formats.Format.JSON:
        texts = formats.own.write_json(pages)
    else:
        tasks = (json.loads(line) for page in pages for line in page.split("\n") if line)
        texts = formats.WRITERS[kind](tasks, formats.Context(run.time_zone), lost)
    destination: AbstractContextManager[IO[str]]
    destination = nullcontext(run.invocation.stdout) if output is None else _whole_file(output)
    with destination as file:
        file.writelines(texts)
    lost = +lost
    if output is not None:
        run.render.exported(counted["tasks"], dict(lost), str(output))
    elif lost:
        run.render.note(f"Not exported: {_said(lost)}.")


def _counted(pages: Iterator[str], counted: Counter[str]) -> Iterator[str]:
    for page in filter(None, pages):
        counted["tasks"] += page.count("\n") + 1
        yield page


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that gets its name when it is whole. Its mode is that of the user's umask."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a pipe, or /dev/null
        with open(target, "w", encoding="utf-8", newline="") as file:
            yield file
        return
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InvalidInput(
            f"{printable(str(path))} cannot be written: {error.strerror}."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
