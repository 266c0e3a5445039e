"""The statistics: figures in columns, and a chart of the days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from todo_cli.render.terminal import COLUMN_GAP, NARROW, plain_table
from todo_cli.render.words import duration, relative_time
from todo_cli.values import DayCount, Stats

if TYPE_CHECKING:
    from rich.table import Table

MIN_CHART_ROWS = 5
MIN_BAR_WIDTH, MAX_BAR_WIDTH = 6, 30
DAYS_OF_A_YEAR = 365


def figures(stats: Stats, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Pending", f"{stats.pending:,}"
    yield "Completed", f"{stats.completed:,}"
    if stats.trash:
        yield "In the trash", f"{stats.trash:,}"
    yield "Created in 7 days", f"{stats.created_last_7_days:,}"
    yield "Completed in 7 days", f"{stats.completed_last_7_days:,}"
    yield "Streak", f"{stats.streak_days:,} day{'' if stats.streak_days == 1 else 's'}"
    if stats.median_hours_to_done is not None:
        yield "Median time to done", duration(stats.median_hours_to_done * 3600)
    if stats.oldest_pending is not None:
        yield "Oldest pending", relative_time(stats.oldest_pending, now)


def figures_table(pairs: Sequence[tuple[str, str]], width: int) -> Table:
    """The figures, in two columns if they fit, so that the chart has more lines."""
    columns = 1 if width < NARROW else 2
    lines = -(-len(pairs) // columns)
    table = plain_table(header=False)
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", style="bold", no_wrap=True)
    for line in range(lines):
        table.add_row(*(text for pair in pairs[line::lines] for text in pair))
    return table


def chart(days: Sequence[DayCount], width: int, max_rows: int) -> Table:
    """Bars of created and completed tasks per day, or per span of days if there are many days."""
    from rich.bar import Bar

    span = -(-len(days) // max_rows)
    rows = [days[start : start + span] for start in range(0, len(days), span)]
    counts = [(sum(d.created for d in row), sum(d.completed for d in row)) for row in rows]
    most = max(1, *(count for pair in counts for count in pair))
    date_format = "%m-%d" if len(days) <= DAYS_OF_A_YEAR else "%Y-%m-%d"
    texts = [row[0].date.strftime(date_format) for row in rows]
    taken = len(texts[0]) + 2 * len(f"{most:,}") + 4 * COLUMN_GAP
    bar_width = max(MIN_BAR_WIDTH, min(MAX_BAR_WIDTH, (width - taken) // 2))
    table = plain_table()
    table.add_column("Day" if span == 1 else "From", style="dim", no_wrap=True)
    table.add_column("Created", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("Completed" if width >= NARROW else "Done", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for text, (created, completed) in zip(texts, counts, strict=True):
        table.add_row(
            text,
            Bar(most, 0, created, width=bar_width, color="cyan"),
            f"{created:,}" if created else "",
            Bar(most, 0, completed, width=bar_width, color="green"),
            f"{completed:,}" if completed else "",
        )
    return table
