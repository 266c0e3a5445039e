"""Moments: a day, a time, or both; from another moment by a length of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import Clock, add_seconds, in_zone, on_the_wall
from todo_cli.dates.days import (
    absolute_day,
    bare_distance,
    clockless_day,
    day,
    from_today,
    said_distance,
    word_day,
    yearless_day,
)
from todo_cli.dates.durations import Duration, duration
from todo_cli.dates.numbers import year
from todo_cli.dates.periods import Day, edge_of_day, span
from todo_cli.dates.times import (
    AT,
    Midnight,
    Time,
    Written,
    bare_hour,
    military,
    part_phrase,
    part_word,
    settle,
    written,
)
from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import NAMED_DAYS, WEEKDAYS

When = tuple[date, time | None]
Moment = Callable[[Clock], When]

MAX_OFFSET_HOURS = 14


def _whole(base: Day) -> Moment:
    return lambda clock: (base(clock), None)


def _settled(base: Day | None, at: Time | None, part: str | None) -> Moment:
    def settled(clock: Clock) -> When:
        found = base(clock) if base is not None else None
        wall = settle(found, at, part, clock)
        return on_the_wall(wall.date(), wall.time(), clock)

    return settled


def _now(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    if phrase.text(at) == "now":
        yield (lambda clock: (clock.wall.date(), clock.wall.time())), at + 1


def _day_alone(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    for parser in (day, edge_of_day):
        for base, end in parser(phrase, at):
            yield _whole(base), end


def _span_alone(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    for base, end in span(phrase, at):
        yield _whole(base), end


# A part of the day, with its day


def _part_of_day(phrase: Phrase, at: int) -> Iterator[tuple[tuple[Day, str], int]]:
    """tomorrow morning, monday in the afternoon, this evening, tonight"""
    if phrase.text(at) in ("tonight", "tonite"):
        yield (_today, "night"), at + 1
    if phrase.text(at) == "this":
        for part, end in part_word(phrase, at + 1):
            if part != "night":
                yield (_today, part), end
    for base, end in day(phrase, at):
        behind = phrase.skip(end, ",")
        for parser in (part_word, part_phrase):
            for part, last in parser(phrase, behind):
                yield (base, part), last


def _today(clock: Clock) -> date:
    return clock.today


part_of_day = either(_part_of_day)


def _part_alone(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    for (base, part), end in part_of_day(phrase, at):
        yield _settled(base, None, part), end
    for parser in (part_word, part_phrase):
        for part, end in parser(phrase, at):
            yield _settled(None, None, part), end


# A time, with its day and its part


def _timed(phrase: Phrase, at: int) -> Iterator[tuple[tuple[Time, str | None], int]]:
    """5pm, 8 in the evening: a time, with the part of the day that was said behind it."""
    for clocked, end in written(phrase, at):
        yield (clocked, None), end
        for part, last in part_phrase(phrase, end):
            yield (clocked, part), last
    for clocked, end in bare_hour(phrase, at):
        for part, last in part_phrase(phrase, end):
            yield (clocked, part), last


timed = either(_timed)


def _time_alone(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    for (clocked, part), end in timed(phrase, at):
        yield _settled(None, clocked, part), end


def _day_and_time(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """tomorrow 5pm, 12 dec at 9, monday 8 in the evening, tomorrow morning 8:15, tonight 8"""
    for base, end in day(phrase, at):
        for (clocked, part), last in timed(phrase, phrase.skip(end, ",")):
            yield _settled(base, clocked, part), last
    for (base, part), end in part_of_day(phrase, at):
        behind = phrase.skip(end, ",")
        for clocked, last in written(phrase, behind):
            yield _settled(base, clocked, part), last
        if end == at + 1:  # tonight
            for clocked, last in bare_hour(phrase, behind):
                yield _settled(base, clocked, part), last
    for parser in (word_day, absolute_day):
        for base, end in parser(phrase, at):
            for clocked, last in military(phrase, end):
                # "friday 2030" may be a year.
                if len(phrase.text(end)) == 4 and not list(year(phrase, end)):
                    yield _settled(base, clocked, None), last


def _time_and_day(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """5pm tomorrow, 8 in the evening on friday, at 8 tomorrow evening, noon tomorrow"""
    for (clocked, part), end in timed(phrase, at):
        behind = phrase.skip(end, ",")
        for base, last in day(phrase, behind):
            yield _settled(base, clocked, part), last
        if part is None:
            for (base, said), last in part_of_day(phrase, behind):
                yield _settled(base, clocked, said), last
    for clocked, end in bare_hour(phrase, at):  # 9 tomorrow morning
        if phrase.text(end) in NAMED_DAYS or phrase.text(end) in WEEKDAYS:
            for (base, said), last in part_of_day(phrase, end):
                yield _settled(base, clocked, said), last
    for part, end in part_phrase(phrase, at):
        for base, last in day(phrase, phrase.skip(end, ",")):
            yield _settled(base, None, part), last


def _unix_date(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """sat dec 12 14:30:00 2026"""
    for _, end in yearless_day(phrase, at):
        for clocked, behind in written(phrase, end):
            for _, last in year(phrase, behind):
                if isinstance(clocked, Written) and phrase.kind(end) == "clock":
                    yield _reordered(phrase, (at, end, behind), clocked), last


def _reordered(phrase: Phrase, places: tuple[int, int, int], clocked: Written) -> Moment:
    start, end, behind = places
    moved = Phrase([*(phrase[each] for each in range(start, end)), phrase[behind]])
    bases = [base for base, last in absolute_day(moved, 0) if last == len(moved)]

    def settled(clock: Clock) -> When:
        if len(bases) != 1:
            raise refusals.not_understood("The day is not clear.")
        return _settled(bases[0], clocked, None)(clock)

    return settled


# Instants


def _instant(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """2026-12-15T14:30Z, 20261215T143000+0200, 12 Dec 2026 14:30:00 +0100"""
    for base, end in absolute_day(phrase, at):
        behind = phrase.skip(phrase.skip(end, ","), "t", "at")
        for parser in (written, military, _iso_hour):
            for clocked, last in parser(phrase, behind):
                is_iso = phrase.text(end) == "t" and phrase[behind].is_glued
                if is_iso:
                    yield _settled(base, clocked, None), last
                if isinstance(clocked, Midnight) or (parser is not written and not is_iso):
                    continue
                for offset, further in _offset(phrase, last):
                    yield _converted(base, clocked, offset), further


def _iso_hour(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    if phrase.kind(at) == "number" and len(phrase.text(at)) == 2:
        yield Written(phrase.text(at), int(phrase.text(at))), at + 1


def _offset(phrase: Phrase, at: int) -> Iterator[tuple[timedelta, int]]:
    """z, utc, +02:00, -0530, +02"""
    if phrase.text(at) in ("z", "utc", "gmt"):
        yield timedelta(), at + 1
    if phrase.text(at) in ("+", "-"):
        sign = 1 if phrase.text(at) == "+" else -1
        text = phrase.text(at + 1)
        digits = text.replace(":", "")
        is_offset = phrase.kind(at + 1) in ("clock", "number") and len(digits) in (2, 4)
        if is_offset and phrase[at + 1].is_glued and len(text) in (2, 4, 5):
            hours, minutes = int(digits[:2]), int(digits[2:] or 0)
            if hours <= MAX_OFFSET_HOURS and minutes < 60:
                yield sign * timedelta(hours=hours, minutes=minutes), at + 2


def _converted(base: Day, clocked: Written, offset: timedelta) -> Moment:
    def converted(clock: Clock) -> When:
        wall = settle(base(clock), clocked, None, clock)
        found = in_zone(wall.replace(tzinfo=timezone(offset)), clock)
        return found.date(), found.time()

    return converted


def _epoch(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """Seconds since 1970, of the years 2001 to 2030: ten digits that can be no date."""
    text = phrase.text(at)
    if phrase.kind(at) == "number" and len(text) == 10 and text[0] >= "1" and text < "19":

        def epoch(clock: Clock) -> When:
            found = in_zone(datetime.fromtimestamp(int(text), UTC), clock)
            return found.date(), found.time()

        yield epoch, at + 1


# Distances


def _distance(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """in 2 hours, 2 hours, 17h, 2 hours ago, +90min, an hour from now, 3 days"""
    for parser in (said_distance, bare_distance):
        for (length, sign), end in parser(phrase, at):
            if not length.is_of_days:
                yield _from_now(length, sign), end
            elif parser is bare_distance:
                yield _whole(from_today(length, sign)), end


def _from_now(length: Duration, sign: int) -> Moment:
    def moved(clock: Clock) -> When:
        seconds = length.checked().seconds % 60
        start = (
            clock.now.replace(microsecond=0)
            if seconds
            else clock.now.replace(second=0, microsecond=0)
        )
        if length.months or length.days or length.workdays:
            found = length.shift(start.replace(tzinfo=None), sign, clock)
        else:  # from the instant itself: the wall may show this time twice
            try:
                instant = start.astimezone(UTC) + timedelta(seconds=sign * length.seconds)
            except OverflowError:
                raise refusals.out_of_range() from None
            found = in_zone(instant, clock)
        return found.date(), found.time()

    return moved


def _shifted(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """eom-3d, monday+9h, today + 3 days, now + 2h, friday 5pm + 2h"""
    for base, end in basis(phrase, at):
        for length, sign, last in _signed(phrase, end):
            if length.is_of_days:
                yield _moved(base, length, sign), last
    for base, end in timed_basis(phrase, at):
        for length, sign, last in _signed(phrase, end):
            if not length.is_of_days:
                yield _moved(base, length, sign), last
    if phrase.text(at) not in ("today", "tod"):
        for day_base, end in clockless_day(phrase, at):
            for length, sign, last in _signed(phrase, end):
                if sign > 0 and not length.is_of_days:
                    yield _from_midnight(day_base, length), last


def _signed(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int, int]]:
    sign = {"+": 1, "-": -1}.get(phrase.text(at))
    if sign is not None:
        for length, end in duration(phrase, at + 1):
            yield length, sign, end


def _from_midnight(base: Day, length: Duration) -> Moment:
    """friday+9h, on the wall: a way to write Friday, 9:00."""

    def moved(clock: Clock) -> When:
        day_wall = datetime.combine(length.checked().shift_day(base(clock), 1), time())
        try:
            wall = day_wall + timedelta(seconds=length.seconds)
        except OverflowError:
            raise refusals.out_of_range() from None
        return on_the_wall(wall.date(), wall.time(), clock)

    return moved


def _beside(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """2 days after friday, 3 days before christmas, a week from tomorrow, an hour before noon"""
    lengths: list[tuple[Duration, int]] = list(duration(phrase, at))
    if phrase.text(at) in ("week", "fortnight", "month", "year"):
        lengths.extend(_without_article(phrase, at))
    for length, end in lengths:
        word = phrase.text(end)
        is_from_now = phrase.text(end + 1) == "now" and length.is_of_days
        if word not in ("after", "before", "from") or is_from_now:
            continue
        for base, last in either_basis(phrase, end + 1):
            yield _moved(base, length, -1 if word == "before" else 1), last


def _without_article(phrase: Phrase, at: int) -> Iterator[tuple[Duration, int]]:
    from todo_cli.dates.durations import of_unit

    if phrase.text(at + 1) == "from":
        yield from of_unit(1, phrase, at)


def _moved(base: Moment, length: Duration, sign: int) -> Moment:
    def moved(clock: Clock) -> When:
        start, at = base(clock)
        length.checked()
        if length.is_of_days:
            found = length.shift_day(start, sign)
            return (found, None) if at is None else on_the_wall(found, at, clock)
        if at is None:
            raise refusals.not_understood("Hours are counted from a time; the day has none.")
        day_moved = datetime.combine(length.shift_day(start, sign), at)
        real = add_seconds(day_moved, sign * length.seconds, clock)
        return real.date(), real.time()

    return moved


timed_basis = either(_now, _time_alone, _day_and_time, _time_and_day, _instant)
basis = either(_day_alone, timed_basis)
"""A moment that a distance can be counted from."""


either_basis = either(basis, _beside)


def _by(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """by friday, by the end of the month: the day itself."""
    if phrase.text(at) == "by" and phrase.text(at + 1) not in ("by", "in", "on", *AT):
        yield from _due(phrase, at + 1)


def _with_end_of_day(phrase: Phrase, at: int) -> Iterator[tuple[Moment, int]]:
    """eod friday, end of day tomorrow, friday eod: the whole day."""
    for end in _ends_of_day(phrase, at):
        for base, last in day(phrase, phrase.skip(end, "on")):
            yield _whole(base), last
    for base, end in day(phrase, at):
        for last in _ends_of_day(phrase, phrase.skip(end, "by", "at")):
            yield _whole(base), last


def _ends_of_day(phrase: Phrase, at: int) -> Iterator[int]:
    if phrase.text(at) == "eod":
        yield at + 1
    at = phrase.skip(at, "the")
    if [phrase.text(each) for each in range(at, at + 3)] == ["end", "of", "day"]:
        yield at + 3


_due = either(basis, _part_alone, _span_alone, _with_end_of_day)
moment = either(
    basis,
    _part_alone,
    _span_alone,
    _unix_date,
    _epoch,
    _distance,
    _shifted,
    _beside,
    _by,
    _with_end_of_day,
)
__all__ = ["AT", "Moment", "When", "moment", "part_of_day"]
