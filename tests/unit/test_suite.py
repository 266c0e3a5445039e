"""How the suite itself runs: its time limit, its order, and with SIGINT ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]

HANGS = """
import signal, time

def test_before(): pass

def test_hangs():
    {preparation}
    time.sleep(60)

def test_after(): pass
"""


def run_pytest(
    file: Path, *options: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as the suite is run, with its configuration and fixtures."""
    project = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *project, *options, str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


def test_a_test_that_takes_too_long_fails_by_name_and_the_next_one_runs(tmp_path: Path) -> None:
    file = tmp_path / "test_slow.py"
    file.write_text(HANGS.format(preparation=""))
    done = run_pytest(file, "-n", "0", "-o", "time_limit_seconds=0.5")
    assert "::test_hangs took longer than 0.5 seconds." in done.stdout
    assert "1 failed, 2 passed" in done.stdout


def test_a_test_that_cannot_be_interrupted_ends_by_name_with_its_process(tmp_path: Path) -> None:
    file = tmp_path / "test_slow.py"
    deaf = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})"
    file.write_text(HANGS.format(preparation=deaf))
    done = run_pytest(file, "-n", "1", "-o", "faulthandler_timeout=1")
    assert "crashed while running" in done.stdout and "::test_hangs'" in done.stdout
    assert "1 failed, 2 passed" in done.stdout


def test_a_process_that_ignores_ctrl_c_starts_tests_that_do_not(tmp_path: Path) -> None:
    """`nohup … &` starts the suite so, and every child inherits what is ignored."""
    file = tmp_path / "test_ctrl_c.py"
    file.write_text(
        "import signal, subprocess, sys, pytest\n"
        "def test_here():\n"
        "    with pytest.raises(KeyboardInterrupt):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "def test_in_a_child():\n"
        "    code = 'import signal; signal.raise_signal(signal.SIGINT)'\n"
        "    done = subprocess.run([sys.executable, '-c', code], capture_output=True)\n"
        "    assert done.returncode == -signal.SIGINT\n"
    )

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    done = run_pytest(file, "-n", "1", before=ignore)
    assert "2 passed" in done.stdout, done.stdout


def test_a_random_order_is_given_again_by_its_seed(tmp_path: Path) -> None:
    file = tmp_path / "test_many.py"
    file.write_text("".join(f"def test_{number}(): pass\n" for number in range(20)))

    def order(seed: str) -> list[str]:
        done = run_pytest(
            file, "-n", "0", "-v", "--random-order-bucket=global", f"--random-order-seed={seed}"
        )
        assert f"seed={seed}" in done.stdout.replace(": ", "=")
        return [line.split()[0] for line in done.stdout.splitlines() if "PASSED" in line]

    first = order("1")
    assert len(first) == 20
    assert order("1") == first != order("2")
