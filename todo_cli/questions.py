"""Asks questions on the terminal: yes or no, a line, or a secret that is not shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from todo_cli.errors import InvalidInput
from todo_cli.render import Renderer


class Questions:
    """The questions of one run. `require_own_process` is called before the terminal is read."""

    def __init__(
        self,
        stdin: TextIO | None,
        stderr: TextIO,
        render: Renderer,
        *,
        require_own_process: Callable[[], None],
    ) -> None:
        self._stdin = stdin
        self._stderr = stderr
        self._render = render
        self._require_own_process = require_own_process

    @property
    def has_terminal(self) -> bool:
        """Whether questions can be asked: standard input and standard error are terminals."""
        return self._stdin is not None and self._stdin.isatty() and self._stderr.isatty()

    def require_confirmable(self, option: str) -> None:
        """Check that `confirm` can ask, before the command reads what the question is about.

        Raises:
            InvalidInput: there is no terminal; the hint names the option that confirms.
        """
        self._terminal(hint=f"Pass {option} to confirm.")

    def confirm(self, question: str, *, option: str, about: Sequence[str] = ()) -> bool:
        """Ask a yes-or-no question below the lines in `about`.

        Raises:
            InvalidInput: there is no terminal; the hint names the option that confirms.
        """
        stdin = self._terminal(hint=f"Pass {option} to confirm.")
        self._render.prompt(f"{question} [y/N] ", about)
        return stdin.readline().strip().lower() in ("y", "yes")

    def ask(self, question: str, *, option: str) -> str:
        """Read a line from the terminal.

        Raises:
            InvalidInput: there is no terminal, or no answer; the hint names the option for it.
        """
        stdin = self._terminal(hint=f"Pass {option}.")
        self._render.prompt(question)
        answer = stdin.readline()
        if not answer:
            raise InvalidInput("The question was not answered.", hint=f"Pass {option}.")
        return answer.rstrip("\r\n")

    def ask_secret(self, question: str, *, option: str) -> str:
        """Read a line from the terminal without showing it.

        Raises:
            InvalidInput: there is no terminal, or no answer; the hint names the option for it.
        """
        stdin = self._terminal(hint=f"Pass {option}.")
        if os.name == "nt":
            import getpass

            return getpass.getpass(question)
        with _without_echo(stdin):
            answer = self.ask(question, option=option)
        self._stderr.write("\n")
        return answer

    def _terminal(self, *, hint: str) -> TextIO:
        self._require_own_process()
        if self._stdin is None or not self.has_terminal:
            is_input = self._stdin is not None and self._stdin.isatty()
            name = "standard error" if is_input else "standard input"
            raise InvalidInput(f"Cannot ask: {name} is not a terminal.", hint=hint)
        return self._stdin


@contextmanager
def _without_echo(stdin: TextIO) -> Iterator[None]:
    """Keep the terminal from showing what is typed. Without a terminal, do nothing."""
    try:
        import termios

        descriptor = stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError):
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
