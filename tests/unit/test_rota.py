"""The rota gives each task to one person, and each person numbers without a gap."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from todo_cli.admin import rota
from todo_cli.admin.rota import SEATS


def turns(users: int, tasks: int, random_seed: int = 1) -> list[tuple[int, int]]:
    """Person and number of each task; who share a seat take turns in a fixed order."""
    table = rota.draw_up(users, random_seed)
    drawn = []
    for n in range(tasks):
        place = n % SEATS
        turn = n // SEATS * table.seats[place] + table.seat[place]
        people = table.people[place]
        drawn.append((table.first[place] + turn % people, turn // people + 1))
    return drawn


@pytest.mark.parametrize("users", [1, 2, 20, 1_000, 3_000, 5_000, 20_000])
def test_everybody_counts_up_from_one_without_a_gap(users: int) -> None:
    numbers = defaultdict(list)
    for person, number in turns(users, 10 * SEATS):
        assert 0 <= person < users
        numbers[person].append(number)
    assert all(mine == list(range(1, len(mine) + 1)) for mine in numbers.values())


def test_a_few_have_most() -> None:
    tasks = 100 * SEATS
    counts = sorted(Counter(person for person, _ in turns(10_000, tasks)).values(), reverse=True)
    assert len(counts) == 10_000
    assert 0.5 < sum(counts[:1_000]) / tasks < 0.8
    assert counts[0] > 100 * counts[-1]


def test_the_order_at_the_table_is_the_random_seeds() -> None:
    assert turns(20, 100) == turns(20, 100)
    assert turns(20, 100) != turns(20, 100, random_seed=2)
