"""The commands on the history: undo, redo, and what was changed."""

from __future__ import annotations

from typing import Annotated

import typer

from todo_cli.commands.changing import DryRun
from todo_cli.commands.completion import complete_refs
from todo_cli.commands.options import CommandGroup, current_run
from todo_cli.values import MAX_HISTORY, TaskRef

commands = CommandGroup()

DEFAULT_HISTORY = 20
"""How many commands `todo history` shows by default."""


@commands.command()
def undo(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Take back the last command that changed tasks, whole. Repeat it to go further back.

    Every change counts, also one by another program. A command is not taken back if one of its
    tasks has changed since, or if it deleted tasks for good. What it added is gone; `todo redo`
    brings it back, with the same numbers.

    \b
    Examples:
      todo undo
      todo undo --dry-run     # say what it would take back
      todo redo
    """
    run = current_run(ctx)
    undone = run.workspace.history.undo(is_dry_run=dry_run)
    run.history_render.undone("Would undo" if dry_run else "Undone", undone, is_dry_run=dry_run)


@commands.command()
def redo(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Take back the last undo, whole. Repeat it to take back the one before.

    \b
    Examples:
      todo redo
      todo redo --dry-run
    """
    run = current_run(ctx)
    redone = run.workspace.history.redo(is_dry_run=dry_run)
    run.history_render.undone("Would redo" if dry_run else "Redone", redone, is_dry_run=dry_run)


@commands.command()
def history(
    ctx: typer.Context,
    ref: Annotated[
        TaskRef | None,
        typer.Argument(
            metavar="[REF]",
            parser=TaskRef.parse,
            autocompletion=complete_refs,
            help="Only what changed this task.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(min=1, max=MAX_HISTORY, metavar="N", help="At most N commands."),
    ] = DEFAULT_HISTORY,
) -> None:
    """Show which commands changed tasks, newest first: what from, what to.

    The command is `sql` if another program changed the tasks. On a pipe, a line of tab-separated
    columns for each change: at, batch, command, number, id, before, after. The last two are JSON.

    \b
    Examples:
      todo history
      todo history 12
      todo history --limit 100 --json
    """
    run = current_run(ctx)
    render = run.history_render
    entries = run.workspace.history.entries(ref, limit=limit, changes=render.changes_shown)
    render.entries(entries)
