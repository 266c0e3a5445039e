"""Retries with exponential backoff and jitter. Imported only at the first failure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep
from typing import TypeVar

from todo_cli.database.connecting import Deadline
from todo_cli.database.faults import Retry, TransientFault

T = TypeVar("T")

MIN_TRY_SECONDS = 0.05
"""No try begins when less time than this is left."""


@dataclass(frozen=True)
class Backoff:
    """Pauses of a random length, up to a bound that doubles with each try ("full jitter")."""

    first_seconds: float
    max_seconds: float

    def pause_seconds(self, tries: int) -> float:
        """How long to wait after so many failed tries."""
        # Past the 30th doubling the bound is above any maximum, and no float overflows.
        bound = min(self.first_seconds * 2 ** min(tries - 1, 30), self.max_seconds)
        return random.uniform(0, bound)  # noqa: S311  # jitter, no secret


_SOON = Backoff(0.1, 4)
_SLOWLY = Backoff(1, 16)
"""From 1 s doubling to 16 s, as Neon advises."""


def retry(
    work: Callable[[], T],
    *,
    after: TransientFault,
    deadline: Deadline,
    before_retry: Callable[[TransientFault], None],
) -> T:
    """Retry the work after its first failure, until it succeeds, a fault is final, or time is over.

    While no server accepts a connection, `Deadline.unreached_seconds` ends the tries sooner. The
    work must be safe to repeat, as every statement of the repository is.

    Raises:
        TodoError: the last failure.
    """
    fault, tries = after, 1
    policy = _RetryPolicy(deadline)
    while policy.allows_retry(fault):
        policy.note(fault)
        seconds = _pause_seconds(fault, tries, deadline)
        before_retry(fault)
        sleep(seconds)
        try:
            return work()
        except TransientFault as again:
            fault, tries = again, tries + 1
    raise fault.final from fault


@dataclass
class _RetryPolicy:
    """Decides whether to try again; remembers the faults that are tried once only."""

    deadline: Deadline
    tried_once: set[str] = field(default_factory=set)

    def allows_retry(self, fault: TransientFault) -> bool:
        if _is_tried_once(fault) and fault.final.message in self.tried_once:
            return False
        return _seconds_left(fault, self.deadline) > MIN_TRY_SECONDS

    def note(self, fault: TransientFault) -> None:
        """Record a fault after which the work is tried again."""
        if not fault.is_unreached:
            self.deadline.note_reached()
        if _is_tried_once(fault):
            self.tried_once.add(fault.final.message)


def _is_tried_once(fault: TransientFault) -> bool:
    return fault.retry in (Retry.ONCE, Retry.ONCE_SLOWLY)


def _pause_seconds(fault: TransientFault, tries: int, deadline: Deadline) -> float:
    """No pause after a stale connection, and at most half of the time that is left."""
    if fault.is_stale:
        return 0.0
    backoff = _SLOWLY if fault.retry in (Retry.SLOWLY, Retry.ONCE_SLOWLY) else _SOON
    return min(backoff.pause_seconds(tries), _seconds_left(fault, deadline) / 2)


def _seconds_left(fault: TransientFault, deadline: Deadline) -> float:
    if not fault.is_unreached:
        return deadline.remaining_seconds
    return min(deadline.remaining_seconds, deadline.unreached_seconds)
