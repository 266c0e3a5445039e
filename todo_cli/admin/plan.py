"""Reads a query plan: its indexes, its large scans and its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LARGE_SCAN = 10_000
"""A sequential scan of more rows than this is a fault. On a small table it is the best plan."""


@dataclass(frozen=True)
class Plan:
    """One plan. `milliseconds` (planning and execution) is None if the plan was not executed."""

    indexes: list[str]
    large_scans: list[str]
    rows: int
    buffers: int
    milliseconds: float | None
    text: str

    @classmethod
    def of(cls, document: Any) -> Plan:
        """Read the answer of `explain (format json)`."""
        root = document[0]
        nodes = list(_nodes(root["Plan"]))
        indexes = sorted({node["Index Name"] for node in nodes if "Index Name" in node})
        spent = root.get("Execution Time")
        return cls(
            indexes=indexes,
            large_scans=[node["Relation Name"] for node in nodes if _is_large_scan(node)],
            rows=int(root["Plan"].get("Actual Rows", root["Plan"]["Plan Rows"])),
            buffers=sum(int(root["Plan"].get(f"Shared {kind} Blocks", 0)) for kind in _BUFFERS),
            milliseconds=None if spent is None else spent + root.get("Planning Time", 0.0),
            text="\n".join(_lines(root["Plan"], 0)),
        )


_BUFFERS = ("Hit", "Read")


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _is_large_scan(node: Mapping[str, Any]) -> bool:
    if node["Node Type"] != "Seq Scan" or node.get("Actual Loops", 1) == 0:
        return False
    seen = node.get("Actual Rows", node["Plan Rows"]) + node.get("Rows Removed by Filter", 0)
    return bool(seen * node.get("Actual Loops", 1) > LARGE_SCAN)


def _lines(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The plan as an outline: operation, object and rows."""
    on = node.get("Index Name") or node.get("Relation Name") or node.get("CTE Name") or ""
    rows = node.get("Actual Rows", node["Plan Rows"])
    yield f"{'  ' * depth}{node['Node Type']}{' on ' if on else ''}{on} ({rows:,.0f} rows)"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
