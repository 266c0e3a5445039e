"""Shell completion of commands, options and task numbers.

The scripts in `completion_scripts` ask through environment variables. The answer is lines that no
shell evaluates: the kind of the answer, then one candidate per line. Only plain words are inserted;
titles are only shown. Failures are silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from todo_cli.commands.click import has_own_completion, resolve_incomplete
from todo_cli.values import TaskState, printable

if TYPE_CHECKING:
    from typer.core import TyperGroup

    from todo_cli.context import Run
    from todo_cli.workspace import Workspace

COMPLETE_VARIABLE = "_TODO_COMPLETE"
"""The name of the shell. Typer's scripts, from earlier versions, put `complete_` before it."""
LINE_VARIABLE = "_TODO_COMPLETE_LINE"
"""The text up to the cursor. Bash sends the raw line, since it cannot remove quotes without `eval`.
The others send the words after the program's name, joined by `SEPARATOR`."""
WORD_VARIABLE = "_TODO_COMPLETE_WORD"
"""The part of the last word that bash replaces: the part after a colon or an equals sign."""
TYPE_VARIABLE = "_TODO_COMPLETE_TYPE"
"""Bash's `COMP_TYPE`, which tells how bash uses the candidates."""
SEPARATOR = "\x1f"

TIMEOUT_SECONDS = 3.0
"""A completion waits no longer for the database, even if `TODO_TIMEOUT` is longer."""
DEFAULT_COLUMNS = 80
MIN_COLUMNS = 20

_LEGACY = "complete_"
_LISTING = {"33", "63", "64"}
"""Values of `COMP_TYPE` with which bash shows the candidates ("!", "?" and "@")."""
_PLAIN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|--?[A-Za-z0-9][A-Za-z0-9._=-]*")
"""Words without special characters of any shell."""
_TERM = re.compile(rf"{_PLAIN_WORD.pattern}|\w[\w.,:-]*")
"""These, and signs that are special only in the scripts of earlier versions."""
_TERM_OR_TAG = re.compile(rf"{_TERM.pattern}|@\w[\w.-]*")
"""These, and tags, which PowerShell would replace by a variable."""
_STATES = {"done": TaskState.PENDING, "reopen": TaskState.DONE, "restore": TaskState.TRASH}
"""The tasks that a command suggests. Other commands suggest all tasks outside the trash."""


class ShellName(StrEnum):
    """The shells that have a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    PWSH = "pwsh"
    """PowerShell 6 and later."""


class Kind(StrEnum):
    """The kind of an answer's candidates."""

    WORDS = "words"
    """Words that begin with the typed text."""
    TITLES = "titles"
    """Numbers of tasks that have the typed text in their titles."""
    FILES = "files"
    """File names, which the shell completes itself."""


@dataclass(frozen=True)
class Candidate:
    """A word to insert, and the text to show beside it."""

    word: str
    about: str

    def shown(self, columns: int, word_width: int) -> str:
        from todo_cli.render.terminal import cut

        return cut(f"{self.word.ljust(word_width)}  {self.about}".rstrip(), columns)


@dataclass(frozen=True)
class Answer:
    kind: Kind
    candidates: list[Candidate]


class _Fitting(str):
    """A number of a task that fits by its title. Typer drops words that do not begin with the
    typed text, so this claims to begin with anything."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        return True


def complete(run: Run, tree: TyperGroup) -> int:
    """Answer a shell's request. The exit code is for Typer's script for fish."""
    environ = run.invocation.environ
    run.is_completing = True
    run.options.quiet = True
    shell = environ[COMPLETE_VARIABLE]
    is_legacy = shell.startswith(_LEGACY)
    shell = shell.removeprefix(_LEGACY)
    if shell not in list(ShellName):
        return 1
    try:
        lines = _legacy_lines(run, tree, shell) if is_legacy else _lines(run, tree, shell)
    except Exception:  # an error message would garble the line that is being typed
        lines = []
    if environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if lines else 1
    run.invocation.stdout.write("".join(f"{line}\n" for line in lines))
    run.invocation.stdout.flush()
    return 0


def complete_refs(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Numbers of tasks that begin with the text, or that have it in their titles."""
    tasks = workspace_of(ctx).tasks
    state = _STATES.get(ctx.info_name or "", TaskState.ALL)
    if ctx.params.get("archived"):
        state = TaskState.ARCHIVED
    given = [ref.number for ref in ctx.params.get("refs") or [] if ref.number is not None]
    if incomplete.isascii() and incomplete.isdigit():
        found = tasks.numbered(incomplete, state, excluded=given)
    else:
        found = tasks.titled(incomplete, state, excluded=given)
    for number, title in found:
        yield _Fitting(number), title


def workspace_of(ctx: typer.Context) -> Workspace:
    """The workspace that a shell's question is about; it waits for the database a short time."""
    run: Run = ctx.obj
    run.options.database_url = _database_url(ctx)
    workspace = run.workspace
    workspace.timeout_seconds = min(workspace.timeout_seconds, TIMEOUT_SECONDS)
    return workspace


def _database_url(ctx: Any) -> str | None:
    """The database that the words before the cursor name."""
    while ctx is not None:
        if url := ctx.params.get("database_url"):
            return str(url)
        ctx = ctx.parent
    return None


