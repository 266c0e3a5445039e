"""The commands that list tasks and change their states: parse, one repository call, render."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.changing import Change, DryRun, Where, Yes, read_filter
from todo_cli.commands.completion import complete_refs
from todo_cli.commands.options import CommandGroup, Ref, Refs, current_run
from todo_cli.commands.suggestions import complete_filter
from todo_cli.errors import InvalidInput
from todo_cli.values import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_STATS_DAYS,
    DueCounts,
    SortKey,
    TaskQuery,
    TaskRef,
    TaskState,
    View,
)

if TYPE_CHECKING:
    from todo_cli.context import Run

commands = CommandGroup()

MAX_CHANGES_SHOWN = 3
"""`todo show` shows so many changes of its task. `todo history` shows all of them."""

FilterWords = Annotated[
    list[str],
    typer.Argument(
        metavar="FILTER",
        autocompletion=complete_filter,
        help="Which tasks, such as due:today, @home or milk.",
        show_default=False,
    ),
]


@commands.command("ls", hidden=True)
@commands.command("list")
def list_(
    ctx: typer.Context,
    words: FilterWords = [],  # noqa: B006 - Typer copies it
    done: Annotated[bool, typer.Option("--done", help="Completed tasks.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="All tasks but the trash: also done, also waiting.")
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
    sort: Annotated[
        SortKey,
        typer.Option(metavar="KEY", help=f"Sort by one of: {', '.join(SortKey)}."),
    ] = SortKey.CREATED,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per line.")] = False,
) -> None:
    """List tasks, newest first: pending tasks that do not wait for a later day, by default.

    Words are a filter, each of them one term: `field:value`, `@tag`, or a text to search for, with
    `and`, `or`, `not` and parentheses. Fields: due, wait, created, changed, done (days: `today`,
    `..fri`, `mon..fri`, `next week`), project (and below; `=work` exactly), tag, priority, is, has,
    number, title, text. Several values are separated by commas; `none` and `any` are values too. A
    text that looks like a term is quoted twice: '"due:today"'.

    On a terminal, a table, in which ¶ marks a task with a description. On a pipe, a line of
    tab-separated columns for each task: number, status, title, created_at, updated_at,
    completed_at, id, description, due_on, due_time, due_zone, wait_on, priority, project, tags. In
    a description, \\\\, \\t and \\n stand for a backslash, a tab and a line break.

    \b
    Examples:
      todo list
      todo list due:..fri @home not @errand
      todo list "due:next week" or is:overdue
      todo list project:house has:due --sort due
      todo list done:yesterday
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
    viewer = run.viewer()
    query = TaskQuery(
        state=state,
        search=search,
        sort=sort,
        reverse=reverse,
        limit=limit or None,
        after=after,
        filter=read_filter(run, words, viewer, state) if words else None,
        viewer=viewer,
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
    else:
        from todo_cli.commands.hints import nothing_found

        run.render.note(nothing_found(query))
    if page.due is not None and query.viewer is not None:
        shown = DueCounts.of(page.tasks, query.viewer)
        if told := not_shown(query, page.due, shown):
            run.render.note(told)


def not_shown(query: TaskQuery, due: DueCounts, shown: DueCounts) -> str | None:
    """What a person should know of that a page does not show."""
    if query.view is View.TODAY:
        return f"{due.tomorrow:,} due tomorrow." if due.tomorrow else None
    if query.view is View.UPCOMING:
        return f"{due.late:,} late: todo today" if due.late else None
    if (due.late, due.today) == (shown.late, shown.today):
        return None
    counts = {"late": due.late, "due today": due.today}
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"{told}: todo today"


@commands.command()
def show(ctx: typer.Context, ref: Ref) -> None:
    """Show everything about one task, also of a task in the trash. On a terminal, its last changes.

    \b
    Examples:
      todo show 12
      todo show 12 --json
    """
    run = current_run(ctx)
    if not run.render.is_terminal:
        run.render.task(run.workspace.tasks.get([ref])[0], run.viewer())
        return
    task, changes = run.workspace.history.task(ref, changes=MAX_CHANGES_SHOWN)
    run.render.task(task, run.viewer())
    run.history_render.last_changes(changes)


@commands.command()
def done(
    ctx: typer.Context,
    refs: Refs = [],  # noqa: B006 - Typer copies it
    where: Where = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Mark tasks as done: all of them, or none if one cannot be.

    With -w, mark all tasks that match a filter, as `todo list FILTER` shows them: pending tasks
    that do not wait, unless the filter names others. It says how many, and asks.

    \b
    Examples:
      todo done 12
      todo done 3 5 8
      todo done 3-8,12        # those of 3 to 8 that are there, and 12
      todo done -w '@errand due:..today'
      todo done -w '@errand' --dry-run
    """
    change = Change(current_run(ctx), dry_run)
    chosen = change.choose(refs, where, "Mark {} as done?", yes=yes)
    change.show_changed(change.tasks.set_completed(chosen, True), "Done", "Already done")


@commands.command()
def reopen(
    ctx: typer.Context,
    refs: Refs = [],  # noqa: B006 - Typer copies it
    where: Where = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Mark tasks as not done: all of them, or none.

    With -w, reopen all completed tasks that match a filter. It says how many, and asks.

    \b
    Examples:
      todo reopen 12
      todo reopen -w 'done:today'
    """
    change = Change(current_run(ctx), dry_run)
    chosen = change.choose(refs, where, "Reopen {}?", yes=yes, state=TaskState.DONE)
    change.show_changed(change.tasks.set_completed(chosen, False), "Reopened", "Already pending")


@commands.command()
def toggle(ctx: typer.Context, refs: Refs, dry_run: DryRun = False) -> None:
    """Flip tasks between done and not done: all of them, or none.

    \b
    Example:
      todo toggle 12 13
    """
    change = Change(current_run(ctx), dry_run)
    toggled = change.tasks.toggle(refs)
    change.show(["Done" if task.completed else "Reopened" for task in toggled], toggled)


@commands.command()
def rm(
    ctx: typer.Context,
    refs: Refs = [],  # noqa: B006 - Typer copies it
    where: Where = None,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Delete for good. This cannot be undone.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Move tasks to the trash: all of them, or none. `todo restore` restores them.

    With -w, remove all tasks that match a filter, as `todo list FILTER` shows them: pending tasks
    that do not wait, unless the filter names others (is:done, is:trash). It says how many, and
    asks.

    \b
    Examples:
      todo rm 12
      todo list --trash
      todo rm -w 'project:old'
      todo rm --permanent --yes 12
      todo rm --permanent -w is:trash     # empty the trash
    """
    change = Change(current_run(ctx), dry_run)
    question = "Delete {} for good?" if permanent else "Move {} to the trash?"
    chosen = change.choose(refs, where, question, yes=yes, always_asks=permanent)
    if permanent:
        change.show("Deleted", change.tasks.delete(chosen))
    else:
        change.show_changed(change.tasks.trash(chosen), "Removed", "Already in the trash")


@commands.command()
def restore(
    ctx: typer.Context,
    refs: Refs = [],  # noqa: B006 - Typer copies it
    where: Where = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Restore from the archive instead.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Restore tasks from the trash, or from the archive: all of them, or none.

    With -w, restore all tasks of the trash (or the archive) that match a filter. It says how many,
    and asks.

    \b
    Examples:
      todo restore 12
      todo restore -w 'project:house'
      todo list --archived
      todo restore --archived 7
    """
    change = Change(current_run(ctx), dry_run)
    state = TaskState.ARCHIVED if archived else TaskState.TRASH
    chosen = change.choose(refs, where, "Restore {}?", yes=yes, state=state)
    if archived:
        change.show("Restored", change.tasks.restore_archived(chosen))
    else:
        change.show_changed(change.tasks.restore(chosen), "Restored", "Was not in the trash")


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
