"""Trying again, with patience and jitter. Imported at the first failure only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from todo_cli.database.faults import Retry, TransientFault

T = TypeVar("T")

_SOON = wait_random_exponential(multiplier=0.1, max=4)
_SLOWLY = wait_random_exponential(multiplier=1, max=16)
"""From 1 s doubling to 16 s, with jitter: Neon's advice."""


def retry(
    work: Callable[[], T],
    *,
    timeout_seconds: float,
    before_retry: Callable[[TransientFault], None],
) -> T:
    """Do the work until it succeeds, a fault is final, or the time is over.

    The work must be safe to repeat: every statement of the repository is.

    Raises:
        TodoError: the last fault, in its own words.
    """

    def announce(state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, TransientFault):
            before_retry(fault)

    retrying = Retrying(
        retry=retry_if_exception(_is_worth_another_try()),
        wait=_pause,
        stop=stop_after_delay(timeout_seconds),
        before_sleep=announce,
        reraise=True,
    )
    try:
        return retrying(work)
    except TransientFault as fault:
        raise fault.final from fault


def _is_worth_another_try() -> Callable[[BaseException], bool]:
    seen_once: set[str] = set()

    def judge(error: BaseException) -> bool:
        if not isinstance(error, TransientFault):
            return False
        if error.retry is not Retry.ONCE:
            return True
        first = error.final.message not in seen_once
        seen_once.add(error.final.message)
        return first

    return judge


def _pause(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome else None
    slow = isinstance(fault, TransientFault) and fault.retry is Retry.SLOWLY
    return (_SLOWLY if slow else _SOON)(state)
