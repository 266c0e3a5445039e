"""What PostgreSQL's programs say when they fail."""

from __future__ import annotations

from todo_cli.database.embedded.processes import complaint, complaint_in_log

DUMP = """\
pg_dump: error: query failed: FATAL:  terminating connection due to administrator command
pg_dump: detail: Query was: LOCK TABLE public.tasks
pg_dump: error: another one
"""
LOG = """\
LOG:  starting PostgreSQL
FATAL:  could not write lock file
FATAL:  could not map memory
FATAL:  terminating connection because of crash of another server process
LOG:  shutting down
"""


def test_a_client_program_fails_by_its_first_error() -> None:
    reason = "query failed: FATAL:  terminating connection due to administrator command"
    assert complaint(DUMP) == reason


def test_a_server_fails_by_its_own_last_error() -> None:
    assert complaint_in_log(LOG) == "could not map memory"


def test_without_an_error_a_line_is_shown() -> None:
    assert complaint("\nfirst\nlast\n") == "first"
    assert complaint("\nfirst\nlast\n", last=True) == "last"
    assert complaint("") == "it ended without a message."
