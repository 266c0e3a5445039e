"""SQLAlchemy's PostgreSQL dialect, asking the server nothing on connect.

The stock dialect opens with four questions (version, schema, isolation level, string escapes), a
round trip each, whose answers are known: the version comes with the connection's start-up, and the
rest is what every supported server says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

NAME = "postgresql.todo"


class TodoDialect(PGDialect_psycopg):
    """The psycopg dialect without its first queries."""

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(use_native_hstore=False, **options)  # type: ignore[no-untyped-call]  # SQLAlchemy types no dialect

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        major, minor = divmod(connection.connection.driver_connection.info.server_version, 10_000)
        return (major, minor)

    def _get_default_schema_name(self, connection: Any) -> str:
        return "public"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        return "READ COMMITTED"

    def _set_backslash_escapes(self, connection: Any) -> None:
        self._backslash_escapes = False  # standard_conforming_strings: on since PostgreSQL 9.1


registry.register(NAME, __name__, TodoDialect.__name__)
