"""Whose the n-th task is, from n alone, where a few people have most of all tasks.

Drawing each task's owner by chance would mean to sort, count and join the owners of every batch,
which was half of the time of a load. Here tasks go round a table of seats instead. Each of the
busiest people holds seats of their own; the others share seats and take turns.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SEATS = 4096

TAIL = 0.9
"""The exponent of the tail: the n-th busiest person has about n^-0.9 of the busiest one's tasks."""
HEAD_SHARE = 20_000
"""Flattens the head to about 1 % for the busiest of 100,000 people."""


@dataclass(frozen=True)
class Rota:
    """What holds at each seat, by its place at the table. People are numbered from 0, the busiest.

    The turns of a seat's holders are t = round * seats + seat. In `people` turns each of them has
    one, in an order of the caller's, and the task of that turn is number t // people + 1 of theirs.
    """

    first: list[int]
    """The first of the people who hold it."""
    people: list[int]
    """How many they are."""
    seats: list[int]
    """How many seats they hold in all; where that is more than one, they are one person."""
    seat: list[int]
    """Which of those this is, from 0."""


@dataclass(frozen=True)
class _Holders:
    first: int
    people: int
    seats: int


def draw_up(users: int, random_seed: int) -> Rota:
    """The seats of so many users, at least one, in an order that the random seed decides."""
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
    """How much of all tasks people have."""

    def __init__(self, users: int) -> None:
        self.users = users
        self._head = users / HEAD_SHARE + 1
        self._low = self._head ** (1 - TAIL)
        self._span: float = (self._head + users) ** (1 - TAIL) - self._low

    def of_first(self, people: int) -> float:
        return float((self._head + people) ** (1 - TAIL) - self._low) / self._span

    def people_with(self, share: float) -> float:
        """How many of the busiest have this share together."""
        return float((share * self._span + self._low) ** (1 / (1 - TAIL)) - self._head)


def _holders(shares: _Shares) -> list[_Holders]:
    alone, seats_taken = _alone(shares)
    first, free = len(alone), SEATS - seats_taken
    share = shares.of_first(first)
    together = []
    for seat in range(1, free + 1):
        last = round(shares.people_with(share + (1 - share) * seat / free))
        # Whatever rounding does, there is somebody at each seat, and nobody at two.
        last = min(max(last, first + 1), shares.users - (free - seat))
        together.append(_Holders(first, last - first, 1))
        first = last
    return alone + together


def _alone(shares: _Shares) -> tuple[list[_Holders], int]:
    """Those who have at least a seat's worth, and how many seats they hold in all."""
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
