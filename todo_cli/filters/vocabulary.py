"""The words of filters: fields, states, parts and priorities, with their common other names."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from todo_cli.values import Priority


class Field(StrEnum):
    """What may stand before a colon."""

    DUE = "due"
    WAIT = "wait"
    CREATED = "created"
    CHANGED = "changed"
    DONE = "done"
    PROJECT = "project"
    TAG = "tag"
    PRIORITY = "priority"
    IS = "is"
    HAS = "has"
    NUMBER = "number"
    UNDER = "under"
    TITLE = "title"
    TEXT = "text"


class State(StrEnum):
    """What a task can be."""

    PENDING = "pending"
    DONE = "done"
    TRASH = "trash"
    OVERDUE = "overdue"
    WAITING = "waiting"
    BLOCKED = "blocked"
    BLOCKING = "blocking"
    REPEATING = "repeating"


class Part(StrEnum):
    """What a task can have."""

    DUE = "due"
    TIME = "time"
    WAIT = "wait"
    PROJECT = "project"
    TAG = "tag"
    PRIORITY = "priority"
    NOTE = "note"
    SUBTASKS = "subtasks"
    DESCRIPTION = "description"
    REPEAT = "repeat"


NOT_SUPPORTED = frozenset(
    {State.BLOCKED, State.BLOCKING, State.REPEATING, Part.NOTE, Part.SUBTASKS, Part.REPEAT}
)
"""Parsed, and refused by name: tasks have none of this yet. So is the field `under`."""

DAY_FIELDS = frozenset({Field.DUE, Field.WAIT, Field.CREATED, Field.CHANGED, Field.DONE})
"""The fields whose values are days."""

ATTRIBUTE_FIELDS = (Field.DUE, Field.WAIT, Field.PRIORITY, Field.PROJECT, Field.TAG)
"""The fields that people set on a task, besides its texts, in the order in which they are shown."""

PAST_FIELDS = frozenset({Field.CREATED, Field.CHANGED, Field.DONE})
"""Those that say what has happened, so that no later day than today makes sense."""

FIELDS_SUPPORTED = tuple(field for field in Field if field is not Field.UNDER)
STATES_SUPPORTED = tuple(state for state in State if state not in NOT_SUPPORTED)
PARTS_SUPPORTED = tuple(part for part in Part if part not in NOT_SUPPORTED)

FIELDS = MappingProxyType(
    {
        **{field.value: field for field in Field},
        **dict.fromkeys(("scheduled", "hidden"), Field.WAIT),
        **dict.fromkeys(("added", "entry"), Field.CREATED),
        **dict.fromkeys(("updated", "modified"), Field.CHANGED),
        **dict.fromkeys(("completed", "closed", "finished"), Field.DONE),
        **dict.fromkeys(("pro", "proj", "projects"), Field.PROJECT),
        **dict.fromkeys(("tags", "label", "labels"), Field.TAG),
        **dict.fromkeys(("pri", "prio"), Field.PRIORITY),
        **dict.fromkeys(("status", "state"), Field.IS),
        **dict.fromkeys(("num", "nr", "id"), Field.NUMBER),
        **dict.fromkeys(("parent",), Field.UNDER),
        **dict.fromkeys(("search",), Field.TEXT),
    }
)

STATES = MappingProxyType(
    {
        **{state.value: state for state in State},
        **dict.fromkeys(("open", "todo"), State.PENDING),
        **dict.fromkeys(("completed", "closed", "finished"), State.DONE),
        **dict.fromkeys(("trashed", "deleted"), State.TRASH),
        **dict.fromkeys(("late",), State.OVERDUE),
        **dict.fromkeys(("wait", "hidden", "deferred"), State.WAITING),
        **dict.fromkeys(("recurring",), State.REPEATING),
    }
)

PARTS = MappingProxyType(
    {
        **{part.value: part for part in Part},
        **dict.fromkeys(("pro", "proj"), Part.PROJECT),
        **dict.fromkeys(("tags", "label", "labels"), Part.TAG),
        **dict.fromkeys(("pri", "prio"), Part.PRIORITY),
        **dict.fromkeys(("notes", "annotation", "annotations"), Part.NOTE),
        **dict.fromkeys(("subtask", "children"), Part.SUBTASKS),
        **dict.fromkeys(("desc",), Part.DESCRIPTION),
    }
)

PRIORITIES = MappingProxyType(
    {
        **dict.fromkeys(("high", "h", "hi", "1", "p1"), Priority.HIGH),
        **dict.fromkeys(("medium", "m", "med", "2", "p2"), Priority.MEDIUM),
        **dict.fromkeys(("low", "l", "lo", "3", "p3"), Priority.LOW),
    }
)

OPERATORS = MappingProxyType({"|": "or", "||": "or", "&": "and", "&&": "and", "!": "not"})
"""What other programs write for ours."""
