"""Which database the `todo db` commands work on: the same as everywhere, by its direct host.

Migrations, dumps and session locks do not work behind a pooler in transaction mode, so the URLs
that name a direct host go first, and Neon's pooled host is exchanged for the direct one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from todo_cli.database.target import Target, checked_url, chosen_url

UNPOOLED_VARIABLES = ("TODO_DATABASE_URL_UNPOOLED", "DATABASE_URL_UNPOOLED")
MASK = "****"
_POOLER = re.compile(r"^([^.]+)-pooler(\..*neon\.[a-z]+)$")
"""Neon's pooled host: the endpoint's name with `-pooler` before the first dot."""


def administrative_target(flag: str | None, environ: Mapping[str, str]) -> Target | None:
    """The database that was asked for, or None: flag, unpooled variables, the others.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    if flag is None:
        for variable in UNPOOLED_VARIABLES:
            if url := environ.get(variable):
                return Target(checked_url(url, variable), variable)
    chosen = chosen_url(flag, environ)
    return None if chosen is None else Target(*chosen)


def is_pooled(url: str) -> bool:
    """Whether the host is Neon's pooled one."""
    return _POOLER.match(urlsplit(url).hostname or "") is not None


def direct(target: Target) -> Target:
    """The same database by its direct host; the same target where that is what it names."""
    parts = urlsplit(target.url)
    pooled = _POOLER.match(parts.hostname or "")
    if pooled is None:
        return target
    host = parts.netloc.rpartition("@")[2]
    access = parts.netloc[: len(parts.netloc) - len(host)]
    _, colon, port = host.partition(":")
    netloc = f"{access}{pooled[1]}{pooled[2]}{colon}{port}"
    return Target(urlunsplit(parts._replace(netloc=netloc)), target.source)


def masked(url: str) -> str:
    """The URL with any password in it replaced."""
    parts = urlsplit(url)
    access, at, host = parts.netloc.rpartition("@")
    user, colon, _ = access.partition(":")
    netloc = f"{user}{colon}{MASK if colon else ''}{at}{host}"
    fields = parse_qsl(parts.query, keep_blank_values=True)
    if any(name == "password" for name, _ in fields):
        hidden = [(name, MASK if name == "password" else value) for name, value in fields]
        parts = parts._replace(query=urlencode(hidden, quote_via=quote, safe="*/"))
    return urlunsplit(parts._replace(netloc=netloc))
