"""Days: tomorrow, next friday, 12 dec, 5/12, 2026-W50-3, easter monday, the day after christmas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import (
    Clock,
    add_days,
    add_months,
    add_workdays,
    coming_weekday,
    day_of,
    easter,
    iso_week,
    monday_of,
    next_month_day,
)
from todo_cli.dates.durations import Duration, duration
from todo_cli.dates.numbers import cardinal, ordinal, short_year, word_number, year
from todo_cli.dates.periods import Day, bounded, edge, relative
from todo_cli.dates.tokens import Parser, Phrase, either
from todo_cli.dates.words import (
    EASTER_DAYS,
    HOLIDAYS,
    HOLIDAYS_BY_COUNTRY,
    MAX_HOLIDAY_WORDS,
    MONTHS,
    NAMED_DAYS,
    WEEKDAYS,
    WORKDAY_ADJECTIVES,
    WORKDAY_UNITS,
)
from todo_cli.errors import InvalidInput
from todo_cli.values import DateOrder

MAX_WEEKS_ON = 100
SHORT_YEARS_BACK, SHORT_YEARS_AHEAD = 10, 40
"""How far a year of two digits may be away."""


def _from_today(days: int) -> Day:
    return lambda clock: add_days(clock.today, days)


def named_day(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """today, tomorrow, yesterday"""
    text = phrase.text(at)
    if (offset := NAMED_DAYS.get(text)) is not None:
        yield _from_today(offset), at + 1


def _day_after(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """the day after tomorrow, day before christmas"""
    at = phrase.skip(at, "the")
    if phrase.text(at) == "day" and phrase.text(at + 1) in ("after", "before"):
        sign = 1 if phrase.text(at + 1) == "after" else -1
        for base, end in day(phrase, at + 2):
            yield _days_after(base, sign), end


def _days_after(base: Day, days: int) -> Day:
    return lambda clock: add_days(base(clock), days)


# Weekdays


def _weekday(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """friday, on fri, this friday, next friday, last friday"""
    at = phrase.skip(at, "on")
    if (phrase.text(at), phrase.text(at + 1)) == ("this", "coming"):
        at += 1
    word = phrase.text(at)
    if (weekday := WEEKDAYS.get(word)) is not None:
        yield _coming(weekday), at + 1
    elif word in _WEEKDAY_ADJECTIVES and (weekday := WEEKDAYS.get(phrase.text(at + 1))) is not None:
        yield _picked(_WEEKDAY_ADJECTIVES[word], weekday), at + 2


def _coming(weekday: int) -> Day:
    return lambda clock: coming_weekday(clock.today, weekday)


def _picked(pick: Callable[[Clock, int], date], weekday: int) -> Day:
    return lambda clock: pick(clock, weekday)


def _this_weekday(clock: Clock, weekday: int) -> date:
    coming = coming_weekday(clock.today, weekday)
    if clock.today.weekday() == weekday:
        raise refusals.ambiguous(
            f"This {coming:%A}",
            f"today, {refusals.day_text(clock.today)},",
            refusals.day_text(coming),
            hint="Say today, or the weekday alone.",
        )
    return coming


def _next_weekday(clock: Clock, weekday: int) -> date:
    return add_days(monday_of(clock.today), 7 + weekday)


def _last_weekday(clock: Clock, weekday: int) -> date:
    of_last_week = add_days(monday_of(clock.today), weekday - 7)
    newest = add_days(coming_weekday(clock.today, weekday), -7)
    if newest not in (of_last_week, clock.today):
        raise refusals.ambiguous(
            f"Last {newest:%A}",
            refusals.day_text(of_last_week),
            refusals.day_text(newest),
            hint="Give the date.",
        )
    return of_last_week


_WEEKDAY_ADJECTIVES: dict[str, Callable[[Clock, int], date]] = {
    "this": _this_weekday,
    "coming": lambda clock, weekday: coming_weekday(clock.today, weekday),
    "upcoming": lambda clock, weekday: coming_weekday(clock.today, weekday),
    "next": _next_weekday,
    "last": _last_weekday,
}


def _weekday_of_week(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """monday next week, next week on monday, friday of week 50"""
    behind = phrase.skip(at, "on")
    if (weekday := WEEKDAYS.get(phrase.text(behind))) is not None:
        of = phrase.skip(behind + 1, "of", "in", ",")
        yield from _in_week(phrase, of, weekday)
    for (unit, offset), end in relative(phrase, at):
        end = phrase.skip(phrase.skip(end, ","), "on")
        if unit == "week" and (weekday := WEEKDAYS.get(phrase.text(end))) is not None:
            yield _weekday_from_now(weekday, offset), end + 1


def _weekday_from_now(weekday: int, weeks: int) -> Day:
    return lambda clock: add_days(monday_of(clock.today), 7 * weeks + weekday)


def _in_week(phrase: Phrase, at: int, weekday: int) -> Iterator[tuple[Day, int]]:
    for (unit, offset), end in relative(phrase, at):
        if unit == "week":
            yield _weekday_from_now(weekday, offset), end
    if phrase.text(at) in ("week", "wk", "w") and phrase.kind(at + 1) == "number":
        for named, end in bounded(phrase, at):

            def numbered(clock: Clock, named: Callable[[Clock], object] = named) -> date:
                periods = named(clock)
                return periods.day(  # type: ignore[attr-defined,no-any-return]
                    lambda period: add_days(period.first, weekday), clock.today
                )

            yield numbered, end


def _weeks_on(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """friday week, tomorrow week, a week on friday, two weeks today"""
    for base, end in either_simple(phrase, at):
        if phrase.text(end) in ("week", "fortnight"):
            weeks = 1 if phrase.text(end) == "week" else 2
            yield _weeks_after(base, weeks), end + 1
    weeks_and_ends = (
        [(1, at + 2)] if phrase.text(at) == "a" and phrase.text(at + 1) == "week" else []
    )
    if [phrase.text(at), phrase.text(at + 1)] == ["a", "fortnight"]:
        weeks_and_ends.append((2, at + 2))
    weeks_and_ends += [
        (number, end + 1)
        for number, end in cardinal(phrase, at)
        if phrase.text(end) in ("week", "weeks") and number < MAX_WEEKS_ON
    ]
    for weeks, end in weeks_and_ends:
        for base, last in either_simple(phrase, end):
            yield _weeks_after(base, weeks), last


def _weeks_after(base: Day, weeks: int) -> Day:
    return _days_after(base, 7 * weeks)


def _simple(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """today, tomorrow, friday, on friday"""
    if phrase.text(at) in ("today", "tomorrow"):
        yield _from_today(NAMED_DAYS[phrase.text(at)]), at + 1
    at = phrase.skip(at, "on")
    if (weekday := WEEKDAYS.get(phrase.text(at))) is not None:
        yield _coming(weekday), at + 1


either_simple = either(_simple)


def _weekday_beside(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """the friday after christmas, the monday before 15 dec"""
    at = phrase.skip(phrase.skip(at, "on"), "the")
    at = phrase.skip(at, {"after": "first", "before": "last"}.get(phrase.text(at + 2), ""))
    weekday = WEEKDAYS.get(phrase.text(at))
    word = phrase.text(at + 1)
    if weekday is None or word not in ("after", "before"):
        return
    for base, end in day(phrase, at + 2):

        def beside(clock: Clock, base: Day = base) -> date:
            of = base(clock)
            if word == "after":
                return coming_weekday(of, weekday)
            return add_days(coming_weekday(add_days(of, -1), weekday), -7)

        yield beside, end


def _next_workday(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """next workday, the next business day"""
    at = phrase.skip(at, "the")
    if phrase.text(at) != "next":
        return
    if phrase.text(at + 1) in WORKDAY_UNITS and not phrase.text(at + 1).endswith("s"):
        yield (lambda clock: add_workdays(clock.today, 1)), at + 2
    if phrase.text(at + 1) in WORKDAY_ADJECTIVES and phrase.text(at + 2) == "day":
        yield (lambda clock: add_workdays(clock.today, 1)), at + 3


# Dates


def _fixed(make: Callable[[], date]) -> Day:
    return lambda _: make()


def _short(of_year: int, clock: Clock, text: str) -> int:
    if not -SHORT_YEARS_BACK <= of_year - clock.today.year <= SHORT_YEARS_AHEAD:
        raise refusals.not_understood(f"The year of {text!r} is not clear.", hint="Write it whole.")
    return of_year


def month_and_day(phrase: Phrase, at: int) -> Iterator[tuple[tuple[int, int], int]]:
    """12 dec, the 12th of december, dec 12th, december the twelfth, 5-dec"""
    behind = phrase.skip(at, "the")
    for number, end in day_number(phrase, behind):
        end = phrase.skip(end, "of", "-", "/", ".")
        if (month := MONTHS.get(phrase.text(end))) is not None:
            yield (month, number), end + 1
    if (month := MONTHS.get(phrase.text(at))) is not None:
        joint = phrase.skip(at + 1, "-", "/")
        behind = phrase.skip(joint, "the")
        for number, end in (day_number if behind > joint else _spoken_day)(phrase, behind):
            yield (month, number), end


def _day_digits(phrase: Phrase, at: int) -> Iterator[tuple[int, int]]:
    if phrase.kind(at) == "number" and len(phrase.text(at)) <= 2:
        yield int(phrase.text(at)), at + 1


day_number = either(_day_digits, ordinal)
_spoken_day = either(day_number, word_number)


def _dated(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """A month and a day, with or without a year."""
    for (month, number), end in month_and_day(phrase, at):

        def yearless(clock: Clock, month: int = month, number: int = number) -> date:
            return next_month_day(clock.today, month, number)

        yield yearless, end


def _dated_with_year(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """12 dec 2026, dec 12th, 2026, 12-dec-26, 12 dec '26, 2026 december 12, 2026-dec-05"""
    for (month, number), end in month_and_day(phrase, at):
        behind = phrase.skip(phrase.skip(end, ",", "-", "/", "."), "of")
        for of_year, last in year(phrase, behind):
            yield _numbered(of_year, month, number), last
        for of_year, last in short_year(phrase, behind):
            yield _numbered(of_year, month, number, is_short=True), last
        is_separated = phrase.text(end) in ("-", "/") and phrase[end].is_glued
        digits = phrase.text(end + 1)
        if is_separated and phrase.kind(end + 1) == "number" and len(digits) == 2:
            yield _numbered(2000 + int(digits), month, number, is_short=True), end + 2
    for of_year, behind in year(phrase, at):
        behind = phrase.skip(behind, "-", ",", "/")
        month_number = MONTHS.get(phrase.text(behind))
        if month_number is not None:
            for number, end in day_number(phrase, phrase.skip(behind + 1, "-", "/")):
                yield _numbered(of_year, month_number, number), end


