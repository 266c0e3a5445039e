"""Round trips through the stand-in for Neon: as few as psql, under half of a plain script."""

from __future__ import annotations

import pytest

from tests.benchmarks.distance import COMMANDS, Rivals, round_trips
from tests.support.neon import Neon
from tests.support.people import sign_up

CONNECTION = 5
"""TCP, TLS 1.3, the StartupMessage, and two for SCRAM."""


@pytest.fixture
def rivals(neon: Neon, neon_database: str) -> Rivals:
    person = sign_up(neon.superuser_url(neon_database), "far")
    rivals = Rivals(neon.url(neon_database), person)
    rivals.ours("add")
    return rivals


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cold_command_is_the_connection_and_one(neon: Neon, rivals: Rivals, command: str) -> None:
    ours = round_trips(neon, rivals.ours, command)
    assert ours == CONNECTION + 1
    assert ours == round_trips(neon, rivals.libpq, command) - 1
    assert ours < round_trips(neon, rivals.script, command) / 2


@pytest.mark.parametrize("command", COMMANDS)
def test_without_direct_tls_it_is_as_many_as_psql_needs(
    neon: Neon, rivals: Rivals, command: str
) -> None:
    asking_first = Rivals(f"{rivals.url}&sslnegotiation=postgres", rivals.person)
    ours = round_trips(neon, asking_first.ours, command)
    assert ours == round_trips(neon, rivals.libpq, command) == CONNECTION + 2


def test_distance_changes_no_count(neon: Neon, rivals: Rivals) -> None:
    neon.pooled.latency_seconds = 0.02
    assert round_trips(neon, rivals.ours, "list") == CONNECTION + 1
