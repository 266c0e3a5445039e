"""The commands on tasks: parse, one repository call, hand the result to render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.completion import complete_refs
from todo_cli.commands.options import CommandGroup, Ref, Refs, current_run
from todo_cli.errors import InvalidDraft, InvalidInput
from todo_cli.values import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_STATS_DAYS,
    NOT_GIVEN,
    SortKey,
    TaskChanges,
    TaskDraft,
    TaskQuery,
    TaskRef,
    TaskState,
)

if TYPE_CHECKING:
    from todo_cli.context import Run
    from todo_cli.models import Task
    from todo_cli.tasks.repository import ChangedTasks

commands = CommandGroup()

MAX_SHOWN = 10
"""The question before a permanent deletion shows so many tasks."""

Description = Annotated[
    str | None,
    typer.Option(
        "--description", "-d", metavar="TEXT", help="Description; may span several lines."
    ),
]


@commands.command()
def add(
    ctx: typer.Context,
    title: Annotated[
        list[str], typer.Argument(metavar="TITLE...", help="The title's words, or `-`.")
    ],
    description: Description = None,
) -> None:
    """Add a task; the words of the title are joined by one space.

    With `-` as the only word, add one task for each line of standard input that is not empty:
    all of them, or none. Write `--` before a title that begins with a dash.

    \b
    Examples:
      todo add Buy milk
      todo add "Write the report" -d "Due on Friday"
      todo add -q Buy milk          # prints just the number
      todo add -- -5 degrees tonight
      todo add - < tasks.txt
    """
    run = current_run(ctx)
    if title == ["-"]:
        run.render.added(_add_lines(run, description))
    else:
        run.render.added(run.workspace.tasks.add([TaskDraft(" ".join(title), description)])[0])


@commands.command("ls", hidden=True)
@commands.command("list")
def list_(
    ctx: typer.Context,
    done: Annotated[bool, typer.Option("--done", help="Completed tasks.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Pending and completed tasks.")
    ] = False,
    trash: Annotated[bool, typer.Option("--trash", help="Tasks in the trash.")] = False,
    archived: Annotated[
        bool, typer.Option("--archived", help="Tasks that were moved to the archive.")
    ] = False,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Search titles and descriptions, ignoring case."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_LIMIT,
            metavar="N",
            help=f"At most N tasks; 0 for all. Tables show {DEFAULT_LIMIT} by default.",
        ),
    ] = None,
    after: Annotated[
        TaskRef | None,
        typer.Option(
            metavar="REF",
            parser=TaskRef.parse,
            autocompletion=complete_refs,
            help="Show the page after this task.",
        ),
    ] = None,
    sort: Annotated[SortKey, typer.Option(help="Sort by this.")] = SortKey.CREATED,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per line.")] = False,
) -> None:
    """List tasks, newest first: pending tasks by default.

    On a terminal, a table, in which ¶ marks a task with a description. On a pipe, a line of
    tab-separated columns for each task: number, status, title, created_at, updated_at,
    completed_at, id, description. In a description, \\\\, \\t and \\n stand for a backslash, a tab
    and a line break.

    \b
    Examples:
      todo list
      todo list --done --limit 10
      todo list --search milk --sort title
      todo list --after 120         # the page that follows task 120
      todo list --all --json
    """
    run = current_run(ctx)
    if done + everything + trash + archived > 1:
        raise InvalidInput("Only one of --done, --all, --trash and --archived can be given.")
    if jsonl and run.options.json:
        raise InvalidInput("Only one of --json and --jsonl can be given.")
    state = (
        TaskState.DONE
        if done
        else TaskState.ALL
        if everything
        else TaskState.TRASH
        if trash
        else TaskState.ARCHIVED
        if archived
        else TaskState.PENDING
    )
    query = TaskQuery(
        state=state,
        search=search,
        sort=sort,
        reverse=reverse,
        limit=limit or None,
        after=after,
    )
    show_list(run, query, jsonl=jsonl, default_limit=limit is None)


def show_list(
    run: Run, query: TaskQuery, *, jsonl: bool = False, default_limit: bool = True
) -> None:
    """Show the tasks of a query, in the form that the options and the output call for."""
    if jsonl:
        run.render.lines(run.workspace.tasks.documents(query))
    elif run.options.json:
        run.render.json_array(run.workspace.tasks.documents(query))
    elif run.render.is_terminal:
        if default_limit:
            query = query.with_limit(DEFAULT_LIMIT)
        _show_page(run, query)
    else:
        run.render.lines(run.workspace.tasks.records(query))


def _show_page(run: Run, query: TaskQuery) -> None:
    page = run.workspace.tasks.page(query, with_total=True)
    if page.tasks:
        run.render.page(page, query)
        return
    from todo_cli.commands.hints import nothing_found

    run.render.note(nothing_found(query))


@commands.command()
def show(ctx: typer.Context, ref: Ref) -> None:
    """Show everything about one task, also of a task in the trash.

    \b
    Examples:
      todo show 12
      todo show 12 --json
    """
    run = current_run(ctx)
    run.render.task(run.workspace.tasks.get([ref])[0])


@commands.command()
def edit(
    ctx: typer.Context,
    ref: Ref,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The new title.")] = None,
    description: Description = None,
) -> None:
    """Change a task's title or description; `-d ""` clears the description.

    Without an option, your editor ($VISUAL or $EDITOR) opens both: the title is the first line, and
    the description follows an empty line.

    \b
    Examples:
      todo edit 12 --title "Buy oat milk"
      todo edit 12 -d ""
      todo edit 12
    """
    run = current_run(ctx)
    changes = TaskChanges(
        NOT_GIVEN if title is None else title,
        NOT_GIVEN if description is None else description,
    )
    if changes:
        _show_changed(
            run, run.workspace.tasks.edit(ref, changes), "Edited", "Unchanged", as_array=False
        )
        return
    from todo_cli.commands.editor import edited_text

    before = run.workspace.tasks.get([ref])[0]
    with edited_text(run, before) as after:
        edited = run.workspace.tasks.edit(ref, after, unchanged_since=before) if after else [before]
    run.render.changed("Edited" if after else "Unchanged", edited, as_array=False)


@commands.command()
def done(ctx: typer.Context, refs: Refs) -> None:
    """Mark tasks as done: all of them, or none if one cannot be.

    \b
    Examples:
      todo done 12
      todo done 3 5 8
      todo done 3-8,12        # those of 3 to 8 that are there, and 12
    """
    run = current_run(ctx)
    _show_changed(run, run.workspace.tasks.set_completed(refs, True), "Done", "Already done")


@commands.command()
def reopen(ctx: typer.Context, refs: Refs) -> None:
    """Mark tasks as not done: all of them, or none.

    \b
    Example:
      todo reopen 12
    """
    run = current_run(ctx)
    _show_changed(
        run, run.workspace.tasks.set_completed(refs, False), "Reopened", "Already pending"
    )


@commands.command()
def toggle(ctx: typer.Context, refs: Refs) -> None:
    """Flip tasks between done and not done: all of them, or none.

    \b
    Example:
      todo toggle 12 13
    """
    run = current_run(ctx)
    toggled = run.workspace.tasks.toggle(refs)
    run.render.changed(["Done" if task.completed else "Reopened" for task in toggled], toggled)


@commands.command()
def rm(
    ctx: typer.Context,
    refs: Refs,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Delete for good. This cannot be undone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Move tasks to the trash: all of them, or none. `todo restore` restores them.

    \b
    Examples:
      todo rm 12
      todo list --trash
      todo rm --permanent --yes 12
    """
    run = current_run(ctx)
    if not permanent:
        _show_changed(run, run.workspace.tasks.trash(refs), "Removed", "Already in the trash")
        return
    if not yes and not _may_delete(run, refs):
        run.render.note("Nothing was deleted.")
        raise typer.Exit(1)
    run.render.changed("Deleted", run.workspace.tasks.delete(refs))


