"""What people type, and what it means on Tuesday 2026-11-24, 10:00, in Berlin.

One table a kind: days, times, repeats, and what is refused, with the reason.
"""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from todo_cli.dates import describe, read
from todo_cli.errors import InvalidInput
from todo_cli.values import DateOrder

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=ZoneInfo("Europe/Berlin"))


def table(name: str) -> dict[str, str]:
    text = Path(__file__).with_name(f"{name}.tsv").read_text(encoding="utf-8")
    return dict(line.split("\t", maxsplit=1) for line in text.splitlines())


def meaning(phrase: str) -> str:
    """What a phrase is read as, in the words of the tables."""
    try:
        reading = read(phrase, NOW, DateOrder.DMY)
    except InvalidInput as error:
        return str(error.reason).removeprefix("date_")
    if reading.day is None:
        return "none"
    if reading.is_someday:
        return "someday"
    moment = datetime.combine(reading.day, reading.time or time.max)
    assert reading.is_past == (moment < NOW.replace(tzinfo=None))
    found = reading.day.isoformat()
    if reading.time is not None:
        found += f"T{reading.time:%H:%M:%S}".removesuffix(":00" if not reading.time.second else "-")
    if reading.repeat is not None:
        found += f"\t{reading.repeat.to_rrule()}"
        found += "\tfrom done" if reading.repeat.from_done else ""
    return found


# One test a table: a thousand parameters would cost more than what they test.
@pytest.mark.parametrize("name", ["days", "times", "repeats", "refused"])
def test_what_people_type_is_read_right_or_refused(name: str) -> None:
    expected = table(name)
    assert len(expected) >= 100
    assert {phrase: meaning(phrase) for phrase in expected} == expected


