"""Weeks, months, quarters and years, and the days that are said by them.

A period's own name stands for one of its days: the first if it is to come, the last of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import (
    Clock,
    add_days,
    add_months,
    day_of,
    end_of_month,
    iso_week,
    monday_of,
    nth_weekday,
    nth_workday,
)
from todo_cli.dates.numbers import ordinal, short_year, year
from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import (
    MONTHS,
    NAMED_DAYS,
    PERIOD_UNITS,
    TASKWARRIOR_PERIODS,
    WEEKDAYS,
    WORKDAY_ADJECTIVES,
    WORKDAY_UNITS,
)

Day = Callable[[Clock], date]


@dataclass(frozen=True)
class Period:
    first: date
    last: date

    @property
    def is_month(self) -> bool:
        return self.last == end_of_month(self.first) and self.first.day == 1


@dataclass(frozen=True)
class Periods:
    """A period that was named: one, or where no year was said, this year's and the next ones.

    `takes_past`: it was said in words that may name the past, as "last month" and "2025" do.
    """

    name: str
    candidates: tuple[Period, ...]
    takes_past: bool = True

    def day(self, pick: Callable[[Period], date | None], today: date) -> date:
        """The day that `pick` finds in it, of the first candidate where that day is to come."""
        days = [pick(each) for each in self.candidates]
        found = [each for each in days if each is not None]
        if days[0] is None or not found:
            raise refusals.nonexistent(f"There is no such day in {self.name}.")
        coming = [each for each in found if self.takes_past or each >= today]
        if not coming:
            raise refusals.has_passed(f"That day of {self.name}", found[-1])
        return coming[0]

    def refuse_begun(self, today: date) -> None:
        """Refuse a name that may mean the period that has begun or the next of that name."""
        first = self.candidates[0]
        if first.first < today <= first.last:
            raise refusals.ambiguous(
                self.name.capitalize(),
                f"the one that began on {refusals.day_text(first.first)}",
                "the next one",
                hint="Say its beginning or end, or give the year.",
            )


Named = Callable[[Clock], Periods]


def around(unit: str, day: date, offset: int = 0) -> Period:
    """The week, month, quarter or year of a day, or that many before or after it."""
    if unit == "week":
        monday = add_days(monday_of(day), 7 * offset)
        return Period(monday, add_days(monday, 6))
    if unit == "work week":
        monday = add_days(monday_of(day), 7 * offset)
        return Period(monday, add_days(monday, 4))
    if unit == "weekend":
        saturday = add_days(monday_of(day), 5 + 7 * offset)
        return Period(saturday, add_days(saturday, 1))
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    first = add_months(day.replace(day=1), -((day.month - 1) % months) + offset * months)
    return Period(first, end_of_month(add_months(first, months - 1)))


_OFFSETS = {"this": 0, "current": 0, "next": 1, "last": -1, "previous": -1}


def relative(phrase: Phrase, at: int) -> Iterator[tuple[tuple[str, int], int]]:
    """this week, the next month, the year after next: the unit and how many from now."""
    at = phrase.skip(at, "the")
    offset = _OFFSETS.get(phrase.text(at))
    unit = PERIOD_UNITS.get(phrase.text(at + 1))
    if offset is not None and unit is not None:
        yield (unit, offset), at + 2
    unit = PERIOD_UNITS.get(phrase.text(at))
    if unit is not None and (phrase.text(at + 1), phrase.text(at + 2)) == ("after", "next"):
        yield (unit, 2), at + 3


def _relative(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    for (unit, offset), end in relative(phrase, at):

        def named(clock: Clock, unit: str = unit, offset: int = offset) -> Periods:
            return Periods(f"that {unit}", (around(unit, clock.today, offset),))

        yield named, end


def _this(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """the month, week: this one, as far as it is to come."""
    at = phrase.skip(at, "the")
    unit = PERIOD_UNITS.get(phrase.text(at))
    end = at + 1
    if phrase.text(at) == "work" and phrase.text(at + 1) == "week":
        unit, end = "work week", at + 2
    if phrase.text(at) == "workweek":
        unit = "work week"
    if unit is not None:
        yield lambda clock: Periods(f"this {unit}", (around(unit, clock.today),), False), end


def _month(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """december, dec 2026"""
    month = MONTHS.get(phrase.text(at))
    if month is None:
        return
    name = phrase.text(at)
    yield lambda clock: _yearless(name, "month", clock, lambda year: day_of(year, month, 1)), at + 1
    behind = phrase.skip(phrase.skip(at + 1, ","), "of")
    for parser in (year, short_year):
        for number, end in parser(phrase, behind):
            yield _month_of(name, number, month), end


def _month_of(name: str, number: int, month: int) -> Named:
    return lambda _: Periods(f"{name} {number}", (around("month", day_of(number, month, 1)),))


def _yearless(name: str, unit: str, clock: Clock, first: Callable[[int], date]) -> Periods:
    """This year's and the next one's, without one that is over."""
    this_year = clock.today.year
    periods = [around(unit, first(each)) for each in range(this_year, min(this_year + 2, 9999) + 1)]
    return Periods(name, tuple(p for p in periods if p.last >= clock.today)[:2], False)


def _next_month_name(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """next may, this december"""
    word = phrase.text(at)
    month = MONTHS.get(phrase.text(at + 1))
    if word not in ("next", "this", "last") or month is None:
        return
    name = phrase.text(at + 1)

    def named(clock: Clock) -> Periods:
        this_year = around("month", date(clock.today.year, month, 1))
        if word == "last":
            if clock.today.month <= month:
                before = add_months(this_year.first, -12)
                return Periods(name, (around("month", before),))
            raise refusals.ambiguous(
                f"'last {name}'", "that of this year", "that of last year", hint="Give the year."
            )
        if word == "this":
            if clock.today.month > month:
                raise refusals.has_passed(f"'this {name}'", this_year.first)
            return Periods(name, (this_year,), False)
        if clock.today.month < month:
            raise refusals.ambiguous(
                f"'next {name}'", "that of this year", "that of next year", hint="Give the year."
            )
        return Periods(name, (around("month", add_months(this_year.first, 12)),))

    yield named, at + 2


def _quarter(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """q1, q1 2027, 2027-q1"""
    if phrase.kind(at) == "year_quarter":
        of_year, number = (int(each or 0) for each in phrase[at].groups)
        yield _dated(lambda: around("quarter", day_of(of_year, number * 3, 1))), at + 1
    if phrase.text(at) == "q" and phrase.text(at + 1) in ("1", "2", "3", "4"):
        month = int(phrase.text(at + 1)) * 3
        name = f"q{phrase.text(at + 1)}"
        yield (
            (lambda clock: _yearless(name, "quarter", clock, lambda year: day_of(year, month, 1))),
            at + 2,
        )
        behind = phrase.skip(phrase.skip(at + 2, "/", "-"), "of")
        for of_year, end in year(phrase, behind):
            quarter = around("quarter", day_of(of_year, month, 1))
            yield _fixed(name, quarter), end


def _fixed(name: str, period: Period) -> Named:
    return lambda _: Periods(name, (period,))


def _dated(period: Callable[[], Period]) -> Named:
    return lambda _: Periods("that time", (period(),))


def _week(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """week 50, w50, week 50 of 2026, 2026-W50"""
    if phrase.kind(at) == "iso_week" and phrase[at].groups[2] is None:
        of_year, week = (int(each or 0) for each in phrase[at].groups[:2])
        yield _dated(lambda: around("week", iso_week(of_year, week))), at + 1
    if phrase.text(at) in ("week", "w", "wk") and phrase.kind(at + 1) == "number":
        if phrase.text(at) == "w" and not phrase[at + 1].is_glued:
            return
        week = int(phrase.text(at + 1))
        yield lambda clock: _yearless_week(week, clock), at + 2
        for of_year, end in year(phrase, phrase.skip(phrase.skip(at + 2, ","), "of")):
            monday = iso_week(of_year, week) if 1 <= week <= 52 else None
            if monday is not None:
                yield _fixed(f"week {week}", around("week", monday)), end


def _yearless_week(week: int, clock: Clock) -> Periods:
    """The next week of that number; some years have no week 53."""
    this_year = clock.today.isocalendar().year
    weeks = []
    for of_year in range(this_year, min(this_year + 8, 9999)):
        try:
            weeks.append(around("week", date.fromisocalendar(of_year, week, 1)))
        except ValueError:
            continue
    coming = tuple(each for each in weeks if each.last >= clock.today)[:2]
    if not coming:
        raise refusals.nonexistent(f"There is no week {week}.")
    return Periods(f"week {week}", coming, False)


def _year(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    for number, end in year(phrase, at):
        if number >= 1900:
            yield _fixed(str(number), around("year", date(number, 1, 1))), end


def _numeric_month(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """2026-12, 12/2026"""
    kind = phrase.kind(at)
    if kind in ("year_month", "month_year"):
        numbers = [int(each or 0) for each in phrase[at].groups]
        of_year, month = numbers if kind == "year_month" else reversed(numbers)
        yield _dated(lambda: around("month", day_of(of_year, month, 1))), at + 1


_any_period = either(_relative, _this, _month, _next_month_name, _quarter, _week, _numeric_month)
bounded = either(_any_period, _year)
"""A period behind "end of" and the like, where a number alone can only be a year."""


def _span(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """A period by itself: this month is its last day, next month and december the first."""
    for (unit, offset), end in relative(phrase, at):
        if offset >= 0:

            def relative_day(clock: Clock, unit: str = unit, offset: int = offset) -> date:
                period = around(unit, clock.today, offset)
                return period.first if offset else period.last

            yield relative_day, end
    start = phrase.skip(at, "in")
    for parser in _spans_by_name if start == at else (*_spans_by_name, _year):
        for named, end in parser(phrase, start):

            def named_day(clock: Clock, named: Named = named) -> date:
                periods = named(clock)
                periods.refuse_begun(clock.today)
                return periods.candidates[0].first

            yield named_day, end


_spans_by_name = (_month, _next_month_name, _quarter, _week, _numeric_month)


def _weekend(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """this weekend: Saturday; on Sunday that day. next weekend: that of next week."""
    start = at
    at = phrase.skip(phrase.skip(at, "at", "on", "over"), "the")
    if phrase.text(at) == "weekend":

        def bare(clock: Clock) -> date:
            saturday = add_days(monday_of(clock.today), 5)
            if clock.today >= saturday:
                raise refusals.ambiguous(
                    "'weekend'", "this one", "the next one", hint="Say this or next weekend."
                )
            return saturday

        yield bare, at + 1
    elif at == start and phrase.text(at + 1) == "weekend" and phrase.text(at) in ("this", "next"):
        is_next = phrase.text(at) == "next"

        def said(clock: Clock) -> date:
            saturday = add_days(monday_of(clock.today), 5)
            return add_days(saturday, 7) if is_next else max(saturday, clock.today)

        yield said, at + 2


span = either(_span, _weekend)
"""A day that was said by a period's name alone. It takes no time and no distance."""


