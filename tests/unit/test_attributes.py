"""A task's attributes as people type them, read on Tuesday, 24 November 2026, 10:00 in Berlin."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_cli.attributes import Reader, changed_text, editable_text, read_line, said
from todo_cli.errors import InvalidInput
from todo_cli.models import Task
from todo_cli.values import NOT_GIVEN, SOMEDAY, Due, Priority, TaskChanges

BERLIN = "Europe/Berlin"
READER = Reader(datetime(2026, 11, 24, 10, tzinfo=ZoneInfo(BERLIN)), BERLIN)
TOMORROW, FRIDAY, SATURDAY = date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 28)


def at(day: date, hour: int, minute: int = 0) -> Due:
    return Due(day, time(hour, minute), BERLIN)


def refused(words: list[str]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_line(words, READER)
    return caught.value


# --- one line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "title", "due"),
    [
        ("Buy milk tomorrow", "Buy milk", Due(TOMORROW)),
        ("Buy milk TOMORROW", "Buy milk", Due(TOMORROW)),
        ("Buy milk, tomorrow", "Buy milk,", Due(TOMORROW)),
        ("Call her tomorrow", "Call her", Due(TOMORROW)),
        ("Clean up tomorrow", "Clean up", Due(TOMORROW)),
        ("Read chapter 5 tomorrow", "Read chapter 5", Due(TOMORROW)),
        ("Movie night friday", "Movie night", Due(FRIDAY)),
        ("Call Bob fri 5pm", "Call Bob", at(FRIDAY, 17)),
        ("Call Bob 5pm on friday", "Call Bob", at(FRIDAY, 17)),
        ("Call Bob sat 5pm", "Call Bob", at(SATURDAY, 17)),
        ("Call Bob by sat", "Call Bob", Due(SATURDAY)),
        ("Call Bob on sat", "Call Bob", Due(SATURDAY)),
        ("Dentist next tuesday at 9:30", "Dentist", at(date(2026, 12, 1), 9, 30)),
        ("Meeting 3pm", "Meeting", at(date(2026, 11, 24), 15)),
        ("Meeting at 15:30", "Meeting", at(date(2026, 11, 24), 15, 30)),
        ("Meeting tomorrow 15:30", "Meeting", at(TOMORROW, 15, 30)),
        ("Meeting tomorrow @3pm", "Meeting", at(TOMORROW, 15)),
        ("Lunch at noon", "Lunch", at(date(2026, 11, 24), 12)),
        ("Dinner tonight", "Dinner", at(date(2026, 11, 24), 20)),
        ("Meet monday morning at 9", "Meet", at(date(2026, 11, 30), 9)),
        ("Pay rent in 3 days", "Pay rent", Due(FRIDAY)),
        ("Rent due friday", "Rent", Due(FRIDAY)),
        ("Rent by the 1st", "Rent", Due(date(2026, 12, 1))),
        ("Rent eom", "Rent", Due(date(2026, 11, 30))),
        ("Tax return by march", "Tax return", Due(date(2027, 3, 1))),
        ("Wrap gifts by christmas", "Wrap gifts", Due(date(2026, 12, 25))),
        ("Call Bob next week", "Call Bob", Due(date(2026, 11, 30))),
        ("Pay 12 dec", "Pay", Due(date(2026, 12, 12))),
        ("Pay dec 12, 2027", "Pay", Due(date(2027, 12, 12))),
        ("Order seeds 12 may", "Order seeds", Due(date(2027, 5, 12))),
        ("Pay 2026/12/24", "Pay", Due(date(2026, 12, 24))),
        ("Report by end of day", "Report", Due(date(2026, 11, 24))),
        ("Report friday at 5", "Report", at(FRIDAY, 17)),
        ("Dinner friday evening at 7", "Dinner", at(FRIDAY, 19)),
        ("Dinner friday evening at 7:30", "Dinner", at(FRIDAY, 19, 30)),
        ("Lunch with Tom tomorrow", "Lunch with Tom", Due(TOMORROW)),
        ("Meet April friday", "Meet April", Due(FRIDAY)),
        ("Dentist 2026-12-24 18:00", "Dentist", at(date(2026, 12, 24), 18)),
        ("Party 24.12.2026", "Party", Due(date(2026, 12, 24))),
        ("Party on 24.12.", "Party", Due(date(2026, 12, 24))),
        ("Party 2026-12-24T18:00", "Party", at(date(2026, 12, 24), 18)),
        ("Report by eod friday", "Report", Due(FRIDAY)),
        ("Report last friday of the month", "Report", Due(FRIDAY)),
        ("Report two weeks from tomorrow", "Report", Due(date(2026, 12, 9))),
        ("Report next week on wed", "Report", Due(date(2026, 12, 2))),
        ("Report in a week's time", "Report", Due(date(2026, 12, 1))),
    ],
)
def test_a_clear_date_is_taken_from_the_end(line: str, title: str, due: Due) -> None:
    read = read_line(line.split(), READER)
    assert (read.title, read.changes) == (title, TaskChanges(due=due))


STAYS = """
    Buy milk | Read chapter 5 | Reply to p2 thread | Call mom re project: house | Fix project:
    Meet Jan | Plan march | You may | Watch the second | Watch second | Read the 5th | Call Tom
    Enjoy the sun | Buy sun | Call Bob sat | Standup mon | We wed | Print 3d | Walk 3 days
    Boil 5 min | Budget 2027 | Read the Daily
    Read John 3:16 | Set alarm 7:30 | High noon | Version 1.2. | Party 24.12. | Half 1/2
    Report q4 | Order 20261224 | Ticket 2026-12 | Do X by 10 | Call at 5 | Lights on 5 | Tomorrow 5
    Slides for monday | Ticket for tomorrow | World of tomorrow | Postpone to friday
    Friday or monday | Live like no tomorrow | Rent is due friday | Invite for the next monday
    Plan tomorrow | Review today | Plan next week | Shop Black Friday | Read USA Today
    Essay on christmas | Merry christmas | Shop weekend | Visit Japan someday | Do it now
    Pay on 30 feb 5pm | Watch Friday the 13th | Watch friday 13th | Talk yesterday | Half past 5pm
    2 weeks from some friday | Send within 3 days | Stay until friday | Since monday
    Buy milk today!
    due:fri Buy milk | p1 first | @home alone | Email bob@example.org | See https://example.org/due:fri
    Water plants every monday | Status is:done | Set number:5 | Note that title:x | Cost 5 @ 3
    Sell p4 | Plan for monday p4 | Order 12 may | Meet Jan 5 | Watch Wednesday | Back in a minute
    Report early next week | Later today | Meet mark on may 5 or 6
    Kids at 3:30 | Dinner friday 7:30 | Reduce by 1/2 | Work on 2.1
    Dinner friday at 7 | Dinner at 7 friday | Alarm tomorrow at 6
    Note due: tomorrow | Fix the @property | Answer to p2
