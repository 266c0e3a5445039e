"""The embedded PostgreSQL server, for people who have no database server."""

from todo_cli.database.embedded.server import DATABASE, SUPERUSER, EmbeddedServer, locked

__all__ = ["DATABASE", "SUPERUSER", "EmbeddedServer", "locked"]
