"""References and the rules of a text."""

from __future__ import annotations

import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_cli.errors import InvalidInput
from todo_cli.ids import uuid7
from todo_cli.values import (
    MAX_DESCRIPTION_LENGTH,
    MAX_TITLE_LENGTH,
    TaskRef,
    clean_description,
    clean_title,
    printable,
)

UUIDS = st.uuids()


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_digits_are_a_number(number: int) -> None:
    assert TaskRef.parse(str(number)).number == number


def test_a_number_beyond_a_bigint_is_still_a_number_that_no_task_has() -> None:
    assert TaskRef.parse("9" * 5000).number == 2**63 - 1


@given(st.integers(min_value=0, max_value=2**63 - 1), st.integers(min_value=1, max_value=5000))
def test_leading_zeros_do_not_change_a_number(number: int, zeros: int) -> None:
    assert TaskRef.parse("0" * zeros + str(number)).number == number


@given(UUIDS, st.integers(min_value=4, max_value=36), st.booleans())
def test_a_beginning_of_a_uuid_spans_all_that_begin_so(
    id_: UUID, length: int, capitals: bool
) -> None:
    prefix = str(id_)[:length]
    if prefix.isdigit() or len(prefix.replace("-", "")) < 4:
        return
    ref = TaskRef.parse(prefix.upper() if capitals else prefix)
    assert ref.first is not None and ref.last is not None
    assert ref.first <= id_ <= ref.last
    assert str(ref.first).startswith(prefix)
    assert str(ref.last).startswith(prefix)


@given(UUIDS)
def test_a_uuid_is_taken_without_dashes(id_: UUID) -> None:
    if id_.hex.isdigit():
        return
    ref = TaskRef.parse(id_.hex)
    assert (ref.first, ref.last) == (id_, id_)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "12-", "nope", "-", "1.5", "abcd--", "abc-d", "٣", "²", "abcdé", "f" * 33, "+1"],
)
def test_what_can_be_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        TaskRef.parse(text)


@given(st.lists(st.integers(min_value=0, max_value=2**63 - 1), min_size=1, max_size=20))
def test_a_comma_separates_references(numbers: list[int]) -> None:
    refs = TaskRef.parse_several(",".join(map(str, numbers)))
    assert [ref.number for ref in refs] == numbers


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=10**12))
def test_two_numbers_and_a_dash_are_a_range(first: int, length: int) -> None:
    (ref,) = TaskRef.parse_several(f"{first}-{first + length}")
    assert (ref.first_number, ref.last_number) == (first, first + length)
    assert (ref.number, ref.first) == (None, None)


@pytest.mark.parametrize("text", ["12345678-1234", "12345678-", "12345678-1234-7"])
def test_digits_that_begin_a_uuid_are_no_range(text: str) -> None:
    """As a range they would descend."""
    (ref,) = TaskRef.parse_several(text)
    assert str(ref.first).startswith(text)
    assert ref.first_number is None


@pytest.mark.parametrize("text", ["1,", ",1", "1,,2", "5-3", "1-2-3", "3-", "-3", "1-x", "1-²"])
def test_what_can_be_no_list_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        TaskRef.parse_several(text)


@pytest.mark.parametrize("text", ["3-5", "1,2"])
def test_where_one_task_is_meant_several_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        TaskRef.parse(text)


@given(st.text(alphabet="0123456789abcdef-, "))
def test_a_list_is_read_or_refused_never_a_crash(text: str) -> None:
    try:
        refs = TaskRef.parse_several(text)
    except InvalidInput:
        return
    for ref in refs:
        kinds = (ref.number, ref.first_number, ref.first)
        assert sum(kind is not None for kind in kinds) == 1


@given(st.text())
def test_a_reference_is_read_or_refused_never_a_crash(text: str) -> None:
    try:
        ref = TaskRef.parse(text)
    except InvalidInput:
        return
    assert (ref.number is None) != (ref.first is None)


@given(st.text())
def test_a_title_is_kept_clean_or_refused(text: str) -> None:
    try:
        title = clean_title(text)
    except InvalidInput:
        return
    assert 1 <= len(title) <= MAX_TITLE_LENGTH
    assert title == " ".join(text.split())
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in title)
    assert clean_title(title) == title


@given(st.text())
def test_a_description_keeps_its_lines_or_is_refused(text: str) -> None:
    try:
        description = clean_description(text)
    except InvalidInput:
        return
    if description is not None:
        assert len(description) <= MAX_DESCRIPTION_LENGTH
        assert description == text.replace("\r\n", "\n").replace("\r", "\n")


def test_lengths_are_counted_in_characters() -> None:
    assert clean_title("é" * MAX_TITLE_LENGTH)
    with pytest.raises(InvalidInput, match="501 characters"):
        clean_title("x" * (MAX_TITLE_LENGTH + 1))
    with pytest.raises(InvalidInput, match="20,001 characters"):
        clean_description("x" * (MAX_DESCRIPTION_LENGTH + 1))


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x07", "\x7f", "\x85", "\x9b", "\x1c", "\x0b"]
)
def test_control_characters_are_refused_by_name(character: str) -> None:
    with pytest.raises(InvalidInput, match=f"U\\+{ord(character):04X}"):
        clean_title(f"a{character}b")
    with pytest.raises(InvalidInput, match=f"U\\+{ord(character):04X}"):
        clean_description(f"a{character}b")


@given(st.text())
def test_nothing_that_steers_a_terminal_is_printable(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert shown.encode().decode() == shown


def test_ordinary_text_is_printable_as_it_is() -> None:
    text = "Ünïcödé 宽 👩‍👩‍👧 é [bold] :smile: 'quoted' \\n"
    assert printable(text) == text


def test_keys_made_one_after_another_ascend() -> None:
    keys = [uuid7() for _ in range(1000)]
    assert all(key.version == 7 for key in keys)
    assert len(set(keys)) == 1000
    assert [key.int >> 80 for key in keys] == sorted(key.int >> 80 for key in keys)
