"""Walking a cut through the conversation of a command, and judging what it left behind.

For each message of the server, the connection is cut just before it and just after it. The command
must then answer "done" with its change there exactly once, or "cannot be reached" with the change
there once or not at all: never twice, never half, never another error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg

from tests.support.neon import Neon
from tests.support.people import Person, sign_up
from tests.support.proxy import WireProxy

Row = tuple[Any, ...]
State = list[Row]
Side = Literal["before", "after"]

HUNDRED_LINES = "".join(f"line {n}\n" for n in range(1, 101))

_STATE = """
select number, title, description, completed, completed_at is not null, deleted_at is not null
from tasks order by number
"""
_RESET = "truncate tasks, task_events, todo_auth.task_counters"
_SEED = """
insert into tasks (user_id, title, completed, deleted_at) values
    (%(user)s, 'pending', false, null),
    (%(user)s, 'done', true, null),
    (%(user)s, 'in the trash', false, now())
"""


@dataclass(frozen=True)
class Walk:
    """One command whose conversation is cut."""

    name: str
    words: list[str]
    stdin: str = ""
    before: tuple[str, ...] = ()
    """Statements before each run: what the command undoes, or does again."""


_SESSION = "select set_config('todo.session_token', %(token)s, false)"
_DONE = "update tasks set completed = true where user_id = %(user)s"
_UNDO = "select todo_auth.undo(gen_random_uuid(), false, false)"

WALKS = [
    Walk("add", ["add", "Buy", "milk"]),
    Walk("add - (100 lines)", ["add", "-"], HUNDRED_LINES),
    Walk("done", ["done", "1"]),
    Walk("reopen", ["reopen", "2"]),
    Walk("toggle", ["toggle", "1", "2"]),
    Walk("edit", ["edit", "1", "--title", "changed"]),
    Walk("rm", ["rm", "1", "2"]),
    Walk("restore", ["restore", "3"]),
    Walk("edit -w", ["edit", "-w", "is:done,pending", "--title", "changed", "--yes"]),
    Walk("undo", ["undo"], before=(_DONE,)),
    Walk("undo of add", ["undo"]),
    Walk("redo", ["redo"], before=(_DONE, _SESSION, _UNDO)),
]


@dataclass
class Outcomes:
    """What became of one command under all its cuts."""

    messages: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class CutWalker:
    """Runs commands of one person against one database of the stand-in, cut in all places."""

    def __init__(
        self,
        neon: Neon,
        database: str,
        call: Callable[..., Any],
        *,
        is_pooled: bool = True,
    ) -> None:
        self._url = neon.url(database, is_pooled=is_pooled)
        self._superuser_url = neon.superuser_url(database)
        self._proxy: WireProxy = neon.pooled if is_pooled else neon.direct
        self._call = call
        self._person: Person = sign_up(self._superuser_url, "cut")

    def walk(self, walk: Walk, *, times: int, row_stride: int = 1) -> Outcomes:
        """Cut everywhere, `times` connections in a row.

        Of rows among rows, which all look the same to a client, only every so many-th is cut.
        """
        outcomes = Outcomes()
        with psycopg.connect(self._superuser_url, autocommit=True) as observer:
            untouched = self._reset(observer, walk)
            self._proxy.stats.reset()
            assert self._run(walk).exit_code == 0
            # A command may have used its connection for several statements; it is still the newest.
            kinds = self._proxy.server_messages_seen
            outcomes.messages = len(kinds)
            changed = _state(observer)
            assert changed != untouched
            for message, side in _places(kinds, row_stride):
                self._reset(observer, walk)
                verdict = self._cut(walk, message, side, times)
                outcome = _judge(verdict, _state(observer), untouched, changed)
                outcomes.counts[outcome] += 1
                if outcome.startswith("WRONG"):
                    outcomes.wrong.append(f"{walk.name}, {side} message {message}: {outcome}")
        return outcomes

    def _cut(self, walk: Walk, message: int, side: Side, times: int) -> Any:
        self._proxy.stats.reset()
        if side == "before":
            self._proxy.cut(before_server_message=message, times=times)
        else:
            self._proxy.cut(after_server_message=message, times=times)
        try:
            result = self._run(walk)
        finally:
            self._proxy.heal()
        assert self._proxy.stats.cuts >= 1, f"the cut {side} message {message} never came"
        return result

    def _run(self, walk: Walk) -> Any:
        environ = {"TODO_DATABASE_URL": self._url, "TODO_TIMEOUT": "20"}
        return self._call(*walk.words, stdin=walk.stdin, environ=environ, person=self._person)

    def _reset(self, observer: psycopg.Connection[Any], walk: Walk) -> State:
        observer.execute(_RESET)
        values = {"user": self._person.id, "token": self._person.token}
        for statement in (_SEED, *walk.before):
            observer.execute(statement.encode(), values)
        return _state(observer)


def _places(kinds: list[bytes], row_stride: int) -> Iterator[tuple[int, Side]]:
    """Where to cut: before and after each message, counted from 1."""
    sides: tuple[Side, Side] = ("before", "after")
    for index in range(len(kinds)):
        is_row_among_rows = kinds[max(0, index - 1) : index + 2] == [b"D"] * 3
        if not is_row_among_rows or index % row_stride == 0:
            yield from ((index + 1, side) for side in sides)


def _state(observer: psycopg.Connection[Any]) -> State:
    return observer.execute(_STATE).fetchall()


def _judge(result: Any, state: State, untouched: State, changed: State) -> str:
    where = {True: "there once", False: "not there"}.get(state == changed)
    if state not in (untouched, changed):
        return f"WRONG: exit {result.exit_code}, neither the old state nor the new"
    if result.exit_code == 0 and state == changed:
        return "exit 0, there once"
    if result.exit_code == 3:
        return f"exit 3, {where}"
    return f"WRONG: exit {result.exit_code}, {where}: {result.stderr.strip()}"
