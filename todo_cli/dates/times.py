"""Times of day: 17:30, 5.30pm, half past 5, noon, in the evening."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum

from todo_cli.dates import refusals
from todo_cli.dates.arithmetic import Clock, add_days
from todo_cli.dates.numbers import cardinal, word_number
from todo_cli.dates.tokens import Phrase, either
from todo_cli.dates.words import PARTS

AT = ("at", "@")
PART_TIMES = {
    "morning": time(9),
    "afternoon": time(15),
    "evening": time(19),
    "night": time(20),
}
_PART_HOURS = {
    "morning": range(12),
    "afternoon": range(12, 19),
    "evening": range(16, 24),
    "night": range(18, 24),
}
"""The hours that a part of the day may hold, on a clock of 24 hours."""
_PART_12_HOURS = {
    "morning": range(1, 12),
    "afternoon": range(12, 19),
    "evening": range(17, 24),
    "night": range(18, 24),
}
"""The same for an hour of 12, which is moved into the part; 12 itself is noon."""
MAX_AFTERNOON_HOUR = 6
"""A bare hour up to this one is in the afternoon."""


class Style(Enum):
    """How sure it is which half of the day a written time means."""

    EXACT = "am or pm is given, or the hour is of 24"
    CLOCK = "5:30"
    HOUR = "at 5"


@dataclass(frozen=True)
class Written:
    """A time of day as written. Its hour and minute may be impossible."""

    text: str
    hour: int
    minute: int = 0
    second: int = 0
    style: Style = Style.EXACT

    def checked(self) -> Written:
        if not (0 <= self.hour <= 23 and 0 <= self.minute <= 59 and 0 <= self.second <= 59) and (
            (self.hour, self.minute, self.second) != (24, 0, 0)
        ):
            raise refusals.nonexistent(f"There is no time {self.text}.")
        return self

    def at_hour(self, hour: int) -> time:
        return time(hour, self.minute, self.second)


@dataclass(frozen=True)
class Midnight:
    pass


Time = Written | Midnight


def settle(day: date | None, at: Time | None, part: str | None, clock: Clock) -> datetime:
    """The wall time that a day, a time of day and a part of the day say together.

    Without a day, the next such time.

    Raises:
        InvalidInput: they contradict each other, or may mean two times.
    """
    if isinstance(at, Midnight):
        return _midnight(day, part, clock)
    if at is None:
        assert part is not None
        return _next(day, PART_TIMES[part], f"the {part}", clock)
    at = at.checked()
    if part is not None:
        return _next(day, _within(at, part), at.text, clock)
    if at.hour == 24:
        return datetime.combine(add_days(day or clock.today, 1), time())
    if at.style is Style.EXACT or not 1 <= at.hour <= 11:
        return _next(day, at.at_hour(at.hour), at.text, clock)
    morning, evening = at.at_hour(at.hour), at.at_hour(at.hour + 12)
    if at.hour <= MAX_AFTERNOON_HOUR:
        if at.style is Style.CLOCK:
            raise _either(at.text, morning, evening)
        return _next(day, evening, at.text, clock)
    # With minutes a time is of 24 hours, as on a digital clock.
    if at.style is Style.HOUR and day in (None, clock.today):
        today = [datetime.combine(clock.today, each) for each in (morning, evening)]
        if today[0] <= clock.wall and (today[1] > clock.wall or day is not None):
            raise _either(at.text, morning, evening)
    return _next(day, morning, at.text, clock)


def _either(text: str, *times: time) -> Exception:
    return refusals.ambiguous(
        repr(text), *(f"{each:%H:%M}" for each in times), hint="Add am or pm."
    )


def _midnight(day: date | None, part: str | None, clock: Clock) -> datetime:
    if part not in (None, "night"):
        raise refusals.contradictory(f"Midnight is not in the {part}.")
    if day is not None and (part is None or day != clock.today):
        start, end = refusals.day_text(day), refusals.day_text(add_days(day, 1))
        raise refusals.ambiguous(
            f"Midnight of {start}",
            f"{start}, 00:00",
            f"{end}, 00:00",
            hint="Give the day and 00:00.",
        )
    return datetime.combine(add_days(clock.today, 1), time())


def _next(day: date | None, at: time, text: str, clock: Clock) -> datetime:
    if day is not None:
        return datetime.combine(day, at)
    today = datetime.combine(clock.today, at)
    if today == clock.wall:
        raise refusals.ambiguous(f"{text!r}, which is now,", "today", "tomorrow")
    return today if today > clock.wall else datetime.combine(add_days(clock.today, 1), at)


def _within(at: Written, part: str) -> time:
    hours = _PART_HOURS[part]
    hour = at.hour
    if at.style is not Style.EXACT and 1 <= hour <= 12:
        hours = _PART_12_HOURS[part]
        if part != "morning" and hour < 12:
            hour += 12
    if hour not in hours:
        raise refusals.contradictory(f"{at.text!r} is not in the {part}.")
    return at.at_hour(hour)


def _meridiem(phrase: Phrase, at: int) -> tuple[str, int]:
    """am, pm, or "" where there is none. The short a and p only without a space."""
    text = phrase.text(at)
    if text in ("am", "pm") or (text in ("a", "p") and phrase[at].is_glued):
        return text[0], at + 1
    return "", at


def _of_12(text: str, hour: int, minute: int, second: int, meridiem: str) -> Written:
    if not 1 <= hour <= 12:
        return Written(text, -1)
    return Written(text, hour % 12 + (12 if meridiem == "p" else 0), minute, second)


def _text(phrase: Phrase, start: int, end: int) -> str:
    return "".join(
        ("" if phrase[at].is_glued or at == start else " ") + phrase.text(at)
        for at in range(start, end)
    )


def _clock(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """17:30, 5:30 pm, 14:30:15, 17:30h, T14:30"""
    start = at
    at = phrase.skip(at, "t")
    if phrase.kind(at) != "clock" or (at > start and not phrase[at].is_glued):
        return
    hours, minutes, seconds = phrase[at].groups
    hour, minute, second = int(hours or 0), int(minutes or 0), int(seconds or 0)
    meridiem, end = _meridiem(phrase, at + 1)
    if meridiem:
        yield _of_12(_text(phrase, start, end), hour, minute, second, meridiem), end
        return
    style = Style.CLOCK if len(hours or "") == 1 else Style.EXACT
    # A second, a T or an "h" is of 24 hours; 10:30 is not where it is tonight's.
    end = phrase.skip(at + 1, "h", "hrs")
    if end > at + 1 or at > start or seconds is not None:
        style = Style.EXACT
    elif hours in ("10", "11"):
        style = Style.CLOCK
    yield Written(phrase.text(at), hour, minute, second, style), end


def _decimal(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """17.30 and 5.30pm; not 5.12, which is a day."""
    start = at
    at = phrase.skip(at, *AT)
    if phrase.kind(at) != "decimal":
        return
    text = phrase.text(at)
    hours, minutes = text.split(".")
    if len(minutes) != 2 or len(hours) > 2:
        return
    meridiem, end = _meridiem(phrase, at + 1)
    if meridiem:
        yield _of_12(_text(phrase, at, end), int(hours), int(minutes), 0, meridiem), end
    elif at > start or not 1 <= int(minutes) <= 12 or not 1 <= int(hours) <= 31:
        style = Style.EXACT if hours.startswith("0") else Style.CLOCK
        yield Written(text, int(hours), int(minutes), 0, style), at + 1


def _hour(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """5pm, 530pm, five pm, at 17, at 17h, at 17h30, at 1430, 5 o'clock"""
    start = at
    at = phrase.skip(at, *AT)
    is_at = at > start
    for number, behind in cardinal(phrase, at):
        digits = phrase.text(at) if phrase.kind(at) == "number" else str(number)
        if len(digits) > 4:
            continue
        hour, minute = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (number, 0)
        meridiem, end = _meridiem(phrase, behind)
        if meridiem:
            yield _of_12(_text(phrase, at, end), hour, minute, 0, meridiem), end
        elif len(digits) == 4 and is_at:
            yield Written(digits, hour, minute), phrase.skip(behind, "h", "hrs")
        elif len(digits) <= 2:
            yield from _bare_hour(phrase, (at, behind), number, is_at=is_at)


