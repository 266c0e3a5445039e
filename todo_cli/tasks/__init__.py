"""The tasks of a person: the repository, and the statements that it sends."""
