"""todo: the terminal's todo manager on PostgreSQL. Imports nothing, so that `--version` is instant."""

__version__ = "0.1.0"
