"""Settings of one run, from the given environment only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from todo_cli.errors import InvalidInput
from todo_cli.values import DateOrder

DEFAULT_TIMEOUT_SECONDS = 30.0
TOKEN_VARIABLE = "TODO_SESSION_TOKEN"
MAX_TIMEOUT_SECONDS = 86_400.0
_LOCALE_VARIABLES = ("LC_ALL", "LC_TIME", "LANG")
_MONTH_FIRST = frozenset(("US", "AS", "FM", "GU", "MH", "MP", "PH", "PR", "PW", "UM", "VI"))
_UNCLEAR_ORDER = frozenset(("CA", "CN", "HK", "HU", "JP", "KP", "KR", "LT", "MN", "TW", "ZA"))
"""Territories that write the year first, or both orders."""


@dataclass(frozen=True)
class Settings:
    """`timeout_seconds` is how long to wait for the database in total; `date_order` reads 5/12."""

    data_dir: Path
    timeout_seconds: float
    session_token: str | None
    date_order: DateOrder | None

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
            date_order=date_order(environ),
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


def date_order(environ: Mapping[str, str]) -> DateOrder | None:
    """The order of day and month, from TODO_DATE_ORDER or the locale; None where neither tells.

    Raises:
        InvalidInput: TODO_DATE_ORDER has another value.
    """
    if chosen := environ.get("TODO_DATE_ORDER"):
        try:
            return DateOrder(chosen.lower())
        except ValueError:
            raise InvalidInput(
                "TODO_DATE_ORDER is neither dmy nor mdy.", hint="For example: TODO_DATE_ORDER=dmy"
            ) from None
    locale = next((found for name in _LOCALE_VARIABLES if (found := environ.get(name))), "")
    _, _, territory = locale.partition(".")[0].partition("@")[0].partition("_")
    if len(territory) != 2 or territory in _UNCLEAR_ORDER:
        return None
    return DateOrder.MDY if territory in _MONTH_FIRST else DateOrder.DMY
