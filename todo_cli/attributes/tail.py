"""Which words at the end of a line are taken for a date, and which stay in the title.

The grammar of dates reads far more than what is taken here. `may`, `sun`, `second`, `3d` or `3:16`
are dates where a date is asked for, but ordinary words of a title. A date that stays in the title
is seen at once. A title that has lost a word, with a wrong day, may not be. So only phrases that
are hardly anything but a date are taken, and none that the word before it makes a part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from todo_cli.dates.words import (
    HOLIDAYS,
    MONTHS,
    NAMED_DAYS,
    WEEKDAYS,
)

MAX_WORDS = 10
"""Of a date at the end of a line."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _any(words: Sequence[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, words), key=len, reverse=True))})"


_ORDINARY = frozenset(("mon", "wed", "sat", "sun"))
"""Weekdays that are ordinary words too."""
_WEEKDAY = _any(list(WEEKDAYS))
_CLEAR_WEEKDAY = _any([name for name in WEEKDAYS if name not in _ORDINARY])
_MONTH = _any(list(MONTHS))
_CLEAR_DAY = _any(["today", "tomorrow", "tmr", "tmrw", "tmw", "overmorrow"])
_NUMBER_WORD = r"(?:\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_UNIT = (
    r"(?:min(?:ute)?s?|h|hrs?|hours?|d|days?|w|wks?|weeks?|fortnights?|mo|months?|y|yrs?|years?"
    r"|(?:working|business|work) days?|workdays?|weekdays?)"
)
_NTH = r"\d{1,2}(?:st|nd|rd|th)?\.?"
_DATE = (
    rf"(?:(?:the )?{_NTH} (?:of )?{_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?"
    r"|\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}/\d{1,2}/\d{4})"
)
_AM_PM = r"\d{1,2}(?:[:.]\d{2})? ?(?:am|pm|a\.m\.?|p\.m\.?)"
_CLOCK = r"\d{1,2}:\d{2}"
_TIME = rf"(?:(?:at |@ ?)?(?:{_AM_PM}|{_CLOCK}|noon|midnight)|(?:at |@ ?)\d{{1,2}}(?: o'clock)?)"
_PART = r"(?:morning|afternoon|evening|night)"
_PERIOD = r"(?:week|weekend|month|quarter|year)"
_DAY = (
    rf"(?:{_CLEAR_DAY}|(?:the )?day after tomorrow|{_CLEAR_WEEKDAY}"
    rf"|(?:this|next|coming|this coming) {_WEEKDAY}|{_WEEKDAY},? {_DATE}|{_DATE}"
    rf"|{_WEEKDAY} (?:next week|in {_NUMBER_WORD} weeks?)|in {_NUMBER_WORD} {_UNIT}"
    rf"|(?:this|next) {_PERIOD}|end of (?:the |this |next )?{_PERIOD}|eo[dwmqy])"
)
_RISKY_DAY = rf"(?:{_WEEKDAY}|the \d{{1,2}}(?:st|nd|rd|th))"
"""Days that are taken with a preposition or a time only."""
_DUE_DAY = rf"(?:{_DAY}|{_RISKY_DAY}|{_MONTH}|{_any(list(HOLIDAYS))}|easter|(?:the )?weekend|today)"
"""Days that are taken after `by` or `due`."""
_PHRASE = re.compile(
    rf"(?:on )?{_DAY}(?:,? {_PART})?(?:,? {_TIME})?"
    rf"|on {_RISKY_DAY}(?: {_PART})?(?:,? {_TIME})?"
    rf"|(?:by|due|due on|due by) {_DUE_DAY}(?: {_PART})?(?:,? {_TIME})?"
    rf"|{_WEEKDAY}(?:,? {_PART})? {_TIME}"
    rf"|{_WEEKDAY} (?:morning|afternoon|evening)"
    rf"|{_TIME},? (?:on )?(?:{_DAY}|{_RISKY_DAY})"
    rf"|(?:tonight|this (?:morning|afternoon|evening))(?:,? {_TIME})?"
    rf"|(?:at |by |@ ?|due |due at )(?:{_AM_PM}|{_CLOCK}|noon|midnight)"
    rf"|{_AM_PM}",
    re.ASCII,
)

_LINKS = _words(
    "a about after an and another any are as at because been before being between both but by "
    "called coming during each else entitled every except following for from his i if into is its "
    "last like many more my named near next no nor not of on only onto or other our over past per "
    "plus previous re regarding same since so some than that the their these this those through "
    "till titled to towards under until upon versus via vs was were what when where which while "
    "who whole whose why with within without your"
)
"""Words that need what follows them: `Slides for monday`, `The world of tomorrow`."""
_TAKES_TIME = _words(
    "celebrate discuss organise organize outline plan planning prepare remember review reviewing "
    "schedule summarise summarize"
)
"""Verbs whose object may be a time: `Plan next week`."""
_COMPOUNDS = _words(
    "ash black bloody boxing casual cyber easter fat giving good holy lazy man maundy palm shrove "
    "spy super usa whit"
)
"""First words of names: `Black Friday`, `USA Today`."""
_DATE_WORDS = frozenset(
    (
        *WEEKDAYS,
        *MONTHS,
        *NAMED_DAYS,
        *_words("tonight noon midnight christmas xmas morning afternoon evening am pm ago hence"),
    )
)
_DATE_FORM = re.compile(r"\d+(?:st|nd|rd|th)|\d+[./:-]\d.*|\d+(?:am|pm)", re.ASCII)


def is_clearly_a_date(words: Sequence[str]) -> bool:
    """Whether words at the end of a line have a form that is hardly anything but a date."""
    return _PHRASE.fullmatch(" ".join(words).lower().replace("’", "'")) is not None


def belongs_to(word: str, first: str) -> bool:
    """Whether a date that begins with `first` belongs to the text, by the word before it.

    It then depends on that word, is part of a name, or is the rest of a longer date that was not
    understood as a whole.
    """
    before = word.lower().strip(",;:()'\"“”’")
    if before in _COMPOUNDS:
        return first.lower() in WEEKDAYS or first.lower() == "today"
    if word.endswith((",", ";", ":")):
        return before in _DATE_WORDS or _DATE_FORM.fullmatch(before) is not None
    return (
        before in _LINKS
        or before in _TAKES_TIME
        or before in _DATE_WORDS
        or _DATE_FORM.fullmatch(before) is not None
    )