def _bare_hour(
    phrase: Phrase, place: tuple[int, int], hour: int, *, is_at: bool
) -> Iterator[tuple[Time, int]]:
    at, end = place
    text = _text(phrase, at, end)
    style = Style.EXACT if text.startswith("0") else Style.HOUR
    if phrase.text(end) in ("o'clock", "oclock"):
        yield Written(text, hour or -1, style=style), end + 1
    elif is_at:
        yield Written(text, hour, style=style), end
        if phrase.text(end) in ("h", "hrs"):
            yield Written(text, hour), end + 1
            minutes = phrase.text(end + 1)
            if phrase.kind(end + 1) == "number" and len(minutes) == 2 and phrase[end + 1].is_glued:
                yield Written(text, hour, int(minutes)), end + 2


def _fraction(phrase: Phrase, at: int) -> Iterator[tuple[tuple[int, str], int]]:
    """half, a quarter, ten, 10 minutes: with how it was said."""
    behind = phrase.skip(at, "a")
    if phrase.text(behind) == "quarter":
        yield (15, "quarter"), behind + 1
    if phrase.text(at) == "half":
        yield (30, "half"), at + 1
    for number, end in cardinal(phrase, at):
        if 1 <= number <= 59:
            if phrase.text(end) in ("minutes", "minute", "mins", "min"):
                yield (number, "minutes"), end + 1
            elif number in (5, 10, 20, 25):
                yield (number, "digits" if phrase.kind(at) == "number" else "words"), end