def _numbered(of_year: int, month: int, number: int, *, is_short: bool = False) -> Day:
    def numbered(clock: Clock) -> date:
        found = day_of(of_year, month, number)
        if is_short:
            _short(of_year, clock, str(of_year % 100))
        return found

    return numbered


def _numeric_whole(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """2026-12-15, 20261215, 2026-W50-3, 2026-350, 5.12.2026"""
    kind, groups = phrase.kind(at), phrase[at].groups
    numbers = [int(each) for each in groups if each is not None and each.isdigit()]
    if kind == "ymd" or (kind == "compact" and 1900 <= numbers[0] <= 2199):
        yield _fixed(lambda: day_of(numbers[0], numbers[1], numbers[2])), at + 1
    elif kind == "iso_week" and groups[2] is not None:
        yield _fixed(lambda: iso_week(*numbers)), at + 1
    elif kind == "year_day":
        yield _fixed(lambda: _day_of_year(*numbers)), at + 1
    elif kind == "dotted" and len(groups[2] or "") == 4:
        yield _fixed(lambda: day_of(numbers[2], numbers[1], numbers[0])), at + 1
    elif kind in ("slashed", "dashed") and len(groups[2] or "") == 4:
        text = phrase.text(at)
        yield (lambda clock: _by_order(text, numbers[0], numbers[1], numbers[2], clock)), at + 1


def _day_of_year(of_year: int, number: int) -> date:
    if of_year >= 1 and number >= 1:
        found = add_days(date(of_year, 1, 1), number - 1)
        if found.year == of_year:
            return found
    raise refusals.nonexistent(f"There is no day {number} in {of_year}.")


def _numeric_part(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """5.12., 12.12.26, 5/12, 5/12/26, 12-15"""
    kind, groups, text = phrase.kind(at), phrase[at].groups, phrase.text(at)
    if kind == "decimal":
        number, month = text.split(".")
        # 5.12 is a day; 1.5 is a number for most.
        if len(number) <= 2 and len(month) == 2 and 1 <= int(month) <= 12:
            yield (lambda clock: next_month_day(clock.today, int(month), int(number))), at + 1
    elif kind == "dotted" and len(groups[2] or "") != 4:
        yield (lambda clock: _dotted(text, groups, clock)), at + 1
    elif (kind == "slashed" and len(groups[2] or "") != 4) or (
        kind == "dashed" and len(groups[2] or "") == 2
    ):
        yield (lambda clock: _slashed(text, groups, clock)), at + 1
    elif kind == "dashed" and groups[2] is None and len(text) == 5:
        yield (lambda clock: _dashed(text, groups, clock)), at + 1


def _dotted(text: str, groups: tuple[str | None, ...], clock: Clock) -> date:
    number, month = int(groups[0] or 0), int(groups[1] or 0)
    if groups[2] is not None:
        return day_of(_short(2000 + int(groups[2]), clock, text), month, number)
    if not 1 <= month <= 12:
        raise refusals.nonexistent(f"There is no month {month}.")
    return next_month_day(clock.today, month, number)


def _slashed(text: str, groups: tuple[str | None, ...], clock: Clock) -> date:
    first, second = int(groups[0] or 0), int(groups[1] or 0)
    if groups[2] is None:
        return _by_order(text, first, second, None, clock)
    of_year = 2000 + int(groups[2])
    is_short = min(len(groups[0] or ""), len(groups[1] or "")) == 1
    first_years_back = 0 if "/" in text else SHORT_YEARS_BACK
    is_year = -first_years_back <= 2000 + first - clock.today.year <= SHORT_YEARS_AHEAD
    if is_year and len(groups[0] or "") == 2 and 1 <= second <= 12:
        raise refusals.ambiguous(
            repr(text), "day, month, year", "year, month, day", hint="Write the year whole."
        )
    if is_short and int(groups[2]) <= 12:
        raise refusals.not_understood(f"The year of {text!r} is not clear.", hint="Write it whole.")
    return _by_order(text, first, second, _short(of_year, clock, text), clock)


def _dashed(text: str, groups: tuple[str | None, ...], clock: Clock) -> date:
    """12-15, which can only be a month and a day. 10-12 may be a range as well."""
    first, second = int(groups[0] or 0), int(groups[1] or 0)
    if max(first, second) <= 12 or min(first, second) > 12:
        raise refusals.not_understood(
            f"{text!r} may be a day of two months, or a range.", hint="Write the month's name."
        )
    return _by_order(text, first, second, None, clock)


def _by_order(text: str, first: int, second: int, of_year: int | None, clock: Clock) -> date:
    """Day and month, in the order that the numbers or the person's habit give."""

    def made(month: int, number: int) -> date | None:
        try:
            if not 1 <= month <= 12:
                return None
            if of_year is None:
                return next_month_day(clock.today, month, number)
            return day_of(of_year, month, number)
        except InvalidInput:
            return None

    day_first, month_first = made(second, first), made(first, second)
    if day_first is None and month_first is None:
        raise refusals.nonexistent(f"{text!r} is no day of any month.")
    if day_first is None or month_first is None or day_first == month_first:
        found = day_first or month_first
        assert found is not None
        return found
    if clock.order is None:
        raise refusals.ambiguous(
            repr(text),
            f"{day_first.day} {refusals.MONTH_NAMES[day_first.month - 1]}",
            f"{month_first.day} {refusals.MONTH_NAMES[month_first.month - 1]}",
            hint="Write the month's name, or set TODO_DATE_ORDER to dmy or mdy.",
        )
    return day_first if clock.order is DateOrder.DMY else month_first


def _ordinal_day(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """the 15th, 27th, the second, fifteenth: the next month's that has one; today counts."""
    behind = phrase.skip(at, "the")
    for number, end in ordinal(phrase, behind):
        # "second" alone is a length, "first" and "third" want a noun.
        if behind > at or number > 3 or phrase.kind(at) == "ordinal":
            yield _numbered_day(number), end


def _numbered_day(number: int) -> Day:
    return lambda clock: _next_numbered(number, clock)


def _next_numbered(number: int, clock: Clock) -> date:
    if not 1 <= number <= 31:
        raise refusals.nonexistent(f"No month has a day {number}.")
    month = clock.today.replace(day=1)
    while True:
        try:
            found = month.replace(day=number)
        except ValueError:
            pass
        else:
            if found >= clock.today:
                return found
        month = add_months(month, 1)


def _checked(parser: Parser[Day]) -> Parser[Day]:
    """A date with a weekday in front or behind, which must be the date's."""

    def parse(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
        start = phrase.skip(at, "on")
        weekday = WEEKDAYS.get(phrase.text(start))
        if weekday is not None:
            behind = phrase.skip(phrase.skip(start + 1, ","), "the")
            for base, end in parser(phrase, behind):
                yield _with_weekday(base, weekday), end
        elif phrase.kind(at) in ("ymd", "dotted"):
            for base, end in parser(phrase, at):
                if (weekday := WEEKDAYS.get(phrase.text(end))) is not None:
                    yield _with_weekday(base, weekday), end + 1

    return parse


def _with_weekday(base: Day, weekday: int) -> Day:
    def checked(clock: Clock) -> date:
        found = base(clock)
        if found.weekday() != weekday:
            raise refusals.contradictory(
                f"{found.day} {refusals.MONTH_NAMES[found.month - 1]} {found.year} is a {found:%A}."
            )
        return found

    return checked


def _on(parser: Parser[Day]) -> Parser[Day]:
    def parse(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
        yield from parser(phrase, phrase.skip(at, "on"))

    return parse


_whole_date = either(_dated_with_year, _numeric_whole)
absolute_day = either(_on(_whole_date), _checked(_whole_date))
"""A day with its year."""

_part_date = either(_dated, _numeric_part, _ordinal_day)
yearless_day = either(_on(_part_date), _checked(_part_date))


# Holidays


def _holiday_name(phrase: Phrase, at: int) -> Iterator[tuple[str, int]]:
    for count in range(1, MAX_HOLIDAY_WORDS + 1):
        if phrase.kind(at + count - 1) != "word":
            return
        yield " ".join(phrase.text(each) for each in range(at, at + count)), at + count


def fixed_holiday(phrase: Phrase, at: int) -> Iterator[tuple[tuple[int, int], int]]:
    for name, end in _holiday_name(phrase, at):
        if name in HOLIDAYS:
            yield HOLIDAYS[name], end


def _holiday(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    """christmas, easter monday, new year's eve 2027"""
    at = phrase.skip(at, "on")
    for name, end in _holiday_name(phrase, at):
        yield from _holiday_with_year(name, phrase, end)


def _holiday_with_year(name: str, phrase: Phrase, end: int) -> Iterator[tuple[Day, int]]:
    if name in HOLIDAYS:
        month, number = HOLIDAYS[name]
        yield (lambda clock: next_month_day(clock.today, month, number)), end
        for of_year, last in year(phrase, end):
            yield _numbered(of_year, month, number), last
    elif name in EASTER_DAYS:
        offset = EASTER_DAYS[name]
        yield (lambda clock: _next_easter(offset, clock)), end
        for of_year, last in year(phrase, end):
            yield _easter_of(of_year, offset), last
    elif name in HOLIDAYS_BY_COUNTRY:
        yield _differs(name), end


def _easter_of(of_year: int, offset: int) -> Day:
    return lambda _: add_days(easter(of_year), offset)


def _next_easter(offset: int, clock: Clock) -> date:
    found = add_days(easter(clock.today.year), offset)
    if found >= clock.today:
        return found
    if clock.today.year == 9999:
        raise refusals.out_of_range()
    return add_days(easter(clock.today.year + 1), offset)


def _differs(name: str) -> Day:
    def refused(_: Clock) -> date:
        raise refusals.ambiguous(
            name.capitalize(), "one day here", "another one elsewhere", hint="Give the date."
        )

    return refused


# Distances in days


def said_distance(phrase: Phrase, at: int) -> Iterator[tuple[tuple[Duration, int], int]]:
    """in 3 days, 3 days ago, 3 hours from now, in 3 days' time: the length, and 1 or -1."""
    if phrase.text(at) == "in":
        for length, end in duration(phrase, at + 1):
            yield (length, 1), end
            if phrase.text(end) == "time":
                yield (length, 1), end + 1
        return
    for length, end in duration(phrase, at):
        if phrase.text(end) == "ago":
            yield (length, -1), end + 1
        elif phrase.text(end) == "hence":
            yield (length, 1), end + 1
        elif (phrase.text(end), phrase.text(end + 1)) == ("from", "now"):
            yield (length, 1), end + 2


def bare_distance(phrase: Phrase, at: int) -> Iterator[tuple[tuple[Duration, int], int]]:
    """3 days, +3d, -2h. No time of day goes with it: "3 days 5:00" may be one length."""
    sign = {"+": 1, "-": -1}.get(phrase.text(at), 0)
    for length, end in duration(phrase, at + 1 if sign else at):
        if not (phrase.text(at) == "one" and phrase.text(end - 1) == "day"):  # that is some day
            yield (length, sign or 1), end


def _distance(phrase: Phrase, at: int) -> Iterator[tuple[Day, int]]:
    for (length, sign), end in said_distance(phrase, at):
        if length.is_of_days:
            yield from_today(length, sign), end


def from_today(length: Duration, sign: int) -> Day:
    return lambda clock: length.checked().shift_day(clock.today, sign)


word_day = either(
    named_day, _weekday, _weekday_of_week, _weeks_on, _weekday_beside, _next_workday, _day_after
)
"""A day that was said in words alone: no year can follow it."""

clockless_day = either(word_day, absolute_day, yearless_day, _holiday)
"""A day that begins at its midnight: "friday+9h". The end of a month is no such beginning."""

day = either(clockless_day, edge, _distance)
"""Everything that means one day, exactly."""
