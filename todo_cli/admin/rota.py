"""Assigns the n-th demo task to a user, deterministically and by a power law.

Random owners would have to be sorted, counted and joined for every batch, which would double the
time of a load. Instead, tasks are assigned round-robin to a fixed number of seats. Each of the
busiest users has seats of their own. The other users share seats and take turns.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SEATS = 4096

TAIL = 0.9
"""The exponent of the tail: the n-th busiest user has about n^-0.9 of the busiest one's tasks."""
HEAD_SHARE = 20_000
"""Flattens the head, so that the busiest of 100,000 users has about 1 % of the tasks."""


@dataclass(frozen=True)
class Rota:
    """The holders of each seat, by its position. Users are numbered from 0, the busiest.

    The turns of a seat's holders are t = round * seats + seat. Each holder has one of `people`
    consecutive turns, in an order that the caller chooses. The task of turn t is task number
    t // people + 1 of its holder.
    """

    first: list[int]
    """The first of the users who share the seat."""
    people: list[int]
    """How many users share the seat."""
    seats: list[int]
    """How many seats the holders have. If that is more than one, there is one holder."""
    seat: list[int]
    """Which of these seats this is, from 0."""


@dataclass(frozen=True)
class _Holders:
    first: int
    people: int
    seats: int


def draw_up(users: int, random_seed: int) -> Rota:
    """The seats of one or more users, in an order that depends on the random seed."""
    holders = _holders(_Shares(users))
    places = [each for each in holders for _ in range(each.seats)]
    generator = random.Random(random_seed)  # noqa: S311 - nothing secret hangs on it
    places.sort(key=lambda _: generator.random())
    taken = dict.fromkeys(holders, 0)
    seat = []
    for each in places:
        seat.append(taken[each])
        taken[each] += 1
    return Rota(
        [each.first for each in places],
        [each.people for each in places],
        [each.seats for each in places],
        seat,
    )


class _Shares:
    """The shares of all tasks that users have."""

    def __init__(self, users: int) -> None:
        self.users = users
        self._head = users / HEAD_SHARE + 1
        self._low = self._head ** (1 - TAIL)
        self._span: float = (self._head + users) ** (1 - TAIL) - self._low

    def of_first(self, people: int) -> float:
        return float((self._head + people) ** (1 - TAIL) - self._low) / self._span

    def people_with(self, share: float) -> float:
        """How many of the busiest users have this share together."""
        return float((share * self._span + self._low) ** (1 / (1 - TAIL)) - self._head)


def _holders(shares: _Shares) -> list[_Holders]:
    alone, seats_taken = _alone(shares)
    first, free = len(alone), SEATS - seats_taken
    share = shares.of_first(first)
    together = []
    for seat in range(1, free + 1):
        last = round(shares.people_with(share + (1 - share) * seat / free))
        # In spite of rounding, each seat has a holder, and no holder has two.
        last = min(max(last, first + 1), shares.users - (free - seat))
        together.append(_Holders(first, last - first, 1))
        first = last
    return alone + together


def _alone(shares: _Shares) -> tuple[list[_Holders], int]:
    """The users with a share of at least one seat, and how many seats they have in total."""
    holders: list[_Holders] = []
    seats_taken = 0
    for person in range(shares.users):
        before, after = shares.of_first(person), shares.of_first(person + 1)
        if (after - before) * SEATS < 1:
            break
        seats = round(after * SEATS) - seats_taken
        holders.append(_Holders(person, 1, seats))
        seats_taken += seats
    return holders, seats_taken
