r"""JSON documents and tab-separated records of tasks, sessions and statistics, for programs.

This module alone lists the fields of a task. PostgreSQL writes them for lists, which may hold a
million tasks; Python writes them for the tasks that a command returns. Both give the same text, and
a test compares them. Only the functions that build a statement import SQLAlchemy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from todo_cli.values import WRITTEN_COLUMNS, Priority

if TYPE_CHECKING:
    import sqlalchemy as sa

    from todo_cli.models import Task
    from todo_cli.values import AccountSession, Stats

SAID_FIELDS = tuple(
    name for name in WRITTEN_COLUMNS if name not in ("title", "description", "extra")
)
"""What somebody says of a task besides its texts, in the order of `WRITTEN_COLUMNS`."""

TASK_FIELDS = (
    "number",
    "id",
    "title",
    "description",
    "completed",
    "created_at",
    "updated_at",
    "completed_at",
    "deleted_at",
    *SAID_FIELDS,
)
"""The fields of a task's JSON document, in order. Add new ones at the end."""

RECORD_COLUMNS = (
    "number",
    "status",
    "title",
    "created_at",
    "updated_at",
    "completed_at",
    "id",
    "description",
    *SAID_FIELDS,
)
"""The columns of a task's record, in order. Add new ones at the end."""

MAY_HAVE_LINES = frozenset({"description"})
"""Texts that may have line breaks. A record always escapes their backslashes."""

_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_ENDS_A_FIELD = "\t\n\r"
_JSON_TYPES = (bool, int, float, str, list, dict)
_RFC3339 = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


# --- by Python ---------------------------------------------------------------------------------


def task_document(task: Task) -> dict[str, Any]:
    """The JSON document of a task: every field, in the order of `TASK_FIELDS`."""
    return {name: _value(task, name) for name in TASK_FIELDS}


def task_record(task: Task) -> str:
    """The record of a task: one line of tab-separated columns."""
    return "\t".join(_record_fields(task))


def _record_fields(task: Task) -> Iterator[str]:
    for name in RECORD_COLUMNS:
        if name == "status":
            yield "trash" if task.deleted_at else "done" if task.completed else "pending"
        else:
            value = _value(task, name)
            yield field(value, may_have_lines=name in MAY_HAVE_LINES)


def _value(task: Task, name: str) -> Any:
    value = getattr(task, name)
    return Priority(value).word if name == "priority" and value else json_value(value)


def changed_document(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """The columns of an event of the history, as PostgreSQL's JSON, in the form of a task's
    document and in its order. None: there was no task."""
    if values is None:
        return None
    names = sorted(values, key=lambda name: _PLACES.get(name, len(_PLACES)))
    return {name: _changed_value(name, values[name]) for name in names}


_PLACES = {name: place for place, name in enumerate(TASK_FIELDS)}


def _changed_value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "priority":
        return Priority(value).word
    if name.endswith("_at"):
        return rfc3339(datetime.fromisoformat(value))
    return json_value(time.fromisoformat(value)) if name == "due_time" else value


def session_document(session: AccountSession) -> dict[str, Any]:
    """The JSON document of a session."""
    return {
        "id": str(session.id),
        "current": session.is_current,
        "created_at": rfc3339(session.created_at),
        "updated_at": rfc3339(session.updated_at),
        "expires_at": rfc3339(session.expires_at),
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
    }


def stats_document(stats: Stats) -> dict[str, Any]:
    """The JSON document of the statistics."""
    return {
        "total": stats.total,
        "pending": stats.pending,
        "completed": stats.completed,
        "completion_rate": round(stats.completion_rate, 4),
        "trash": stats.trash,
        "created_last_7_days": stats.created_last_7_days,
        "completed_last_7_days": stats.completed_last_7_days,
        "streak_days": stats.streak_days,
        "median_hours_to_done": None
        if stats.median_hours_to_done is None
        else round(stats.median_hours_to_done, 2),
        "oldest_pending": json_value(stats.oldest_pending),
        "by_day": [
            {"date": day.date.isoformat(), "created": day.created, "completed": day.completed}
            for day in stats.by_day
        ],
    }


def json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, time):
        return value.isoformat("seconds" if value.second else "minutes")
    return value if value is None or isinstance(value, _JSON_TYPES) else str(value)


def rfc3339(instant: datetime) -> str:
    """The instant in UTC. Microseconds are left out if they are zero."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def compact_json(document: Any) -> str:
    """The document on one line, without spaces or escapes of non-ASCII characters."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def field(value: Any, *, may_have_lines: bool = False) -> str:
    r"""One field of a record. Tabs and line breaks are escaped (`\t`, `\n`, `\r`), then `\\` too.

    With `may_have_lines` backslashes are always escaped, so that the text can be read back.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(field(part) for part in value)
    text = str(value)
    if not may_have_lines and not any(character in text for character in _ENDS_A_FIELD):
        return text
    return "".join(_ESCAPES.get(character, character) for character in text)


# --- by PostgreSQL -----------------------------------------------------------------------------


def document_column(
    task: sa.FromClause, names: Sequence[str] = TASK_FIELDS
) -> sa.ColumnElement[str]:
    """The text of `compact_json(task_document(task))`, made from the columns of `task`.

    `row_to_json` alone writes instants in the session's time zone, without trailing zeros.
    """
    import sqlalchemy as sa

    fields = (
        sa.select(*(_json_column(task.c[name]).label(name) for name in names))
        .correlate(task)
        .subquery("fields")
    )
    document = sa.select(sa.func.row_to_json(fields.table_valued())).scalar_subquery()
    return sa.cast(document, sa.Text)


def export_column(task: sa.FromClause) -> sa.ColumnElement[str]:
    """The document with a field more: what an import brought, and no other field has."""
    return document_column(task, (*TASK_FIELDS, "extra"))


def record_column(task: sa.FromClause) -> sa.ColumnElement[str]:
    """The text of `task_record(task)`, made from the columns of `task`."""
    import sqlalchemy as sa

    status = sa.case(
        (task.c.deleted_at.is_not(None), "trash"), (task.c.completed, "done"), else_="pending"
    )
    fields = [status if name == "status" else _record_text(task.c[name]) for name in RECORD_COLUMNS]
    return sa.func.concat_ws("\t", *fields)


def _json_column(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The column as JSON has it. Not by the session's own forms of dates and times."""
    import sqlalchemy as sa

    kind = getattr(column.type, "impl", column.type)
    if isinstance(kind, sa.DateTime):
        text = sa.func.to_char(sa.func.timezone("UTC", column), _RFC3339)
        return sa.func.replace(text, ".000000Z", "Z")
    if isinstance(kind, sa.Date):
        return sa.func.to_char(column, "YYYY-MM-DD")
    if isinstance(kind, sa.Time):
        return sa.func.regexp_replace(sa.cast(column, sa.Text), ":00$", "")
    if column.key == "priority":
        return sa.case({priority.value: priority.word for priority in Priority}, value=column)
    return column


def _record_text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The field's text, never NULL: `concat_ws` would leave the column out."""
    import sqlalchemy as sa

    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, ",")
    text: sa.ColumnElement[str] = sa.cast(_json_column(column), sa.Text)
    if isinstance(column.type, sa.Text):
        escaped = text
        for character, escape in _ESCAPES.items():
            escaped = sa.func.replace(escaped, character, escape)
        if column.key in MAY_HAVE_LINES:
            text = escaped
        else:
            text = sa.case((text.regexp_match(f"[{_ENDS_A_FIELD}]"), escaped), else_=text)
    return sa.func.coalesce(text, "")