"""


@pytest.mark.parametrize(
    "line", [each.strip() for each in STAYS.strip().replace("\n", "|").split("|")]
)
def test_words_that_may_be_ordinary_stay_in_the_title(line: str) -> None:
    read = read_line(line.split(), READER)
    assert (read.title, read.changes) == (line, TaskChanges())


PART_OF_A_TITLE = {"meeting friday": "meeting", "thsi friday": "thsi", "12 12 dec": "12"}
"""Of these the first word is a title's; `thsi` may be a name."""


@pytest.mark.parametrize("file", ["days", "times", "repeats", "refused"])
def test_a_date_is_taken_whole_or_not_at_all(file: str) -> None:
    lines = (Path(__file__).parent / "dates" / f"{file}.tsv").read_text().splitlines()
    for expression in {" ".join(line.split("\t")[0].split()) for line in lines} - {""}:
        try:
            read = read_line(["Alpha", "beta", *expression.split()], READER)
        except InvalidInput:
            assert "@" in expression  # a tag, or a time
            continue
        rest = read.title.removeprefix("Alpha beta").strip()
        assert rest == PART_OF_A_TITLE.get(expression, expression if rest else ""), expression
        if not rest:
            assert read.changes == TaskChanges(due=READER.due(expression)), expression


def test_what_stays_but_could_be_a_date_has_a_hint() -> None:
    assert read_line(["Call", "Bob", "sat"], READER).hint == (
        "'sat' stays in the title. For the day that it is due: due:sat"
    )
    assert "cannot repeat yet" in str(read_line(["Run", "every", "day"], READER).hint)
    assert (
        read_line(["Call", "#work"], READER).hint == "'#work' stays in the title. For a tag: @work"
    )
    assert read_line(["Call", "P1"], READER).hint == "'P1' stays in the title. For a priority: p1"
    for line in (
        "Fix bug #42",
        "Read chapter 5",
        "Read the Daily",
        "Rent tomorrow due:fri",
        "Talk yesterday",
    ):
        assert read_line(line.split(), READER).hint is None


def test_attributes_are_read_from_right_to_left_until_an_ordinary_word() -> None:
    line = "Call p3 @x Bob due:next fri 5pm @phone tag:a,b p1 project:house.garden wait:mon"
    read = read_line(line.split(), READER)
    assert read.title == "Call p3 @x Bob"
    assert read.changes == TaskChanges(
        due=at(date(2026, 12, 4), 17),
        wait_on=date(2026, 11, 30),
        priority=Priority.HIGH,
        project="house.garden",
        add_tags=("a", "b", "phone"),
    )


