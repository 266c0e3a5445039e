"""One term: a word becomes a leaf of the tree, or an error that says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import TypeVar

from todo_cli.errors import InvalidInput
from todo_cli.filters.tree import (
    Bound,
    Days,
    Has,
    InProjects,
    Is,
    Not,
    Numbers,
    Priorities,
    Span,
    Tags,
    Text,
    any_of,
)
from todo_cli.filters.vocabulary import (
    DAY_FIELDS,
    FIELDS,
    FIELDS_SUPPORTED,
    NOT_SUPPORTED,
    OPERATORS,
    PARTS,
    PAST_FIELDS,
    PRIORITIES,
    STATES,
    Field,
    Part,
    State,
)
from todo_cli.filters.words import Piece, Word, shown
from todo_cli.values import (
    MAX_BIGINT,
    NONE,
    RESERVED_NAMES,
    Filter,
    clean_project,
    clean_tags,
    printable,
)

ReadDays = Callable[[str], Span[date]]
"""Reads the first and last day of what is said in words: a day, or all of a week or a month.

Raises InvalidInput: with the reason `TIME_IN_FILTER` for a day with a time, with another for what
is no day."""

TIME_IN_FILTER = "time_in_filter"

_Value = TypeVar("_Value")

_FIELD = re.compile(r"([^\W\d_][\w-]*):")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_NUMBER_RANGE = re.compile(r"([0-9]+)-([0-9]+)", re.ASCII)

_MAY_BE_MISSING: Mapping[Field, Filter] = {
    Field.DUE: Has(Part.DUE),
    Field.WAIT: Has(Part.WAIT),
    Field.DONE: Is(State.DONE),
    Field.PROJECT: Has(Part.PROJECT),
    Field.TAG: Has(Part.TAG),
    Field.PRIORITY: Has(Part.PRIORITY),
}
"""What `any` means of a field. Of these alone there can be `none`."""

_EXAMPLES = {
    Field.DUE: "due:today, due:..fri or due:none",
    Field.WAIT: "wait:next month.. or wait:any",
    Field.CREATED: "created:yesterday..",
    Field.CHANGED: "changed:last week",
    Field.DONE: "done:yesterday",
    Field.PROJECT: "project:work or project:none",
    Field.TAG: "tag:home,work or tag:none",
    Field.PRIORITY: "priority:high,medium or priority:none",
    Field.IS: "is:overdue",
    Field.HAS: "has:due",
    Field.NUMBER: "number:12 or number:3..8",
    Field.UNDER: "under:12",
    Field.TITLE: "title:milk",
    Field.TEXT: "text:milk",
}


def read_term(word: Word, read_days: ReadDays) -> Filter:
    """The condition that a word says.

    Raises:
        InvalidInput: an unknown field or value; the word may be meant in two ways.
    """
    piece = word.piece
    _refuse_several_terms(word)
    if not piece.text.strip():
        raise word.error("This word is empty.", hint="Leave it out, or say what to search for.")
    if piece.is_quoted:
        return Text(piece.text)
    if piece.raw.startswith('"'):
        raise _broken_quotes(word)
    if piece.raw.startswith("@"):
        return _tag_sign(word)
    match = _FIELD.match(piece.masked)
    if match is None:
        return _plain_text(word)
    field = FIELDS.get(match[1].lower())
    if field is None:
        return _url(word) or _unknown_field(word, match[1])
    value = piece[match.end() :]
    if not value.text.strip():
        raise word.error(f"{field}: needs a value.", hint=f"For example: {_EXAMPLES[field]}")
    return _Term(word, field, value, read_days).read()


def is_term(word: str) -> bool:
    """Whether a word begins as a tag, or as a value of a known field."""
    match = _FIELD.match(word.lstrip("("))
    return word.lstrip("(").startswith("@") or bool(match and match[1].lower() in FIELDS)


def is_plain_text(word: Word) -> bool:
    """Whether a word is a text without quotes."""
    raw = word.raw
    return not (
        word.operator()
        or word.piece.is_quoted
        or raw.startswith(("@", '"'))
        or raw in ("(", ")")
        or _FIELD.match(raw)
    )


def refuse_split_day(word: Word, texts: Sequence[Word], read_days: ReadDays) -> None:
    """See that the texts that follow a term are no part of its day, as in `due:fri at 5pm`.

    Raises:
        InvalidInput: together they are a day.
    """
    field, _, value = word.raw.partition(":")
    value = value.rpartition(",")[2].rpartition("..")[2]
    if FIELDS.get(field.lower()) not in DAY_FIELDS or not value:
        return
    for count in range(1, len(texts) + 1):
        parts = [text.raw for text in texts[:count]]
        whole = " ".join([value, *parts])
        if _is_day(whole, read_days):
            raise texts[0].error(
                f"This may be part of the day before it, {shown(whole)}, or a text to search for.",
                reason="ambiguous_filter",
                hint=f'Write {field}:"{printable(whole)}" for the day, '
                f"or {texts[0].as_text()} for the text.",
            )


def _is_day(text: str, read_days: ReadDays) -> bool:
    try:
        return bool(read_days(text))
    except InvalidInput as error:
        return error.reason == TIME_IN_FILTER


def _refuse_several_terms(word: Word) -> None:
    for later in word.piece.masked.split()[1:]:
        if is_term(later) and not later.startswith("@"):
            raise word.error(
                f"{shown(later)} may be a term of its own or part of the text.",
                reason="ambiguous_filter",
                hint="Give each term as a word of its own, or put the text in quotation marks.",
            )


def _plain_text(word: Word) -> Text:
    if word.raw in OPERATORS:
        raise word.error(f"The filter has words for this: {OPERATORS[word.raw]}.")
    return Text(word.raw)


def _url(word: Word) -> Text | None:
    return Text(word.raw) if _URL.match(word.raw) else None


def _unknown_field(word: Word, name: str) -> Filter:
    near = _nearest(name, FIELDS)
    meant = f"Did you mean {near}:? " if near else f"Fields are {', '.join(FIELDS_SUPPORTED)}. "
    raise word.error(
        f"There is no field {shown(name)}.",
        reason="unknown_field",
        hint=f"{meant}To search for the text, quote it: {word.as_text()}",
    )


def _tag_sign(word: Word) -> Tags:
    name = word.raw[1:]
    if name.lower() in RESERVED_NAMES:
        raise word.error(f"No tag is called {name}.", hint=f"Write: tag:{name.lower()}")
    if "," in name:
        raise word.error("A tag has no comma.", hint="For one of several tags: tag:home,work")
    return Tags((_clean_tag(word, name),))


def _broken_quotes(word: Word) -> InvalidInput:
    return word.error(
        "The quotation marks do not go around a whole text or value.",
        reason="broken_quotes",
        hint=r"""For example: '"due:today"'. Inside them write \" for one.""",
    )


