"""The nearest word of a date to one that is none."""

from __future__ import annotations

from todo_cli.dates import words

MIN_LENGTH = 4
MAX_LENGTH = 15
MIN_LENGTH_OF_TWO = 6

VOCABULARY = frozenset(
    each
    for names in (
        words.NAMED_DAYS,
        words.WEEKDAYS,
        words.WEEKDAY_PLURALS,
        words.MONTHS,
        words.DIGIT_WORDS,
        words.TEEN_WORDS,
        words.TENS_WORDS,
        words.ORDINAL_WORDS,
        words.DAY_UNITS,
        words.MONTH_UNITS,
        words.SECOND_UNITS,
        words.WORKDAY_UNITS,
        words.WORKDAY_ADJECTIVES,
        words.PARTS,
        words.REPEAT_WORDS,
        words.UNCLEAR_REPEATS,
        words.OTHER_WORDS,
        words.TASKWARRIOR_WORDS,
        *(name.split() for name in words.HOLIDAYS),
        *(name.split() for name in words.EASTER_DAYS),
        *(name.split() for name in words.HOLIDAYS_BY_COUNTRY),
    )
    for each in names
)


def nearest(word: str) -> str | None:
    """The word that was probably meant: one letter off, or two in a long word."""
    if not MIN_LENGTH <= len(word) <= MAX_LENGTH:
        return None
    limit = 1 if len(word) < MIN_LENGTH_OF_TWO else 2
    alike = [
        (distance, known)
        for known in VOCABULARY
        if len(known) >= MIN_LENGTH
        and known[0] in word[:2]
        and abs(len(known) - len(word)) <= limit
        and (distance := _distance(word, known)) <= limit
    ]
    return min(alike)[1] if alike else None


def _distance(left: str, right: str) -> int:
    """Letters inserted, deleted, replaced, or swapped with their neighbours."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for at, letter in enumerate(left, start=1):
        older, before = before, row
        row = [at]
        for to, other in enumerate(right, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != other))
            if at > 1 and to > 1 and letter == right[to - 2] and left[at - 2] == other:
                cost = min(cost, older[to - 2] + 1)
            row.append(cost)
    return row[-1]
