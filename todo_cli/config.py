"""Settings of one run, from the given environment only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from todo_cli.errors import InvalidInput

DEFAULT_TIMEOUT_SECONDS = 30.0
TOKEN_VARIABLE = "TODO_SESSION_TOKEN"
MAX_TIMEOUT_SECONDS = 86_400.0


@dataclass(frozen=True)
class Settings:
    """`timeout_seconds` is how long to wait for the database in total."""

    data_dir: Path
    timeout_seconds: float
    session_token: str | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of a run.

        Raises:
            InvalidInput: a variable has an impossible value.
        """
        return cls(
            data_dir=_data_dir(environ),
            timeout_seconds=_timeout(environ.get("TODO_TIMEOUT")),
            session_token=environ.get(TOKEN_VARIABLE) or None,
        )


def _data_dir(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("TODO_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    # The same as platformdirs on Linux, whose import takes 20 ms.
    if os.name == "posix" and os.uname().sysname == "Linux":
        base = environ.get("XDG_DATA_HOME") or ""
        if os.path.isabs(base):
            return Path(base) / "todo"
        return Path(environ.get("HOME") or Path.home()) / ".local" / "share" / "todo"
    from platformdirs import user_data_path

    return user_data_path("todo", appauthor=False)


def _timeout(text: str | None) -> float:
    if not text:
        return DEFAULT_TIMEOUT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidInput(
            "TODO_TIMEOUT is not a number of seconds.", hint="For example: TODO_TIMEOUT=30"
        )
    return seconds
