"""The commands that show what matters now: today, upcoming, next, projects, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.options import CommandGroup, current_run
from todo_cli.commands.tasks import show_list
from todo_cli.values import DEFAULT_DAYS, DEFAULT_LIMIT, MAX_DAYS, MAX_LIMIT, TaskQuery, View

if TYPE_CHECKING:
    from todo_cli.context import Run

commands = CommandGroup()

NEXT_SHOWN = 10
"""So many of the most urgent tasks are in a table, or fewer where the terminal has less lines."""
_LINES_BESIDE = 4
"""Of the terminal, beside the tasks: heading, total, note, and the next prompt."""

Limit = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=MAX_LIMIT,
        metavar="N",
        help=f"At most N tasks; 0 for all. Tables show {DEFAULT_LIMIT} by default.",
    ),
]


@commands.command()
def today(ctx: typer.Context, limit: Limit = None) -> None:
    """Show what is late or due today, oldest day first, then by time and priority.

    A day without a time lasts until midnight where you are. Tasks that wait for a later day are
    left out. On a terminal it also says how many are due tomorrow.

    \b
    Examples:
      todo today
      todo today --json
    """
    run = current_run(ctx)
    show_list(run, _view(run, View.TODAY, limit), default_limit=limit is None)


@commands.command()
def upcoming(
    ctx: typer.Context,
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, metavar="N", help="How many days, with today.")
    ] = DEFAULT_DAYS,
    limit: Limit = None,
) -> None:
    """Show what is due in the next days, day by day, today first.

    What is late already is counted, and shown by `todo today`.

    \b
    Examples:
      todo upcoming
      todo upcoming --days 30
    """
    run = current_run(ctx)
    query = _view(run, View.UPCOMING, limit, days=days)
    if run.options.json:
        assert query.viewer is not None
        run.render.upcoming(run.workspace.tasks.page(query).tasks, query.viewer)
    else:
        show_list(run, query, default_limit=limit is None)


@commands.command("next")
def next_(
    ctx: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="In a table, show how urgent each is, and why.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_LIMIT,
            metavar="N",
            help=f"At most N tasks; 0 for all. Tables show {NEXT_SHOWN} by default.",
        ),
    ] = None,
) -> None:
    """Show the most urgent tasks first: by due day, priority, project, tags and age.

    Tasks that wait for a later day are left out.

    \b
    Examples:
      todo next
      todo next -v --limit 3
    """
    run = current_run(ctx)
    query = _view(run, View.NEXT, limit, with_terms=verbose)
    if limit is None and run.render.is_terminal:
        lines = (run.render.height - _LINES_BESIDE) // (2 if verbose else 1)
        query = query.with_limit(max(1, min(NEXT_SHOWN, lines)))
    show_list(run, query, default_limit=False)


@commands.command()
def projects(ctx: typer.Context) -> None:
    """Show the projects, with counts of tasks: open, done, and late. Waiting ones are open.

    A project counts the tasks of those below it, too: house those of house.garden.

    \b
    Examples:
      todo projects
      todo projects --json
    """
    run = current_run(ctx)
    found = run.workspace.tasks.projects(run.viewer())
    run.render.groups(found, "Project", is_tree=True)
    if not found and run.render.is_terminal:
        run.render.note("No task has a project.")


@commands.command()
def tags(ctx: typer.Context) -> None:
    """Show the tags, with counts of tasks: open, done, and late. Waiting ones are open.

    \b
    Examples:
      todo tags
      todo tags --json
    """
    run = current_run(ctx)
    found = run.workspace.tasks.tags(run.viewer())
    run.render.groups(found, "Tag", is_tree=False)
    if not found and run.render.is_terminal:
        run.render.note("No task has a tag.")


def _view(
    run: Run, view: View, limit: int | None, *, days: int = DEFAULT_DAYS, with_terms: bool = False
) -> TaskQuery:
    return TaskQuery(
        limit=limit or None, viewer=run.viewer(), view=view, days=days, with_terms=with_terms
    )
