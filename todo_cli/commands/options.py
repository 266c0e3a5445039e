"""What commands share: the options that each takes, and the types of their arguments."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from todo_cli.commands.completion import complete_refs
from todo_cli.context import Run
from todo_cli.errors import ClosedPipe
from todo_cli.values import TaskRef

Refs = Annotated[
    list[TaskRef],
    typer.Argument(
        metavar="REF...",
        parser=TaskRef.parse,
        autocompletion=complete_refs,
        help="Numbers, UUIDs, or the beginnings of UUIDs.",
        show_default=False,
    ),
]
Ref = Annotated[
    TaskRef,
    typer.Argument(
        metavar="REF",
        parser=TaskRef.parse,
        autocompletion=complete_refs,
        help="A number, a UUID, or the beginning of one.",
        show_default=False,
    ),
]


def _common(
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Add a traceback to errors.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url", metavar="URL", help="Use this database.", show_default=False
        ),
    ] = None,
) -> None:
    """The options that every command takes."""


def _common_params() -> list[Any]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_common)
    return list(typer.main.get_command(app).params)


_COMMON = _common_params()


class _TakesCommon:
    """Takes the common options beside its own, and hands them to the run."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        kwargs["params"] = [*(params or []), *_COMMON]
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        given = {param.name: ctx.params.pop(param.name) for param in _COMMON}
        current_run(ctx).options.add(**given)
        try:
            return super().invoke(ctx)  # type: ignore[misc]  # a mixin: Typer's class follows
        except BrokenPipeError as error:
            raise ClosedPipe from error


class TodoCommand(_TakesCommon, TyperCommand):
    """A command of the program."""


class TodoGroup(_TakesCommon, TyperGroup):
    """A group of commands; takes the common options before the command's name as well."""


def current_run(ctx: typer.Context) -> Run:
    run = ctx.obj
    assert isinstance(run, Run)
    return run
