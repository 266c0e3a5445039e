"""How each command is called once: its words, what it reads, and where it is refused.

The recipes are run in this order on one database, so each finds what the ones before it made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple battery horse"
EMAIL = "ada@example.org"


class Place(StrEnum):
    """Where commands run, and how they reach the database."""

    AGENT = "embedded, with the agent"
    EMBEDDED = "embedded, without the agent"
    DIRECT = "a server by TLS and SCRAM"
    POOLED = "the same through a pooler"
    GRANTED = "the same by a role for one person"


EVERYWHERE = frozenset(Place)
SERVERS = frozenset({Place.DIRECT, Place.POOLED, Place.GRANTED})


@dataclass(frozen=True)
class Recipe:
    """One call. `refused` gives the exit code where it is not 0.

    `{folder}` in a word is the test's own folder, `{empty}` the URL of an empty database.
    """

    words: str
    stdin: str = ""
    refused: Mapping[Place, int] = field(default_factory=dict)
    places: frozenset[Place] = EVERYWHERE


def _for_owners(words: str) -> Recipe:
    """What a role for one person must not do."""
    return Recipe(words, refused={Place.GRANTED: 1})


def _with_a_session(words: str) -> Recipe:
    """What needs a session of its own on the server, which a pooler does not give."""
    return Recipe(words, refused={Place.GRANTED: 1, Place.POOLED: 1})


RECIPES = [
    Recipe("version"),
    Recipe("help"),
    Recipe("help done"),
    Recipe("list", places=SERVERS, refused=dict.fromkeys(SERVERS, 4)),
    Recipe(
        f"register --email {EMAIL} --name Ada --password-stdin --credential-store=file",
        stdin=PASSWORD,
    ),
    Recipe("whoami --json"),
    Recipe("add Buy milk -d two"),
    Recipe("add -", stdin="Two\nThree\nFour\n"),
    Recipe("add Call -D tomorrow -W someday -p high -t a -P b.c"),
    Recipe("q Call Ann fri 5pm @phone p1"),
    Recipe("q -n Call Ann fri"),
    Recipe("when next fri 5pm"),
    Recipe("when tomorow", refused=dict.fromkeys(EVERYWHERE, 2)),
    Recipe("edit 1 -D none -t x --no-tag a -p none"),
    Recipe("list --json"),
    Recipe("list --jsonl"),
    Recipe("ls --all --sort title"),
    Recipe("list --search MILK"),
    Recipe("list due:none not @home --json"),
    Recipe("list project:house or milk --sort due"),
    Recipe("list is:overdue,done --sort urgency --jsonl"),
    Recipe("list no:field", refused=dict.fromkeys(EVERYWHERE, 2)),
    Recipe("show 1"),
    Recipe("edit 1 --title Oats"),
    Recipe("done 1 2"),
    Recipe("reopen 2"),
    Recipe("toggle 3"),
    Recipe("rm 2"),
    Recipe("list --trash"),
    Recipe("restore 2"),
    Recipe("undo --dry-run"),
    Recipe("undo"),
    Recipe("redo"),
    Recipe("redo", refused=dict.fromkeys(EVERYWHERE, 1)),
    Recipe("history --json"),
    Recipe("history 2"),
    Recipe("done -w 'number:1..3 is:pending' --yes"),
    Recipe("reopen -w 'done:today not Oats' --yes"),
    Recipe("edit -w 'two or three' -p low --yes"),
    Recipe("rm -w 'title:two' --yes"),
    Recipe("restore -w 'title:two' --yes"),
    Recipe("rm --permanent -w is:trash --yes"),
    Recipe("done -w milk", refused=dict.fromkeys(EVERYWHERE, 2)),
    Recipe("done -w '' --yes", refused=dict.fromkeys(EVERYWHERE, 2)),
    Recipe("add --dry-run Not added"),
    Recipe("edit -n 1 --title Oats"),
    Recipe("done -n 3 5"),
    Recipe("reopen -n 1"),
    Recipe("toggle -n 3"),
    Recipe("rm -n 3"),
    Recipe("rm -n --permanent 3"),
    Recipe("restore -n 3"),
    Recipe("done -n 99", refused=dict.fromkeys(EVERYWHERE, 1)),
    Recipe("rm --permanent --yes 4"),
    Recipe("undo --json", refused=dict.fromkeys(EVERYWHERE, 1)),
    Recipe("done 4", refused=dict.fromkeys(EVERYWHERE, 1)),
    Recipe("stats"),
    Recipe("today"),
    Recipe("upcoming --days 30"),
    Recipe("next -v"),
    Recipe("projects"),
    Recipe("tags"),
    Recipe("export --output {folder}/tasks.json"),
    Recipe("import {folder}/tasks.json"),
    Recipe("import -", stdin="(A) Call Ada +work @phone due:2026-12-01\n"),
    Recipe("import - --from td", stdin="[]", refused=dict.fromkeys(EVERYWHERE, 2)),
    Recipe("export is:pending --to json"),
    Recipe("sessions"),
    Recipe("passwd --password-stdin", stdin=f"{PASSWORD}\n{NEW_PASSWORD}\n"),
    Recipe("logout"),
    Recipe(f"login --email {EMAIL} --password-stdin --credential-store=file", stdin=NEW_PASSWORD),
    Recipe("list"),
    Recipe("agent status"),
    Recipe("agent start", places=frozenset({Place.AGENT})),
    Recipe("agent restart", places=frozenset({Place.AGENT})),
    Recipe("agent stop"),
    _with_a_session("db upgrade"),
    _for_owners("db status --check"),
    _for_owners("db seed --users 3 --tasks 300"),
    Recipe("db health --json"),
    Recipe("db explain"),
    Recipe("db inspect"),
    Recipe("db schema"),
    _for_owners("db archive --older-than 1d"),
    Recipe("list --archived"),
    _for_owners("db purge --older-than 1d --yes"),
    _with_a_session("db backup {folder}/a.dump"),
    Recipe(
        "db restore {folder}/a.dump --database-url {empty}",
        refused={Place.GRANTED: 1, Place.POOLED: 1},
    ),
    _for_owners("db cleanup --yes"),
    _for_owners(f"db unlock {EMAIL}"),
    _for_owners("db grant person_of_{database}"),
    Recipe("db grants"),
    _for_owners("db grant person_of_{database} --revoke"),
    Recipe("db url"),
    _with_a_session("db downgrade 0006 --yes"),
    _with_a_session("db upgrade"),
    Recipe("list"),
    Recipe("db start", places=frozenset({Place.AGENT, Place.EMBEDDED})),
    Recipe("db stop", places=frozenset({Place.AGENT, Place.EMBEDDED})),
    Recipe("list"),
    Recipe("logout --all"),
]
