"""Words to a tree, by recursive descent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from todo_cli.errors import InvalidInput
from todo_cli.filters.terms import ReadDays, is_plain_text, read_term, refuse_split_day
from todo_cli.filters.tree import Not, all_of, any_of
from todo_cli.filters.words import Word, words_in, words_of
from todo_cli.values import Filter, clean_search

MAX_LENGTH = 1_000
"""So many characters a filter has at most."""

MAX_DAY_WORDS = 4
"""So many words are looked at behind a day, whether they belong to it: `due:fri at 5 pm`."""

MAX_LEVELS = 20
"""So many parentheses and `not` may be open at once."""


def parse(words: Sequence[str], read_days: ReadDays) -> Filter:
    """Read the words of a command line as a filter. Each word is one term, blanks included.

    Raises:
        InvalidInput: it is empty, too long or too deep; a word is unknown. It names the place.
    """
    _require_possible(" ".join(words))
    return _Parser(words_of(words), read_days).parse()


def parse_text(text: str, read_days: ReadDays) -> Filter:
    """Read one string as a filter. Blanks separate terms, but for those in quotation marks.

    Raises:
        InvalidInput: as `parse`.
    """
    _require_possible(text)
    return _Parser(words_in(text), read_days).parse()


def _require_possible(text: str) -> None:
    if not text.strip():
        raise InvalidInput(
            "The filter is empty.",
            reason="empty_filter",
            hint="Say which tasks, for example: due:today",
        )
    if len(text) > MAX_LENGTH:
        raise InvalidInput(
            f"The filter has {len(text):,} characters; at most {MAX_LENGTH:,} are taken.",
            reason="filter_too_long",
            hint="Shorten it.",
        )
    clean_search(text, "filter")


class _Parser:
    """The words, and how far they are read."""

    def __init__(self, words: Iterable[Word], read_days: ReadDays) -> None:
        self._words = list(words)
        self._read_days = read_days
        self._position = 0
        self._levels = 0

    def parse(self) -> Filter:
        tree = self._or()
        if (word := self._next()) is not None:
            raise word.error("This parenthesis closes none.", reason="unbalanced_parenthesis")
        return tree

    def _or(self) -> Filter:
        parts = [self._and()]
        while self._take_operator("or"):
            parts.append(self._and())
        return any_of(parts)

    def _and(self) -> Filter:
        parts = [self._not()]
        while (word := self._next()) is not None and word.raw != ")" and word.operator() != "or":
            self._take_operator("and")
            parts.append(self._not())
        return all_of(parts)

    def _not(self) -> Filter:
        word = self._next()
        if word is None or word.raw == ")" or word.operator() in ("or", "and"):
            raise self._missing_term(word)
        self._position += 1
        if word.operator() is None and word.raw != "(":
            return self._term(word)
        self._levels += 1
        if self._levels > MAX_LEVELS:
            raise word.error(
                f"At most {MAX_LEVELS} parentheses and `not` can be open at once.",
                reason="filter_too_deep",
            )
        tree = Not(self._not()) if word.operator() else self._parenthesis(word)
        self._levels -= 1
        return tree

    def _parenthesis(self, opening: Word) -> Filter:
        tree = self._or()
        word = self._next()
        if word is None:
            raise opening.error("This parenthesis is not closed.", reason="unbalanced_parenthesis")
        self._position += 1
        return tree

    def _term(self, word: Word) -> Filter:
        """A term. A day of several words that lack their quotes is refused, and so explained."""
        following = self._words[self._position : self._position + MAX_DAY_WORDS]
        refuse_split_day(word, list(takewhile(is_plain_text, following)), self._read_days)
        return read_term(word, self._read_days)

    def _next(self) -> Word | None:
        return self._words[self._position] if self._position < len(self._words) else None

    def _take_operator(self, name: str) -> bool:
        word = self._next()
        is_there = word is not None and word.operator() == name
        self._position += is_there
        return is_there

    def _missing_term(self, word: Word | None) -> InvalidInput:
        """There is no term where one must be: before this word, or at the end."""
        if word is not None:
            return word.error(
                "A term is missing before this.",
                reason="missing_term",
                hint=f"To search for the text, quote it: {word.as_text()}",
            )
        return self._words[-1].error("A term is missing after this.", reason="missing_term")
