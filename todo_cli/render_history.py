"""The output of the commands on the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from todo_cli.documents import changed_document, compact_json, rfc3339
from todo_cli.render import Renderer
from todo_cli.render.terminal import COLUMN_GAP, cut, plain_text, terminal_width
from todo_cli.render.words import in_words, relative_time
from todo_cli.values import printable

if TYPE_CHECKING:
    from todo_cli.tasks.history import Change, Entry, Undone

MAX_CHANGES_SHOWN = 5
"""A table shows so many changes of each command. The others are counted."""
MIN_WHAT_WIDTH = 20
MAX_VALUE_WIDTH = 60
"""A value in a table is cut to this, so that the next one is seen too."""


class HistoryRenderer(Renderer):
    """Writes what was changed, undone and done again."""

    @property
    def changes_shown(self) -> int | None:
        """How many changes of a command `entries` shows. None: all."""
        return MAX_CHANGES_SHOWN if self.is_terminal else None

    def undone(self, outcome: str, undone: Undone, *, is_dry_run: bool) -> None:
        """A command that was taken back or done again, and its first tasks."""
        if self._json:
            self._document(
                {
                    "batch": str(undone.batch),
                    "at": rfc3339(undone.at),
                    "command": undone.command,
                    "dry_run": is_dry_run,
                    "count": undone.count,
                    "tasks": [
                        {"number": number, "id": str(id_), "title": title}
                        for number, id_, title in undone.tasks
                    ],
                }
            )
            return
        count = "1 task" if undone.count == 1 else f"{undone.count:,} tasks"
        when = relative_time(undone.at, self._now)
        if self.is_terminal:
            self._stdout.write(f"{outcome}: {undone.command} ({count}, {when})\n")
            self._undone_lines(undone)
        else:
            self.note(f"{outcome}: {undone.command} ({count}, {when})")
            self._stdout.writelines(
                f"{number}\t{id_}\t{title}\n" for number, id_, title in undone.tasks
            )

    def _undone_lines(self, undone: Undone) -> None:
        console = self._console()
        for number, _, title in undone.tasks:
            line = plain_text("  ")
            line.append(str(number), style="cyan")
            line.append(f"  {printable(title)}")
            line.truncate(console.width, overflow="ellipsis")
            console.print(line, no_wrap=True)
        if undone.count > len(undone.tasks):
            more = f"  … and {undone.count - len(undone.tasks):,} more"
            console.print(plain_text(more), style="dim")

    def entries(self, entries: Sequence[Entry]) -> None:
        """Commands and what they changed: a table, a line for each change, or JSON."""
        if self._json:
            self._document([_entry_document(entry) for entry in entries])
        elif not self.is_terminal:
            self._stdout.writelines(
                f"{line}\n" for entry in entries for line in _entry_records(entry)
            )
        elif not entries:
            self.note("Nothing has changed yet.")
        else:
            self._write_table(entries, _said)

    def last_changes(self, entries: Sequence[Entry]) -> None:
        """The last changes of a task that was shown, for people."""
        if entries:
            self._stdout.write("\n")
            self._write_table(entries, lambda entry: map(_change_said, entry.changes))

    def _write_table(self, entries: Sequence[Entry], say: Callable[[Entry], Iterable[str]]) -> None:
        console = self._console()
        times = [relative_time(entry.at, self._now) for entry in entries]
        time_width = max(map(len, (*times, "When")))
        command_width = max(len("Command"), *(len(entry.command) for entry in entries))
        margin = time_width + command_width + 2 * COLUMN_GAP
        width = max(MIN_WHAT_WIDTH, terminal_width(self._stdout, self._environ) - margin)
        gap = " " * COLUMN_GAP
        heading = f"{'When':{time_width}}{gap}{'Command':{command_width}}{gap}What"
        console.print(plain_text(heading), style="bold", no_wrap=True)
        for entry, time in zip(entries, times, strict=True):
            for position, what in enumerate(say(entry)):
                first = position == 0
                line = plain_text("")
                line.append(f"{time if first else '':{time_width}}{gap}", style="dim")
                line.append(f"{entry.command if first else '':{command_width}}{gap}", style="cyan")
                line.append(cut(what, width))
                console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _entry_document(entry: Entry) -> dict[str, Any]:
    return {
        "batch": str(entry.batch),
        "at": rfc3339(entry.at),
        "command": entry.command,
        "undoes": None if entry.undoes is None else str(entry.undoes),
        "changes": [
            {
                "number": change.number,
                "id": str(change.id),
                "before": changed_document(change.before),
                "after": changed_document(change.after),
            }
            for change in entry.changes
        ],
    }


def _entry_records(entry: Entry) -> Iterator[str]:
    for change in entry.changes:
        values = (changed_document(change.before), changed_document(change.after))
        before, after = ("" if value is None else compact_json(value) for value in values)
        at, batch = rfc3339(entry.at), str(entry.batch)
        yield "\t".join(
            (at, batch, entry.command, str(change.number), str(change.id), before, after)
        )


def _said(entry: Entry) -> Iterator[str]:
    """A line for each of the first changes, and one for the number of the others."""
    if not entry.changes:
        yield "no task that is still there"
    for change in entry.changes:
        title = f" {printable(change.title)}" if change.title else ""
        yield f"{change.number}{title}: {_change_said(change)}"
    if entry.count > len(entry.changes):
        yield f"… and {entry.count - len(entry.changes):,} more"


def _change_said(change: Change) -> str:
    if change.before is None:
        return "deleted for good" if change.after is None else "added"
    if change.after is None:
        return "taken away"
    before, after = changed_document(change.before) or {}, changed_document(change.after) or {}
    return "; ".join(_fields_said(before, after)) or "back from the archive"


def _fields_said(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in after:
        if name == "completed":
            yield "open → done" if after[name] else "done → open"
        elif name == "deleted_at":
            yield "to the trash" if after[name] else "out of the trash"
        elif name != "completed_at" or "completed" not in after:
            yield f"{name.replace('_', ' ')} {_value(before[name])} → {_value(after[name])}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = compact_json(value)
    return cut(printable(in_words(value)), MAX_VALUE_WIDTH)
