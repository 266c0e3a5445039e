"""A home for each test in which a real shell is started, and `todo` on its path."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.agent import AgentHome
from tests.support.people import Person
from tests.support.shells import Shell

TODO = Path(sys.executable).with_name("todo")


class ShellHome:
    """An empty home folder, an empty folder to be in, and the commands of one person."""

    def __init__(self, base: Path, environ: dict[str, str]) -> None:
        self.home, self.folder = base / "shell-home", base / "folder"
        self._log, binaries = base / "answers", base / "bin"
        for folder in (self.home, self.folder, binaries):
            folder.mkdir()
        self._log.touch()
        # Not a link: the shell under test has to see when the program has ended.
        program = binaries / "todo"
        program.write_text(
            f'#!/bin/sh\n{shlex.quote(str(TODO))} "$@"\ncode=$?\n'
            f"printf . >>{shlex.quote(str(self._log))}\nexit $code\n"
        )
        program.chmod(0o755)
        self.environ = {
            "LANG": "C.UTF-8",
            # Else the path of a temporary folder, in the prompt, may be wider than the terminal.
            "PROMPT_DIRTRIM": "1",
            **environ,
            "HOME": str(self.home),
            "PATH": f"{binaries}:{os.environ['PATH']}",
        }

    def install(self, shell: str, *, environ: dict[str, str] | None = None) -> str:
        """Install the completion as a person does, in the shell; answer what that said."""
        finished = subprocess.run(
            [shell, *_PLAINLY[shell], f"{shlex.quote(str(TODO))} --install-completion; true"],
            env={**self.environ, **(environ or {})},
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        assert finished.stdout == ""
        return finished.stderr

    def start(self, shell: str, *, environ: dict[str, str] | None = None) -> Shell:
        """The shell as it comes, interactive; the installed completion is all that it finds."""
        return Shell(shell, self.home, self.folder, {**self.environ, **(environ or {})}, self._log)

    @property
    def files(self) -> Sequence[str]:
        """What was made in the folder that the shell is in."""
        return sorted(os.listdir(self.folder))


_PLAINLY = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}


@pytest.fixture
def shell_home(tmp_path: Path, database_url: str, alice: Person) -> Iterator[ShellHome]:
    """Alice's, answered by an agent, as the second and every later Tab of a person is."""
    agent = AgentHome(
        tmp_path / "shell-home",
        {
            "TODO_DATA_DIR": str(tmp_path / "data"),
            "LANG": "C.UTF-8",
            "TODO_DATABASE_URL": database_url,
            "TODO_SESSION_TOKEN": alice.token,
        },
    )
    home = ShellHome(tmp_path, agent.environ())
    try:
        agent.begin()
        yield home
    finally:
        agent.end()
