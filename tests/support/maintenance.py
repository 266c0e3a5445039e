"""What administrators do to a database, each over a connection of its own."""

from __future__ import annotations

from datetime import timedelta

from todo_cli.admin import retention
from todo_cli.admin import seed as seeding
from todo_cli.admin.bulk import Progress
from todo_cli.admin.connect import connected


def in_silence(done: int, total: int | None, now: str) -> None:
    pass


def seed(
    url: str,
    *,
    users: int = 20,
    tasks: int = 3_000,
    random_seed: int = 1,
    progress: Progress = in_silence,
) -> seeding.Seeded:
    with connected(url) as connection:
        return seeding.seed(
            connection, users=users, tasks=tasks, random_seed=random_seed, progress=progress
        )


def cleanup(url: str) -> seeding.Removed:
    with connected(url) as connection:
        return seeding.cleanup(connection, progress=in_silence)


def archive(url: str, older_than: timedelta, progress: Progress = in_silence) -> int:
    with connected(url) as connection:
        return retention.archive(connection, older_than, progress=progress)


def purge(url: str, older_than: timedelta) -> int:
    with connected(url) as connection:
        return retention.purge(connection, older_than, progress=in_silence)


def count_archivable(url: str, older_than: timedelta) -> int:
    with connected(url) as connection:
        return retention.count_archivable(connection, older_than)


def count_purgeable(url: str, older_than: timedelta) -> int:
    with connected(url) as connection:
        return retention.count_purgeable(connection, older_than)


def forget_events(url: str) -> int:
    with connected(url) as connection:
        return retention.forget_events(connection, progress=in_silence)