@pytest.mark.parametrize("order", list(permutations(["fri 5pm", "p2", "@home", "pro:x"], 2)))
def test_attributes_may_stand_in_any_order(order: tuple[str, str]) -> None:
    assert read_line(["Call", *" ".join(order).split()], READER).title == "Call"


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["Call", "p1", "p2"], "Call p1"),
        (["Call", "tomorrow", "due:fri"], "Call tomorrow"),
        (["Buy milk tomorrow"], "Buy milk tomorrow"),
        (["Buy", "milk tomorrow", "p1"], "Buy milk tomorrow"),
        (["Buy", "milk", "due:next fri"], "Buy milk"),
        (["Buy", "due:next thing"], "Buy due:next thing"),
        (["@none"], "@none"),
    ],
)
def test_a_second_value_and_a_quoted_word_stay(words: list[str], title: str) -> None:
    assert read_line(words, READER).title == title


def test_a_literal_line_is_a_title() -> None:
    read = read_line(["Call", "tomorrow", "p1"], READER, is_literal=True)
    assert (read.title, read.changes, read.hint) == ("Call tomorrow p1", TaskChanges(), None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tomorrow", "no title is left"),
        ("p1 @home", "no title is left"),
        ("Rent due:tomorow p1", "due:tomorow: 'tomorow'"),
        ("Rent priority:urgent", "priority:urgent: 'urgent' is not a priority"),
        ("Rent project:a..b", "empty part"),
        ("Rent due:fri due:sat", "second time"),
        ("Rent due:fri tomorrow", "second time"),
        ("Rent due:someday", "Someday"),
        ("Rent due:every monday", "repeat"),
        ("Rent wait:5pm", "not for a time"),
        ("Rent @" + "x" * 51, "51 characters"),
    ],
)
def test_an_attribute_that_is_named_and_wrong_is_refused(line: str, said: str) -> None:
    assert said in refused(line.split()).message


WORDS = (
    "Call Ann tomorrow next fri sat 5pm at 5 may 12 by due:fri wait:mon p1 p2 @a pri:h in 3 days"
)


@given(st.lists(st.sampled_from(WORDS.split()) | st.text(max_size=12), min_size=1, max_size=8))
def test_any_line_is_read_or_refused_and_loses_no_ordinary_word(words: list[str]) -> None:
    try:
        read = read_line(words, READER)
    except InvalidInput:
        return
    assert " ".join(words).startswith(read.title)


# --- one attribute -----------------------------------------------------------------------------


def test_a_time_has_the_zone_and_a_day_has_none() -> None:
    assert READER.due("fri 5pm") == Due(FRIDAY, time(17), BERLIN)
    assert READER.due("fri") == Due(FRIDAY)
    assert Reader(READER.now, None).due("fri 5pm") == Due(FRIDAY, time(17))
    assert (READER.due("none"), READER.wait("none"), READER.priority("NONE")) == (None,) * 3
    assert READER.wait("someday") == SOMEDAY


@pytest.mark.parametrize(
    ("texts", "tags"),
    [(["b", "a"], ("a", "b")), (["b,a", "@c"], ("a", "b", "c")), (["A", "a"], ("A",)), ([], ())],
)
def test_tags_may_have_commas_between_and_the_sign_before(
    texts: list[str], tags: tuple[str, ...]
) -> None:
    assert READER.tags(texts) == tags


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (TaskChanges(due=at(date(2026, 12, 4), 17)), ["Due Fri 4 Dec, 17:00 (in 10 days)"]),
        (TaskChanges(due=Due(date(2026, 11, 24))), ["Due Tue 24 Nov (today)"]),
        (
            TaskChanges(due=Due(date(2026, 11, 23))),
            ["Due Mon 23 Nov 2026 (yesterday), which is past"],
        ),
        (
            TaskChanges(due=at(date(2026, 11, 24), 9)),
            ["Due Tue 24 Nov 2026, 09:00 (today), which is past"],
        ),
        (
            TaskChanges(due=Due(FRIDAY, time(17), "Asia/Tokyo")),
            ["Due Fri 27 Nov, 17:00 (in 3 days), Asia/Tokyo"],
        ),
        (
            TaskChanges(due=Due(FRIDAY), wait_on=SATURDAY),
            [
                "Due Fri 27 Nov (in 3 days)",
                "Waits until Sat 28 Nov (in 4 days)",
                "It stays hidden until after the day it is due.",
            ],
        ),
        (
            TaskChanges(wait_on=date(2026, 11, 24)),
            ["Waits until Tue 24 Nov (today), so it is not hidden"],
        ),
        (
            TaskChanges(due=None, wait_on=None, priority=None, project=None, clear_tags=True),
            ["No due day", "Does not wait", "No priority; no project; no tags"],
        ),
        (
            TaskChanges(priority=Priority.LOW, add_tags=("a", "b"), remove_tags=("c",)),
            ["Priority low; tags a, b; without the tag c"],
        ),
        (TaskChanges(title="x"), []),
    ],
)
def test_what_was_understood_is_said(changes: TaskChanges, sentences: list[str]) -> None:
    assert said(changes, READER) == sentences


