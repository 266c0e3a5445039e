"""Better Auth's formats, against values that the library itself made (better-auth 1.7.25)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from todo_cli import accounts
from todo_cli.errors import InvalidInput

HASHES_OF_BETTER_AUTH = {
    "correct horse battery staple": (
        "3d9d72f44acad6d367b7a399476ed7c6:"
        "68e66bc0ea9ed5fd5ef0c6a31c8172bf95e154fa25d6f2537794c3da03ed0484"
        "d4e697f9fb9cb63e23a003f6c37ac36a997f3309383bdca26c7df57d9043d6d4"
    ),
    "Pa\ufb01wort \u212b e\u0301 \U0001f600": (
        "ec460c67d31e7ae86f44cbf3a4bfa108:"
        "6d22f1e7b36946f4963d33c1ba00cb5f6a08c133d6289dadb0c0d7d2612aa28b"
        "07ed106398535d19e91e485d326d248dae4c387bfee486ad917969c82d199157"
    ),
}


@pytest.mark.parametrize(
    ("password", "stored"), HASHES_OF_BETTER_AUTH.items(), ids=["ascii", "nfkc"]
)
def test_a_hash_is_the_one_that_the_library_makes(password: str, stored: str) -> None:
    assert accounts.hash_password(password, salt=stored[:32]) == stored


def test_a_hash_has_a_salt_of_its_own() -> None:
    first, second = (accounts.hash_password("correct horse") for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{32}:[0-9a-f]{128}", first)


def test_what_normalises_to_the_same_is_the_same_password() -> None:
    salt = "0" * 32
    assert accounts.derive_key("ﬁne café", salt) == accounts.derive_key("fine cafe\u0301", salt)


@pytest.mark.parametrize(
    ("password", "is_taken"),
    [
        ("1234567", False),
        ("12345678", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("😀" * 4, True),  # two UTF-16 units each
        ("😀" * 3, False),
        ("😀" * 64, True),
        ("😀" * 65, False),
        ("lone \ud800 surrogate", False),
    ],
)
def test_a_password_is_counted_as_javascript_counts(password: str, is_taken: bool) -> None:
    if is_taken:
        assert accounts.clean_password(password) == password
        return
    with pytest.raises(InvalidInput) as caught:
        accounts.clean_password(password)
    assert password not in caught.value.message


@pytest.mark.parametrize(
    "email",
    ["a@b.co", "Ada.Lovelace+todo@Example.ORG", "o'hara_x-y@a-b.example.museum", "1@2.co"],
)
def test_an_address_is_kept_in_lower_case(email: str) -> None:
    assert accounts.clean_email(email) == email.lower()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        " ada@example.org",
        "ada@example.org\n",
        ".ada@example.org",
        "ada..b@example.org",
        "ada.@example.org",
        "ada@-example.org",
        "ada@example.o",
        "ädä@example.org",
        "a@b.co'; drop table users --",
        f"{'a' * 250}@b.co",
    ],
)
def test_what_the_web_refuses_is_no_address(email: str) -> None:
    with pytest.raises(InvalidInput):
        accounts.clean_email(email)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x1b[31mb", "a\u202eb"])
def test_a_name_can_be_printed(name: str) -> None:
    with pytest.raises(InvalidInput):
        accounts.clean_name(name)


def test_a_token_is_256_random_bits_in_the_librarys_alphabet() -> None:
    tokens = {accounts.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[a-zA-Z0-9]{43}", token) for token in tokens)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=140))
def test_any_text_is_a_password_or_refused(text: str) -> None:
    units = sum(2 if ord(character) > 0xFFFF else 1 for character in text)
    if 8 <= units <= 128 and not any("\ud800" <= character <= "\udfff" for character in text):
        assert accounts.clean_password(text) == text
        return
    with pytest.raises(InvalidInput) as caught:
        accounts.clean_password(text)
    assert len(text) < 8 or text not in caught.value.message
