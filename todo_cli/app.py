"""The command tree, and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import copy
import errno
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from todo_cli import __version__
from todo_cli.agent import client, place
from todo_cli.commands import account, agent, history, moving, tasks, views, writing
from todo_cli.commands.completion import COMPLETE_VARIABLE, ShellName, complete
from todo_cli.commands.options import COMMON, CommandGroup, OwnProcessGroup, TodoGroup, current_run
from todo_cli.context import Invocation, Run
from todo_cli.errors import AnswerLost, ClosedPipe, ExitCode, InvalidInput, TodoError
from todo_cli.render import write_error

if TYPE_CHECKING:
    from todo_cli.workspace import Databases

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

MAX_REPEATED = 10_000
"""A hint repeats a command line of up to so many characters, more than anybody types."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_LIST_OPTIONS = "todo_cli.list_options"
"""The context stores the options under this name that `todo` alone passes to `todo list`."""


class Program(TodoGroup):
    """The root command. Without a subcommand it runs `todo list`, and takes its options."""

    def __init__(self, *, commands: Any, params: list[Any], **attributes: Any) -> None:
        options = [one for one in commands["list"].params if one.param_type_name == "option"]
        self._list_options = [one for one in options if one not in COMMON]
        super().__init__(commands=commands, params=[*params, *self._list_options], **attributes)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        without = copy.copy(self)  # the help of `todo list` explains its options
        without.params = [one for one in self.params if one not in self._list_options]
        super(Program, without).format_options(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        ctx.meta[_LIST_OPTIONS] = {
            option.name: ctx.params.pop(option.name) for option in self._list_options
        }
        return super().invoke(ctx)

    def given_list_option(self, ctx: Any) -> str | None:
        """An option of `todo list` that was given before the command's name."""
        for option in self._list_options:
            if ctx.get_parameter_source(option.name).name != "DEFAULT":
                return str(option.opts[0])
        return None


app = CommandGroup(
    cls=Program,
    context_settings=_SETTINGS,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    add_completion=False,  # ours quote for each shell; see commands.completion
)


@app.callback()
def todo(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
    install_completion: Annotated[
        bool, typer.Option("--install-completion", help="Install Tab completion for this shell.")
    ] = False,
    show_completion: Annotated[
        bool, typer.Option("--show-completion", help="Show the completion script.")
    ] = False,
    shell: Annotated[
        ShellName | None,
        typer.Option(
            "--shell",
            metavar="SHELL",
            help="The shell to complete in: bash, zsh, fish, powershell, pwsh.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """A todo manager for the terminal. `todo` alone runs `todo list`, and takes its options.

    \b
    Examples:
      todo add Buy milk
      todo
      todo --search milk --all
      todo done 1
      todo help done
    """
    run = current_run(ctx)
    if version:
        run.render.version(__version__)
        raise typer.Exit
    if install_completion or show_completion:
        from todo_cli.commands import shells

        command = shells.install if install_completion else shells.show
        command(run, shell or shells.current(run.invocation.environ))
        raise typer.Exit
    options = ctx.meta.pop(_LIST_OPTIONS)
    if ctx.invoked_subcommand is None:
        tasks.list_(ctx, **options)
        return
    program = ctx.command
    assert isinstance(program, Program)
    if misplaced := program.given_list_option(ctx):
        raise InvalidInput(
            f"{misplaced} is an option of todo list and cannot precede another command.",
            hint=f"Write it after the command: todo {ctx.invoked_subcommand} … {misplaced}",
        )


general = CommandGroup()
"""The commands on the program itself; shown last."""


@general.command("help")
def help_(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="A command's name.", show_default=False),
    ] = [],  # noqa: B006 - Typer copies it
) -> None:
    """Show the help of one command, or of all commands.

    \b
    Examples:
      todo help
      todo help add
      todo help db backup
    """
    run = current_run(ctx)
    command_tree().main([*words, "--help"], "todo", standalone_mode=False, obj=run)


@general.command("version")
def version_(ctx: typer.Context) -> None:
    """Show the version.

    \b
    Example:
      todo version
    """
    current_run(ctx).render.version(__version__)


app.add_typer(writing.commands)
app.add_typer(tasks.commands)
app.add_typer(views.commands)
app.add_typer(history.commands)
app.add_typer(moving.commands)
app.add_typer(account.commands)
app.add_typer(general)
app.add_typer(agent.app, name="agent")


class DatabaseGroup(OwnProcessGroup):
    """The `todo db` commands, imported when one is needed: the import takes 5 ms."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._made().list_commands(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._made().get_command(ctx, cmd_name)

    def _made(self) -> Any:
        from todo_cli.commands.database import db

        return typer.main.get_command(db)


app.add_typer(
    CommandGroup(cls=DatabaseGroup),
    name="db",
    help="For administrators: migrations, demonstration data, checks, archive, backup.",
)


def run(invocation: Invocation, databases: Databases | None = None) -> int:
    """Run one command line and return its exit code. Expected errors are reported, not raised.

    With `databases`, the agent runs it for a client, and it may raise `HandBack`.
    """
    current = Run(invocation, databases=databases, is_guest=bool(databases))
    try:
        if COMPLETE_VARIABLE in invocation.environ:
            return complete(current, command_tree())
        code = _dispatch(current)
        invocation.stdout.flush()
        if not current.is_guest:
            _tell_missing_agent(current)
        return code
    except (ClosedPipe, BrokenPipeError):
        _forget_stdout(invocation)
        return ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except TodoError as error:
        _report(current, error)
        return error.exit_code
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _forget_stdout(invocation)
        lost = AnswerLost(f"The answer could not be written: {error.strerror}.")
        _report(current, lost)
        return lost.exit_code
    finally:
        current.close()


def _tell_missing_agent(run: Run) -> None:
    """Say once why no agent can run. If that cannot be recorded, say it each time on a terminal."""
    for data_dir in client.missed:
        fault = place.fault(data_dir)
        if fault is None or not _is_news(run, data_dir, fault):
            continue
        run.render.note(f"The agent, which makes commands fast, cannot run: {fault[0]}")
        run.render.note(f"hint: {fault[1]} TODO_AGENT=0 runs commands without the agent.")


def _is_news(run: Run, data_dir: str, fault: tuple[str, str]) -> bool:
    told = os.path.join(data_dir, "agent-fault")
    try:
        with open(told, encoding="utf-8") as file:
            if file.read() == fault[0]:
                return False
    except (OSError, ValueError):
        pass
    if not place.foreign(data_dir):
        from todo_cli.private_files import write_private

        with contextlib.suppress(OSError):
            write_private(Path(told), fault[0])
            return True
    return run.invocation.stderr.isatty()


@functools.cache
def command_tree() -> TyperGroup:
    """All commands. They hold no state of a run, so that runs can share them."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def _dispatch(run: Run) -> int:
    try:
        code = command_tree().main(
            args=list(run.invocation.argv), prog_name="todo", standalone_mode=False, obj=run
        )
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.TyperException as error:
        raise InvalidInput(_usage_message(error), hint=_usage_hint(run, error)) from error
    return code if isinstance(code, int) else ExitCode.OK


_LIBRARYS_WORDS = {
    ": Value error, ": ": ",
    ": Input should be ": ": it should be ",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
    "Unable to parse input string as an integer, exceeded maximum size": "it has too many digits",
}


def _usage_message(error: typer.TyperException) -> str:
    """The library's message about wrong words, without its jargon."""
    message = error.message if _alike_options(error) else error.format_message()
    for jargon, plain in _LIBRARYS_WORDS.items():
        message = message.replace(jargon, plain)
    return message.rstrip(".") + "."


def _usage_hint(run: Run, error: typer.TyperException) -> str | None:
    from todo_cli.commands.hints import hint_of_usage

    options = _alike_options(error)
    if (hint := hint_of_usage(run.command, error.message)) is not None:
        return hint
    return f"Did you mean: {', or '.join(options)}" if options else None


def _alike_options(error: typer.TyperException) -> list[str]:
    """The options that are spelt like the unknown one."""
    return sorted(getattr(error, "possibilities", None) or [])


def _report(run: Run, error: TodoError) -> None:
    from todo_cli.commands.hints import hint_of

    # Wrong words may not have been parsed, so look for the options in the words.
    words = run.invocation.argv
    error.hint = hint_of(error, command=run.command)
    if error.exit_code == ExitCode.UNREACHABLE and len(words) > 1:
        error.hint = f"{(error.hint or '').rstrip('.')}. {_repeating(run)}"
    as_json = run.options.json or "--json" in words or "--jsonl" in words
    if run.options.debug or "--debug" in words:
        write_traceback(run, error)
    write_error(error, run.invocation.stderr, run.invocation.environ, json=as_json)


def _repeating(run: Run) -> str:
    """How to repeat the command, with the words that were typed."""
    from todo_cli.commands.words import command_line

    line = command_line(run.invocation.argv)
    if len(line) > MAX_REPEATED:
        return "Then repeat the command."
    again = ", with the same standard input" if run.has_read_stdin else ""
    return f"Then repeat{again}: {line}"


def write_traceback(run: Run, error: BaseException) -> None:
    """Write the call stacks of an error and its causes, without values and SQL."""
    import traceback

    seen: BaseException | None = error
    while seen is not None:
        run.invocation.stderr.write("".join(traceback.format_tb(seen.__traceback__)))
        run.invocation.stderr.write(f"{type(seen).__module__}.{type(seen).__qualname__}\n")
        seen = seen.__cause__


def _forget_stdout(invocation: Invocation) -> None:
    """Keep the interpreter from flushing into the closed pipe when it exits."""
    if invocation.stdout is sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