# --- in an editor ------------------------------------------------------------------------------


def task(**values: Any) -> Task:
    known: dict[str, Any] = {"title": "Call", "tags": [], **values}
    return Task(id=uuid4(), user_id=uuid4(), number=1, **known)


FULL: dict[str, Any] = {
    "title": "due: not a day",
    "description": "due: not this either\n\ntags: nor this",
    "due_on": date(2026, 12, 4),
    "due_time": time(17),
    "due_zone": BERLIN,
    "wait_on": SOMEDAY,
    "priority": 2,
    "project": "house.garden",
    "tags": ["a", "b"],
}


def test_the_text_for_an_editor_has_a_line_for_each_attribute() -> None:
    assert editable_text(task(), READER) == "Call\ndue:\nwait:\npriority:\nproject:\ntags:\n"
    assert editable_text(task(**FULL), READER) == (
        "due: not a day\ndue: 2026-12-04 17:00\nwait: someday\npriority: medium\n"
        "project: house.garden\ntags: a, b\n\ndue: not this either\n\ntags: nor this\n"
    )


@pytest.mark.parametrize(
    "values",
    [
        FULL,
        {"due_on": date(1, 1, 1)},
        {"due_on": date(2026, 12, 4), "due_time": time(0, 0, 30)},
        {"due_on": date(2026, 12, 4), "due_time": time(17), "due_zone": "Asia/Tokyo"},
        {"title": "tags:", "tags": ["#x"]},
    ],
)
def test_what_is_not_edited_changes_nothing(values: dict[str, Any]) -> None:
    before = task(**values)
    text = editable_text(before, READER)
    assert changed_text(before, text, READER) == TaskChanges()
    assert changed_text(before, text.replace("\n", "\r\n"), READER) == TaskChanges()
    # A line that is read anew means the same.
    title, *lines = text.partition("\n\n")[0].split("\n")
    spaced = "\n".join([title, *(line.replace(": ", ":  ") for line in lines)])
    changes = replace(changed_text(before, spaced, READER), description=NOT_GIVEN).cleaned()
    assert changes.are_made_in(before)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("due: 2026-12-04 17:00", "due: tomorrow", TaskChanges(due=Due(TOMORROW))),
        ("due: 2026-12-04 17:00", "due:", TaskChanges(due=None)),
        ("due: 2026-12-04 17:00\n", "", TaskChanges(due=None)),
        (
            "due: 2026-12-04 17:00",
            "due: fri 5pm (Asia/Tokyo)",
            TaskChanges(due=Due(FRIDAY, time(17), "Asia/Tokyo")),
        ),
        ("priority: medium", "pri: 1", TaskChanges(priority=Priority.HIGH)),
        ("tags: a, b", "tags: b c", TaskChanges(tags=("b", "c"))),
        ("tags: a, b", "tags: none", TaskChanges(tags=())),
        ("tags: a, b", "tags: None", TaskChanges(tags=())),
        ("wait: someday", "wait:", TaskChanges(wait_on=None)),
        ("project: house.garden", "project: none", TaskChanges(project=None)),
        ("\n\ndue: not this either\n\ntags: nor this", "", TaskChanges(description=None)),
    ],
)
def test_each_line_can_be_edited(old: str, new: str, changes: TaskChanges) -> None:
    before = task(**FULL)
    text = editable_text(before, READER)
    assert old in text
    assert changed_text(before, text.replace(old, new, 1), READER) == changes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Call\ndue: tomorow\n", "Line 2 (due: tomorow): 'tomorow' is no word of a date."),
        ("\nCall\nwhat is this\n", "Line 3 (what is this): This is not an attribute."),
        ("Call\ndue: fri\ndue: sat\n", "Line 3 (due: sat): There is a second line due."),
        ("Call\ncolour: red\n", "Line 2 (colour: red): This is not an attribute."),
        ("Call\n\x1b[2J\n", "Line 2 (<U+001B>[2J): This is not an attribute."),
        ("due:\nwait:\n", "The first line is not a title, but an attribute."),
        ("", "The title is empty."),
    ],
)
def test_a_wrong_line_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        changed_text(task(), text, READER)
    assert caught.value.message == said
