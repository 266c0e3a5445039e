"""The commands that take a task's texts and attributes: `add`, `q`, `edit`, and `when`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from todo_cli.commands.attributes import draft_of, read_options, reader_of, say
from todo_cli.commands.changing import Change, DryRun, Where, Yes
from todo_cli.commands.options import (
    HAS_SEPARATOR,
    CommandGroup,
    Description,
    Due,
    OptionalRef,
    PriorityWord,
    Project,
    Tags,
    Wait,
    current_run,
)
from todo_cli.commands.suggestions import complete_attribute, complete_tag
from todo_cli.errors import InvalidDraft, InvalidInput
from todo_cli.values import NOT_GIVEN, TaskDraft

if TYPE_CHECKING:
    from todo_cli.attributes import Line
    from todo_cli.context import Run
    from todo_cli.models import Task
    from todo_cli.values import TaskChanges, TaskRef

commands = CommandGroup()


@commands.command()
def add(
    ctx: typer.Context,
    title: Annotated[
        list[str], typer.Argument(metavar="TITLE...", help="The title's words, or `-`.")
    ],
    description: Description = None,
    due: Due = None,
    wait: Wait = None,
    priority: PriorityWord = None,
    tags: Tags = [],  # noqa: B006 - Typer copies it
    project: Project = None,
    dry_run: DryRun = False,
) -> None:
    """Add a task; the words of the title are joined by one space.

    The title is taken as it is: options say the rest, and `todo q` reads it from the title's end.
    With `-` as the only word, add one task for each line of standard input that is not empty:
    all of them, or none. The options then hold for every line. Write `--` before a title that
    begins with a dash.

    \b
    Examples:
      todo add Buy milk
      todo add Write the report -D "fri 5pm" -p high -P work.reports
      todo add Call Ada -t phone -W monday    # hidden until Monday
      todo add -q Buy milk                    # prints just the number
      todo add -- -5 degrees tonight
      todo add - -t shop < tasks.txt
    """
    run = current_run(ctx)
    change = Change(run, dry_run)
    attributes = read_options(
        run, due=due, wait=wait, priority=priority, project=project, tags=tags
    )
    if title == ["-"]:
        change.show_added(_add_lines(change, description, attributes))
    else:
        draft = draft_of(" ".join(title), description, attributes)
        change.show_added(change.tasks.add([draft])[0])
    say(run, attributes)
    for option, text in (("-D", due), ("-W", wait)):
        _hint_at_split_date(run, option, text, title)
    _hint_at_attribute(run, title)


def _hint_at_attribute(run: Run, title: Sequence[str]) -> None:
    """Hint at a word such as due:friday, which other programs read wherever it stands."""
    if not any(":" in word for word in title):
        return
    from todo_cli.attributes import attribute_in

    word = attribute_in(title)
    if word is not None:
        run.render.note(f"hint: {word!r} is in the title. `todo q` reads it at the end of a line.")


def _hint_at_split_date(run: Run, option: str, text: str | None, title: Sequence[str]) -> None:
    """Hint at a date without quotes: of `-D fri 5pm` the shell gives `5pm` to the title."""
    if text is None or " " in text:
        return
    from todo_cli.attributes import longer_date

    whole = longer_date(text, title, reader_of(run))
    if whole is not None:
        rest = whole.removeprefix(f"{text} ")
        run.render.note(f"hint: {rest!r} is in the title. For both write: {option} {whole!r}")


@commands.command()
def q(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD...",
            autocompletion=complete_attribute,
            help="The title, then its attributes.",
        ),
    ],
    dry_run: DryRun = False,
) -> None:
    """Add a task by one line that ends with its attributes.

    From the end, up to the first ordinary word, these are read: due:DAY, wait:DAY, priority:WORD,
    project:PATH and tag:NAME, @NAME, p1 to p3, and one date. All other words are the title, and
    so is a word in quotes that has a blank in it. After `--` nothing is read. A date that is also
    an ordinary word, such as sun or may, stays in the title: write due:sun.

    \b
    Examples:
      todo q Pay the rent tomorrow p1
      todo q Call Ada fri 5pm @phone project:work
      todo q -n Buy milk in 3 days
      todo q -- Read the news today       # all of it is the title
    """
    from todo_cli.attributes import read_line

    run = current_run(ctx)
    line = read_line(words, reader_of(run), is_literal=ctx.meta[HAS_SEPARATOR])
    draft = draft_of(line.title, None, line.changes)
    if dry_run:
        _show_draft(run, draft.cleaned())
    else:
        run.render.added(run.workspace.tasks.add([draft])[0])
    _say_line(run, line)


def _show_draft(run: Run, draft: TaskDraft) -> None:
    """The task that would be added."""
    due = draft.due
    facts: dict[str, Any] = {
        "title": draft.title,
        "due_on": due and due.day,
        "due_time": due and due.time,
        "due_zone": due and due.zone,
        "wait_on": draft.wait_on,
        "priority": draft.priority and draft.priority.word,
        "project": draft.project,
        "tags": list(draft.tags),
    }
    if run.render.is_terminal:
        run.render.line(f"Title: {draft.title}")
    else:
        run.render.facts(facts)


def _say_line(run: Run, line: Line) -> None:
    if not run.render.is_terminal:  # where the answer shows it
        run.render.note(f"Title: {line.title}")
    say(run, line.changes)
    if line.hint is not None:
        run.render.note(f"hint: {line.hint}")


@commands.command()
def edit(
    ctx: typer.Context,
    ref: OptionalRef = None,
    where: Where = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The new title.")] = None,
    description: Description = None,
    due: Due = None,
    wait: Wait = None,
    priority: PriorityWord = None,
    tags: Tags = [],  # noqa: B006 - Typer copies it
    removed_tags: Annotated[
        list[str],
        typer.Option(
            "--no-tag",
            metavar="NAME",
            autocompletion=complete_tag,
            help="Remove a tag.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - Typer copies it
    project: Project = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Change a task; `none` clears an attribute, `-d ""` the description.

    `--tag` adds a tag and `--no-tag` removes one; `--tag none` removes all that were there. Without
    options your editor ($VISUAL or $EDITOR) opens on the task: the title on the first line, an
    attribute on each line below it, and the description after an empty line.

    With -w, change all tasks that match a filter, as `todo list FILTER` shows them: pending tasks
    that do not wait, unless the filter names others. It says how many, and asks.

    \b
    Examples:
      todo edit 12 --title "Buy oat milk"
      todo edit 12 -D tomorrow -p none
      todo edit 12 -t shop --no-tag phone
      todo edit 12 -d ""
      todo edit -w 'project:work is:overdue' -D monday
      todo edit 12
    """
    run = current_run(ctx)
    attributes = read_options(
        run,
        due=due,
        wait=wait,
        priority=priority,
        project=project,
        tags=tags,
        removed_tags=removed_tags,
    )
    changes = replace(
        attributes,
        title=NOT_GIVEN if title is None else title,
        description=NOT_GIVEN if description is None else description,
    )
    change = Change(run, dry_run)
    if where is not None and not changes:
        raise InvalidInput(
            "With -w, an option has to say what to change.",
            hint="For example: todo edit -w '@home' -p high",
        )
    if ref is not None and where is None and not changes:
        _edit_in_editor(change, ref)
        return
    chosen = change.choose([ref] if ref else [], where, "Edit {}?", yes=yes)
    edited = change.tasks.edit_all(chosen, changes)
    change.show_changed(edited, "Edited", "Unchanged", as_array=where is not None)
    if edited:
        say(run, changes, edited[0] if len(edited) == 1 else None)


