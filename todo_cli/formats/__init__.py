"""Files of other programs, and our own: pure readers and writers of tasks.

A reader takes a binary stream, and yields a record for each task, or the error of a bad one. A
writer takes the documents of tasks, and yields text. Neither knows a database or a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, BinaryIO

from todo_cli.errors import InvalidInput
from todo_cli.formats import markdown, own, taskwarrior, todotxt
from todo_cli.formats.record import Context, Record

__all__ = ["READERS", "WRITERS", "Context", "Format", "Record", "guess"]


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    TASKWARRIOR = "taskwarrior"
    TODOTXT = "todotxt"
    MARKDOWN = "markdown"


Reader = Callable[[BinaryIO, Context], Iterator[Record | InvalidInput]]
Writer = Callable[[Iterable[dict[str, Any]], Context, Counter[str]], Iterator[str]]

READERS: dict[Format, Reader] = {
    Format.JSON: own.read_json,
    Format.CSV: own.read_csv,
    Format.TASKWARRIOR: taskwarrior.read,
    Format.TODOTXT: todotxt.read,
}
WRITERS: dict[Format, Writer] = {
    Format.CSV: own.write_csv,
    Format.TASKWARRIOR: taskwarrior.write,
    Format.TODOTXT: todotxt.write,
    Format.MARKDOWN: markdown.write,
}
"""Our own JSON is not among them: the database writes it."""


def guess(beginning: bytes) -> Format:
    """The format of a file, by its first bytes.

    Raises:
        InvalidInput: it is none that is read, or could be several.
    """
    text = beginning.decode("utf-8-sig", errors="replace").lstrip()
    if text[:1] in ("[", "{"):
        if '"title"' in text:
            return Format.JSON
        if '"description"' in text:
            return Format.TASKWARRIOR
        if text.strip() == "[]":
            return Format.JSON
    elif text.startswith("number,id,title,"):
        return Format.CSV
    elif text and not text.startswith(("<", "BEGIN:", "TYPE,")) and "\0" not in text:
        return Format.TODOTXT
    raise InvalidInput(
        "The format of the file is not known.",
        hint=f"Name it with --from: {', '.join(READERS)}",
    )
