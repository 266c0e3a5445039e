"""What the commands write of tasks with awkward text, kept byte for byte in `files/`.

`python -m tests.golden` writes the files anew; the difference is then reviewed like any other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import psycopg

from tests.support.people import Person
from tests.support.streams import run_here

FILES = Path(__file__).parent / "files"
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
COLUMNS = (40, 80, 120)
CREATED_AT = datetime(2020, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
"""More than a year before `NOW`, so that their dates are shown."""

AWKWARD = {
    "plain": ("Buy milk", None),
    "wide": ("宽字符 日本語のタスク 한국어 할 일 ＦＵＬＬ", "全角の説明\n二行目"),
    "combining": ("e\u0301 n\u0303 Z\u0334\u0327a\u0337lgo ﷽", "a\u0300\u0301\u0302\u0303"),
    "bidi": ("evil \u202egnp.exe\u202c \u2066iso\u2069 שלום مرحبا", "\u200fright\u200e"),
    "zero width": ("in\u200bvi\u200csi\u2060ble\ufeff \u00adsoft", "\u200b"),
    "emoji": ("👩‍👩‍👧 🏳️‍🌈 🇩🇪 👍🏽 ❤️ 1️⃣ 🧑🏿‍🚀", "🫠\n👨‍👩‍👧‍👦"),
    "markup": ("[bold red]x[/bold red] [link=https://a.example]y[/] :smile:", "[/] [blink]"),
    "html": ("<b>&amp;</b> {0} %s $HOME `id` $(id)", "<script>alert(1)</script>"),
    "quotes": ("\"double\" 'single' “typographic” «guillemets» ''", 'He said: "\'"'),
    "backslashes": (r"C:\new\table \\ \u0041 \x1b[31m", "a\\nb\\\\n\\t\\"),
    "line breaks": ("A title of one line", "one\ntwo\r\nthree\n\n\tindented\nfive\n"),
    "separators": ("thin\u2009no-break\u00a0ideographic\u3000end", "line\u2028paragraph\u2029end"),
    "sql": ("'; drop table tasks; --", "null"),
    "longest": ("x" * 500, None),
    "longest in words": (("word " * 100).strip(), "word " * 300),
    "longest and wide": ("宽" * 500, "宽" * 500),
}


SAID = {
    "plain": "due_on = '2019-12-04', due_time = '17:00', due_zone = 'Europe/Berlin', priority = 1, "
    "tags = '{Errand,phone}', project = 'house.garden'",
    "wide": "due_on = '2019-12-31', tags = '{宽,家}', project = '家.庭'",
    "combining": "wait_on = '9999-12-31', priority = 3",
    "emoji": "due_on = '2020-02-29', due_time = '09:00:30', wait_on = '2020-01-01', priority = 2",
    "markup": "tags = '{[bold]}', project = '[red]x[/]'",
    "quotes": """tags = '{"\\"quoted\\""}', extra = '{"a": [1, "é"]}'""",
}
"""What some of them say besides, as an update of their columns. In the past, as `CREATED_AT`."""


VIEWS = (
    *("list", "list --limit 3", "today", "upcoming", "upcoming --days 1", "next --limit 4"),
    *("next -v --limit 2", "projects", "tags", "show 1", "show 9", "show 16"),
)

TODAY = NOW.date()
WEEK: dict[str, dict[str, object]] = {
    "Pay the electricity bill": {
        "due_on": TODAY - timedelta(days=3),
        "priority": 1,
        "project": "house",
        "tags": ["money"],
    },
    "Return library books": {"due_on": TODAY - timedelta(days=1), "tags": ["errand"]},
    "Send the slides to Ada before the meeting": {
        "due_on": TODAY,
        "due_time": "09:00",
        "priority": 2,
        "project": "work.talks",
        "tags": ["mail"],
    },
    "Call the dentist": {"due_on": TODAY, "due_time": "16:30", "tags": ["phone"]},
    "Water the plants on the balcony and those in the kitchen, and look after the lemon tree": {
        "due_on": TODAY,
        "project": "house.garden",
        "tags": ["home"],
    },
    "Pick up the parcel": {"due_on": TODAY, "priority": 3, "tags": ["Errand"]},
    "Buy a birthday present for Grandmother": {
        "due_on": TODAY + timedelta(days=1),
        "priority": 1,
        "tags": ["errand", "family"],
        "description": "She likes puzzles",
    },
    "Dinner with Ben": {"due_on": TODAY + timedelta(days=3), "due_time": "19:00"},
    "Talk to Tokyo": {
        "due_on": TODAY + timedelta(days=2),
        "due_time": "08:00",
        "due_zone": "Asia/Tokyo",
        "project": "work",
    },
    "宽字符 日本語のタスク": {
        "due_on": TODAY + timedelta(days=2),
        "project": "仕事",
        "tags": ["電話"],
    },
    "Hand in the tax return": {
        "due_on": TODAY + timedelta(days=6),
        "priority": 1,
        "project": "house",
        "tags": ["money"],
    },
    "Book train tickets": {"due_on": TODAY + timedelta(days=10), "project": "travel.lisbon"},
    "evil \u202egnp.exe": {"project": "a\u202eb", "tags": ["[red]x[/]"], "priority": 2},
    "Renew the passport": {"due_on": TODAY + timedelta(days=400), "tags": ["errand"]},
    "Read the book about gardens": {},
    "Look for ski boots": {
        "due_on": TODAY - timedelta(days=1),
        "wait_on": TODAY + timedelta(days=9),
    },
    "Fix the tap": {
        "completed": True,
        "completed_at": NOW - timedelta(days=2),
        "due_on": TODAY - timedelta(days=2),
        "project": "House",
    },
}
"""What a person has to do in a week, with the columns of each."""


def fill(superuser_url: str, person: Person, *, is_plain: bool = False) -> None:
    """Give a person the awkward tasks: every third is done, the last one is in the trash.

    Plain ones say nothing besides their texts.
    """
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        # Without the triggers, which would give the present time.
        connection.execute("set session_replication_role = replica")
        for number, (title, description) in enumerate(AWKWARD.values(), start=1):
            created_at = CREATED_AT + timedelta(hours=number)
            completed_at = created_at + timedelta(minutes=5) if number % 3 == 0 else None
            is_last = number == len(AWKWARD)
            connection.execute(
                "insert into tasks (id, user_id, number, title, description, completed, "
                "created_at, updated_at, completed_at, deleted_at) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    UUID(int=number + 1000 * is_plain, version=4),
                    person.id,
                    number,
                    title,
                    description,
                    completed_at is not None,
                    created_at,
                    completed_at or created_at,
                    completed_at,
                    created_at + timedelta(days=1) if is_last else None,
                ),
            )
        for name, said in {} if is_plain else SAID.items():
            number = list(AWKWARD).index(name) + 1
            connection.execute(
                f"update tasks set {said} where number = {number} and user_id = %s".encode(),
                (person.id,),
            )


def fill_week(superuser_url: str, person: Person) -> None:
    """Give a person the tasks of a week, as people type them."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for number, (title, said) in enumerate(WEEK.items(), start=1):
            created_at = CREATED_AT + timedelta(hours=number)
            times = {"created_at": created_at, "updated_at": created_at}
            names = ", ".join(["id", "user_id", "number", "title", *times, *said])
            values = (
                UUID(int=number + 2000, version=4),
                person.id,
                number,
                title,
                *times.values(),
                *said.values(),
            )
            places = ", ".join(["%s"] * len(values))
            connection.execute(f"insert into tasks ({names}) values ({places})".encode(), values)


