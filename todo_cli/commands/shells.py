"""Installs the completion scripts: a file of ours, and one line in the shell's start file.

Every other line of a start file stays as it is, byte for byte. What Typer's installation of
earlier versions left there is replaced.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from todo_cli.commands.completion import COMPLETE_VARIABLE, ShellName
from todo_cli.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from todo_cli.context import Run

MARK = "# todo --install-completion"
"""Marks our line in a start file, so that a later installation finds it."""
BASH_LINE = "if [ -r ~/.bash_completions/todo.sh ]; then . ~/.bash_completions/todo.sh; fi  " + MARK
ZSH_LINE = (
    "fpath=(~/.zfunc $fpath); autoload -Uz compinit _todo;"
    " (( $+functions[compdef] )) || compinit; compdef _todo todo  " + MARK
)
"""Our folder comes before zsh's own, whose `_devtodo` claims `todo`. `compdef` is called too, since
a cache of `compinit` may still name `_devtodo`."""
POWERSHELL_LINE = '. "$PSScriptRoot/todo-completion.ps1"  ' + MARK

_TYPER_ZSH_LINE = re.escape("fpath+=~/.zfunc; autoload -Uz compinit; compinit")
"""All programs made with Typer share this one."""
_TYPER_POWERSHELL_BLOCK = (
    r"Import-Module PSReadLine\r?\n(?:(?!Import-Module PSReadLine)[\s\S])*?"
    r"Register-ArgumentCompleter -Native -CommandName todo -ScriptBlock \$scriptblock"
)
NEW_FILE_MODE = 0o644
SCRIPTS = {
    ShellName.BASH: "todo.bash",
    ShellName.ZSH: "_todo",
    ShellName.FISH: "todo.fish",
    ShellName.POWERSHELL: "todo.ps1",
    ShellName.PWSH: "todo.ps1",
}
_ASK_SECONDS = 20
"""How long a shell may take to say where its start file is."""


class CompletionNotInstalled(Refused):
    """Another program's file is in the way, or a file cannot be written."""

    code = "completion_not_installed"


def current(environ: Mapping[str, str]) -> ShellName:
    """The shell in which this command was typed, else the user's log-in shell.

    Raises:
        InvalidInput: there is no script for it.
    """
    import shellingham  # type: ignore[import-untyped]  # untyped library

    try:
        name = str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        name = os.path.basename(environ.get("SHELL", ""))
    if name not in list(ShellName):
        raise InvalidInput(
            "This shell is not known." if not name else f"There is no completion for {name}.",
            hint="Name the shell, for example: todo --install-completion --shell zsh",
        )
    return ShellName(name)


def show(run: Run, shell: ShellName) -> None:
    """Write the script to stdout."""
    run.invocation.stdout.write(_script(shell))


def install(run: Run, shell: ShellName) -> None:
    """Install the script for a shell, and say what was written. Safe to repeat.

    Raises:
        CompletionNotInstalled: another program's file is in the way, or a file cannot be written.
    """
    home = Path(run.invocation.environ.get("HOME") or Path.home())
    try:
        if shell is ShellName.BASH:
            written = _install_bash(home)
        elif shell is ShellName.ZSH:
            written = _install_zsh(home, run.invocation.environ)
        elif shell is ShellName.FISH:
            written = _install_fish(home, run.invocation.environ)
        else:
            written = _install_powershell(shell, run.invocation.environ)
    except OSError as error:
        raise CompletionNotInstalled(
            f"{error.filename} cannot be written: {error.strerror}.",
            hint=f"Save the script yourself: todo --show-completion --shell {shell}",
        ) from error
    for path in written:
        run.render.note(f"Wrote {path}")
    if not written:
        run.render.note("The completion is already installed.")
    run.render.note(f"Tab completes `todo` in each {shell} that you start from now on.")


def _install_bash(home: Path) -> list[Path]:
    script, start_file = home / ".bash_completions" / "todo.sh", home / ".bashrc"
    typers = re.escape(f"source '{script}'")
    return _write_script(script, ShellName.BASH) + _set_line(
        start_file, BASH_LINE, instead_of=typers
    )


