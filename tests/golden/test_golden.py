"""JSON, records and tables of awkward tasks stay as they are, byte for byte."""

from __future__ import annotations

import unicodedata

from tests.golden import COLUMNS, FILES, fill, fill_week, outputs
from tests.support.people import Person, sign_up

HINT = "If this is meant: python -m tests.golden, and review the difference."


def test_every_output_is_as_it_was(database_url: str, alice: Person, bob: Person) -> None:
    carol = sign_up(database_url, "carol")
    fill(database_url, alice)
    fill(database_url, bob, is_plain=True)
    fill_week(database_url, carol)
    written = dict(outputs(database_url, alice, bob, carol))
    assert {file.name for file in FILES.iterdir()} == set(written), HINT
    changed = [name for name, content in written.items() if (FILES / name).read_bytes() != content]
    assert changed == [], HINT


def test_no_file_holds_what_a_terminal_would_obey() -> None:
    for columns in COLUMNS:
        for kind in ("list", "plain", "trash", "show", "week"):
            text = (FILES / f"{kind}.{columns}.txt").read_text(encoding="utf-8")
            obeyed = {each for each in text if unicodedata.category(each) == "Cc"} - {"\n"}
            assert obeyed | (set(text) & set("\u202e\u2066\u2028\u2029")) == set()