def _whole_weekend(phrase: Phrase, at: int) -> Iterator[tuple[Named, int]]:
    """weekend, this weekend, last weekend: both days."""
    at = phrase.skip(at, "the")
    offset = _OFFSETS.get(phrase.text(at))
    at += offset is not None
    if phrase.text(at) == "weekend":
        yield (
            lambda clock: Periods("weekend", (around("weekend", clock.today, offset or 0),)),
            at + 1,
        )


whole = either(bounded, _whole_weekend)
"""A period by itself, where all its days are meant."""


def _edge(phrase: Phrase, at: int) -> Iterator[tuple[Callable[[Period], date | None], int]]:
    """end of, the beginning of, mid, the last day of, the first monday of."""
    at = phrase.skip(at, "the")
    word = phrase.text(at)
    behind = phrase.skip(at + 1, "of", "-")
    if word == "end":
        yield (lambda period: period.last), behind
    if word in ("start", "beginning"):
        yield (lambda period: period.first), behind
    if word in ("mid", "middle"):
        yield (lambda period: period.first.replace(day=15) if period.is_month else None), behind
    nth, end = _nth(phrase, at)
    if nth is None:
        return
    for pick, further in _counted_days(nth, phrase, end):
        if phrase.text(further) in ("of", "in"):
            yield pick, further + 1
        elif phrase.text(further) in ("next", "this"):
            yield pick, further


