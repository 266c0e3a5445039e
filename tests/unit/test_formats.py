"""What each format keeps, and how it refuses what it cannot read. No database."""

from __future__ import annotations

import io
import json
import uuid
from collections import Counter
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_cli.errors import InvalidInput
from todo_cli.formats import READERS, WRITERS, Context, Format, Record, guess, own

CONTEXT = Context("Europe/Berlin")
WORD = st.text("abcäö漢-_1", min_size=1, max_size=9)
WORDS = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=40
).filter(str.strip)
INSTANT = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - UTC, as written below
    datetime(2100, 1, 1),  # noqa: DTZ001
).map(lambda at: f"{at.replace(microsecond=0).isoformat()}Z")
DAY = st.dates(date(1970, 1, 2), date(2100, 1, 1)).map(date.isoformat)


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    completed = draw(st.booleans())
    due = draw(st.none() | DAY)
    clock = draw(st.none() | st.just("17:30")) if due else None
    return {
        "number": 1,
        "id": str(draw(st.uuids(version=4))),
        "title": draw(WORDS),
        "description": draw(st.none() | TEXT),
        "completed": completed,
        "created_at": draw(INSTANT),
        "updated_at": draw(INSTANT),
        "completed_at": draw(INSTANT) if completed else None,
        "deleted_at": draw(st.none() | INSTANT),
        "due_on": due,
        "due_time": clock,
        "due_zone": "Europe/Berlin" if clock else None,
        "wait_on": draw(st.none() | DAY),
        "priority": draw(st.sampled_from([None, "high", "medium", "low"])),
        "project": draw(st.none() | st.just("house.garden")),
        "tags": sorted(draw(st.sets(st.sampled_from(["a", "b", "ö"])))),
        "extra": None,
    }


def written(kind: Format, task: dict[str, Any]) -> bytes:
    if kind is Format.JSON:
        return "".join(own.write_json([json.dumps(task)])).encode()
    return "".join(WRITERS[kind]([task], CONTEXT, Counter())).encode()


def read(kind: Format, data: bytes) -> Record:
    (record,) = READERS[kind](io.BytesIO(data), CONTEXT)
    assert isinstance(record, Record)
    return record