def outputs(
    superuser_url: str, person: Person, plain: Person, busy: Person
) -> Iterator[tuple[str, bytes]]:
    """Each file's name, and what its command writes on `NOW`.

    The tasks are those of a person with awkward ones, of one with the same without anything else,
    and of one with a week's.
    """
    os.environ["TZ"] = "UTC"
    time.tzset()
    base = {
        "TODO_DATABASE_URL": superuser_url,
        "TODO_AGENT": "0",
        "TERM": "xterm-256color",
    }

    def written(
        words: str, columns: int | None = None, of: Person = person, **environ: str
    ) -> bytes:
        given = {
            **base,
            "TODO_SESSION_TOKEN": of.token,
            "COLUMNS": str(columns or ""),
            "LINES": "40",
            **environ,
        }
        with (
            patch("todo_cli.context.Run.now", lambda _: NOW),
            # A busy machine would show that it waits.
            patch("todo_cli.render.Renderer.waiting", lambda *_: nullcontext()),
        ):
            done = run_here(words.split(), b"", columns, given)
        assert done.exit_code == 0, (words, done.stderr)
        return (done.stdout + (done.stderr if columns else "")).encode()

    yield "list.tsv", written("list --all")
    yield "list.json", written("list --all --json")
    yield "list.jsonl", written("list --all --jsonl")
    yield "trash.tsv", written("list --trash")
    yield "list.indented.json", written("list --all --json", 80)
    shown = [f"show {number}" for number in range(1, len(AWKWARD))]
    yield "show.tsv", b"".join(map(written, shown))
    yield "show.json", b"".join(written(f"{words} --json") for words in shown)
    for columns in COLUMNS:
        yield f"list.{columns}.txt", written("list --all", columns, NO_COLOR="1")
        yield f"plain.{columns}.txt", written("list --all", columns, plain, NO_COLOR="1")
        yield f"trash.{columns}.txt", written("list --trash", columns, NO_COLOR="1")
        yield (
            f"show.{columns}.txt",
            b"".join(written(words, columns, NO_COLOR="1") for words in shown),
        )
        week = [
            f"$ todo {words}\n".encode() + written(words, columns, busy, NO_COLOR="1")
            for words in VIEWS
        ]
        yield f"week.{columns}.txt", b"\n".join(week)
    yield "list.80.colour.txt", written("list --all", 80)
    yield "plain.80.colour.txt", written("list --all", 80, plain)
    yield "today.80.colour.txt", written("today", 80, busy)
    yield "today.80.dumb.txt", written("today", 80, busy, TERM="dumb")
    for view in ("today", "upcoming", "next", "projects", "tags"):
        yield f"{view}.json", written(f"{view} --json", of=busy)
        yield f"{view}.tsv", written(view, of=busy)
