"""The options and argument types that commands share, and the classes of commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from todo_cli.commands.click import get_current_context
from todo_cli.commands.completion import complete_refs
from todo_cli.commands.suggestions import (
    complete_day,
    complete_priority,
    complete_project,
    complete_tag,
)
from todo_cli.context import Run
from todo_cli.errors import ClosedPipe, InvalidInput
from todo_cli.render.terminal import terminal_width
from todo_cli.values import TaskRef, require_few_enough

HAS_SEPARATOR = "todo_cli.has_separator"
"""Under this name the context keeps whether `--` was among a command's words."""

_Function = TypeVar("_Function", bound=Callable[..., Any])

MAX_SUMMARY = 200
"""The maximum length of a command's summary in a list of commands. No summary is longer."""


def _all_refs(words: list[tuple[TaskRef, ...]] | None) -> list[TaskRef]:
    """The references of all words. A word may have several."""
    refs = [ref for word in words or () for ref in word]
    require_few_enough(len(refs))
    return refs


Refs = Annotated[
    list[TaskRef],
    typer.Argument(
        metavar="REF...",
        parser=TaskRef.parse_several,
        callback=_all_refs,
        autocompletion=complete_refs,
        help="Numbers, such as 12; several as 3 5 8, 3,5,8 or 3-5. Or UUIDs.",
        show_default=False,
    ),
]
Ref = Annotated[
    TaskRef,
    typer.Argument(
        metavar="REF",
        parser=TaskRef.parse,
        autocompletion=complete_refs,
        help="A number, such as 12, or a UUID.",
        show_default=False,
    ),
]
OptionalRef = Annotated[
    TaskRef | None,
    typer.Argument(
        metavar="REF",
        parser=TaskRef.parse,
        autocompletion=complete_refs,
        help="A number, such as 12, or a UUID.",
        show_default=False,
    ),
]

Description = Annotated[
    str | None,
    typer.Option(
        "--description", "-d", metavar="TEXT", help="Description; may span several lines."
    ),
]
Due = Annotated[
    str | None,
    typer.Option(
        "--due",
        "-D",
        metavar="WHEN",
        autocompletion=complete_day,
        help='When it is due: tomorrow, "fri 5pm", 2026-12-24; none.',
        show_default=False,
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        "-W",
        metavar="WHEN",
        autocompletion=complete_day,
        help="Hide it from the lists until this day: mon, someday; none.",
        show_default=False,
    ),
]
PriorityWord = Annotated[
    str | None,
    typer.Option(
        "--priority",
        "-p",
        metavar="PRIORITY",
        autocompletion=complete_priority,
        help="high, medium or low (h, m, l, 1, 2, 3); none.",
        show_default=False,
    ),
]
Tags = Annotated[
    list[str],
    typer.Option(
        "--tag",
        "-t",
        metavar="NAME",
        autocompletion=complete_tag,
        help="Add a tag; may be given again.",
        show_default=False,
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-P",
        metavar="PATH",
        autocompletion=complete_project,
        help="Project: house.garden; none.",
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


COMMON = _common_params()


class _TakesCommon:
    """Takes the common options in addition to its own, and passes them to the run."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        own = params or []
        # Typer's wrapper keeps the values of a call until the next one. The agent runs commands in
        # threads, so that one could get another's words. The function itself has no state.
        function = getattr(kwargs.get("callback"), "__wrapped__", None)
        if function is not None:
            kwargs["callback"] = functools.partial(_call, function, own)
        super().__init__(*args, **{**kwargs, "params": [*own, *COMMON]})

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        current_run(ctx).command = ctx.command_path
        ctx.meta[HAS_SEPARATOR] = "--" in args  # the parser drops it
        _refuse_one_dash(ctx.command, args)
        return super().parse_args(ctx, args)  # type: ignore[misc]  # a mixin: Typer's class follows

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]  # a mixin: Typer's class follows
        if option is not None:
            option.callback = _show_help
        return option

    def get_help(self, ctx: Any) -> str:
        from todo_cli.commands.help import Help

        invocation = current_run(ctx).invocation
        layout = Help(terminal_width(invocation.stdout, invocation.environ))
        self.format_help(ctx, layout)  # type: ignore[attr-defined]  # a mixin: Typer's class follows
        return layout.getvalue().rstrip("\n")

    def invoke(self, ctx: Any) -> Any:
        given = {param.name: ctx.params.pop(param.name) for param in COMMON}
        current_run(ctx).options.add(**given)
        try:
            return super().invoke(ctx)  # type: ignore[misc]  # a mixin: Typer's class follows
        except BrokenPipeError as error:
            raise ClosedPipe from error


class TodoCommand(_TakesCommon, TyperCommand):
    """A command of the program. Registered by `CommandGroup.command`."""

    needs_own_process = False
    """Whether the agent hands the command back to its caller. `agent.client.OWN_PROCESS` lists
    these commands too."""

    def invoke(self, ctx: Any) -> Any:
        if self.needs_own_process:
            current_run(ctx).require_own_process()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            # Typer would drop the notes and just exit.
            for note in getattr(interruption, "__notes__", ()):
                current_run(ctx).render.note(note)
            raise


class OwnProcessCommand(TodoCommand):
    """A command that asks, waits long, or changes something on which the agent depends."""

    needs_own_process = True


class TodoGroup(_TakesCommon, TyperGroup):
    """A group of commands. It also takes the common options before the command's name."""

    needs_own_process = False

    def invoke(self, ctx: Any) -> Any:
        if self.needs_own_process:
            current_run(ctx).require_own_process()
        return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        shown = self._shown_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(MAX_SUMMARY)) for name, one in shown.items()]
            )

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            from todo_cli.commands.words import no_such_command

            raise no_such_command(ctx.command_path, args, list(self._shown_commands(ctx)))
        return name if command else None, command, args[1:]

    def _shown_commands(self, ctx: Any) -> dict[str, Any]:
        named: dict[str, Any] = {
            name: self.get_command(ctx, name) for name in self.list_commands(ctx)
        }
        return {name: command for name, command in named.items() if not command.hidden}


