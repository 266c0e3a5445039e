"""People for tests: a row in `users` and a session, as the web application would make them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from uuid import UUID

import psycopg


@dataclass(frozen=True)
class Person:
    id: UUID
    email: str
    token: str


def sign_up(url: str, name: str) -> Person:
    """Make a person with a session of seven days."""
    token = secrets.token_urlsafe(32)
    email = f"{name}@example.org"
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "insert into users (email, name) values (%s, %s) returning id", (email, name)
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into sessions (user_id, token, expires_at) values (%s, %s, now() + '7 days')",
            (row[0], token),
        )
    return Person(row[0], email, token)