def as_stored(task: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The task as a row has it: instants, times and priorities compared by their values."""
    row = {name: task[name] for name in fields}
    for name in fields:
        value = row[name]
        if value is not None and name.endswith("_at"):
            row[name] = datetime.fromisoformat(value).astimezone(UTC).isoformat()
    if row.get("due_time"):
        row["due_time"] = time.fromisoformat(row["due_time"]).isoformat()
    if row.get("priority"):
        row["priority"] = {"high": 1, "medium": 2, "low": 3}[task["priority"]]
    return row


COLUMNS = tuple(name for name in own.FIELDS if name not in ("number", "id", "extra"))
KEPT_BY = {
    Format.JSON: COLUMNS,
    Format.CSV: COLUMNS,
    Format.TASKWARRIOR: tuple(name for name in COLUMNS if name not in ("description",)),
    Format.TODOTXT: ("title", "due_on", "wait_on", "priority", "project", "tags", "completed"),
}


@pytest.mark.parametrize("kind", list(KEPT_BY))
@given(task=tasks())
def test_what_a_format_keeps_is_equal_after_out_and_in(kind: Format, task: dict[str, Any]) -> None:
    if kind is Format.TODOTXT:
        task["deleted_at"] = None  # it has no trash
    if kind is Format.TASKWARRIOR and task["deleted_at"]:
        task["completed"], task["completed_at"] = False, None  # it has one state
    record = read(kind, written(kind, task))
    row = record.row()
    fields = KEPT_BY[kind]
    assert {name: row[name] for name in fields} == as_stored(task, fields)
    if kind is not Format.TODOTXT:
        assert row["origin"] == task["id"]


@pytest.mark.parametrize("kind", list(KEPT_BY))
def test_a_format_is_guessed_from_what_it_writes(kind: Format) -> None:
    task = dict.fromkeys(own.FIELDS) | {
        "id": str(uuid.uuid4()),
        "title": "one",
        "completed": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "tags": [],
    }
    assert guess(written(kind, task)) is kind


TASK = {
    "uuid": "296d835e-8f85-4224-8f36-c612cad1b9f8",
    "description": "Pay rent",
    "status": "completed",
    "entry": "1577880000",
    "end": "20210101T000000Z",
    "due": "20261130T230000Z",
    "project": "House.Big Room",
    "tags": ["home", "a b"],
    "annotations": [{"entry": "20200101T120000Z", "description": "note"}],
    "estimate": 3,
    "urgency": 4.1,
}


@pytest.mark.parametrize("form", ["[{0}]", "[\n{0},\n{0}\n]", "{0}\n{0}\n"])
def test_taskwarrior_writes_an_array_or_a_stream(form: str) -> None:
    data = form.format(json.dumps(TASK)).encode()
    records = list(READERS[Format.TASKWARRIOR](io.BytesIO(data), CONTEXT))
    assert len(records) == data.count(b"Pay rent")
    for record in records:
        assert isinstance(record, Record)
        row = record.row()
        assert (row["due_on"], row["due_time"]) == ("2026-12-01", None)
        assert (row["created_at"], row["completed"]) == ("2020-01-01T12:00:00+00:00", True)
        assert (row["project"], row["tags"]) == ("House.Big-Room", ["home"])
        assert record.lost == ["tags"]
        assert sorted(record.kept) == ["annotations", "estimate", "project"]
        task = dict.fromkeys(own.FIELDS) | {
            "title": "Pay rent",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "completed": False,
            "project": row["project"],
            "extra": row["extra"],
            "tags": [],
        }
        again = json.loads(written(Format.TASKWARRIOR, task))[0]
        kept = {name: TASK[name] for name in ("uuid", "annotations", "estimate", "project")}
        assert kept.items() <= again.items()


@pytest.mark.parametrize(
    ("line", "title", "expected"),
    [
        ("(A) Call +a +b @x due:2026-12-01", "Call", {"priority": 1, "project": "a"}),
        ("(a) lower", "(a) lower", {"priority": None}),
        ("x 2026-01-02 2026-01-01 done pri:D", "done", {"completed": True, "priority": 3}),
        ("see http://a.b:80/c rec:1w", "see http://a.b:80/c", {}),
        ("pay due:2026-02-30", "pay due:2026-02-30", {"due_on": None}),
        ("xylophone", "xylophone", {"completed": False}),
        ("@home", "@home", {"tags": ["home"]}),
        ("late due:0000-01-01", "late due:0000-01-01", {"due_on": None}),
    ],
)
def test_a_line_of_todo_txt(line: str, title: str, expected: dict[str, Any]) -> None:
    row = read(Format.TODOTXT, line.encode()).row()
    assert row["title"] == title
    assert expected.items() <= row.items()


def test_equal_lines_are_different_tasks_and_the_same_when_read_again() -> None:
    data = b"same\nsame\nother\n"
    twice = [
        [
            record.key
            for record in READERS[Format.TODOTXT](io.BytesIO(data), CONTEXT)
            if isinstance(record, Record)
        ]
        for _ in range(2)
    ]
    assert twice[0] == twice[1]
    assert len(set(twice[0])) == 3


HOSTILE = {
    "digits": b'[{"title": "a", "description": ' + b"9" * 5000 + b"}]",
    "nesting": b'[{"title": ' + b"[" * 200_000,
    "nul": b'[{"title": "a\\u0000b"}]',
    "lone surrogate": b'[{"title": "a\\ud800"}]',
    "not utf-8": b'[{"title": "\xff"}]',
    "long": b'[{"title": "' + b"a" * 3_000_000 + b'"}]',
    "unfinished": b'[{"title": "a"',
    "no object": b"[1]",
    "year 0": b'[{"title": "a", "due_on": "0000-01-01"}]',
    "no offset": b'[{"title": "a", "created_at": "2026-01-01T00:00:00"}]',
    "far": b'[{"title": "a", "created_at": "0001-01-01T00:00:00+14:00"}]',
    "tags of another kind": b'[{"title": "a", "tags": [1]}]',
    "extra of another kind": b'[{"title": "a", "extra": [1]}]',
    "origin of another kind": b'[{"title": "a", "extra": {"todo": 1}}]',
    "description of another kind": b'[{"title": "a", "description": 5}]',
    "infinite": b'[{"title": "a", "extra": {"x": {"y": 1e999}}}]',
    "priority of another kind": b'[{"title": "a", "priority": 1}]',
    "zone": b'[{"title": "a", "due_on": "2026-01-01", "due_time": "12:00", "due_zone": "../x"}]',
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("kind", list(READERS))
def test_a_hostile_file_is_refused_by_line_and_never_by_a_traceback(
    kind: Format, name: str
) -> None:
    refusals = []
    try:
        for record in READERS[kind](io.BytesIO(HOSTILE[name]), CONTEXT):
            if isinstance(record, Record):
                record.row()
            else:
                raise record
    except InvalidInput as error:
        refusals.append(error)
    if kind is Format.JSON:
        assert refusals != []
    assert all("\n" not in error.message and len(error.message) < 300 for error in refusals)
