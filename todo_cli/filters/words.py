"""The words of a filter: split, with their places, and the errors that name one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from todo_cli.errors import InvalidInput
from todo_cli.values import printable

MAX_SHOWN = 40
"""So many characters of a word are shown in an error."""

_QUOTED = re.compile(r'(?<![^\s(:=,.])"(?:[^"\\]|\\.)*"', re.DOTALL)
"""A text in quotes. They open where a term, a value, an item or a bound begins."""
_WORD = re.compile(rf"(?:{_QUOTED.pattern}|\S)+", re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_MASK = "\0"
"""Stands for each character of a text in quotes. No filter holds it itself."""


@dataclass(frozen=True)
class Place:
    """Where a word stands: the n-th of the command line, or at a column of one string."""

    unit: str
    position: int

    def __str__(self) -> str:
        return f"{self.unit} {self.position}"

    def at(self, offset: int) -> Place:
        """The place of a character of the word that stands here."""
        return self if self.unit == "word" else Place(self.unit, self.position + offset)


@dataclass(frozen=True)
class Piece:
    """A part of a word. In `masked`, what is in quotes is hidden, so that it separates nothing."""

    raw: str
    masked: str

    @classmethod
    def of(cls, raw: str) -> Piece:
        return cls(raw, _QUOTED.sub(lambda quoted: _MASK * len(quoted[0]), raw))

    def __getitem__(self, part: slice) -> Piece:
        return Piece(self.raw[part], self.masked[part])

    def __bool__(self) -> bool:
        return bool(self.raw)

    def split(self, separator: str) -> list[Piece]:
        """The pieces between the separators that are not in quotes."""
        pieces = []
        start = 0
        while (end := self.masked.find(separator, start)) >= 0:
            pieces.append(self[start:end])
            start = end + len(separator)
        return [*pieces, self[start:]]

    @property
    def is_quoted(self) -> bool:
        return bool(self.masked) and not self.masked.strip(_MASK)

    @property
    def text(self) -> str:
        """What it says, without the quotes around it."""
        return _ESCAPED.sub(r"\1", self.raw[1:-1]) if self.is_quoted else self.raw


@dataclass(frozen=True)
class Word:
    """A parenthesis, an operator, or a term."""

    piece: Piece
    place: Place

    @property
    def raw(self) -> str:
        return self.piece.raw

    def operator(self) -> str | None:
        """`or`, `and`, `not`, if it is one: in quotes it is a text."""
        word = self.raw.lower()
        return word if word in ("or", "and", "not") else None

    def error(
        self, what: str, *, reason: str = "invalid_filter", hint: str | None = None
    ) -> InvalidInput:
        """The error that names this word and its place."""
        return InvalidInput(
            f"Filter, {self.place} ({shown(self.raw)}): {what}",
            hint=hint,
            reason=reason,
            **{self.place.unit: self.place.position},
        )

    def as_text(self) -> str:
        """How this word is typed to be searched for."""
        text = f'"{printable(self.raw[:MAX_SHOWN])}"'
        return f"'{text}'" if self.place.unit == "word" else text


def shown(text: str) -> str:
    """A text as an error shows it: in quotes, cut, and nothing in it steers a terminal."""
    cut = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
    quote = '"' if "'" in cut else "'"
    return f"{quote}{printable(cut)}{quote}"


def words_of(words: Sequence[str]) -> Iterator[Word]:
    """The words of a command line: each one term, with its parentheses around it."""
    for position, raw in enumerate(words, start=1):
        yield from _split(raw, Place("word", position))


def words_in(text: str) -> Iterator[Word]:
    """The words of one string: separated by white space that is not in quotes."""
    for match in _WORD.finditer(text):
        yield from _split(match[0], Place("column", match.start() + 1))


def _split(raw: str, place: Place) -> Iterator[Word]:
    """The parentheses around a word, and the word.

    A closing one belongs to the word if one was opened in it, as in `f(x)`.
    """
    piece = Piece.of(raw)
    body = piece[len(raw) - len(piece.masked.lstrip("(")) :]
    for offset in range(len(raw) - len(body.raw)):
        yield Word(piece[offset : offset + 1], place.at(offset))
    start = len(raw) - len(body.raw)
    end = len(raw)
    closing = body.masked.count(")") - body.masked.count("(")
    while closing > 0 and raw[end - 1] == ")" and end > start:
        end -= 1
        closing -= 1
    if start < end or not raw:
        yield Word(piece[start:end], place.at(start))
    for offset in range(end, len(raw)):
        yield Word(piece[offset : offset + 1], place.at(offset))
