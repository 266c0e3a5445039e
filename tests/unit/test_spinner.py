"""A word for who waits: none at first, then one, and none left behind."""

from __future__ import annotations

import io
import threading

import pytest

from tests.support.waiting import wait_until
from todo_cli import spinner


def said(stream: io.StringIO) -> bool:
    return "Waking" in stream.getvalue()


def test_a_short_wait_is_not_worth_a_word() -> None:
    stream = io.StringIO()
    with spinner.spinning(stream, lambda: "Waking…"):
        pass
    assert stream.getvalue() == ""


def test_a_long_one_is_told_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinner, "SILENCE_SECONDS", 0)
    stream = io.StringIO()
    with spinner.spinning(stream, lambda: "Waking…"):
        wait_until(lambda: said(stream))
    assert stream.getvalue().startswith("\r\x1b[K⠋ Waking…")
    assert stream.getvalue().endswith("\r\x1b[K")


def test_what_is_waited_for_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinner, "SILENCE_SECONDS", 0)
    stream, is_connected = io.StringIO(), threading.Event()
    with spinner.spinning(stream, lambda: "Waiting…" if is_connected.is_set() else "Waking…"):
        wait_until(lambda: said(stream))
        is_connected.set()
        wait_until(lambda: "Waiting…" in stream.getvalue())


def test_a_terminal_that_cannot_move_its_cursor_gets_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spinner, "SILENCE_SECONDS", 0)
    stream = io.StringIO()
    with spinner.spinning(stream, lambda: "Waking…", is_animated=False):
        wait_until(lambda: said(stream))
    assert stream.getvalue() == "Waking…\n"


def test_it_ends_with_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinner, "SILENCE_SECONDS", 0)
    stream = io.StringIO()

    def interrupted_wait() -> None:
        with spinner.spinning(stream, lambda: "Waking…"):
            wait_until(lambda: said(stream))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_wait()
    assert stream.getvalue().endswith("\r\x1b[K")
