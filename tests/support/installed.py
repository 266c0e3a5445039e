"""The program as a person installs it: its wheel in a virtual environment."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path, *, editable: bool = False) -> Path:
    target = "wheel:editable" if editable else "wheel"
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the program. Its libraries are those of the running tests."""

    folder: Path

    @classmethod
    def from_wheel(cls, wheel: Path, folder: Path) -> Installed:
        installed = cls(folder)
        venv.create(folder, symlinks=True)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
        pip = [sys.executable, "-m", "pip", "--python", str(installed.python), "install"]
        subprocess.run([*pip, *options, str(wheel)], check=True, capture_output=True)
        (installed.site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return installed

    @property
    def todo(self) -> Path:
        return self.folder / "bin" / "todo"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python3"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found
