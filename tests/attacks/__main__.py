"""Make every attack in both ways on a server of its own, and print a table of the outcomes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.attacks.attacks import ATTACKS
from tests.attacks.scene import WAYS, Scene, carry_out
from todo_cli.admin import migrate
from todo_cli.database.embedded import EmbeddedServer


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="todo-attacks-"))
    server = EmbeddedServer(folder, {})
    server.start()
    try:
        migrate.upgrade(server.url)
        return _print_table(Scene.make(server.url))
    finally:
        server.stop()
        shutil.rmtree(folder)


def _print_table(scene: Scene) -> int:
    """Print the table in Markdown; answer 1 if an attack succeeded."""
    successes = 0
    print("| attack | outcome |")
    print("| --- | --- |")
    for name, attack in ATTACKS.items():
        outcomes = []
        for way in WAYS:
            try:
                outcomes.append(carry_out(scene, way, attack))
            except AssertionError as error:
                successes += 1
                outcomes.append(f"**SUCCEEDED** ({way}): {error}")
        print(f"| {name} | {'; '.join(dict.fromkeys(outcomes))} |")
    ways = " and as ".join(WAYS)
    print(f"\n{len(ATTACKS)} attacks, each as {ways}: {successes} succeeded.")
    return 1 if successes else 0


sys.exit(main())
