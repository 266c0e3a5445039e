"""`--install-completion` and `--show-completion`: what they write, and what they leave alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from typer._completion_shared import get_completion_script

from tests.conftest import Cli, Result
from todo_cli.commands.shells import BASH_LINE, POWERSHELL_LINE, ZSH_LINE

TYPER_ZSH_LINE = "fpath+=~/.zfunc; autoload -Uz compinit; compinit"


@pytest.fixture
def home(empty_home: Path) -> Path:
    return empty_home


def install(cli: Cli, shell: str, **environ: str) -> Result:
    result = cli("--install-completion", "--shell", shell, environ=environ)
    assert result.stdout == ""
    return result


@pytest.mark.parametrize(
    ("shell", "script", "start_file", "line", "typers"),
    [
        (
            "bash",
            ".bash_completions/todo.sh",
            ".bashrc",
            BASH_LINE,
            "source '{home}/.bash_completions/todo.sh'",
        ),
        ("zsh", ".zfunc/_todo", ".zshrc", ZSH_LINE, TYPER_ZSH_LINE),
    ],
)
def test_the_line_is_there_once_and_other_lines_stay(
    cli_here: Cli, home: Path, shell: str, script: str, start_file: str, line: str, typers: str
) -> None:
    assert install(cli_here, shell).exit_code == 0
    assert (home / start_file).read_text() == line + "\n"
    assert "_TODO_COMPLETE" in (home / script).read_text()
    assert stat.S_IMODE((home / script).parent.stat().st_mode) == 0o755

    (home / script).write_text("an earlier one: _TODO_COMPLETE=complete_bash")
    above, below = b"alias l=ls # \xff\n\n", b"\nexport A='b'\r\nno end of line"
    (home / start_file).write_bytes(above + typers.format(home=home).encode() + b"\n" + below)
    (home / start_file).chmod(0o640)
    assert install(cli_here, shell).exit_code == 0
    expected = above + line.encode() + b"\n" + below
    assert (home / start_file).read_bytes() == expected
    assert stat.S_IMODE((home / start_file).stat().st_mode) == 0o640
    assert "complete_bash" not in (home / script).read_text()

    again = install(cli_here, shell)
    assert "already installed" in again.stderr
    assert (home / start_file).read_bytes() == expected

    (home / start_file).write_text("alias l=ls")  # without a line's end
    install(cli_here, shell)
    assert (home / start_file).read_text() == f"alias l=ls\n{line}\n"


def test_the_line_that_other_programs_share_stays(cli_here: Cli, home: Path) -> None:
    (home / ".zfunc").mkdir()
    (home / ".zfunc" / "_other").touch()
    (home / ".zshrc").write_text(TYPER_ZSH_LINE + "\n")
    install(cli_here, "zsh")
    assert (home / ".zshrc").read_text() == f"{TYPER_ZSH_LINE}\n{ZSH_LINE}\n"


def test_a_linked_start_file_stays_a_link(cli_here: Cli, home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "bashrc").write_text("alias l=ls\n")
    (home / ".bashrc").symlink_to("dotfiles/bashrc")
    install(cli_here, "bash")
    assert os.readlink(home / ".bashrc") == "dotfiles/bashrc"
    assert BASH_LINE in (home / "dotfiles" / "bashrc").read_text()


@pytest.mark.parametrize("said_by", ["environment", ".zshenv"])
def test_zsh_is_asked_where_its_start_file_is(cli_here: Cli, home: Path, said_by: str) -> None:
    folder = home / "my zsh"
    environ = {"ZDOTDIR": str(folder)} if said_by == "environment" else {}
    if not environ:
        (home / ".zshenv").write_text(f"echo hello\nZDOTDIR={str(folder)!r}\n")
    install(cli_here, "zsh", **environ)
    assert (folder / ".zshrc").read_text() == ZSH_LINE + "\n"
    assert not (home / ".zshrc").exists()


def test_fish_has_its_own_folder(cli_here: Cli, home: Path) -> None:
    install(cli_here, "fish")
    assert (home / ".config/fish/completions/todo.fish").is_file()
    install(cli_here, "fish", XDG_CONFIG_HOME=str(home / "elsewhere"))
    assert (home / "elsewhere/fish/completions/todo.fish").is_file()


def test_a_file_that_is_not_ours_is_left_alone(cli_here: Cli, home: Path) -> None:
    mine = home / ".config/fish/completions/todo.fish"
    mine.parent.mkdir(parents=True)
    mine.write_text("complete -c todo -a mine")
    result = install(cli_here, "fish")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {mine} belongs to another program.")
    assert mine.read_text() == "complete -c todo -a mine"


def test_a_home_that_is_a_file_is_told(cli_here: Cli, home: Path) -> None:
    (home / "file").touch()
    result = install(cli_here, "bash", HOME=str(home / "file"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert "--show-completion --shell bash" in result.stderr


def test_an_unknown_shell_is_told(cli_here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("csh", "/bin/csh"))
    result = cli_here("--install-completion")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: There is no completion for csh.\n"
        "hint: Name the shell, for example: todo --install-completion --shell zsh\n"
    )


def test_show_completion_writes_the_script(cli: Cli) -> None:
    for shell, start in {
        "bash": "# Completion of `todo` in bash",
        "zsh": "#compdef todo\n",
        "fish": "# Completion of `todo` in fish",
        "pwsh": "# Completion of `todo` in PowerShell",
    }.items():
        result = cli("--show-completion", "--shell", shell)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(start)
        for evaluates in ("eval ", "Invoke-Expression", "iex ", "source /dev/stdin"):
            assert evaluates not in result.stdout


# --- PowerShell: its programs are not in Debian, so what it would be given is looked at ---------


@pytest.fixture
def powershell(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The profile that a program named `pwsh` says is PowerShell's."""
    profile = home / ".config/powershell/Microsoft.PowerShell_profile.ps1"
    program = home / "bin" / "pwsh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '%s\\r\\n' '{profile}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return profile


def test_the_profile_of_powershell_loses_what_typer_put_there(
    cli_here: Cli, powershell: Path
) -> None:
    def typers(program: str) -> str:
        variable = f"_{program.upper()}_COMPLETE"
        return get_completion_script(prog_name=program, complete_var=variable, shell="pwsh") + "\n"

    powershell.parent.mkdir(parents=True)
    before, other, after = "Set-Alias l ls\n", typers("other"), "$x = 1\n"
    powershell.write_text(before + other + typers("todo") + after)
    for _ in range(2):
        assert install(cli_here, "pwsh").exit_code == 0
        assert powershell.read_text() == f"{before}{other}{POWERSHELL_LINE}\n{after}"
    assert (powershell.parent / "todo-completion.ps1").is_file()


def test_a_powershell_that_is_not_there_is_told(
    cli_here: Cli, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PATH", str(home))
    result = install(cli_here, "powershell")
    assert result.exit_code == 2
    assert "--show-completion --shell powershell" in result.stderr