class OwnProcessGroup(TodoGroup):
    """A group in which every command needs the caller's process, as `OwnProcessCommand` does."""

    needs_own_process = True


class CommandGroup(typer.Typer):
    """The commands of one module. Registering commands here gives them the right class."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": TodoGroup, "rich_markup_mode": None, **settings})

    def command(  # type: ignore[override]  # of Typer's settings, those that the program uses
        self, name: str | None = None, *, hidden: bool = False, needs_own_process: bool = False
    ) -> Callable[[_Function], _Function]:
        """Register a function as a command, by default under its own name."""
        kind = OwnProcessCommand if needs_own_process else TodoCommand
        return super().command(name, cls=kind, hidden=hidden)


def _refuse_one_dash(command: Any, args: Sequence[str]) -> None:
    """Refuse `-due fri`, which would be `-d ue` and a word of the title."""
    options = {option for param in command.params for option in param.opts if option[:2] == "--"}
    for arg in args:
        if arg == "--":
            return
        name = arg.partition("=")[0]
        if arg[:1] == "-" and f"-{name}" in options:
            raise InvalidInput(f"No such option: {name}.", hint=f"Did you mean: -{name}")


def _call(function: Callable[..., Any], params: Sequence[Any], **values: Any) -> Any:
    """Call a command's function with its context. Parameters with several values get lists."""
    several = {param.name for param in params if param.nargs == -1 or getattr(param, "multiple", 0)}
    for name in several & values.keys():
        values[name] = list(values[name] or ())
    return function(get_current_context(), **values)


def current_run(ctx: typer.Context) -> Run:
    run = ctx.obj
    assert isinstance(run, Run)
    return run


def _show_help(ctx: Any, _: Any, is_wanted: bool) -> None:
    """Write the help to the run's stdout, which may belong to another process."""
    if is_wanted and not ctx.resilient_parsing:
        current_run(ctx).invocation.stdout.write(ctx.get_help() + "\n")
        ctx.exit()