def _past_or_to(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """half past 5, quarter to 6pm, twenty to six. Not "5 to 6" or "ten to four": hours."""
    start = at
    at = phrase.skip(at, *AT)
    for (minutes, said), behind in _fraction(phrase, at):
        word = phrase.text(behind)
        is_to = word in ("to", "til", "till")
        if word not in ("past", "after") and not is_to:
            continue
        if is_to and (said in ("half", "digits") or (said == "words" and minutes <= 10)):
            continue
        if word == "after" and said not in ("quarter", "minutes", "words"):
            continue
        for hour, end in either_number(phrase, behind + 1):
            if 1 <= hour <= 12:
                yield from _shifted(phrase, (start, end), hour, -minutes if is_to else minutes)


either_number = either(cardinal)


def _shifted(
    phrase: Phrase, place: tuple[int, int], hour: int, minutes: int
) -> Iterator[tuple[Time, int]]:
    start, end = place
    meridiem, behind = _meridiem(phrase, end)
    text = _text(phrase, start, behind)
    if meridiem:
        total = ((hour % 12 + (12 if meridiem == "p" else 0)) * 60 + minutes) % 1440
        yield Written(text, *divmod(total, 60)), behind
        return
    total = ((hour % 12) * 60 + minutes) % 720
    shown = total // 60 or 12
    # "quarter to 7": 6:45 is in the afternoon, but 7 is in the morning.
    is_between = minutes < 0 and hour == MAX_AFTERNOON_HOUR + 1
    style = Style.CLOCK if is_between else Style.HOUR
    behind = phrase.skip(end, "o'clock", "oclock")
    yield Written(text, shown, total % 60, style=style), behind


def _named(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """noon, 12 noon, midnight"""
    at = phrase.skip(at, *AT)
    if phrase.text(at) in ("12", "12:00"):
        at += 1
    if phrase.text(at) in ("noon", "midday"):
        yield Written(phrase.text(at), 12), at + 1
    if phrase.text(at) == "midnight":
        yield Midnight(), at + 1


def _behind_word(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """at 17:30; by noon. "by 5" and "by 2030" say no time."""
    if phrase.text(at) in AT:
        yield from _clock(phrase, at + 1)
    elif phrase.text(at) == "by" and phrase.text(at + 1) not in (*AT, "by"):
        yield from unmistakable(phrase, at + 1)


unmistakable = either(_clock, _decimal, _hour, _past_or_to, _named)
written = either(unmistakable, _behind_word)


def bare_hour(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """8, where a part of the day says that it is an hour."""
    for number, end in cardinal(phrase, at):
        if number <= 24:
            yield Written(_text(phrase, at, end), number, style=Style.HOUR), end


def military(phrase: Phrase, at: int) -> Iterator[tuple[Time, int]]:
    """1430 or 143000, behind a day that takes no year."""
    text = phrase.text(at)
    if phrase.kind(at) == "number" and len(text) in (4, 6):
        yield Written(text, int(text[:2]), int(text[2:4]), int(text[4:] or 0)), at + 1


def part_phrase(phrase: Phrase, at: int) -> Iterator[tuple[str, int]]:
    """in the evening, at night"""
    if phrase.text(at) == "in" and phrase.text(at + 1) == "the":
        if phrase.text(at + 2) in PARTS and phrase.text(at + 2) != "night":
            yield phrase.text(at + 2), at + 3
    elif phrase.text(at) == "at" and phrase.text(at + 1) == "night":
        yield "night", at + 2


def part_word(phrase: Phrase, at: int) -> Iterator[tuple[str, int]]:
    if phrase.text(at) in PARTS:
        yield phrase.text(at), at + 1


__all__ = [
    "AT",
    "PART_TIMES",
    "Midnight",
    "Style",
    "Time",
    "Written",
    "bare_hour",
    "military",
    "part_phrase",
    "part_word",
    "settle",
    "word_number",
    "written",
]
