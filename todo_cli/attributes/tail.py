"""Which words at the end of a line are taken for a date, and which stay in the title.

The grammar of dates reads far more than what is taken here. `may`, `sun`, `second`, `3d` or `3:16`
are dates where a date is asked for, but ordinary words of a title. A date that stays in the title
is seen at once. A title that has lost a word, with a wrong day, may not be. So only phrases that
are hardly anything but a date are taken, and none that the word before it makes a part of the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from todo_cli.dates import spelling
from todo_cli.dates.words import (
    HOLIDAYS,
    MONTHS,
    NAMED_DAYS,
    ORDINAL_WORDS,
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
    r"|\d{4}-\d{2}-\d{2}(?:t\d{2}:\d{2})?|\d{4}/\d{2}/\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}/\d{1,2}/\d{4})"
)
_AM_PM = r"\d{1,2}(?:[:.]\d{2})? ?(?:am|pm|a\.m\.?|p\.m\.?)"
_CLOCK = r"(?:[01]\d|2[0-3]|9):\d{2}"
"""Not `3:30` or `7:30`, which may be in the morning or later."""
_CLEAR_TIME = rf"(?:(?:at |@ ?)?(?:{_AM_PM}|{_CLOCK}|noon|midnight))"
_HOUR = r"(?:at |@ ?)?\d{1,2}(?::\d{2}| o'clock)?"
"""Only after `morning`, `evening` and the like."""
_TIME = rf"(?:{_CLEAR_TIME}|(?:at |@ ?)(?:[1-5]|1\d|2[0-3])(?: o'clock)?)"
"""Not `at 6` to `at 9`, which may be in the morning or in the evening."""
_PART_AND_TIME = (
    rf"(?:(?:,? (?:morning|afternoon|evening|night))(?:,? (?:{_CLEAR_TIME}|{_HOUR}))?|,? {_TIME})?"
)
_PERIOD = r"(?:week|weekend|month|quarter|year)"
_OF_PERIOD = rf"of (?:(?:the |this |next )?{_PERIOD}|{_MONTH}(?: \d{{4}})?)"
_ORDINAL = rf"(?:last|{_any([*list(ORDINAL_WORDS)[:4]])}|[1-5](?:st|nd|rd|th))"
_DAY = (
    rf"(?:{_CLEAR_DAY}|(?:the )?day after tomorrow|{_CLEAR_WEEKDAY}"
    rf"|(?:this|next|coming|this coming|upcoming) {_WEEKDAY}|{_WEEKDAY},? {_DATE}|{_DATE}"
    rf"|{_WEEKDAY} (?:next week|in {_NUMBER_WORD} weeks?)|next week,? (?:on )?{_WEEKDAY}"
    rf"|{_WEEKDAY} the \d{{1,2}}(?:st|nd|rd|th)"
    rf"|in (?!an? min)(?:{_NUMBER_WORD}|half an?) {_UNIT}(?:'s?)?(?: time)?"
    rf"|{_NUMBER_WORD} {_UNIT} from (?:now|today|tomorrow|{_WEEKDAY})"
    rf"|(?:this|next) {_PERIOD}|next (?:workday|(?:business|working) day|{_MONTH})"
    rf"|(?:the )?{_ORDINAL} (?:{_WEEKDAY}|(?:work|business |working )?day) {_OF_PERIOD}"
    rf"|{_NTH} of (?:this|next) month"
    rf"|(?:the )?(?:end|beginning|start) {_OF_PERIOD}|end of (?:the )?day"
    rf"|eo[dwmqy]|(?:eod|end of day),? (?:today|tomorrow|{_WEEKDAY})"
    rf"|(?:today|tomorrow|{_WEEKDAY}),? (?:eod|end of day))"
)
_RISKY_DAY = rf"(?:{_WEEKDAY}|the \d{{1,2}}(?:st|nd|rd|th)|\d{{1,2}}\.\d{{1,2}}\.)"
"""Days that are taken with a preposition or a time only."""
_DUE_DAY = rf"(?:{_DAY}|{_RISKY_DAY}|{_MONTH}|{_any(list(HOLIDAYS))}|easter|(?:the )?weekend|today)"
"""Days that are taken after `by` or `due`."""
_PHRASE = (
    rf"(?:on )?{_DAY}{_PART_AND_TIME}"
    rf"|on {_RISKY_DAY}{_PART_AND_TIME}"
    rf"|(?:by|due|due on|due by) {_DUE_DAY}{_PART_AND_TIME}"
    rf"|{_WEEKDAY},? {_TIME}"
    rf"|{_WEEKDAY} (?:morning|afternoon|evening)(?:,? (?:{_CLEAR_TIME}|{_HOUR}))?"
    rf"|{_TIME},? (?:on )?(?:{_DAY}|{_RISKY_DAY})"
    rf"|(?:tonight|this (?:morning|afternoon|evening))(?:,? (?:{_CLEAR_TIME}|{_HOUR}))?"
    rf"|(?:at |by |@ ?|due |due at )(?:{_AM_PM}|{_CLOCK}|noon|midnight)"
    rf"|{_AM_PM}"
)

_LINKS = _words(
    "a about after an and another any are around as at because been before beginning being "
    "between both but by called coming during each early else entitled every except following for "
    "from his i if into is its last late later like many mid more my named near next no nor not "
    "of on only onto or other our over past per plus previous re regarding same since so some "
    "starting than that the their these this those through till titled to towards under until "
    "upon versus via vs was were what when where which while who whole whose why with within "
    "without your"
)
"""Words that need what follows them: `Slides for monday`, `The world of tomorrow`."""
_NOUN_LINKS = _words("a about an and as between by for from my of or our that the this to your")
"""Those of them that do not stand at the end: `Fix the @property`, `Reply to p2`."""
_TAKES_TIME = _words(
    "celebrate discuss organise organize outline plan planning prepare remember review reviewing "
    "schedule summarise summarize"
)
"""Verbs whose object may be a time: `Plan next week`."""
_TAKES_NAME = _words("buy find order play read see sing watch write")
"""Verbs that need an object. Without another, the date is one: `Watch Friday`, `Order 12 may`."""
_TAKES_PERSON = _words("ask call email invite meet message phone tell text thank visit")
_PERSONS = _words("april jan june may")
"""Months that are names of people: `Meet Jan 5`."""
_COMPOUNDS = _words(
    "ash black bloody boxing casual cyber easter fat giving good holy lazy man maundy palm shrove "
    "spy super usa whit"
)
"""First words of names: `Black Friday`, `USA Today`."""
_DATE_WORDS = _words(
    "ago hence tonight noon midnight christmas xmas morning afternoon evening am pm today tomorrow "
    "cob eob eod eow eom eoq eoy due: wait:"
) | frozenset(WEEKDAYS)
_DAYS = frozenset((*WEEKDAYS, *MONTHS, *NAMED_DAYS))
_LENGTHS = _words("fortnight week weeks days months years hours minutes")
_VAGUE = re.compile(r"(?:.* )?(?:(?:every!?|each)(?: .*)?|(?:some|any|one) day|end of business)")
"""The beginning of a repeat, or of another phrase that is no day."""
_DATE_FORM = re.compile(r"\d+(?:st|nd|rd|th)|\d+[./:-]\d.*|\d+(?:am|pm)|0\d{3}", re.ASCII)
_DAY_AND_MONTH = re.compile(rf"\d\S* {_MONTH}", re.ASCII)
_DASHES = frozenset("-\u2013\u2014/&+")
_PUNCTUATION = ",;:()'\"“”’"


@functools.cache
def _phrase() -> re.Pattern[str]:
    """Compiled when a line is first read: it takes as long as Python takes to start."""
    return re.compile(_PHRASE, re.ASCII)


def is_clearly_a_date(words: Sequence[str]) -> bool:
    """Whether words at the end of a line have a form that is hardly anything but a date."""
    return _phrase().fullmatch(" ".join(words).lower().replace("’", "'")) is not None


def belongs_to(before: Sequence[str], first: str) -> bool:
    """Whether a date that begins with `first` belongs to the text, by the words before it.

    It then depends on them, is part of a name, or is the rest of a longer date that was not
    understood as a whole.
    """
    if before[-1] in _DASHES and len(before) > 1:
        return _is_of_date(before[-2]) or belongs_to(before[:-1], first)
    first = first.lower()
    last = before[-1].lower()
    word = last.strip(_PUNCTUATION)
    if _is_of_date(last) or _is_rest(word, first) or _ends_in_date(before):
        return True
    if last[-1] in ",;:":
        return False
    return (
        word in _LINKS
        or word in _TAKES_TIME
        or (word in _TAKES_NAME and len(before) == 1)
        or (word in _TAKES_PERSON and first in _PERSONS)
        or (word in _COMPOUNDS and (first in WEEKDAYS or first == "today"))
    )


def _is_of_date(word: str) -> bool:
    plain = word.lower().strip(_PUNCTUATION)
    return not {word.lower(), plain}.isdisjoint(_DATE_WORDS) or bool(_DATE_FORM.fullmatch(plain))


def _is_rest(word: str, first: str) -> bool:
    """Whether a date that begins with `first` may be the rest of one that the word is part of."""
    if first[0] in "0123456789@" or first in ("at", "noon", "midnight"):
        return word in spelling.VOCABULARY or spelling.nearest(word) in _DAYS
    if word.isdigit():
        return first in MONTHS
    if word in ORDINAL_WORDS:
        return first in WEEKDAYS
    return word in _LENGTHS or (first in WEEKDAYS and spelling.nearest(word) == "next")


def _ends_in_date(words: Sequence[str]) -> bool:
    return bool(
        _DAY_AND_MONTH.fullmatch(" ".join(words[-2:]).lower())
        or _VAGUE.fullmatch(" ".join(words[-4:]).lower())
    )


def is_linked(word: str) -> bool:
    """Whether what follows a word belongs to it, so that it is no attribute."""
    return word.lower() in _NOUN_LINKS
