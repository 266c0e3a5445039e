"""What holds for every phrase, every moment and every zone."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from todo_cli.dates import Frequency, Rule, describe, read
from todo_cli.dates.refusals import day_text
from todo_cli.dates.spelling import VOCABULARY
from todo_cli.errors import InvalidInput
from todo_cli.values import DateOrder

DAYS = st.dates(date(1, 1, 2), date(9998, 12, 31))
TIMES = st.times().map(lambda each: each.replace(microsecond=0))
ZONES = st.one_of(
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kolkata"]
    ).map(ZoneInfo),
    st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)
NOWS = st.builds(
    datetime.combine, st.dates(date(1900, 1, 1), date(2200, 12, 31)), st.times(), ZONES
)
ORDERS = st.sampled_from([None, *DateOrder])
WORDS = st.sampled_from(
    [
        *sorted(VOCABULARY),
        *"0123456789:.-/+,@!'",
        "2026-12-15",
        "5pm",
        "17:30",
        "31st",
        "1h30m",
        "5/12",
    ]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=8).map(" ".join)), NOWS, ORDERS)
def test_any_text_is_read_or_refused(text: str, now: datetime, order: DateOrder | None) -> None:
    try:
        reading = read(text, now, order)
    except InvalidInput as refused:
        error = refused
    else:
        assert reading.time is None or reading.day is not None
        return
    assert error.reason is not None and error.reason.startswith("date_")
    assert "\n" not in error.message


@given(DAYS, st.none() | TIMES, NOWS)
def test_what_is_said_back_means_the_same(day: date, at: time | None, now: datetime) -> None:
    if at is not None:
        wall = datetime.combine(day, at, now.tzinfo)
        assume(wall.astimezone(UTC).astimezone(now.tzinfo) == wall)
        assume(wall.astimezone(UTC).astimezone(now.tzinfo).time() == at)  # the clock shows it
    said = describe(day, at, now).rpartition(" (")[0]
    reading = read(said, now)
    assert (reading.day, reading.time) == (day, at)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), NOWS)
def test_a_day_is_read_in_every_notation(day: date, now: datetime) -> None:
    for notation in ("%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%B %d, %Y", "%A, %d %B %Y", "%G-W%V-%u"):
        assert read(day.strftime(notation), now).day == day
    assert read(f"{day.day}.{day.month}.{day.year}", now).day == day
    assert read(f"{day.month}/{day.day}/{day.year}", now, DateOrder.MDY).day == day
    assert read(f"{day.day}/{day.month}/{day.year}", now, DateOrder.DMY).day == day


@given(NOWS, st.integers(1, 500))
def test_lengths_are_counted(now: datetime, number: int) -> None:
    today = now.date()
    assert read(f"in {number} days", now).day == today + timedelta(days=number)
    assert read(f"{number} weeks ago", now).day == today - timedelta(weeks=number)
    year, month = divmod(today.year * 12 + today.month - 1 + number, 12)
    last = monthrange(year, month + 1)[1]
    assert read(f"{number}mo", now).day == date(year, month + 1, min(today.day, last))
    hours = read(f"in {number} hours", now)
    assert hours.day is not None and hours.time is not None
    real = (
        now.replace(second=0, microsecond=0).astimezone(UTC) + timedelta(hours=number)
    ).astimezone(now.tzinfo)
    assert datetime.combine(hours.day, hours.time) == real.replace(tzinfo=None)


@given(NOWS, st.integers(0, 6), st.integers(13, 23), st.integers(0, 59))
def test_the_order_of_day_and_time_does_not_matter(
    now: datetime, weekday: int, hour: int, minute: int
) -> None:
    name = f"{date(2024, 1, 1 + weekday):%A}"
    day, at = read(name, now).day, f"{hour}:{minute:02}"
    assert day is not None and 1 <= (day - now.date()).days <= 7 and day.weekday() == weekday
    phrases = [f"{name} {at}", f"{at} {name}", f"{at} on {name}", f"{name}, at {at}"]
    assert len({(found.day, found.time) for found in (read(each, now) for each in phrases)}) == 1


MONTH_DAYS = st.lists(st.integers(1, 31), min_size=1, max_size=3, unique=True).map(
    lambda days: tuple(sorted(days))
)
WEEKDAYS = st.lists(st.integers(0, 6), min_size=1, unique=True).map(
    lambda days: tuple(sorted(days))
)
INTERVALS = st.integers(1, 50)
RULES = st.one_of(
    st.builds(Rule, st.sampled_from(Frequency), INTERVALS, from_done=st.booleans()),
    st.builds(Rule, st.just(Frequency.WEEK), INTERVALS, WEEKDAYS),
    st.builds(Rule, st.just(Frequency.MONTH), INTERVALS, month_days=MONTH_DAYS | st.just((-1,))),
    st.builds(
        Rule,
        st.just(Frequency.MONTH),
        INTERVALS,
        st.integers(0, 6).map(lambda day: (day,)),
        st.sampled_from([1, 2, 3, 4, -1]),
    ),
    st.builds(
        Rule,
        st.just(Frequency.YEAR),
        INTERVALS,
        month_days=st.integers(1, 28).map(lambda day: (day,)),
        month=st.integers(1, 12),
    ),
)


@given(RULES, NOWS, st.none() | st.dates(date(2210, 1, 1), date(2300, 1, 1)))
def test_a_rule_in_words_is_the_rule(rule: Rule, now: datetime, until: date | None) -> None:
    said = rule.words() if until is None else f"{rule.words()} until {day_text(until)}"
    reading = read(said, now)
    assert reading.repeat is not None
    assert reading.repeat.words() == said
    assert reading.repeat.to_rrule().split(";UNTIL")[0] == rule.to_rrule()


@given(RULES, NOWS)
def test_the_first_day_fits_the_rule(rule: Rule, now: datetime) -> None:
    day = read(rule.words(), now).day
    assert day is not None and day >= now.date()
    assert rule.first(day) == day


@pytest.mark.parametrize("phrase", ["every! 2 weeks", "every month until 31 dec"])
def test_a_repeat_is_a_value(phrase: str) -> None:
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert read(phrase, now) == read(phrase, now)
    assert hash(read(phrase, now).repeat)
