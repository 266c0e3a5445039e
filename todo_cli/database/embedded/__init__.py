"""The PostgreSQL server that todo brings along, for people who have none."""

from todo_cli.database.embedded.server import DATABASE, SUPERUSER, EmbeddedServer, locked

__all__ = ["DATABASE", "SUPERUSER", "EmbeddedServer", "locked"]
