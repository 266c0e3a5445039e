"""The tree of a filter, and the text that parses to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from todo_cli.filters.vocabulary import Field, Part, State
from todo_cli.values import RESERVED_NAMES, Filter, Priority

Bound = TypeVar("Bound", int, date)

_PLAIN = re.compile(r"\w(?:[\w-]|\.(?!\.))*")
"""A value that needs no quotes."""


@dataclass(frozen=True)
class Span(Generic[Bound]):
    """From the first to the last, both included; None is open. One of the two is given."""

    first: Bound | None
    last: Bound | None


class Term(Filter):
    """A filter without filters in it."""


@dataclass(frozen=True)
class Days(Term):
    """That the day of a field, one of `DAY_FIELDS`, is in one of the spans."""

    field: Field
    spans: tuple[Span[date], ...]


@dataclass(frozen=True)
class Numbers(Term):
    """That the task's number is in one of the spans."""

    spans: tuple[Span[int], ...]


@dataclass(frozen=True)
class Tags(Term):
    """That the task has one of the tags, in any case."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class InProjects(Term):
    """That the task is in one of the projects, in any case; also below them, unless exactly."""

    paths: tuple[str, ...]
    is_exact: bool = False


@dataclass(frozen=True)
class Priorities(Term):
    """That the task has one of the priorities."""

    values: tuple[Priority, ...]


@dataclass(frozen=True)
class Is(Term):
    """That the task is in a state."""

    state: State


@dataclass(frozen=True)
class Has(Term):
    """That the task has a part."""

    part: Part


@dataclass(frozen=True)
class Text(Term):
    """That the title, or else the description, holds a text, in any case."""

    text: str
    is_title: bool = False
    """Whether only the title is searched."""


@dataclass(frozen=True)
class Not(Filter):
    part: Filter


@dataclass(frozen=True)
class And(Filter):
    """All of two or more parts, none of which is such itself."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Or(Filter):
    """One of two or more parts, none of which is such itself."""

    parts: tuple[Filter, ...]


def all_of(parts: list[Filter]) -> Filter:
    """The one part, or the conjunction of all, without one inside another."""
    flat = [one for part in parts for one in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: list[Filter]) -> Filter:
    """The one part, or the disjunction of all, without one inside another."""
    flat = [one for part in parts for one in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def terms_of(tree: Filter) -> Iterator[Term]:
    """All terms, in their order."""
    if isinstance(tree, And | Or):
        for part in tree.parts:
            yield from terms_of(part)
    elif isinstance(tree, Not):
        yield from terms_of(tree.part)
    elif isinstance(tree, Term):
        yield tree


def required(tree: Filter) -> tuple[Filter, ...]:
    """The parts that must all hold."""
    return tree.parts if isinstance(tree, And) else (tree,)


def to_text(tree: Filter) -> str:
    """A filter in one string that parses to the same tree."""
    if isinstance(tree, Or):
        return " or ".join(map(to_text, tree.parts))
    if isinstance(tree, And):
        return " ".join(_operand(part, Or) for part in tree.parts)
    if isinstance(tree, Not):
        return f"not {_operand(tree.part, Or, And)}"
    if isinstance(tree, Term):
        return _term_text(tree)
    raise TypeError(f"no filter: {tree!r}")


def _operand(tree: Filter, *looser: type) -> str:
    """The text of a part, in parentheses if it binds less than what it is a part of."""
    return f"({to_text(tree)})" if isinstance(tree, looser) else to_text(tree)


def _term_text(term: Term) -> str:
    match term:
        case Days(field, spans):
            return f"{field}:{','.join(map(_span_text, spans))}"
        case Numbers(spans):
            return f"number:{','.join(map(_span_text, spans))}"
        case Tags(names):
            return f"tag:{','.join(map(_value_text, names))}"
        case InProjects(paths, is_exact):
            return f"project:{'=' if is_exact else ''}{','.join(map(_value_text, paths))}"
        case Priorities(values):
            return f"priority:{','.join(value.word for value in values)}"
        case Is(state):
            return f"is:{state}"
        case Has(part):
            return f"has:{part}"
        case Text(text, is_title):
            return f"title:{_quoted(text)}" if is_title else _quoted(text)
    raise TypeError(f"no term of a filter: {term!r}")


def _span_text(span: Span[int] | Span[date]) -> str:
    first, last = ("" if bound is None else str(bound) for bound in (span.first, span.last))
    return first if first == last else f"{first}..{last}"


def _value_text(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in RESERVED_NAMES
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
