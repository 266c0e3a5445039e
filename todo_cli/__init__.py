"""todo: a todo manager for the terminal, on PostgreSQL. Imports nothing."""

__version__ = "0.1.0"
