"""When a task is due, in few words and by the viewer's clock."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from todo_cli.render.words import due_words
from todo_cli.values import Due, Viewer

ZONE = "Europe/Berlin"
VIEWER = Viewer(datetime(2026, 11, 24, 10, tzinfo=ZoneInfo(ZONE)), ZONE)
TODAY = VIEWER.today


@pytest.mark.parametrize(
    ("days", "at", "words"),
    [
        (-800, None, "2 years late"),
        (-731, None, "2 years late"),
        (-120, None, "4 months late"),
        (-99, None, "99 days late"),
        (-2, time(17), "2 days late"),
        (-1, None, "1 day late"),
        (0, time(9, 59), "late 09:59"),
        (0, None, "today"),
        (0, time(16, 30), "today 16:30"),
        (1, None, "tomorrow"),
        (1, time(8), "tomorrow 08:00"),
        (2, None, "Thu"),
        (6, time(17), "Mon 17:00"),
        (7, None, "1 Dec"),
        (10, time(17), "4 Dec"),
        (300, None, "20 Sep"),
        (301, None, "21 Sep 2027"),
        (400, None, "29 Dec 2027"),
    ],
)
def test_few_words(days: int, at: time | None, words: str) -> None:
    due = Due(TODAY + timedelta(days=days), at)
    assert due_words(due.local(VIEWER), VIEWER.now, is_late=due.is_late(VIEWER)) == words


@pytest.mark.parametrize(
    ("due", "local"),
    [
        (Due(TODAY, time(17), "Asia/Tokyo"), Due(TODAY, time(9))),
        (Due(TODAY, time(7), "Asia/Tokyo"), Due(TODAY - timedelta(days=1), time(23))),
        (Due(TODAY, time(20), "America/New_York"), Due(TODAY + timedelta(days=1), time(2))),
        (Due(TODAY, time(20), ZONE), Due(TODAY, time(20))),
        (Due(TODAY, time(20), "Nowhere/Land"), Due(TODAY, time(20))),
        (Due(date.max, time(23), "Etc/GMT+12"), Due(date.max, time(23))),
        (Due(date.min, time(0), "Etc/GMT-14"), Due(date.min, time(0))),
    ],
)
def test_a_time_elsewhere_is_read_on_the_clock_here(due: Due, local: Due) -> None:
    assert due.local(VIEWER) == local


def test_a_day_lasts_until_midnight() -> None:
    late = Viewer(datetime(2026, 11, 24, 23, 59, 59, tzinfo=ZoneInfo(ZONE)), ZONE)
    assert not Due(TODAY).is_late(late)
    assert Due(TODAY).is_late(Viewer(late.now + timedelta(seconds=1), ZONE))