def _nth(phrase: Phrase, at: int) -> tuple[int | None, int]:
    if phrase.text(at) == "last":
        return -1, at + 1
    if phrase.text(at) == "penultimate":
        return -2, at + 1
    for number, end in ordinal(phrase, at):
        behind = phrase.skip(phrase.skip(end, "-", "to"), "to")
        behind = phrase.skip(behind, "-")
        if number == 2 and phrase.text(behind) == "last":
            return -2, behind + 1
        return number, end
    return None, at


def _counted_days(
    nth: int, phrase: Phrase, at: int
) -> Iterator[tuple[Callable[[Period], date | None], int]]:
    word = phrase.text(at)
    if word == "day" and nth == 1:
        yield (lambda period: period.first), at + 1
    if word == "day" and nth < 0:
        yield (lambda period: add_days(period.last, nth + 1)), at + 1
    if (weekday := WEEKDAYS.get(word)) is not None and -1 <= nth <= 5:
        yield (lambda period: nth_weekday(period.first, period.last, weekday, nth)), at + 1
    if -1 <= nth <= 31:
        if word in WORKDAY_UNITS:
            yield _workday(nth), at + 1
        if word in WORKDAY_ADJECTIVES and phrase.text(at + 1) == "day":
            yield _workday(nth), at + 2


