"""Numbers: 12, twelve, twenty-one, 3rd, the third."""

from __future__ import annotations

from collections.abc import Iterator

from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import (
    DIGIT_WORDS,
    ORDINAL_DIGIT_WORDS,
    ORDINAL_WORDS,
    TEEN_WORDS,
    TENS_WORDS,
)


def _digits(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    if phrase.kind(at) == "number":
        yield int(phrase.text(at)), at + 1


def _words(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    """one to ninety-nine, one hundred, two hundred …"""
    text = phrase.text(at)
    if (digit := DIGIT_WORDS.get(text)) is not None:
        yield digit, at + 1
        if phrase.text(at + 1) == "hundred":
            yield digit * 100, at + 2
    elif (teen := TEEN_WORDS.get(text)) is not None:
        yield teen, at + 1
    elif (tens := TENS_WORDS.get(text)) is not None:
        yield tens, at + 1
        behind = phrase.skip(at + 1, "-")
        if (digit := DIGIT_WORDS.get(phrase.text(behind))) is not None:
            yield tens + digit, behind + 1
    elif text == "a" and phrase.text(at + 1) == "hundred":
        yield 100, at + 2


cardinal = either(_digits, _words)
word_number = either(_words)


def _ordinal_digits(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    if phrase.kind(at) == "ordinal":
        yield int(phrase.text(at)[:-2]), at + 1


def _ordinal_words(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    text = phrase.text(at)
    if (number := ORDINAL_WORDS.get(text)) is not None:
        yield number, at + 1
    elif (tens := TENS_WORDS.get(text)) is not None:
        behind = phrase.skip(at + 1, "-")
        if (digit := ORDINAL_DIGIT_WORDS.get(phrase.text(behind))) is not None:
            yield tens + digit, behind + 1


ordinal = either(_ordinal_digits, _ordinal_words)


def year(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    """2027. Not what may be a time of day as well: 1430, 2115."""
    text = phrase.text(at)
    if phrase.kind(at) == "number" and len(text) == 4:
        is_time = int(text[:2]) < 24 and int(text[2:]) < 60
        if 1900 <= int(text) <= 2099 or not (is_time or text.startswith("0")):
            yield int(text), at + 1


def short_year(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    """'27"""
    if phrase.text(at) == "'" and phrase.kind(at + 1) == "number" and len(phrase.text(at + 1)) == 2:
        yield 2000 + int(phrase.text(at + 1)), at + 2
