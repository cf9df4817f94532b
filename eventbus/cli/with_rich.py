"""What rich draws: tables with lines, bars, and a picture that is kept up to date. Imported where it is installed."""

import sys
from types import TracebackType
from typing import Self

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table as RichTable
from rich.text import Text

from eventbus.cli.table import Table, plain


def console(*, colour: bool, error: bool = False) -> Console:
    """A terminal that shows text as it is: no markup, no emoji codes, nothing highlighted."""
    out = sys.stderr if error else sys.stdout
    return Console(
        file=out,
        force_terminal=True,
        no_color=not colour,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def print_table(table: Table, *, colour: bool) -> None:
    """Write a table to standard output."""
    terminal = console(colour=colour)
    terminal.print(drawn(table, terminal))


def drawn(table: Table, terminal: Console, title: str = "") -> RenderableType:
    """A table as rich has it; where the terminal is too narrow for its rows, each stands on lines of its own."""
    width = max(map(cell_len, plain(table))) + len(table.columns)  # there is one more between two columns here
    return _lined(table, title) if width <= terminal.width else _stacked(table, title)


def _stacked(table: Table, title: str) -> Group:
    """The first cell of each row, and under it the others that are not empty, each after its head."""
    parts: list[RenderableType] = [Text(title)] if title else []
    for style, (first, *cells) in table.styled_rows:
        parts.append(Text(first, style=f"bold {style}".strip()))
        told = [f"{column.head} {cell}" for column, cell in zip(table.columns[1:], cells, strict=True) if cell]
        parts.append(Padding(Text(" · ".join(told), style=style), (0, 0, 0, 2)))
    return Group(*parts)


def _lined(table: Table, title: str) -> RichTable:
    whole = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title) if title else None, title_justify="left")
    for column in table.columns:
        whole.add_column(Text(column.head), justify="right" if column.number else "left", overflow="fold")
    for style, row in table.styled_rows:
        whole.add_row(*map(Text, row), style=style or None)
    return whole


class LiveTable:
    """A table that is drawn over itself."""

    def __init__(self, *, colour: bool) -> None:
        self._terminal = console(colour=colour)
        self._live = Live(console=self._terminal, auto_refresh=False, screen=True)

    def show(self, table: Table, title: str) -> None:
        """Draw it as it is now."""
        self._live.update(drawn(table, self._terminal, title), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class _Rate(ProgressColumn):
    """How many a second, over the whole time."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed or 0.0
        return Text(f"{task.completed / seconds:,.0f} a second" if seconds and task.completed else "")


class RichProgress:
    """A bar with numbers, or, where the total is not known, a sign of life with numbers."""

    def __init__(self, what: str, total: int | None, *, colour: bool) -> None:
        known = total is not None
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        columns += [BarColumn(), MofNCompleteColumn()] if known else [SpinnerColumn(), _Done()]
        columns += [_Rate(), TextColumn("{task.fields[note]}", markup=False)]
        self._bars = Bars(
            *columns, console=console(colour=colour, error=True), redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._bars.add_task(what, total=total, note="")

    def to(self, done: int, note: str = "") -> None:
        """See Progress.to."""
        self._bars.update(self._task, completed=done, note=note)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class _Done(ProgressColumn):
    """How many, of nobody knows how many."""

    def render(self, task: Task) -> Text:
        return Text(f"{int(task.completed):,}")