def _answer(
    run: Run, tree: TyperGroup, words: list[str], typed: str, allowed: re.Pattern[str]
) -> Answer:
    """The candidates for the typed word, after the words before it."""
    ctx, asked, incomplete = resolve_incomplete(tree, {"obj": run}, words, typed)
    items = asked.shell_complete(ctx, incomplete)
    if _takes_files(asked, items):
        return Answer(Kind.FILES, [])
    # Of `--sort=ti` Typer completes `ti` alone.
    head = typed.removesuffix(incomplete)
    candidates = [Candidate(head + str(item.value), _one_line(item.help or "")) for item in items]
    candidates = [each for each in candidates if allowed.fullmatch(each.word)]
    begin_so = all(each.word.startswith(typed) for each in candidates)
    return Answer(Kind.WORDS if begin_so else Kind.TITLES, candidates)


def _takes_files(asked: Any, items: Sequence[Any]) -> bool:
    """Whether the value is free text or a path, for which the program has no candidates."""
    if any(item.type in ("file", "dir") for item in items):
        return True
    kind = getattr(asked, "type_descriptor", None)  # a command has none
    if kind is None or kind.is_choice or has_own_completion(asked):
        return False
    return kind.annotation in (str, list[str], Path)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _lines(run: Run, tree: TyperGroup, shell: str) -> list[str]:
    """The answer for one of our scripts."""
    environ = run.invocation.environ
    line = environ.get(LINE_VARIABLE, "")
    words = split_line(line)[1:] if shell == "bash" else line.split(SEPARATOR)
    typed = words.pop() if words else ""
    is_powershell = shell in (ShellName.POWERSHELL, ShellName.PWSH)
    answer = _answer(run, tree, words, typed, _TERM if is_powershell else _TERM_OR_TAG)
    columns = _columns(environ)
    candidates = answer.candidates
    width = max((len(each.word) for each in candidates), default=0)
    if shell == "bash":
        return [answer.kind, *_bash_lines(answer, typed, environ, columns)]
    if shell == "fish":
        about = [Candidate("", each.about).shown(columns - width, 0) for each in candidates]
    else:
        about = [each.shown(columns, width) for each in candidates]
    pairs = zip(candidates, about, strict=True)
    return [answer.kind, *(f"{each.word}\t{text.strip()}" for each, text in pairs)]


def _bash_lines(
    answer: Answer, typed: str, environ: Mapping[str, str], columns: int
) -> Iterator[str]:
    """The lines for bash, which shows the same text that it inserts.

    So the lines have titles only if bash lists them. Bash inserts the common beginning of several
    candidates. Numbers found by title may have one that nobody typed, so a first line with another
    beginning prevents that.
    """
    replaced = environ.get(WORD_VARIABLE, typed)
    if not typed.endswith(replaced):  # it has quotes in it
        replaced = split_line(replaced)[-1]
    head = typed.removesuffix(replaced)
    candidates = [
        Candidate(each.word.removeprefix(head), each.about)
        for each in answer.candidates
        if each.word.startswith(head)
    ]
    how = environ.get(TYPE_VARIABLE, "")
    is_listing = how in _LISTING and len(candidates) > 1
    if answer.kind is Kind.TITLES and len(candidates) > 1 and (is_listing or how == "9"):
        yield f"~ {_one_line(typed)}:"
    width = max((len(each.word) for each in candidates), default=0)
    for each in candidates:
        yield each.shown(columns, width) if is_listing else each.word


def _columns(environ: Mapping[str, str]) -> int:
    """The maximum width of a line. Shells leave one or two columns free."""
    text = environ.get("COLUMNS", "")
    columns = int(text) if text.isascii() and text.isdigit() else DEFAULT_COLUMNS
    return max(MIN_COLUMNS, columns) - 2


def split_line(line: str) -> list[str]:
    """The words of a shell's line, which may end inside quotes or after a backslash.

    The last word is the one at the end of the line. It is empty after a space.
    """
    import shlex  # not at the top: `options` imports this module for every command

    lexer = shlex.shlex(line + SEPARATOR, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = []
    try:
        for word in lexer:
            words.append(word)
    except ValueError:
        words.append(lexer.token)
    words[-1] = words[-1].removesuffix(SEPARATOR)
    return words


# --- the scripts of earlier versions -----------------------------------------------------------


def _legacy_lines(run: Run, tree: TyperGroup, shell: str) -> list[str]:
    """The answer for a script that Typer once installed: words alone, since zsh's runs what it
    gets as a program, and bash's takes it for patterns of file names."""
    words, typed = _legacy_words(shell, run.invocation.environ)
    found = [each.word for each in _answer(run, tree, words, typed, _PLAIN_WORD).candidates]
    if shell == "zsh":
        return [f"_arguments '*: :(({' '.join(found)}))'" if found else "_files"]
    if shell in ("powershell", "pwsh"):
        return [f"{word}:::{word}" for word in found]
    return found


def _legacy_words(shell: str, environ: Mapping[str, str]) -> tuple[list[str], str]:
    if shell == "bash":
        words = split_line(environ.get("COMP_WORDS", ""))
        position = int(environ.get("COMP_CWORD") or 0)
        return words[1:position], words[position] if position < len(words) else ""
    words = split_line(environ.get("_TYPER_COMPLETE_ARGS", ""))[1:]
    typed = words.pop() if words else ""
    if shell in ("powershell", "pwsh") and not environ.get("_TYPER_COMPLETE_WORD_TO_COMPLETE"):
        return [*words, typed] if typed else words, ""
    return words, typed