def _edit_in_editor(change: Change, ref: TaskRef) -> None:
    from todo_cli.commands.editor import edited_text

    before = change.tasks.get([ref])[0]
    with edited_text(change.run, before) as after:
        edited = change.tasks.edit(ref, after, unchanged_since=before) if after else [before]
    change.show("Edited" if after else "Unchanged", edited, as_array=False)
    say(change.run, after, edited[0])


@commands.command()
def when(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="A date in words.")],
) -> None:
    """Show which day and time words mean, and change nothing.

    JSON has due_on, due_time, due_zone, text and repeat. Words that are not understood are an
    error: nothing is guessed.

    \b
    Examples:
      todo when next fri 5pm
      todo when "the last friday of the month" --json
    """
    from todo_cli import dates

    run = current_run(ctx)
    reader = reader_of(run)
    reading = dates.read(" ".join(words), reader.now, reader.order)
    text = dates.describe(reading.day, reading.time, reader.now)
    rule = reading.repeat
    facts: dict[str, Any] = {
        "due_on": reading.day,
        "due_time": reading.time,
        "due_zone": reader.zone if reading.time else None,
        "text": text,
        "repeat": None,
    }
    if rule is not None:
        source = "done" if rule.from_done else "due"
        document = {"rule": rule.to_rrule(), "from": source, "text": rule.words()}
        facts["repeat"] = document if run.options.json else rule.words()
    if not run.render.is_terminal:
        run.render.facts(facts)
        return
    if rule is not None:
        run.render.line(rule.words())
    run.render.line(text)


def _add_lines(change: Change, description: str | None, attributes: TaskChanges) -> list[Task]:
    """Add a task for each line of standard input that is not empty."""
    lines = change.run.stdin_text("titles, one a line").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise InvalidInput("Standard input has no task.", hint="Give one title per line.")
    try:
        return change.tasks.add([draft_of(line, description, attributes) for _, line in numbered])
    except InvalidDraft as error:
        number = numbered[error.position][0]
        raise InvalidInput(
            f"Line {number}: {error.message}", hint=error.hint, reason=error.reason
        ) from error
