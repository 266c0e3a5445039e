"""Which tasks a filter means by what it does not say."""

from __future__ import annotations

from todo_cli.errors import InvalidInput
from todo_cli.filters.tree import Days, Has, Is, required, terms_of
from todo_cli.filters.vocabulary import Field, Part, State
from todo_cli.values import Filter, TaskState

_COMPLETION = frozenset({State.PENDING, State.DONE, State.TRASH})

_IMPOSSIBLE = {
    TaskState.DONE: frozenset({State.PENDING, State.OVERDUE, State.WAITING, State.TRASH}),
    TaskState.ALL: frozenset({State.TRASH}),
    TaskState.ARCHIVED: frozenset({State.PENDING, State.OVERDUE, State.WAITING, State.TRASH}),
}
"""The states that none of these tasks has."""

_LISTS = {
    TaskState.DONE: "completed tasks",
    TaskState.ALL: "all tasks but those in the trash",
    TaskState.ARCHIVED: "archived tasks",
}


def names_completion(tree: Filter) -> bool:
    """Whether the filter says something of pending, done or trash, so that pending is not meant."""
    return any(
        (isinstance(term, Is) and term.state in _COMPLETION)
        or (isinstance(term, Days) and term.field is Field.DONE)
        for term in terms_of(tree)
    )


def names_trash(tree: Filter) -> bool:
    """Whether the filter says something of the trash, so that it is not left out."""
    return Is(State.TRASH) in terms_of(tree)


def names_waiting(tree: Filter) -> bool:
    """Whether the filter says something of waiting, so that tasks that wait are not left out."""
    return names_completion(tree) or any(
        (isinstance(term, Days) and term.field is Field.WAIT)
        or term in (Is(State.WAITING), Has(Part.WAIT))
        for term in terms_of(tree)
    )


def require_possible(tree: Filter, shown: TaskState) -> None:
    """See that a filter does not contradict what else says which tasks are meant.

    Raises:
        InvalidInput: it requires a state that none of them has.
    """
    for part in required(tree):
        if isinstance(part, Is) and part.state in _IMPOSSIBLE.get(shown, ()):
            raise InvalidInput(
                f"Of {_LISTS[shown]}, none is {_named(part.state)}.",
                hint=f"Leave out is:{part.state}, or name other tasks.",
                reason="contradiction",
            )


def _named(state: State) -> str:
    return "in the trash" if state is State.TRASH else state
