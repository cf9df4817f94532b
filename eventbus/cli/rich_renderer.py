"""Draws with rich: tables with lines, progress bars, and a table that is kept up to date. Imported only if rich is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table as RichTable
from rich.text import Text

from eventbus.cli.plain_renderer import table_lines
from eventbus.cli.renderer import ShowProgress, ShowTable, Table


class RichRenderer:
    """Draws on a terminal. Texts stay as they are: no markup, no emoji codes, nothing highlighted."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._console = Console(
            file=out,
            force_terminal=True,
            no_color=not colour,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )

    def table(self, table: Table) -> None:
        """Print a table."""
        self._console.print(self._draw(table))

    @contextmanager
    def live_table(self) -> Iterator[ShowTable]:
        """Draw on the terminal's second screen, and return to the first one at the end."""
        with Live(console=self._console, auto_refresh=False, screen=True) as live:
            yield lambda table, title: live.update(self._draw(table, title), refresh=True)

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[ShowProgress]:
        """Draw a bar with numbers, or a spinner with numbers where the total is not known."""
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        columns += [SpinnerColumn(), _Count()] if total is None else [BarColumn(), MofNCompleteColumn()]
        columns += [_Rate(), TextColumn("{task.fields[note]}", markup=False)]
        with Progress(*columns, console=self._console, redirect_stdout=False, redirect_stderr=False) as bars:
            task = bars.add_task(description, total=total, note="")
            yield lambda done, note="": bars.update(task, completed=done, note=note)

    def _draw(self, table: Table, title: str = "") -> RenderableType:
        """Draw columns, or, where the terminal is too narrow for them, each row on lines of its own."""
        width = max(map(cell_len, table_lines(table))) + len(table.columns)  # rich adds a space to each gap
        return _columns(table, title) if width <= self._console.width else _stacked(table, title)


def _stacked(table: Table, title: str) -> Group:
    """Draw the first cell of each row, and below it the rest that is not empty, each after its head."""
    parts: list[RenderableType] = [Text(title)] if title else []
    for colour, (first, *cells) in table.coloured_rows:
        parts.append(Text(first, style=f"bold {colour}".strip()))
        rest = [f"{column.head} {cell}" for column, cell in zip(table.columns[1:], cells, strict=True) if cell]
        parts.append(Padding(Text(" · ".join(rest), style=colour), (0, 0, 0, 2)))
    return Group(*parts)


def _columns(table: Table, title: str) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title) if title else None, title_justify="left")
    for column in table.columns:
        drawn.add_column(Text(column.head), justify="right" if column.number else "left", overflow="fold")
    for colour, row in table.coloured_rows:
        drawn.add_row(*map(Text, row), style=colour or None)
    return drawn


class _Rate(ProgressColumn):
    """The rate per second, since the start."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed or 0.0
        return Text(f"{task.completed / seconds:,.0f} per second" if seconds and task.completed else "")


class _Count(ProgressColumn):
    """The number done, where the total is not known."""

    def render(self, task: Task) -> Text:
        return Text(f"{int(task.completed):,}")
