"""The commands for administrators: `todo db …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.options import TodoCommand, TodoGroup, current_run

if TYPE_CHECKING:
    from todo_cli.context import Run
    from todo_cli.database.target import Target

db = typer.Typer(
    cls=TodoGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="For administrators: migrations, demonstration data, checks, archive, backup.",
)


@db.command(cls=TodoCommand)
def grant(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")],
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the role away, and end its connections.")
    ] = False,
) -> None:
    """Make a log-in role for people, and print its URL, once.

    The role cannot pass row-level security and changes nothing but its person's own tasks: with
    that URL and an account all personal commands work, and no `db` command that changes anything.

    \b
    Examples:
      todo db grant ada
      todo db grant ada --revoke
    """
    from todo_cli.admin import grants

    run = current_run(ctx)
    target = _named_target(run)
    if revoke:
        grants.revoke(target.url, name)
        run.render.note(f"Took away the role {name}.")
        if run.options.json:
            run.render.facts({"role": name, "revoked": True})
        return
    url = grants.grant(target.url, name)
    if run.options.json or run.render.is_terminal:
        run.render.note("This URL is shown once; it holds the role's password.")
    if run.options.json:
        run.render.facts({"role": name, "url": url, "database": target.label})
    else:
        run.render.line(url)


def _named_target(run: Run) -> Target:
    """The database to work on, by its direct host where one is named; told on stderr."""
    from todo_cli.database.target import Target, chosen_direct_url

    chosen = chosen_direct_url(run.options.database_url, run.invocation.environ)
    target = run.target if chosen is None else Target(*chosen)
    run.render.note(f"Target: {target.label}")
    if target.is_embedded:
        run.prepare_embedded()
    return target