def _install_zsh(home: Path, environ: Mapping[str, str]) -> list[Path]:
    folder, start_file = home / ".zfunc", _zsh_folder(home, environ) / ".zshrc"
    written = _write_script(folder / "_todo", ShellName.ZSH)
    is_ours_alone = os.listdir(folder) == ["_todo"]
    return written + _set_line(
        start_file, ZSH_LINE, instead_of=_TYPER_ZSH_LINE if is_ours_alone else None
    )


def _zsh_folder(home: Path, environ: Mapping[str, str]) -> Path:
    """Where zsh looks for .zshrc. `.zshenv` may say so without exporting it."""
    folder = environ.get("ZDOTDIR") or str(home)
    if shutil.which("zsh", path=environ.get("PATH")):
        said = _said_by(["zsh", "-c", 'print -r -- "${ZDOTDIR:-$HOME}"'], environ)
        folder = said if os.path.isabs(said) else folder
    return Path(folder)


def _install_fish(home: Path, environ: Mapping[str, str]) -> list[Path]:
    configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    script = configuration / "fish" / "completions" / "todo.fish"
    return _write_script(script, ShellName.FISH)


def _install_powershell(shell: ShellName, environ: Mapping[str, str]) -> list[Path]:
    said = _said_by([shell, "-NoProfile", "-Command", "$PROFILE"], environ)
    if not said:
        raise InvalidInput(
            f"{shell} does not say where its profile is.",
            hint=f"Add the script to your profile: todo --show-completion --shell {shell}",
        )
    profile = Path(said)
    script = profile.with_name("todo-completion.ps1")
    return _write_script(script, shell) + _set_line(
        profile, POWERSHELL_LINE, instead_of=_TYPER_POWERSHELL_BLOCK
    )


def _said_by(command: list[str], environ: Mapping[str, str]) -> str:
    """The last line of a program's output. Empty if the program cannot be run."""
    try:
        finished = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = os.fsdecode(finished.stdout).splitlines()
    return lines[-1].strip() if lines else ""


def _script(shell: ShellName) -> str:
    folder = resources.files("todo_cli.commands") / "completion_scripts"
    return (folder / SCRIPTS[shell]).read_text(encoding="utf-8")


def _write_script(path: Path, shell: ShellName) -> list[Path]:
    """Write our script over an earlier one of ours or Typer's. Returns the written files.

    Others may not write to the file or its folder, since zsh asks before it uses such a function.
    """
    if path.exists() and COMPLETE_VARIABLE not in path.read_text(errors="replace"):
        raise CompletionNotInstalled(
            f"{path} belongs to another program.", hint="Move it away, then repeat the command."
        )
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)
    return _write(path, _script(shell))


def _set_line(start_file: Path, line: str, *, instead_of: str | None = None) -> list[Path]:
    """Make sure that a start file has the line once. Returns the written files.

    The line replaces an earlier line of ours and the matches of the pattern `instead_of`. Without
    either, it is appended.
    """
    before = start_file.read_bytes().decode(errors="surrogateescape") if start_file.exists() else ""
    earlier = rf"^.*{re.escape(MARK)}[ \t]*(?:\r?\n|\Z)"
    if instead_of is not None:
        earlier += rf"|^{instead_of}(?:\r?\n|\Z)"
    kept = re.split(earlier, before, flags=re.MULTILINE)
    above, below = kept[0], "".join(kept[1:])
    if above and not above.endswith("\n"):
        above += "\n"
    return _write(start_file, f"{above}{line}\n{below}")


def _write(path: Path, text: str) -> list[Path]:
    """Replace a file's content atomically. Returns the file if its content changed.

    A link is followed. Mode and owner stay.
    """
    path = path.resolve()
    content = text.encode(errors="surrogateescape")
    before = path.stat() if path.exists() else None
    if before is not None and path.read_bytes() == content:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, NEW_FILE_MODE if before is None else stat.S_IMODE(before.st_mode))
        if before is not None and hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):
                os.chown(temporary, before.st_uid, before.st_gid)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return [path]
