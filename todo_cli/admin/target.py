"""Chooses the database of the `todo db` commands: the usual one, by its direct host.

Migrations, dumps and session locks do not work behind a pooler in transaction mode. So variables
with a direct URL come first, and Neon's pooled host is replaced by the direct one.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

from todo_cli.database.target import (
    NEON_DOMAIN,
    POOLER_SUFFIX,
    Target,
    chosen_direct_url,
    direct_url,
    secret_options,
)

MASK = "****"


def administrative_target(flag: str | None, environ: Mapping[str, str]) -> Target | None:
    """The database that was named by the flag, the unpooled variables, or the others, else None.

    Raises:
        InvalidInput: the URL is not a valid URL of PostgreSQL.
    """
    chosen = chosen_direct_url(flag, environ)
    return None if chosen is None else Target(*chosen)


def is_pooled(url: str) -> bool:
    """Whether the host is Neon's pooled one."""
    host = urlsplit(url).hostname or ""
    return host.endswith(NEON_DOMAIN) and host.partition(".")[0].endswith(POOLER_SUFFIX)


def direct(target: Target) -> Target:
    """The same database by its direct host."""
    url = direct_url(target.url)
    return target if url == target.url else Target(url, target.source)


def masked(url: str) -> str:
    """The URL with any password in it replaced."""
    parts = urlsplit(url)
    access, at, host = parts.netloc.rpartition("@")
    user, colon, _ = access.partition(":")
    netloc = f"{user}{colon}{MASK if colon else ''}{at}{host}"
    options = "&".join(_masked_option(word) for word in parts.query.split("&"))
    return urlunsplit(parts._replace(netloc=netloc, query=options))


def _masked_option(word: str) -> str:
    name, is_, _ = word.partition("=")
    return f"{name}{is_}{MASK}" if unquote(name) in secret_options() else word