def _workday(nth: int) -> Callable[[Period], date | None]:
    def pick(period: Period) -> date | None:
        found = nth_workday(period.first, period.last, nth)
        if found is not None and (found.month, found.day) in ((1, 1), (12, 25)):
            raise refusals.contradictory(
                f"{refusals.day_text(found)} is a holiday nearly everywhere."
            )
        return found

    return pick


def _edge_of_period(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    for pick, behind in _edge(phrase, at):
        for named, end in bounded(phrase, behind):

            def day(
                clock: Clock, pick: Callable[[Period], date | None] = pick, named: Named = named
            ) -> date:
                periods = named(clock)
                found = periods.day(pick, clock.today)
                if not periods.takes_past and periods.candidates[0].first < clock.today:
                    _refuse_later_of_begun(periods, pick, found, clock)
                return found

            yield day, end


def _refuse_later_of_begun(
    periods: Periods, pick: Callable[[Period], date | None], found: date, clock: Clock
) -> None:
    """Refuse the beginning of a month that has begun, where the next year's may be meant."""
    first = pick(periods.candidates[0])
    if first is not None and first < clock.today and found != first:
        raise refusals.has_passed(f"That day of {periods.name}", first)


def _day_of_month(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """the 15th of next month, first of next month, next month on the 15th"""
    behind = phrase.skip(at, "the")
    for number, end in ordinal(phrase, behind):
        further = phrase.skip(end, "of")
        is_clear = phrase.kind(behind) == "ordinal" and phrase.text(further) in ("this", "next")
        for (unit, offset), last in relative(phrase, further):
            if unit == "month" and (further > end or is_clear):
                yield _numbered_day(number, offset), last
    for (unit, offset), end in relative(phrase, at):
        if unit == "month" and (phrase.text(end), phrase.text(end + 1)) == ("on", "the"):
            for number, last in ordinal(phrase, end + 2):
                yield _numbered_day(number, offset), last


def _numbered_day(number: int, offset: int) -> Day:
    def day(clock: Clock) -> date:
        first = around("month", clock.today, offset).first
        return day_of(first.year, first.month, number)

    return day


def _taskwarrior(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """eom, sonw, eopm, eoww: start or end of the current, next or previous period."""
    text = phrase.text(at)
    if phrase.kind(at) != "word" or text[:2] not in ("so", "eo") or len(text) > 5:
        return
    unit, offset = TASKWARRIOR_PERIODS.get(text[2:]), 0
    if unit is None:
        unit = TASKWARRIOR_PERIODS.get(text[3:])
        offset = {"n": 1, "p": -1, "c": 0}.get(text[2:3], 2)
    if unit is not None and offset < 2:
        name = unit

        def day(clock: Clock) -> date:
            period = around(name, clock.today, offset)
            return period.first if text[0] == "s" else period.last

        yield day, at + 1


def _edge_of_day(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """eod, sond, end of day, the end of tomorrow: the whole day. No time goes with it."""
    text = phrase.text(at)
    day_offset = {"d": 0, "nd": 1, "pd": -1}.get(text[2:])
    if text[:2] in ("so", "eo") and day_offset is not None:
        yield (lambda clock: add_days(clock.today, day_offset)), at + 1
    at = phrase.skip(at, "the")
    if (phrase.text(at), phrase.text(at + 1)) == ("end", "of"):
        end = phrase.skip(at + 2, "the")
        if phrase.text(end) == "day":
            yield (lambda clock: clock.today), end + 1
        if end == at + 2 and phrase.text(end) in ("today", "tomorrow"):
            offset = NAMED_DAYS[phrase.text(end)]
            yield (lambda clock: add_days(clock.today, offset)), end + 1


edge_of_day = either(_edge_of_day)

edge = either(_edge_of_period, _day_of_month, _taskwarrior)
"""A day that was said by a period, exactly."""
