"""The newest revision of the schema, known here so that a command need not import Alembic."""

SCHEMA_HEAD = "0011"
"""The newest revision of `migrations/`; a test compares the two."""