def _nearest(name: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    alike = get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return alike[0] if alike else None


def _clean_tag(word: Word, name: str) -> str:
    """The tag, if a task can have it."""
    try:
        (tag,) = clean_tags([name])
    except InvalidInput as error:
        raise word.error(error.message, reason="unknown_value", hint=error.hint) from error
    return tag


class _Term:
    """A known field and its value."""

    def __init__(self, word: Word, field: Field, value: Piece, read_days: ReadDays) -> None:
        self._word = word
        self._field = field
        self._value = value
        self._read_days = read_days

    def read(self) -> Filter:
        if self._field in (Field.TEXT, Field.TITLE):
            return Text(self._text(self._value), is_title=self._field is Field.TITLE)
        is_exact = self._field is Field.PROJECT and self._value.raw.startswith("=")
        value = self._value[1:] if is_exact else self._value
        items = value.split(",")
        if not all(item.text.strip() for item in items):
            raise self._error("A value is missing.", reason="unknown_value")
        special = [self._special(item) for item in items]
        known = [item for item, found in zip(items, special, strict=True) if found is None]
        parts = [self._of(known, is_exact)] if known else []
        return any_of([*parts, *(found for found in special if found is not None)])

    def _special(self, item: Piece) -> Filter | None:
        """What `none` and `any` mean."""
        if (word := item.raw.lower()) not in RESERVED_NAMES:
            return None
        has = _MAY_BE_MISSING.get(self._field)
        if has is None:
            raise self._unknown(item.raw)
        return Not(has) if word == NONE else has

    def _of(self, items: list[Piece], is_exact: bool) -> Filter:
        field = self._field
        if field in DAY_FIELDS:
            return Days(field, tuple(map(self._days, items)))
        if field is Field.NUMBER:
            return Numbers(tuple(map(self._numbers, items)))
        if field is Field.TAG:
            return Tags(tuple(_clean_tag(self._word, self._text(item)) for item in items))
        if field is Field.PROJECT:
            return InProjects(tuple(map(self._project, items)), is_exact)
        if field is Field.PRIORITY:
            return Priorities(tuple(self._one_of(PRIORITIES, item) for item in items))
        if field is Field.IS:
            return any_of([Is(self._supported(self._one_of(STATES, item))) for item in items])
        if field is Field.HAS:
            return any_of([Has(self._supported(self._one_of(PARTS, item))) for item in items])
        raise self._not_supported()

    def _text(self, piece: Piece) -> str:
        if '"' in piece.masked or (not piece.is_quoted and "\0" in piece.masked):
            raise _broken_quotes(self._word)
        if not piece.text.strip():
            raise self._error("A value is missing.", reason="unknown_value")
        return piece.text

    def _one_of(self, known: Mapping[str, _Value], item: Piece) -> _Value:
        name = self._text(item)
        found = known.get(name.lower())
        if found is None:
            raise self._unknown(name, known)
        return found

    def _project(self, item: Piece) -> str:
        path = self._text(item)
        try:
            return clean_project(path)
        except InvalidInput as error:
            raise self._error(error.message, reason="unknown_value", hint=error.hint) from error

    def _numbers(self, item: Piece) -> Span[int]:
        if match := _NUMBER_RANGE.fullmatch(item.raw):
            return self._span(self._number(match[1]), self._number(match[2]))
        bounds = [self._text(bound) if bound else "" for bound in item.split("..")]
        if len(bounds) == 1:
            number = self._number(bounds[0])
            return Span(number, number)
        first, last = (self._number(bound) if bound else None for bound in self._two(bounds))
        return self._span(first, last)

    def _number(self, text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise self._unknown(text)
        return min(int(text), MAX_BIGINT)

    def _days(self, item: Piece) -> Span[date]:
        bounds = [self._text(bound) if bound else "" for bound in item.split("..")]
        if len(bounds) == 1:
            span = self._day(bounds[0])
        else:
            first, last = self._two(bounds)
            span = self._span(
                self._day(first).first if first else None, self._day(last).last if last else None
            )
        if self._field in PAST_FIELDS:
            self._refuse_future(span)
        return span

    def _day(self, text: str) -> Span[date]:
        """A day, or all days of a named period."""
        try:
            return self._read_days(text)
        except InvalidInput as error:
            raise self._error(error.message, reason=error.reason, hint=error.hint) from error

    def _refuse_future(self, span: Span[date]) -> None:
        today = self._read_days("today").last
        if span.first is not None and today is not None and span.first > today:
            raise self._error(
                f"{span.first} is still to come.",
                reason="day_in_future",
                hint="Give a past day, such as yesterday, 3 days ago, or a date with its year.",
            )

    def _two(self, bounds: list[str]) -> list[str]:
        if len(bounds) != 2 or not any(bounds):
            raise self._error(
                "A range has two dots, and at least one end.",
                reason="unknown_value",
                hint=f"For example: {_EXAMPLES[self._field]}",
            )
        return bounds

    def _span(self, first: Bound | None, last: Bound | None) -> Span[Bound]:
        if first is not None and last is not None and first > last:
            raise self._error(
                f"The range ends before it begins: {first} is after {last}.", reason="empty_range"
            )
        return Span(first, last)

    def _supported(self, value: _Value) -> _Value:
        if value in NOT_SUPPORTED:
            raise self._not_supported()
        return value

    def _not_supported(self) -> InvalidInput:
        return self._error("Tasks cannot have this yet.", reason="not_supported")

    def _unknown(self, text: str, known: Mapping[str, object] | None = None) -> InvalidInput:
        supported = [name for name, value in (known or {}).items() if value not in NOT_SUPPORTED]
        near = _nearest(text, supported)
        return self._error(
            f"{shown(text)} is not a value of {self._field}.",
            reason="unknown_value",
            hint=f"Did you mean {self._field}:{near}?"
            if near
            else f"For example: {_EXAMPLES[self._field]}",
        )

    def _error(
        self, what: str, *, reason: str | None = None, hint: str | None = None
    ) -> InvalidInput:
        return self._word.error(what, reason=reason or "invalid_filter", hint=hint)
