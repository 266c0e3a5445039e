"""Defines checks: values, their limits, and the registration of checks.

To add a check, write a function of the facts in the module of its subject and
register it with `@SUBJECT.check`, together with the SQL of the facts that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from todo_cli.admin.connect import NOT_OWNER, Connection, one
from todo_cli.admin.explain import TARGETS


class CheckStatus(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


OK, WARN, FAIL = CheckStatus.OK, CheckStatus.WARN, CheckStatus.FAIL


@dataclass(frozen=True)
class Check:
    """One finding: `value`, in `unit`, was compared with `limit`. Each may be None.

    `hint` says what to do, without naming a command. `reason` is a stable word from which a front
    end makes its own hint.
    """

    name: str
    status: CheckStatus
    value: Any
    unit: str | None
    limit: Any
    message: str
    hint: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Limits:
    """The limits of the checks, with their sources."""

    connect_milliseconds: float = 10_000
    """Neon starts a suspended compute in a few hundred milliseconds, sometimes in 8 to 10 s."""
    query_milliseconds: float = 100
    """The specification's target for a read. `select 1` must take less."""
    oldest_server: int = 15
    newest_server: int = 18
    """The majors that the tests run on."""
    dead_ratio: float = 0.2
    """PostgreSQL's autovacuum_vacuum_scale_factor. Above it, autovacuum should have run."""
    dead_rows: int = 10_000
    """With fewer dead rows the ratio means nothing."""
    cache_hit_ratio: float = 0.99
    """Neon's target for its local file cache. It is common for shared buffers too."""
    cache_blocks: int = 100_000
    """After fewer requested blocks (800 MB) the ratio means nothing, since caches start empty."""
    connections_ratio: float = 0.8
    long_statement_seconds: float = 300
    """Neon's inspector calls a statement long after five minutes."""
    blocked_seconds: float = 30
    """Neon's inspector calls a statement stalled after 30 s."""
    transaction_age: int = 200_000_000
    """autovacuum_freeze_max_age. Above it, autovacuum runs to prevent wraparound."""
    disk_free_ratio: float = 0.1
    database_ratio: float = 0.9
    """The share of the size that Neon's plan allows."""
    clock_seconds: float = 2
    targets: dict[str, float] = field(default_factory=lambda: dict(TARGETS))
    """Milliseconds of the seven query patterns: 100 to read, 50 to write (migrations/README.md)."""


class Facts(dict[str, Any]):
    """The values that a database returned, by name, and the limits to compare them with."""

    def __init__(self, limits: Limits, /, **facts: Any) -> None:
        super().__init__(facts)
        self.limits = limits


Judge = Callable[[Facts], Check | None]


class Subject:
    """Checks on the facts of one statement, in the order of their registration."""

    def __init__(self, *parts: Subject) -> None:
        self._expressions: dict[str, str] = {}
        self._judges: list[Judge] = []
        for part in parts:
            self.needs(**part._expressions)
            self._judges += part._judges

    def needs(self, **expressions: str) -> None:
        """Register SQL expressions as facts, by name. Several checks may use a fact."""
        for name, expression in expressions.items():
            if self._expressions.setdefault(name, expression) != expression:
                raise ValueError(f"Two facts are named {name}.")

    def check(self, **expressions: str) -> Callable[[Judge], Judge]:
        """Register a check, and facts that it needs in addition."""
        self.needs(**expressions)

        def register(judge: Judge) -> Judge:
            self._judges.append(judge)
            return judge

        return register

    def ask(self, connection: Connection, limits: Limits) -> Facts:
        """All facts, by one statement."""
        pairs = ", ".join(f"'{name}', {sql}" for name, sql in self._expressions.items())
        return Facts(limits, **one(connection, f"select jsonb_build_object({pairs})"))

    def judge(self, facts: Facts) -> Iterator[Check]:
        for judge in self._judges:
            if (check := judge(facts)) is not None:
                yield check


# --- how a value is held against its limit ---------------------------------------------------


def at_most(
    name: str,
    value: float,
    limit: float,
    unit: str,
    what: str,
    hint: str | None = None,
    *,
    reason: str | None = None,
) -> Check:
    is_over = value > limit
    return Check(
        name,
        WARN if is_over else OK,
        value,
        unit,
        limit,
        f"{said(value, unit)} {what}.",
        hint if is_over else None,
        reason if is_over else None,
    )


def at_least(name: str, value: float, limit: float, unit: str, what: str, hint: str) -> Check:
    is_under = value < limit
    return Check(
        name,
        WARN if is_under else OK,
        value,
        unit,
        limit,
        f"{said(value, unit)} {what}.",
        hint if is_under else None,
    )


def said(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:,} {unit}"


def listed(
    name: str,
    wrong: list[str],
    what: str,
    hint: str | None = None,
    *,
    status: CheckStatus = FAIL,
    reason: str | None = None,
) -> Check:
    return Check(
        name,
        status if wrong else OK,
        wrong,
        None,
        [],
        f"{', '.join(wrong)} {what}." if wrong else "As expected.",
        hint if wrong else None,
        reason if wrong else None,
    )


UPGRADE_REPAIRS = "upgrade_repairs"
"""The reason of a check if an upgrade of the schema restores what is missing."""

SEES_ALL_HINT = "Grant it the role pg_read_all_stats."


def sees_less(hint: str | None = None) -> Check:
    return Check(
        "sight",
        WARN,
        False,
        None,
        True,
        "This role may not look at everything; some checks were left out.",
        hint,
        NOT_OWNER if hint is None else None,
    )
