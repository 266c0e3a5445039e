"""What the commands that change tasks share: the choice of tasks, the question, the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.suggestions import complete_filter
from todo_cli.errors import InvalidInput
from todo_cli.values import MatchingTasks, TaskQuery, TaskRef, TaskState

if TYPE_CHECKING:
    from todo_cli.context import Run
    from todo_cli.filters import Filter
    from todo_cli.models import Task
    from todo_cli.tasks.repository import ChangedTasks, TaskRepository
    from todo_cli.values import Viewer

MAX_NAMED = 10
"""A question names so many of the tasks that it is about."""

Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        "-w",
        metavar="FILTER",
        autocompletion=complete_filter,
        help="In place of REFs: the tasks that match, such as '@home due:..fri'.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")
]


@dataclass(frozen=True)
class Change:
    """One command's change, done or only rehearsed."""

    run: Run
    is_rehearsal: bool = False

    @property
    def tasks(self) -> TaskRepository:
        workspace = self.run.workspace
        return workspace.rehearsed_tasks if self.is_rehearsal else workspace.tasks

    def choose(
        self,
        refs: Sequence[TaskRef],
        where: str | None,
        question: str,
        *,
        yes: bool,
        state: TaskState = TaskState.PENDING,
        always_asks: bool = False,
    ) -> Sequence[TaskRef]:
        """The tasks that references name, or a filter, of those in a state.

        About a filter, a person is asked; with `always_asks` about references too. `{}` in the
        question stands for the number of tasks. What the answer allows is what was asked about:
        these very tasks, even if others match by then.

        Raises:
            InvalidInput: there are both or neither; a filter is not valid, or too many tasks match;
                nobody can be asked.
            typer.Exit: the answer is no.
        """
        _require_one(refs, where)
        asks = (always_asks or where is not None) and not yes and not self.is_rehearsal
        if asks:
            self.run.questions.require_confirmable("--yes")
        if where is not None:
            found = self._matching(where, state)
            refs = [TaskRef(str(number), number=number) for number in found.numbers]
        elif asks:
            found = MatchingTasks.of(self.run.workspace.tasks.get(refs), MAX_NAMED)
        if asks and refs and not self._is_confirmed(question, found):
            self.run.render.note("Nothing was changed.")
            raise typer.Exit(1)
        return refs

    def _matching(self, where: str, state: TaskState) -> MatchingTasks:
        viewer = self.run.viewer()
        filter_ = read_filter(self.run, where, viewer, state)
        query = TaskQuery(state=state, filter=filter_, viewer=viewer)
        found = self.run.workspace.tasks.matching(query, titles=MAX_NAMED)
        if not found.numbers:
            self.run.render.note("No tasks match.")
        return found

    def _is_confirmed(self, question: str, found: MatchingTasks) -> bool:
        total = len(found.numbers)
        about = [
            f"{number}  {title}" for number, title in zip(found.numbers, found.titles, strict=False)
        ]
        if total > len(about):
            about.append(f"… and {total - len(about):,} more")
        count = "1 task" if total == 1 else f"{total:,} tasks"
        return self.run.questions.confirm(question.format(count), option="--yes", about=about)

    def show_changed(
        self, tasks: ChangedTasks, outcome: str, unchanged: str, *, as_array: bool = True
    ) -> None:
        """Show the outcome of each task: changed, or unchanged."""
        outcomes = [
            unchanged if task.id in tasks.unchanged else self._said(outcome) for task in tasks
        ]
        self._show(outcomes, tasks, as_array=as_array)

    def show(
        self, outcomes: str | Sequence[str], tasks: Sequence[Task], *, as_array: bool = True
    ) -> None:
        """Show tasks that were all changed, with one outcome for all or one for each."""
        each = [outcomes] * len(tasks) if isinstance(outcomes, str) else outcomes
        self._show(list(map(self._said, each)), tasks, as_array=as_array)

    def show_added(self, added: Task | list[Task]) -> None:
        """Show the added tasks: one task, or a list of them from lines of input."""
        if not self.is_rehearsal or self.run.render.is_quiet:
            self.run.render.added(added)
        else:
            is_list = isinstance(added, list)
            self.show("Added", added if isinstance(added, list) else [added], as_array=is_list)

    def _said(self, outcome: str) -> str:
        return f"Would be {outcome.lower()}" if self.is_rehearsal else outcome

    def _show(self, outcomes: Sequence[str], tasks: Sequence[Task], *, as_array: bool) -> None:
        self.run.render.changed(outcomes, tasks, as_array=as_array)
        if self.is_rehearsal and tasks:
            counts = [f"{outcome}: {count:,}." for outcome, count in Counter(outcomes).items()]
            self.run.render.note(" ".join([*counts, "Nothing was changed."]))


def read_filter(run: Run, typed: Sequence[str] | str, viewer: Viewer, state: TaskState) -> Filter:
    """The filter that words are, or one text, for tasks in a state.

    Raises:
        InvalidInput: it is none, or contradicts the state.
    """
    from todo_cli import filters

    read_days = filters.days_reader(viewer.now, run.settings.date_order)
    if isinstance(typed, str):
        filter_ = filters.parse_text(typed, read_days)
    else:
        filter_ = filters.parse(typed, read_days)
    filters.require_possible(filter_, state)
    return filter_


def _require_one(refs: Sequence[TaskRef], where: str | None) -> None:
    if refs and where is not None:
        raise InvalidInput(
            "Tasks are named by REFs or by -w, not by both.", hint="Leave one of them out."
        )
    if not refs and where is None:
        raise InvalidInput("No task is named.", hint="Give its number, or a filter: -w 'due:today'")