@pytest.mark.parametrize(
    ("phrase", "dmy", "mdy"),
    [
        ("5/12", "2026-12-05", "2027-05-12"),
        ("5/12/2027", "2027-12-05", "2027-05-12"),
        ("05/12/26", "2026-12-05", "2026-05-12"),
        ("5-12-2027", "2027-12-05", "2027-05-12"),
        ("12/15", "2026-12-15", "2026-12-15"),
        ("15/12", "2026-12-15", "2026-12-15"),
        ("5.12.", "2026-12-05", "2026-12-05"),
        ("2026-12-05", "2026-12-05", "2026-12-05"),
    ],
)
def test_the_order_of_day_and_month_is_the_persons(phrase: str, dmy: str, mdy: str) -> None:
    assert str(read(phrase, NOW, DateOrder.DMY).day) == dmy
    assert str(read(phrase, NOW, DateOrder.MDY).day) == mdy
    if dmy == mdy:
        assert str(read(phrase, NOW).day) == dmy
        return
    with pytest.raises(InvalidInput, match="5 Dec or 12 May"):
        read(phrase, NOW)


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("tomorow", "tomorrow"),
        ("firday", "friday"),
        ("next wendesday", "wednesday"),
        ("3 febuary", "february"),
        ("in 3 wekes", "weeks"),
        ("tommorow 5pm", "tomorrow"),
    ],
)
def test_a_misspelt_word_names_the_nearest(phrase: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(phrase, NOW)
    assert raised.value.hint == f"Did you mean {meant!r}?"


def test_the_hint_for_what_has_passed_shows_a_date_that_is_read() -> None:
    with pytest.raises(InvalidInput) as raised:
        read("today 9am", NOW)
    assert raised.value.hint is not None
    assert read(raised.value.hint.split(": ")[1], NOW).time is not None


def test_a_contradiction_says_which_weekday_it_is() -> None:
    with pytest.raises(InvalidInput, match="12 Dec 2026 is a Saturday") as raised:
        read("fri 12 dec", NOW)
    assert raised.value.reason == "date_contradictory"


@pytest.mark.parametrize(
    ("now", "phrase", "expected"),
    [
        # 2027-03-28, 2:00 to 3:00, is skipped in Berlin; 2026-10-25, 2:00 to 3:00, comes twice.
        ("2027-03-27T10:00", "tomorrow 02:30", "2027-03-28T03:30"),
        ("2027-03-27T10:00", "in 24 hours", "2027-03-28T11:00"),
        ("2027-03-27T10:00", "in 1 day at 10:00", "2027-03-28T10:00"),
        ("2027-03-28T01:30", "in 1 hour", "2027-03-28T03:30"),
        ("2027-03-27T10:00", "sunday+9h", "2027-03-28T09:00"),
        ("2026-10-24T10:00", "in 24 hours", "2026-10-25T09:00"),
        ("2026-10-24T10:00", "tomorrow 02:30", "2026-10-25T02:30"),
        ("2026-10-24T10:00", "tomorrow 10:00", "2026-10-25T10:00"),
        # Ends of months and years, leap days.
        ("2027-01-31T10:00", "in a month", "2027-02-28T00:00"),
        ("2028-02-29T10:00", "in a year", "2029-02-28T00:00"),
        ("2028-02-29T10:00", "29 feb", "2028-02-29T00:00"),
        ("2028-03-01T10:00", "29 feb", "2032-02-29T00:00"),
        ("1896-03-01T10:00", "29 feb", "1904-02-29T00:00"),
        ("2027-01-31T10:00", "31st", "2027-01-31T00:00"),
        ("2027-02-01T10:00", "the 31st", "2027-03-31T00:00"),
        ("2026-12-31T10:00", "tomorrow", "2027-01-01T00:00"),
        ("2026-12-31T10:00", "next month", "2027-01-01T00:00"),
        ("2027-01-01T10:00", "eow", "2027-01-03T00:00"),
        ("2027-01-04T10:00", "week 53", "2032-12-27T00:00"),
        ("2026-11-28T10:00", "this weekend", "2026-11-28T00:00"),
        ("2026-11-29T10:00", "this weekend", "2026-11-29T00:00"),
        ("2026-11-29T10:00", "next friday", "2026-12-04T00:00"),
        ("2026-11-28T10:00", "2 workdays", "2026-12-01T00:00"),
        ("2026-11-29T10:00", "2 workdays ago", "2026-11-26T00:00"),
        ("2027-03-28T10:00", "easter", "2027-03-28T00:00"),
        ("2027-03-29T10:00", "easter", "2028-04-16T00:00"),
    ],
)
def test_a_date_is_of_the_calendar_and_a_time_of_the_wall(
    now: str, phrase: str, expected: str
) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=NOW.tzinfo)
    reading = read(phrase, at)
    assert reading.day is not None
    found = datetime.combine(reading.day, reading.time or time())
    assert found == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "phrase",
    [
        "in 10000 years",
        "in 9999999999 days",
        "9999999999 days ago",
        "in 99999999999999 hours",
        "in 99999999999999 months",
        "in 99999999999999 workdays",
        "friday+99999999999999h",
        "3000 years ago",
        "PT99999999999999S",
    ],
)
def test_a_date_out_of_the_calendar_is_refused(phrase: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(phrase, NOW)
    assert raised.value.reason == "date_out_of_range"


@pytest.mark.parametrize(
    "phrase", ["day after " * 20, "1" * 200, "mon, " * 40, "x" * 201, "\0", ""]
)
def test_a_hostile_phrase_is_refused(phrase: str) -> None:
    with pytest.raises(InvalidInput):
        read(phrase, NOW)


@pytest.mark.parametrize(
    ("meant", "said"),
    [
        ("2026-12-04T17:00", "Fri 4 Dec, 17:00 (in 10 days)"),
        ("2026-11-24T17:00", "Tue 24 Nov, 17:00 (today)"),
        ("2026-11-24T09:00", "Tue 24 Nov 2026, 09:00 (today)"),
        ("2026-11-25", "Wed 25 Nov (tomorrow)"),
        ("2026-11-23", "Mon 23 Nov 2026 (yesterday)"),
        ("2027-11-24", "Wed 24 Nov 2027 (in 12 months)"),
        ("2126-11-24", "Sun 2126-11-24 (in 100 years)"),
        ("2026-11-24T17:00:30", "Tue 24 Nov, 17:00:30 (today)"),
        ("9999-12-31", "someday"),
    ],
)
def test_a_date_is_said_back_so_that_it_can_be_read_again(meant: str, said: str) -> None:
    moment = datetime.fromisoformat(meant)
    at = moment.time() if "T" in meant else None
    assert describe(moment.date(), at, NOW) == said
    again = read(said.partition(" (")[0], NOW)
    assert (again.day, again.time) == (moment.date(), at)
