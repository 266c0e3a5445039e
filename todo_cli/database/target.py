"""Which database: a URL, where it came from, and what may be shown of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from todo_cli.errors import InvalidInput

SCHEMES = ("postgres", "postgresql")
URL_VARIABLES = ("TODO_DATABASE_URL", "DATABASE_URL")
EMBEDDED = "embedded"
KEPT = "login"
"""The source of a URL that `todo login --database-url` kept."""

_POOLER = re.compile(r"^([^.]+)-pooler(\.)")
_URL_HINT = "A database URL looks like postgresql://user:password@host/database"


@dataclass(frozen=True)
class Target:
    """One database. `source` says where the URL came from: an option, a variable, the keyring."""

    url: str
    source: str

    @property
    def is_embedded(self) -> bool:
        return self.source == EMBEDDED

    @property
    def label(self) -> str:
        """Host and database, fit for showing: never a user's password."""
        if self.is_embedded:
            return "the embedded database"
        parts = urlsplit(self.url)
        return f"{parts.hostname or 'the local socket'}/{unquote(parts.path.lstrip('/'))}"

    @property
    def name(self) -> str:
        """What the database's session is kept under: the same for every user and option of a URL.

        A session is the database's, so Neon's pooled and direct host share it.
        """
        if self.is_embedded:
            return EMBEDDED
        parts = urlsplit(self.url)
        asked = dict(parse_qsl(parts.query))
        host = _POOLER.sub(r"\1\2", parts.hostname or asked.get("host", "localhost"))
        port = parts.port or asked.get("port", "5432")
        user = unquote(parts.username or "")
        database = unquote(parts.path.lstrip("/")) or asked.get("dbname", "") or user
        return f"{host}:{port}/{database}"


def chosen_url(flag: str | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The URL that was asked for and its source, or None: flag, then environment.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    if flag is not None:
        return checked_url(flag, "--database-url"), "--database-url"
    for variable in URL_VARIABLES:
        if url := environ.get(variable):
            return checked_url(url, variable), variable
    return None


def checked_url(url: str, source: str) -> str:
    """The URL itself, if its form can be one of PostgreSQL.

    Raises:
        InvalidInput: scheme, host or port cannot be; the message never holds the URL, which may
            hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(
            f"{source} is not a URL: its host or port cannot be.", hint=_URL_HINT
        ) from error
    if parts.scheme not in SCHEMES:
        scheme = f"the scheme {parts.scheme!r}" if "://" in url else "no scheme"
        raise InvalidInput(f"{source} has {scheme}; only postgresql:// is taken.", hint=_URL_HINT)
    if port == 0:
        raise InvalidInput(f"{source} has the port 0.", hint=_URL_HINT)
    return url
