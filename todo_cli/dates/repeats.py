"""Repeats: every other monday, every! 3 days, every last day of the month at 9:00 until 31 dec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import Clock, add_days, on_the_wall
from todo_cli.dates.days import day, fixed_holiday
from todo_cli.dates.days import month_and_day as month_day
from todo_cli.dates.numbers import cardinal, ordinal
from todo_cli.dates.periods import Day, span
from todo_cli.dates.rule import WORKDAYS, Frequency, Rule
from todo_cli.dates.times import Time, part_phrase, part_word, settle, written
from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import (
    PARTS,
    REPEAT_WORDS,
    SECOND_UNITS,
    UNCLEAR_REPEATS,
    WEEKDAY_PLURALS,
    WEEKDAYS,
    WORKDAY_ADJECTIVES,
    WORKDAY_UNITS,
)

MAX_INTERVAL = 10_000
_UNITS = {
    **dict.fromkeys(("day", "days", "d"), (Frequency.DAY, 1)),
    **dict.fromkeys(("week", "weeks", "wk", "wks", "w"), (Frequency.WEEK, 1)),
    **dict.fromkeys(("fortnight", "fortnights"), (Frequency.WEEK, 2)),
    **dict.fromkeys(("month", "months", "mo", "mos"), (Frequency.MONTH, 1)),
    **dict.fromkeys(("quarter", "quarters"), (Frequency.MONTH, 3)),
    **dict.fromkeys(("year", "years", "yr", "yrs", "y"), (Frequency.YEAR, 1)),
}


@dataclass(frozen=True)
class Repeat:
    """A rule, and what was said beside it. `refusal` says why it cannot be taken."""

    rule: Rule
    part: str | None = None
    at: Time | None = None
    start: Day | None = None
    until: Day | None = None
    refusal: Exception | None = None


Head = Repeat
First = Callable[[Clock], tuple[date, time | None, Rule]]


def _unit(phrase: Phrase, at: int, count: int) -> Iterator[tuple[Rule, int]]:
    found = _UNITS.get(phrase.text(at))
    if found is not None:
        frequency, factor = found
        yield Rule(frequency, min(count * factor, 10 * MAX_INTERVAL)), at + 1


def _counted(phrase: Phrase, at: int) -> Iterator[tuple[Rule, int]]:
    """day, 3 days, other day, second day"""
    # "every weeks" lacks its number.
    if not phrase.text(at).endswith("s"):
        yield from _unit(phrase, at, 1)
    if phrase.text(at) == "other" and not phrase.text(at + 1).endswith("s"):
        yield from _unit(phrase, at + 1, 2)
    for number, end in cardinal(phrase, at):
        if not 1900 <= number <= 2099:
            yield from _unit(phrase, end, number)
    for number, end in ordinal(phrase, at):
        if number > 1 and not phrase.text(end).endswith("s"):
            yield from _unit(phrase, end, number)


def _weekday_list(phrase: Phrase, at: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """mon, wed and fri; mon-fri; monday to friday"""
    days: list[int] = []
    while True:
        name = phrase.text(at)
        weekday = WEEKDAYS.get(name, WEEKDAY_PLURALS.get(name))
        if weekday is None or weekday in days:
            return
        days.append(weekday)
        at += 1
        yield tuple(sorted(days)), at
        last = WEEKDAYS.get(phrase.text(at + 1))
        if len(days) == 1 and phrase.text(at) in ("-", "to", "through") and last is not None:
            if last > weekday:
                yield tuple(range(weekday, last + 1)), at + 2
            return
        at = phrase.skip(phrase.skip(at, ","), "and")


def _workdays(phrase: Phrase, at: int) -> Iterator[tuple[tuple[int, ...], int]]:
    if phrase.text(at) in WORKDAY_UNITS:
        yield WORKDAYS, at + 1
    if phrase.text(at) in WORKDAY_ADJECTIVES and phrase.text(at + 1) in ("day", "days"):
        yield WORKDAYS, at + 2


def _month_days(phrase: Phrase, at: int) -> Iterator[tuple[Rule, int]]:
    """1st and 15th, last day"""
    days: list[int] = []
    while True:
        at = phrase.skip(at, "the")
        number, end = _month_day(phrase, at)
        if number is None or number in days:
            return
        days.append(number)
        yield Rule(Frequency.MONTH, month_days=tuple(sorted(days, key=_last_behind))), end
        at = phrase.skip(phrase.skip(end, ","), "and")
        if at == end:
            return


def _last_behind(number: int) -> int:
    return number if number > 0 else 99


def _month_day(phrase: Phrase, at: int) -> tuple[int | None, int]:
    if (phrase.text(at), phrase.text(at + 1)) == ("last", "day"):
        return -1, at + 2
    for number, end in ordinal(phrase, at):
        if 1 <= number <= 31:
            return number, phrase.skip(end, "day") if phrase.text(end + 1) == "of" else end
    return None, at


def _nth_weekday(phrase: Phrase, at: int) -> Iterator[tuple[Rule, int]]:
    """3rd friday, last monday"""
    at = phrase.skip(at, "the")
    nths = [(-1, at + 1)] if phrase.text(at) == "last" else list(ordinal(phrase, at))
    for nth, end in nths:
        weekday = WEEKDAYS.get(phrase.text(end))
        if weekday is not None and nth <= 4:
            yield Rule(Frequency.MONTH, weekdays=(weekday,), nth=nth), end + 1


def _of_month(phrase: Phrase, at: int) -> Iterator[tuple[Rule, int]]:
    """What is said of a month, with or without naming it."""
    for parser in (_month_days, _nth_weekday):
        for rule, end in parser(phrase, at):
            # "every second friday" is every other one for some; "of the month" makes it clear.
            if _is_of_month(phrase, phrase.skip(at, "the"), rule):
                yield rule, end
            if phrase.text(end) in ("of", "in", "each", "every"):
                behind = phrase.skip(phrase.skip(end, "of", "in"), "the", "each", "every")
                if phrase.text(behind) == "month" and behind > end:
                    yield rule, behind + 1


def _is_of_month(phrase: Phrase, at: int, rule: Rule) -> bool:
    """Whether a day is of the month without its being said.

    "every last day" is each day for some; "every second friday" and "every third friday" each
    other and each third one.
    """
    is_written = phrase.kind(at) == "ordinal"
    if rule.nth is None:
        return is_written
    return rule.nth in (1, -1) or (is_written and rule.nth != 2)


def _of_every_month(phrase: Phrase, at: int) -> Iterator[tuple[Head, int]]:
    """the last day of every month, 3rd friday of each month"""
    for parser in (_month_days, _nth_weekday):
        for rule, end in parser(phrase, phrase.skip(at, "on")):
            behind = phrase.skip(end, "of", "in")
            if (
                behind > end
                and phrase.text(behind) in ("each", "every")
                and phrase.text(behind + 1) == "month"
            ):
                yield Repeat(rule), behind + 2


def _narrowed(phrase: Phrase, at: int, rule: Rule) -> Iterator[tuple[Rule, int]]:
    """A unit, and what is said of it: on tue, on the 15th, on the 3rd friday, on 5 march."""
    yield rule, at
    if phrase.text(at) != "on":
        return
    at += 1
    if rule.frequency is Frequency.WEEK:
        for days, end in _weekday_list(phrase, at):
            yield replace(rule, weekdays=days), end
    if rule.frequency is Frequency.MONTH:
        for parser in (_month_days, _nth_weekday):
            for narrow, end in parser(phrase, at):
                yield replace(narrow, interval=rule.interval), end
    if rule.frequency is Frequency.YEAR:
        for (month, number), end in _yearly_day(phrase, at):
            yield replace(rule, month=month, month_days=(number,)), end


_yearly_day = either(month_day, fixed_holiday)


def _adverb(phrase: Phrase, at: int) -> Iterator[tuple[Head, int]]:
    """daily, weekly on friday, quarterly"""
    word = phrase.text(at)
    if (found := REPEAT_WORDS.get(word)) is not None:
        frequency, factor = _UNITS[found[0]]
        for rule, end in _narrowed(phrase, at + 1, Rule(frequency, found[1] * factor)):
            yield Repeat(rule), end
    if (readings := UNCLEAR_REPEATS.get(word)) is not None:
        refusal = refusals.ambiguous(repr(word), *readings, hint="Say every, and how many.")
        yield Repeat(Rule(Frequency.WEEK), refusal=refusal), at + 1
    if word in ("weekdays", "workdays"):
        yield Repeat(Rule(Frequency.WEEK, weekdays=WORKDAYS)), at + 1


def _too_often(phrase: Phrase, at: int) -> Iterator[tuple[Head, int]]:
    """hourly, every 30 minutes: refused by name."""
    refusal = refusals.not_understood(
        "A repeat is of days, not of hours.", hint="For example: every day at 9:00"
    )
    if phrase.text(at) == "hourly":
        yield Repeat(Rule(Frequency.DAY), refusal=refusal), at + 1
    if phrase.text(at) in ("every", "each"):
        behind = phrase.skip(phrase.skip(at + 1, "!"), "other")
        for end in (behind, *(end for _, end in cardinal(phrase, behind))):
            if phrase.text(end) in SECOND_UNITS:
                yield Repeat(Rule(Frequency.DAY), refusal=refusal), end + 1


def _every(phrase: Phrase, at: int) -> Iterator[tuple[Head, int]]:
    if phrase.text(at) not in ("every", "each", "ev"):
        return
    at += 1
    from_done = phrase.text(at) == "!"
    at = phrase.skip(at, "!")
    for rule, end in _counted(phrase, at):
        for narrowed, last in _narrowed(phrase, end, rule):
            if not (from_done and last > end):
                yield Repeat(replace(narrowed, from_done=from_done)), last
    if from_done:
        return
    yield from _every_named(phrase, at)


def _every_named(phrase: Phrase, at: int) -> Iterator[tuple[Head, int]]:
    other = phrase.skip(at, "other")
    for days, end in _weekday_list(phrase, other):
        if other == at or len(days) == 1:
            rule = Rule(Frequency.WEEK, 1 if other == at else 2, weekdays=days)
            yield Repeat(rule), end
            for part, last in part_word(phrase, end):
                yield Repeat(rule, part=part), last
    for days, end in _workdays(phrase, at):
        rule = Rule(Frequency.WEEK, weekdays=days)
        yield Repeat(rule), end
        for part, last in part_word(phrase, end):
            yield Repeat(rule, part=part), last
    for rule, end in _of_month(phrase, at):
        yield Repeat(rule), end
    for (month, number), end in _yearly_day(phrase, at):
        yield Repeat(Rule(Frequency.YEAR, month=month, month_days=(number,))), end
    if phrase.text(at) in PARTS:
        yield Repeat(Rule(Frequency.DAY), part=phrase.text(at)), at + 1


_head = either(_adverb, _every, _of_every_month, _too_often)


def _tail(phrase: Phrase, at: int, repeat: Repeat) -> Iterator[tuple[Repeat, int]]:
    """at 9:00, in the evening, starting friday, until 31 dec: each once, in any order."""
    yield repeat, at
    at = phrase.skip(at, ",")
    if repeat.at is None:
        for clocked, end in written(phrase, at):
            yield from _tail(phrase, end, replace(repeat, at=clocked))
    if repeat.part is None:
        for part, end in part_phrase(phrase, at):
            yield from _tail(phrase, end, replace(repeat, part=part))
    word = phrase.text(at)
    if word in ("starting", "from", "beginning") and repeat.start is None:
        behind = phrase.skip(at + 1, "on", "from")
        for parser in (day, span):
            for start, end in parser(phrase, behind):
                yield from _tail(phrase, end, replace(repeat, start=start))
    if word in ("until", "till", "til", "ending") and repeat.until is None:
        for parser in (day, span):
            for until, end in parser(phrase, phrase.skip(at + 1, "on")):
                yield from _tail(phrase, end, replace(repeat, until=until))


def _repeat(phrase: Phrase, at: int) -> Iterator[tuple[First, int]]:
    for head, end in _head(phrase, at):
        for repeat, last in _tail(phrase, end, head):
            yield _resolved(repeat), last


def _resolved(repeat: Repeat) -> First:
    def resolved(clock: Clock) -> tuple[date, time | None, Rule]:
        if repeat.refusal is not None:
            raise repeat.refusal
        rule = repeat.rule
        _check(rule)
        if repeat.until is not None:
            rule = replace(rule, until=repeat.until(clock))
        start = _start(repeat, rule, clock)
        first = rule.first(start)
        if repeat.at is None and repeat.part is None:
            return first, None, rule
        if (wall := settle(first, repeat.at, repeat.part, _before(clock, first))) <= clock.wall:
            if repeat.start is None:
                _refuse_unfixed(rule)
                first = rule.first(add_days(first, 1))
            wall = settle(first, repeat.at, repeat.part, _before(clock, first))
        if wall.date() != first:
            raise refusals.not_understood(
                "24:00 is of the day after; a repeat keeps to one.", hint="Say 00:00."
            )
        return *on_the_wall(first, wall.time(), clock), rule

    return resolved


def _refuse_unfixed(rule: Rule) -> None:
    """Refuse a repeat that goes by its first day, where that day's time has passed."""
    is_fixed = (
        rule.weekdays
        or rule.month_days
        or (rule.frequency, rule.interval)
        == (
            Frequency.DAY,
            1,
        )
    )
    if not is_fixed:
        raise refusals.has_passed("Its time today")


def _before(clock: Clock, first: date) -> Clock:
    """A clock on which no time of that day has passed: a repeat's time is of every day."""
    return replace(clock, now=datetime.combine(add_days(first, -1), time(), clock.now.tzinfo))


def _check(rule: Rule) -> None:
    if not 1 <= rule.interval <= MAX_INTERVAL:
        raise refusals.not_understood(f"A repeat is every 1 to {MAX_INTERVAL:,}.")
    if rule.month is not None:
        longest = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[rule.month - 1]
        if not 1 <= rule.month_days[0] <= longest:
            name = refusals.MONTH_NAMES[rule.month - 1]
            raise refusals.nonexistent(f"There is no {rule.month_days[0]} {name}.")


def _start(repeat: Repeat, rule: Rule, clock: Clock) -> date:
    if repeat.start is not None:
        return repeat.start(clock)
    # A weekday never means today.
    is_named = rule.frequency is Frequency.WEEK and rule.weekdays not in ((), WORKDAYS)
    return add_days(clock.today, 1) if is_named else clock.today


repeat = either(_repeat)
