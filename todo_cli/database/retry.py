"""Trying again, with patience and jitter. Imported at the first failure only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_random_exponential,
)

from todo_cli.database.connecting import Deadline
from todo_cli.database.faults import Retry, TransientFault

T = TypeVar("T")

SHORTEST_TRY_SECONDS = 0.05
"""No try is begun with less time than this."""

_SOON = wait_random_exponential(multiplier=0.1, max=4)
_SLOWLY = wait_random_exponential(multiplier=1, max=16)
"""From 1 s doubling to 16 s, with jitter: Neon's advice."""


def retry(
    work: Callable[[], T],
    *,
    after: TransientFault,
    deadline: Deadline,
    before_retry: Callable[[TransientFault], None],
) -> T:
    """Go on after a first failed try until the work succeeds, a fault is final, or time is over.

    Where nobody accepts a connection, time is over sooner: see `Deadline.unreached_seconds`.

    The work must be safe to repeat: every statement of the repository is.

    Raises:
        TodoError: the last fault, in its own words.
    """
    first = [after]

    def next_try() -> T:
        if first:
            raise first.pop()
        return work()

    def announce(state: RetryCallState) -> None:
        fault = _fault_of(state)
        if fault is not None:
            before_retry(fault)

    retrying = Retrying(
        retry=retry_if_exception(_is_worth_another_try(deadline)),
        wait=lambda state: _pause(state, deadline),
        stop=lambda state: _seconds_left(_fault_of(state), deadline) <= SHORTEST_TRY_SECONDS,
        before_sleep=announce,
        reraise=True,
    )
    try:
        return retrying(next_try)
    except TransientFault as fault:
        raise fault.final from fault


def _is_worth_another_try(deadline: Deadline) -> Callable[[BaseException], bool]:
    seen_once: set[str] = set()

    def judge(error: BaseException) -> bool:
        if not isinstance(error, TransientFault):
            return False
        if not error.is_unreached:
            deadline.note_reached()
        if error.retry not in (Retry.ONCE, Retry.ONCE_SLOWLY):
            return True
        is_first = error.final.message not in seen_once
        seen_once.add(error.final.message)
        return is_first

    return judge


def _pause(state: RetryCallState, deadline: Deadline) -> float:
    """Seconds: none after a connection that had died unnoticed, half of what is left at most."""
    fault = _fault_of(state)
    if fault is None or fault.is_stale:
        return 0.0
    is_slow = fault.retry in (Retry.SLOWLY, Retry.ONCE_SLOWLY)
    return min((_SLOWLY if is_slow else _SOON)(state), _seconds_left(fault, deadline) / 2)


def _seconds_left(fault: TransientFault | None, deadline: Deadline) -> float:
    if fault is None or not fault.is_unreached:
        return deadline.remaining_seconds
    return min(deadline.remaining_seconds, deadline.unreached_seconds)


def _fault_of(state: RetryCallState) -> TransientFault | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientFault) else None
