"""Markdown's list of tasks, to read and to paste. It is not read back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from todo_cli.formats.record import Context

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def write(tasks: Iterable[dict[str, Any]], _: Context, lost: Counter[str]) -> Iterator[str]:
    for task in tasks:
        if task["deleted_at"]:
            lost["trash"] += 1
            continue
        details = [
            *(f"{name}: {task[name]}" for name in ("due_on", "wait_on", "priority", "project")
              if task[name]),
            *(f"@{tag}" for tag in task["tags"]),
        ]  # fmt: skip
        said = f" ({', '.join(map(_escaped, details))})" if details else ""
        yield f"- [{'x' if task['completed'] else ' '}] {_escaped(task['title'])}{said}\n"
        for line in (task["description"] or "").splitlines():
            yield f"  {_escaped(line)}\n" if line.strip() else "\n"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
