"""Cuts a phrase into tokens: forms of digits, words, and single signs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from todo_cli.dates import refusals
from todo_cli.values import printable

MAX_LENGTH = 200
MAX_TOKENS = 40
"""A phrase within a phrase costs a few calls each; this keeps far from Python's limit."""

_FORMS = (
    ("ymd", r"(\d{4})(?:-(\d{1,2})-|/(\d{1,2})/|\.(\d{1,2})\.)(\d{1,2})(?!\d)"),
    ("compact", r"(\d{4})(\d{2})(\d{2})(?!\d)"),
    ("iso_week", r"(\d{4})-?w(\d{2})(?:-?([1-7])(?!\d))?(?!\d)"),
    ("year_quarter", r"(\d{4})[- ]?q([1-4])(?!\d)"),
    ("year_day", r"(\d{4})-(\d{3})(?!\d)"),
    ("year_month", r"(\d{4})[-/](\d{1,2})(?!\d)"),
    ("month_year", r"(\d{1,2})/(\d{4})(?!\d)"),
    ("dotted", r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})?(?!\d)"),
    ("slashed", r"(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?(?!\d)"),
    ("dashed", r"(\d{1,2})-(\d{1,2})(?:-(\d{4}|\d{2}))?(?!\d)"),
    ("clock", r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.0{1,9})?)?(?![\d.:])"),
    ("decimal", r"(\d{1,3})\.(\d{1,2})(?!\d)"),
    (
        "iso_duration",
        r"p(?=\d|t\d)(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)w)?(?:(\d+)d)?"
        r"(?:t(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)?(?![a-z\d])",
    ),
    ("ordinal", r"(\d{0,9}(?:(?<!1)1st|(?<!1)2nd|(?<!1)3rd|[04-9]th|1[0-9]th))(?![a-z])"),
    ("number", r"\d+"),
    ("word", r"[ap]\.m\.?(?![a-z\d])|[a-z]+(?:'[a-z]+)*'?"),
    ("sign", r"[-+,@!:'./]"),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS), re.ASCII)
_PARTS = {kind: re.compile(form, re.ASCII) for kind, form in _FORMS}
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")
_QUOTES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc"), "'")
_RANGE_OF_NUMBERS = re.compile(r"\d{1,2}\s*[\u2012\u2013]\s*\d{1,2}", re.ASCII)
_ABBREVIATION_DOT = re.compile(r"(?<=[a-z])(?<![^a-z][ap])\.(?![a-z\d])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is in lower case; `groups` are the parts of a form; `is_glued`: no space before."""

    kind: str
    text: str
    groups: tuple[str | None, ...]
    is_glued: bool


_JOINTS = ("-", "/")
_END = Token("end", "", (), False)
Value = TypeVar("Value")
Parser = Callable[["Phrase", int], Iterator[tuple[Value, int]]]
"""Yields each value that can be read from a place on, with the place behind it."""


class Phrase:
    """The tokens of one phrase, and what was read from each place already."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self.cache: dict[tuple[object, int], list[tuple[object, int]]] = {}

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, at: int) -> Token:
        return self._tokens[at] if at < len(self._tokens) else _END

    def text(self, at: int) -> str:
        return self[at].text

    def kind(self, at: int) -> str:
        return self[at].kind

    def skip(self, at: int, *words: str) -> int:
        """The place behind one of the words, or the same place if none is there.

        A hyphen or slash joins two words only where no space is beside it.
        """
        text = self.text(at)
        if text not in words or (text in _JOINTS and not self._joins(at)):
            return at
        return at + 1

    def _joins(self, at: int) -> bool:
        return self[at].is_glued and self[at + 1].is_glued

    def words(self) -> list[str]:
        return [token.text for token in self._tokens if token.kind == "word"]


def either(*parsers: Parser[Value]) -> Parser[Value]:
    """All that any of the parsers can read. A place is read once."""

    def parse(phrase: Phrase, at: int) -> Iterator[tuple[Value, int]]:
        key = (parse, at)
        found = phrase.cache.get(key)
        if found is None:
            found = phrase.cache[key] = [each for parser in parsers for each in parser(phrase, at)]
        return iter(found)  # type: ignore[arg-type]  # the cache holds what this parser found

    return parse


def normalized(text: str) -> str:
    """Lower case, plain digits, dashes, quotes and spaces.

    Raises:
        InvalidInput: nothing, too much, or a character that no date has.
    """
    if len(text) > MAX_LENGTH:
        raise refusals.not_understood(f"A date has at most {MAX_LENGTH} characters.")
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in "\t\n\r" for each in text):
        raise refusals.not_understood("The date holds a control character.")
    plain = unicodedata.normalize("NFKC", text).lower().translate(_QUOTES)
    if _RANGE_OF_NUMBERS.fullmatch(plain.strip()):
        raise refusals.not_understood(f"{printable(text)!r} is a range, not a date.")
    plain = " ".join(plain.translate(_DASHES).replace("&", " and ").split())
    plain = _ABBREVIATION_DOT.sub("", plain)
    plain = plain.removesuffix(",").rstrip()
    if not plain:
        raise refusals.not_understood("The date is empty.")
    if len(plain) > MAX_LENGTH:  # NFKC can make 18 characters of one
        raise refusals.not_understood(f"A date has at most {MAX_LENGTH} characters.")
    return plain


def tokenize(plain: str) -> Phrase:
    """The tokens of a normalized text.

    Raises:
        InvalidInput: a character that no date has, or too many tokens.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(plain):
        is_glued = at > 0 and plain[at] != " "
        if plain[at] == " ":
            at += 1
        match = _TOKEN.match(plain, at)
        if match is None or match.lastgroup is None:
            raise refusals.not_understood(f"{printable(plain[at])!r} has no meaning in a date.")
        kind = match.lastgroup
        parts = _PARTS[kind].match(plain, at)
        assert parts is not None
        text = match.group().replace(".", "") if kind == "word" else match.group()
        tokens.append(Token(kind, text, parts.groups(), is_glued and bool(tokens)))
        if len(tokens) > MAX_TOKENS:
            raise refusals.not_understood("The date has too many words.")
        at = match.end()
    return Phrase(tokens)
