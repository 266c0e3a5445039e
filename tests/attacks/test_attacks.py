"""Every attack, in both ways, fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.attacks import ATTACKS, Attack
from tests.attacks.scene import WAYS, Attacker, Scene, carry_out
from tests.conftest import Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scene(postgres: Postgres, template: str) -> Iterator[Scene]:
    postgres.execute(f"create database attacked template {template} strategy file_copy")
    made = Scene.make(postgres.url("attacked"))
    yield made
    made.remove()
    postgres.execute("drop database attacked with (force)")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_fails(scene: Scene, way: str, attack: Attack) -> None:
    assert carry_out(scene, way, attack)


def test_the_scene_would_notice(scene: Scene) -> None:
    """What an owner can do is seen as a success: the watch is awake."""
    for statement, sign in (
        ("table tasks", "was told"),
        ("update tasks set completed = true", "was changed"),
    ):

        def succeed(alice: Attacker, statement: str = statement) -> str:
            alice.run("reset role")
            alice.run(statement)
            return ""

        with pytest.raises(AssertionError, match=sign):
            carry_out(scene, WAYS[1], succeed)


def test_the_table_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"| {name} | " in done.stdout for name in ATTACKS)
    assert done.stdout.endswith("0 succeeded.\n")
    table = done.stdout.partition("\n\n")[0]
    assert table in (ROOT / "migrations" / "README.md").read_text(encoding="utf-8")
