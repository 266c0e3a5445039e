"""Filters: what each form means, what is refused and how, and that nothing else can happen."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.viewers import TODAY, VIEWER
from todo_cli.errors import InvalidInput
from todo_cli.filters import (
    MAX_LENGTH,
    MAX_LEVELS,
    TIME_IN_FILTER,
    And,
    Days,
    Field,
    Filter,
    Has,
    InProjects,
    Is,
    Not,
    Numbers,
    Or,
    Part,
    Priorities,
    Span,
    State,
    Tags,
    Text,
    days_reader,
    parse,
    parse_text,
    terms_of,
    to_text,
)
from todo_cli.filters.tree import all_of, any_of
from todo_cli.filters.vocabulary import DAY_FIELDS, NOT_SUPPORTED, PAST_FIELDS
from todo_cli.values import MAX_BIGINT, RESERVED_NAMES, Priority

NAMED = {
    "next fri": date(2026, 12, 4),
    "in 3 days": date(2026, 11, 27),
    "today": TODAY,
    "yesterday": date(2026, 11, 23),
    "fri": date(2026, 11, 27),
}


def read_days(text: str) -> Span[date]:
    if text == "this week":
        return Span(date(2026, 11, 23), date(2026, 11, 29))
    if text == "fri 5pm":
        raise InvalidInput("It has a time.", reason=TIME_IN_FILTER)
    try:
        named = NAMED.get(text) or date.fromisoformat(text)
    except ValueError:
        raise InvalidInput("No day.", reason="date_not_understood", hint="Look.") from None
    return Span(named, named)


def words(*words: str) -> Filter:
    return parse(words, read_days)


def day(field: Field, first: date | None, last: date | None) -> Days:
    return Days(field, (Span(first, last),))


DUE_TODAY = day(Field.DUE, TODAY, TODAY)
HAS_DUE = Has(Part.DUE)
HOME, ERRAND = Tags(("home",)), Tags(("errand",))


@pytest.mark.parametrize(
    ("typed", "tree"),
    [
        (["milk"], Text("milk")),
        (["buy milk"], Text("buy milk")),
        (["buy", "milk"], And((Text("buy"), Text("milk")))),
        (["due:today"], DUE_TODAY),
        (["DUE:today"], DUE_TODAY),
        (["due:..fri"], day(Field.DUE, None, date(2026, 11, 27))),
        (["due:fri.."], day(Field.DUE, date(2026, 11, 27), None)),
        (["due:today..fri"], day(Field.DUE, TODAY, date(2026, 11, 27))),
        (
            ["due:today,fri"],
            Days(Field.DUE, (Span(TODAY, TODAY), Span(NAMED["fri"], NAMED["fri"]))),
        ),
        (['due:"today"'], DUE_TODAY),
        (["due:none"], Not(HAS_DUE)),
        (["due:any"], HAS_DUE),
        (["has:due"], HAS_DUE),
        (["due:none,today"], Or((DUE_TODAY, Not(HAS_DUE)))),
        (["created:yesterday.."], day(Field.CREATED, NAMED["yesterday"], None)),
        (["changed:yesterday"], day(Field.CHANGED, NAMED["yesterday"], NAMED["yesterday"])),
        (["done:any"], Is(State.DONE)),
        (["done:none"], Not(Is(State.DONE))),
        (["wait:fri"], day(Field.WAIT, NAMED["fri"], NAMED["fri"])),
        (["@home"], HOME),
        (["tag:home"], HOME),
        (["tags:home,work"], Tags(("home", "work"))),
        (["tag:home,none"], Or((HOME, Not(Has(Part.TAG))))),
        (["project:work"], InProjects(("work",))),
        (["proj:house.garden"], InProjects(("house.garden",))),
        (["project:=work"], InProjects(("work",), is_exact=True)),
        (['project:"work"'], InProjects(("work",))),
        (["project:none"], Not(Has(Part.PROJECT))),
        (["priority:high"], Priorities((Priority.HIGH,))),
        (["pri:h,2,L"], Priorities((Priority.HIGH, Priority.MEDIUM, Priority.LOW))),
        (["is:overdue"], Is(State.OVERDUE)),
        (["status:late"], Is(State.OVERDUE)),
        (["is:pending,done"], Or((Is(State.PENDING), Is(State.DONE)))),
        (["has:tags"], Has(Part.TAG)),
        (["number:12"], Numbers((Span(12, 12),))),
        (["number:3..8,12"], Numbers((Span(3, 8), Span(12, 12)))),
        (["number:3-8"], Numbers((Span(3, 8),))),
        (["number:..8"], Numbers((Span(None, 8),))),
        (["number:" + "9" * 900], Numbers((Span(MAX_BIGINT, MAX_BIGINT),))),
        (["title:milk"], Text("milk", is_title=True)),
        (["text:eggs, milk"], Text("eggs, milk")),
        # What is text, though it looks like something else.
        (["12:30"], Text("12:30")),
        (["https://example.org/?a=b"], Text("https://example.org/?a=b")),
        (["ada@example.org"], Text("ada@example.org")),
        (['"due:today"'], Text("due:today")),
        (['"or"'], Text("or")),
        (['"(x)"'], Text("(x)")),
        ([r'"say \"hi\" \\ \n"'], Text(r'say "hi" \ \n')),
        (["f(x)"], Text("f(x)")),
        (['5"'], Text('5"')),
        (["rock and roll"], Text("rock and roll")),
        # Operators.
        (["@home", "not", "@errand"], And((HOME, Not(ERRAND)))),
        (["@home", "and", "not", "@errand"], And((HOME, Not(ERRAND)))),
        (["@home", "OR", "@errand"], Or((HOME, ERRAND))),
        (["a", "or", "b", "c"], Or((Text("a"), And((Text("b"), Text("c")))))),
        (["(a", "or", "b)", "c"], And((Or((Text("a"), Text("b"))), Text("c")))),
        (["(", "a", "or", "b", ")", "c"], And((Or((Text("a"), Text("b"))), Text("c")))),
        (["((f(x)))"], Text("f(x)")),
        (["not", "not", "a"], Not(Not(Text("a")))),
        (["not", "(a", "or", "b)"], Not(Or((Text("a"), Text("b"))))),
        (["(a", "b)", "c"], And((Text("a"), Text("b"), Text("c")))),
    ],
)
def test_words_mean(typed: list[str], tree: Filter) -> None:
    assert parse(typed, read_days) == tree


@pytest.mark.parametrize(
    ("typed", "tree"),
    [
        ("@home  not\t@errand", And((HOME, Not(ERRAND)))),
        ('"buy milk" or due:today', Or((Text("buy milk"), DUE_TODAY))),
        ('("buy milk")', Text("buy milk")),
        ('project:"a:b",work', InProjects(("a:b", "work"))),
        ('project:="a)"', InProjects(("a)",), is_exact=True)),
        ('due:"today".."fri"', day(Field.DUE, TODAY, NAMED["fri"])),
        ('title:"a or b"', Text("a or b", is_title=True)),
        ('5" nails', And((Text('5"'), Text("nails")))),
    ],
)
def test_one_string_means(typed: str, tree: Filter) -> None:
    assert parse_text(typed, read_days) == tree


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("today", TODAY, TODAY),
        ("2026-12-24", date(2026, 12, 24), date(2026, 12, 24)),
        ("in 3 days", date(2026, 11, 27), date(2026, 11, 27)),
        ("someday", date.max, date.max),
        # A named period is all its days.
        ("this week", date(2026, 11, 23), date(2026, 11, 29)),
        ("next week", date(2026, 11, 30), date(2026, 12, 6)),
        ("last week", date(2026, 11, 16), date(2026, 11, 22)),
        ("weekend", date(2026, 11, 28), date(2026, 11, 29)),
        ("last weekend", date(2026, 11, 21), date(2026, 11, 22)),
        ("this month", date(2026, 11, 1), date(2026, 11, 30)),
        ("next month", date(2026, 12, 1), date(2026, 12, 31)),
        ("this quarter", date(2026, 10, 1), date(2026, 12, 31)),
        ("q1", date(2027, 1, 1), date(2027, 3, 31)),
        ("Last Year", date(2025, 1, 1), date(2025, 12, 31)),
        ("december", date(2026, 12, 1), date(2026, 12, 31)),
        ("nov", date(2026, 11, 1), date(2026, 11, 30)),
        ("sept 2027", date(2027, 9, 1), date(2027, 9, 30)),
        ("feb", date(2027, 2, 1), date(2027, 2, 28)),
        ("2027", date(2027, 1, 1), date(2027, 12, 31)),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("2026-W50", date(2026, 12, 7), date(2026, 12, 13)),
        ("week 50", date(2026, 12, 7), date(2026, 12, 13)),
        ("next week..", date(2026, 11, 30), None),
        ("..next week", None, date(2026, 12, 6)),
        ("today..december", TODAY, date(2026, 12, 31)),
    ],
)
def test_words_of_dates_are_days(value: str, first: date | None, last: date | None) -> None:
    assert parse([f"due:{value}"], days_reader(VIEWER.now)) == day(Field.DUE, first, last)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("fri 5pm", TIME_IN_FILTER),
        ("every day", "date_not_understood"),
        ("no date", "date_not_understood"),
        ("tomorow", "date_not_understood"),
        ("5/12", "date_ambiguous"),
    ],
)
def test_words_that_are_no_day_are_refused(value: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse([f"due:{value}"], days_reader(VIEWER.now))
    assert refused.value.reason == reason


def test_a_range_takes_the_ends_of_a_named_period() -> None:
    assert words("due:this week..") == day(Field.DUE, date(2026, 11, 23), None)
    assert words("due:..this week") == day(Field.DUE, None, date(2026, 11, 29))


@pytest.mark.parametrize(
    ("typed", "reason", "named", "hinted"),
    [
        # An unknown field or value is never text.
        (["du:today"], "unknown_field", "word 1 ('du:today')", "due"),
        (["milk", "foo:bar"], "unknown_field", "word 2 ('foo:bar')", "has, number, title, text."),
        (["is:overdu"], "unknown_value", "word 1", "is:overdue"),
        (["has:projct"], "unknown_value", "word 1", "has:project"),
        (["priority:urgent"], "unknown_value", "'urgent'", "priority:high"),
        (["number:x"], "unknown_value", "'x'", "number:12"),
        (["created:none"], "unknown_value", "created", "created:yesterday"),
        (["due:tomorow"], "date_not_understood", "No day.", "Look."),
        (["due:"], "invalid_filter", "needs a value", "due:today"),
        (["due:today,"], "unknown_value", "value is missing", None),
        (["due:.."], "unknown_value", "range", "due:today"),
        (["due:a..b..c"], "unknown_value", "range", "due:today"),
        (["due:fri..today"], "empty_range", "ends before it begins", None),
        (["number:8..3"], "empty_range", "8 is after 3", None),
        (["due:fri 5pm"], TIME_IN_FILTER, "time", None),
        (["created:fri"], "day_in_future", "2026-11-27", "yesterday"),
        (["done:2027-01-01"], "day_in_future", "2027-01-01", "yesterday"),
        (["@"], "unknown_value", "The tag is empty", None),
        (["@none"], "invalid_filter", "No tag is called", "tag:none"),
        (["@a,b"], "invalid_filter", "comma", "tag:home,work"),
        (["tag:a b"], "unknown_value", "white space", "dash"),
        (['tag:"none"'], "unknown_value", "none", None),
        (['project:"any"'], "unknown_value", "any", None),
        (["project:my house"], "unknown_value", "white space", "dash"),
        (["project:a..b"], "unknown_value", "empty part", None),
        (["project:" + "x" * 201], "unknown_value", "200", None),
        # Later.
        (["is:blocked"], "not_supported", "is:blocked", None),
        (["has:note"], "not_supported", "has:note", None),
        (["under:12"], "not_supported", "under:12", None),
        # What may be meant in two ways.
        (["due:fri", "5pm"], "ambiguous_filter", "word 2 ('5pm')", 'due:"fri 5pm"'),
        (["due:next", "fri"], "ambiguous_filter", "word 2 ('fri')", 'due:"next fri"'),
        (["due:in", "3", "days", "x"], "ambiguous_filter", "word 2 ('3')", 'due:"in 3 days"'),
        (["due:in", "3", '"days"'], "date_not_understood", "word 1", None),
        (["project:work or project:home"], "ambiguous_filter", "'project:home'", "word of its own"),
        (["milk due:today"], "ambiguous_filter", "'due:today'", "quotation marks"),
        (["a", "||", "b"], "invalid_filter", "or", None),
        # Structure.
        ([], "empty_filter", "empty", "due:today"),
        (["", " "], "empty_filter", "empty", None),
        (["a", ""], "invalid_filter", "word 2", None),
        (['""'], "invalid_filter", "empty", None),
        (["(a"], "unbalanced_parenthesis", "word 1 ('(')", None),
        (["a)"], "unbalanced_parenthesis", "closes none", None),
        (["()"], "missing_term", "before this", None),
        (["a", "or"], "missing_term", "word 2 ('or')", None),
        (["or", "a"], "missing_term", "word 1 ('or')", "'\"or\"'"),
        (["not"], "missing_term", "after this", None),
        (["a", "and", "or", "b"], "missing_term", "word 3", None),
        (['"a'], "broken_quotes", "word 1", None),
        (['"a"b'], "broken_quotes", "word 1", None),
        (['project:"a"b'], "broken_quotes", "word 1", None),
        (["x" * (MAX_LENGTH + 1)], "filter_too_long", "1,001", None),
        (["("] * 21 + ["a"] + [")"] * 21, "filter_too_deep", "20", None),
        (["not"] * 200 + ["a"], "filter_too_deep", "20", None),
        (["a\0b"], None, "U+0000", None),
        (["a\x1b[31mb"], None, "U+001B", None),
        (["a\udc80"], None, "UTF-8", None),
    ],
)
def test_what_is_refused_names_the_place_and_what_was_meant(
    typed: list[str], reason: str | None, named: str, hinted: str | None
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(typed, read_days)
    assert refused.value.reason == reason
    assert named in refused.value.message
    assert hinted is None or hinted in (refused.value.hint or "")


def test_an_error_in_one_string_names_the_column() -> None:
    with pytest.raises(InvalidInput, match=r"column 9 \('du:x'\)") as refused:
        parse_text("@home ((du:x))", read_days)
    assert refused.value.data == {"column": 9}
    assert refused.value.hint is not None and '"du:x"' in refused.value.hint


def test_as_many_levels_as_allowed_are_read() -> None:
    assert words(*["("] * MAX_LEVELS, "a", *[")"] * MAX_LEVELS) == Text("a")


@pytest.mark.parametrize("text", ["\u202egpj.exe:x", "a\u2028b:c", "du:\u202etoday"])
def test_an_error_sends_nothing_that_steers_a_terminal(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        words(text.replace("a\u2028b", "ab"), "(")
    assert "\u202e" not in refused.value.message + (refused.value.hint or "")


# --- whatever is typed ------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *"()\"':=,.@%_\\ \t\n\0\u202e\ud800é",
        *(" or ", " and ", " not ", "@home", "due:today", "due:..fri", "is:", "is:done", "tag:"),
        *("none", "any", "project:=", "number:1..2", "x://"),
    ]
)
ANYTHING = st.text(max_size=60) | st.lists(PIECES, max_size=40).map("".join)


@given(st.lists(ANYTHING, max_size=8))
def test_any_words_are_a_filter_or_refused(typed: list[str]) -> None:
    with contextlib.suppress(InvalidInput):
        assert list(terms_of(parse(typed, read_days)))


@given(ANYTHING)
def test_any_string_is_a_filter_or_refused(typed: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert list(terms_of(parse_text(typed, days_reader(VIEWER.now))))


@pytest.mark.parametrize("piece", ['"', '\\"', "(", ")", "not ", 'a:"', "@", ":", "due:..", "a,b,"])
def test_the_work_grows_no_faster_than_the_filter(piece: str) -> None:
    def calls(length: int) -> int:
        with counted_calls() as count, contextlib.suppress(InvalidInput):
            parse_text((piece * length)[:length], read_days)
        return count[0]

    assert calls(MAX_LENGTH) <= 4 * calls(MAX_LENGTH // 4) + 2_000


@contextlib.contextmanager
def counted_calls() -> Iterator[list[int]]:
    """How many functions are called within."""
    count = [0]

    def note(_: object, event: str, __: object) -> None:
        count[0] += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


# --- a tree's text parses to the same tree ----------------------------------------------------

TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from('"\\():,.@ '), min_size=1
).filter(lambda text: bool(text.strip()))
NAMES = TEXTS.filter(lambda text: not any(map(str.isspace, text))).filter(
    lambda text: len(text) <= 50 and "," not in text and text.lower() not in RESERVED_NAMES
)
DATES = st.dates(date(1, 1, 1), date(9999, 12, 31))
PAST = st.dates(date(1, 1, 1), TODAY)


def spans(bounds: st.SearchStrategy[date]) -> st.SearchStrategy[tuple[Span[date], ...]]:
    closed = st.tuples(bounds, bounds).map(lambda pair: Span(min(pair), max(pair)))
    one = closed | bounds.map(lambda d: Span(d, None)) | bounds.map(lambda d: Span(None, d))
    return st.lists(one, min_size=1, max_size=3).map(tuple)


TERMS: st.SearchStrategy[Filter] = st.one_of(
    TEXTS.map(Text),
    TEXTS.map(lambda text: Text(text, is_title=True)),
    st.lists(NAMES, min_size=1, max_size=3).map(lambda names: Tags(tuple(names))),
    st.builds(
        InProjects,
        st.lists(NAMES.filter(lambda n: "." not in n), min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.lists(st.sampled_from(Priority), min_size=1).map(lambda values: Priorities(tuple(values))),
    st.sampled_from(sorted(set(State) - NOT_SUPPORTED)).map(Is),
    st.sampled_from(sorted(set(Part) - NOT_SUPPORTED)).map(Has),
    st.tuples(st.integers(0, 99), st.integers(100, MAX_BIGINT)).map(
        lambda pair: Numbers((Span(*pair), Span(None, pair[0]), Span(pair[1], pair[1])))
    ),
    st.builds(Days, st.sampled_from(sorted(DAY_FIELDS - PAST_FIELDS)), spans(DATES)),
    st.builds(Days, st.sampled_from(sorted(PAST_FIELDS)), spans(PAST)),
)
TREES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(all_of),
        st.lists(inner, min_size=2, max_size=3).map(any_of),
    ),
    max_leaves=6,
)


@given(TREES)
def test_the_text_of_a_tree_parses_to_the_tree(tree: Filter) -> None:
    text = to_text(tree)
    if len(text) <= MAX_LENGTH:
        assert parse_text(text, read_days) == tree
