"""JSON, records and tables of awkward tasks stay as they are, byte for byte."""

from __future__ import annotations

import unicodedata

from tests.golden import COLUMNS, FILES, fill, outputs
from tests.support.people import Person

HINT = "If this is meant: python -m tests.golden, and review the difference."


def test_every_output_is_as_it_was(database_url: str, alice: Person) -> None:
    fill(database_url, alice)
    written = dict(outputs(database_url, alice))
    assert {file.name for file in FILES.iterdir()} == set(written), HINT
    changed = [name for name, content in written.items() if (FILES / name).read_bytes() != content]
    assert changed == [], HINT


def test_no_file_holds_what_a_terminal_would_obey() -> None:
    for columns in COLUMNS:
        for kind in ("list", "trash", "show"):
            text = (FILES / f"{kind}.{columns}.txt").read_text(encoding="utf-8")
            obeyed = {each for each in text if unicodedata.category(each) == "Cc"} - {"\n"}
            assert obeyed | (set(text) & set("\u202e\u2066\u2028\u2029")) == set()
