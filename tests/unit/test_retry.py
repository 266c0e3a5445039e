"""How often, how long, and how patiently a fault is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from todo_cli.database import retry as retrying
from todo_cli.database.connecting import Deadline
from todo_cli.database.faults import Retry, TransientFault
from todo_cli.errors import DatabaseUnreachable


class Work:
    """Fails so many times, then answers 'done'."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@dataclass
class Fixed:
    """A pause of the same length after each try."""

    seconds: float

    def pause_seconds(self, tries: int) -> float:
        return self.seconds


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the pauses, one second or ten, pass at once; and note them."""
    noted: list[float] = []
    monkeypatch.setattr(retrying, "_SOON", Fixed(1))
    monkeypatch.setattr(retrying, "_SLOWLY", Fixed(10))
    monkeypatch.setattr("todo_cli.database.retry.sleep", noted.append)
    return noted


def fault(retry: Retry, message: str = "It failed.") -> TransientFault:
    return TransientFault(DatabaseUnreachable(message), retry)


def run(work: Callable[[], str], after: TransientFault, seconds: float = 1000) -> str:
    return retrying.retry(
        work, after=after, deadline=Deadline(seconds), before_retry=lambda _: None
    )


def test_a_pause_comes_before_the_second_try(pauses: list[float]) -> None:
    work = Work(fault(Retry.SOON), fault(Retry.SLOWLY))
    assert run(work, fault(Retry.SOON)) == "done"
    assert work.tries == 3
    assert pauses == [1, 1, 10]


def test_a_stale_connection_is_replaced_without_a_pause(pauses: list[float]) -> None:
    stale = fault(Retry.SOON)
    stale.is_stale = True
    assert run(Work(), stale) == "done"
    assert pauses == [0]


@pytest.mark.parametrize("once", [Retry.ONCE, Retry.ONCE_SLOWLY])
def test_once_is_one_more_try(pauses: list[float], once: Retry) -> None:
    work = Work(*(fault(once) for _ in range(10)))
    with pytest.raises(DatabaseUnreachable):
        run(work, fault(once))
    assert work.tries == 1


@pytest.mark.parametrize("retry", sorted(set(Retry) - {Retry.NEVER}, key=str))
def test_to_ask_whether_to_retry_changes_nothing(retry: Retry) -> None:
    deadline = Deadline(1000)
    policy = retrying._RetryPolicy(deadline)
    before = dict(vars(deadline))
    assert [policy.allows_retry(fault(retry)) for _ in range(3)] == [True] * 3
    assert vars(deadline) == before


def test_a_final_error_ends_it(pauses: list[float]) -> None:
    work = Work(DatabaseUnreachable("For good."), fault(Retry.SOON))
    with pytest.raises(DatabaseUnreachable, match="For good"):
        run(work, fault(Retry.SOON))
    assert work.tries == 1


def test_a_pause_takes_half_of_what_is_left_at_most(pauses: list[float]) -> None:
    run(Work(), fault(Retry.SLOWLY), seconds=8)
    assert 3 < pauses[0] <= 4


def test_no_time_no_try(pauses: list[float]) -> None:
    work = Work()
    with pytest.raises(DatabaseUnreachable, match="It failed"):
        run(work, fault(Retry.SOON), seconds=0)
    assert (work.tries, pauses) == (0, [])


def test_pauses_are_random_up_to_a_bound_that_doubles() -> None:
    backoff = retrying.Backoff(1, 16)
    for tries, bound in ((1, 1), (2, 2), (4, 8), (5, 16), (6, 16), (10_000, 16)):
        pauses = {backoff.pause_seconds(tries) for _ in range(300)}
        assert bound * 0.8 < max(pauses) <= bound
        assert min(pauses) < bound * 0.2


def test_pauses_grow_from_try_to_try(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    monkeypatch.setattr(retrying, "_SOON", retrying.Backoff(0.1, 4))
    run(Work(*(fault(Retry.SOON) for _ in range(7))), fault(Retry.SOON))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 4, 4]
