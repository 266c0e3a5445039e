"""What a shell is offered for filters and for the options of a task's fields.

Tags and projects are those of pending tasks, the most frequent first: one statement each. The other
words are known without a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import typer

from todo_cli.commands.completion import workspace_of

_DAYS = (
    "today",
    "tomorrow",
    "yesterday",
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "weekend",
    "eow",
    "eom",
    "someday",
)
"""Words of dates that are one word of a shell."""

_OPERATORS = ("and", "or", "not")

Suggestion = tuple[str, str]
"""A word, and what is shown beside it."""


def complete_day(incomplete: str) -> Iterator[str]:
    """Words of dates, for an option."""
    return _beginning_with(incomplete, ("none", *_DAYS))


def complete_priority(incomplete: str) -> Iterator[str]:
    """Priorities, for an option."""
    return _beginning_with(incomplete, _priorities())


def complete_tag(ctx: typer.Context, incomplete: str) -> Iterator[Suggestion]:
    """Tags, for an option."""
    return _counted(workspace_of(ctx).tasks.frequent_tags(incomplete))


def complete_project(ctx: typer.Context, incomplete: str) -> Iterator[Suggestion]:
    """Projects, for an option."""
    return _counted(workspace_of(ctx).tasks.frequent_projects(incomplete))


def complete_attribute(ctx: typer.Context, incomplete: str) -> Iterator[Suggestion]:
    """The values of an attribute in one line: `@h` or `project:ho`. Other words are a title's."""
    from todo_cli.filters import ATTRIBUTE_FIELDS, FIELDS

    field = FIELDS.get(incomplete.partition(":")[0].lower()) if ":" in incomplete else None
    if incomplete.startswith("@") or field in ATTRIBUTE_FIELDS:
        for word, about in complete_filter(ctx, incomplete):
            if not word.endswith((":none", ":any")):
                yield word, about


def complete_filter(ctx: typer.Context, incomplete: str) -> Iterator[Suggestion]:
    """The terms of a filter: fields first, and the values of the one that is typed or meant."""
    from todo_cli.filters import FIELDS_SUPPORTED

    if incomplete.startswith("@"):
        for name, count in complete_tag(ctx, incomplete[1:]):
            yield f"@{name}", count
        return
    name, colon, value = incomplete.partition(":")
    fields = [field for field in FIELDS_SUPPORTED if field.startswith(name)]
    if not colon and len(fields) != 1:
        yield from ((f"{field}:", "") for field in fields)
        yield from ((word, "") for word in _beginning_with(name, _OPERATORS))
        return
    before, comma, last = value.rpartition(",")
    field = name if colon else fields[0]
    for word, about in _values(ctx, field, last):
        yield f"{field}:{before}{comma}{word}", about


def _values(ctx: typer.Context, name: str, typed: str) -> Iterator[Suggestion]:
    """The values of a field that begin so, by any name of it."""
    from todo_cli.filters import DAY_FIELDS, FIELDS, PARTS_SUPPORTED, STATES_SUPPORTED, Field

    field = FIELDS.get(name.lower())
    if field in DAY_FIELDS:
        first, dots, last = typed.rpartition("..")
        days = _DAYS if dots else (*_DAYS, "none", "any")
        yield from ((f"{first}{dots}{word}", "") for word in _beginning_with(last, days))
        return
    known: dict[Field, Iterable[str]] = {
        Field.PRIORITY: (*_priorities(), "any"),
        Field.IS: STATES_SUPPORTED,
        Field.HAS: PARTS_SUPPORTED,
    }
    stored = {Field.TAG: complete_tag, Field.PROJECT: complete_project}
    if field in stored:
        yield from stored[field](ctx, typed)
        yield from ((word, "") for word in _beginning_with(typed, ("none", "any")))
    elif field in known:
        yield from ((word, "") for word in _beginning_with(typed, known[field]))


def _priorities() -> tuple[str, ...]:
    from todo_cli.values import Priority

    return (*(priority.word for priority in Priority), "none")


def _beginning_with(typed: str, words: Iterable[str]) -> Iterator[str]:
    return (word for word in words if word.startswith(typed))


def _counted(found: Iterable[tuple[str, int]]) -> Iterator[Suggestion]:
    return ((name, f"{count:,}") for name, count in found)
