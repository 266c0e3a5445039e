"""A time limit for each test: a pytest plugin.

Set-up, call and tear-down of a test have `time_limit_seconds` each. The failure stands in the
test that took too long, and the next test runs. A test that cannot be interrupted is ended with
its process by pytest's own `faulthandler_timeout`.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

OPTION = "time_limit_seconds"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(OPTION, "Seconds that each phase of a test may take.", default="300")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with _limited(item):
        return (yield)


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    seconds = float(item.config.getini(OPTION))

    def fail(_signal: int, _frame: FrameType | None) -> None:
        pytest.fail(f"{item.nodeid} took longer than {seconds:g} seconds.")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