@commands.command()
def restore(
    ctx: typer.Context,
    refs: Refs,
    archived: Annotated[
        bool, typer.Option("--archived", help="Restore from the archive instead.")
    ] = False,
) -> None:
    """Restore tasks from the trash, or from the archive: all of them, or none.

    \b
    Examples:
      todo restore 12
      todo list --archived
      todo restore --archived 7
    """
    run = current_run(ctx)
    if archived:
        run.render.changed("Restored", run.workspace.tasks.restore_archived(refs))
    else:
        _show_changed(run, run.workspace.tasks.restore(refs), "Restored", "Was not in the trash")


@commands.command()
def stats(
    ctx: typer.Context,
    days: Annotated[
        int, typer.Option(min=1, max=MAX_STATS_DAYS, metavar="N", help="How many days to show.")
    ] = 30,
) -> None:
    """Show counts, the completion rate, and the tasks created and completed per day.

    Days are those of your time zone. The streak is the number of consecutive days, up to today or
    yesterday, on which you completed a task.

    \b
    Examples:
      todo stats
      todo stats --days 7 --json
    """
    run = current_run(ctx)
    run.render.stats(run.workspace.tasks.stats(run.today(), days, run.time_zone))


def _show_changed(
    run: Run, tasks: ChangedTasks, outcome: str, unchanged: str, *, as_array: bool = True
) -> None:
    """Show the outcome of each task: changed, or unchanged."""
    outcomes = [unchanged if task.id in tasks.unchanged else outcome for task in tasks]
    run.render.changed(outcomes, tasks, as_array=as_array)


def _may_delete(run: Run, refs: Sequence[TaskRef]) -> bool:
    """Show the tasks that would be deleted, and ask."""
    run.questions.require_confirmable("--yes")
    doomed = run.workspace.tasks.get(refs)
    shown = [f"{task.number}  {task.title}" for task in doomed[:MAX_SHOWN]]
    if len(doomed) > MAX_SHOWN:
        shown.append(f"… and {len(doomed) - MAX_SHOWN:,} more")
    count = "1 task" if len(doomed) == 1 else f"{len(doomed):,} tasks"
    return run.questions.confirm(f"Delete {count} for good?", option="--yes", about=shown)


def _add_lines(run: Run, description: str | None) -> list[Task]:
    """Add a task for each line of standard input that is not empty."""
    lines = run.stdin_text("titles, one a line").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise InvalidInput("Standard input has no task.", hint="Give one title per line.")
    try:
        return run.workspace.tasks.add([TaskDraft(line, description) for _, line in numbered])
    except InvalidDraft as error:
        number = numbered[error.position][0]
        raise InvalidInput(
            f"Line {number}: {error.message}", hint=error.hint, reason=error.reason
        ) from error
