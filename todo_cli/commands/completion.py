"""Shell completion: what may follow on a command line, task numbers with their titles included.

Typer's own entry reads the process's environment and writes to its stdout; here both are the
run's, so that the agent can answer. Whatever goes wrong, a Tab says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from todo_cli.errors import TodoError
from todo_cli.values import TaskQuery, TaskState, printable

if TYPE_CHECKING:
    from typer.core import TyperGroup

    from todo_cli.context import Run

COMPLETE_VARIABLE = "_TODO_COMPLETE"
"""The name is Typer's: its scripts, which `--install-completion` installs, set it."""
MOST_TASKS = 100
MOST_LOOKED_AT = 5_000
TIMEOUT_SECONDS = 3.0
"""Who pressed Tab waits no longer for the database, however long `TODO_TIMEOUT` is."""
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
_STATES = {"done": TaskState.PENDING, "reopen": TaskState.DONE, "restore": TaskState.TRASH}
"""The tasks that a command is for; every other takes all that are not in the trash."""


class _Fitting(str):
    """A number that fits by its task's title: Typer drops what does not begin as it was typed."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        return True


def complete(run: Run, tree: TyperGroup) -> int:
    """Answer what a shell asked; the exit code tells fish whether there is anything."""
    from typer._click.shell_completion import get_completion_class
    from typer._completion_classes import completion_init

    environ = run.invocation.environ
    instruction, _, shell = environ[COMPLETE_VARIABLE].partition("_")
    completion_init()
    kind = get_completion_class(shell) if shell in SHELLS else None
    if instruction != "complete" or kind is None:
        return 1
    run.is_completing = True
    run.options.quiet = True
    words, incomplete = _words(shell, environ)
    asked = kind(tree, {"obj": run}, "todo", COMPLETE_VARIABLE)
    try:
        items = asked.get_completions(words, incomplete)
    except TodoError:
        items = []
    if environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if items else 1
    if shell == "bash":
        lines = _bash_lines(items)
    else:
        lines = [asked.format_completion(item) for item in items]
    if shell == "zsh":
        found = "\n".join(lines)
        lines = [f"_arguments '*: :(({found}))'" if lines else "_files"]
    run.invocation.stdout.write("".join(f"{line}\n" for line in lines))
    run.invocation.stdout.flush()
    return 0


def complete_refs(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Numbers of tasks that begin so, or whose titles hold the text; newest first."""
    run: Run = ctx.obj
    timeout_seconds = min(run.settings.timeout_seconds, TIMEOUT_SECONDS)
    run.settings = replace(run.settings, timeout_seconds=timeout_seconds)
    given = {ref.number for ref in ctx.params.get("refs") or []}
    is_number = incomplete.isdecimal()
    query = TaskQuery(
        state=_STATES.get(ctx.info_name or "", TaskState.ALL),
        search=None if is_number or not incomplete else incomplete,
        limit=MOST_LOOKED_AT if is_number else MOST_TASKS,
    )
    for task in run.tasks.stream(query):
        number = str(task.number)
        if task.number not in given and (not is_number or number.startswith(incomplete)):
            yield _Fitting(number), printable(task.title)


def _words(shell: str, environ: Mapping[str, str]) -> tuple[list[str], str]:
    """The complete words after the program's name, and the one that is being typed."""
    from typer._click.shell_completion import split_arg_string

    if shell == "bash":
        words = split_arg_string(environ.get("COMP_WORDS", ""))
        position = int(environ.get("COMP_CWORD") or 0)
        return words[1:position], words[position] if position < len(words) else ""
    line = environ.get("_TYPER_COMPLETE_ARGS", "")
    words = split_arg_string(line)[1:]
    if shell in ("powershell", "pwsh"):
        incomplete = environ.get("_TYPER_COMPLETE_WORD_TO_COMPLETE", "")
        return (words[:-1] if incomplete else words), incomplete
    if words and not line.endswith(" "):
        return words[:-1], words[-1]
    return words, ""


def _bash_lines(items: list[Any]) -> list[str]:
    """Bash shows nothing but what it would insert: titles are shown while several tasks fit.

    What several have in common is the beginning of their numbers, so nothing else gets inserted.
    """
    if len(items) == 1:
        return [str(items[0].value)]
    return [
        f"{item.value}  ({item.help})" if str(item.value).isdecimal() else str(item.value)
        for item in items
    ]
