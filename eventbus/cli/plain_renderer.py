"""Draws without colour and lines: in a pipe or a file, and on a terminal where rich is not installed."""

import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from eventbus.cli.renderer import Column, ShowProgress, ShowTable, Table

#: Seconds between two drawings of a progress line, at least.
REDRAW_SECONDS = 0.1
_COLUMN_GAP = "  "
#: Puts the cursor at the top, and clears what is below.
_CLEAR_SCREEN = "\x1b[H\x1b[J"


class PlainRenderer:
    """Draws with letters and spaces. Progress is one line that is written over itself, only on a terminal."""

    def __init__(self, out: TextIO, *, terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._terminal = terminal
        self._clock = clock

    def table(self, table: Table) -> None:
        """Write the columns side by side, each as wide as its widest cell."""
        click.echo("\n".join(table_lines(table)), file=self._out)

    @contextmanager
    def live_table(self) -> Iterator[ShowTable]:
        """Clear the terminal before each table."""

        def show(table: Table, title: str) -> None:
            click.echo(_CLEAR_SCREEN + "\n".join([title, *table_lines(table)]), file=self._out, color=True)

        yield show

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[ShowProgress]:
        """Write the progress over itself, at most every REDRAW_SECONDS; the last one stays."""
        began = drawn_at = self._clock()
        line, width = "", 0

        def draw(end: str = "") -> None:
            nonlocal width
            click.echo("\r" + line.ljust(width) + end, file=self._out, nl=False)
            width = max(width, len(line))

        def show(done: int, note: str = "") -> None:
            nonlocal line, drawn_at
            now = self._clock()
            line = progress_line(description, done, total, now - began, note)
            if self._terminal and (now - drawn_at >= REDRAW_SECONDS or not width):
                drawn_at = now
                draw()

        try:
            yield show
        finally:
            if width:
                draw("\n")


def table_lines(table: Table) -> list[str]:
    """Return a table as lines of text."""
    lines = [[column.head for column in table.columns], *table.rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    return [_COLUMN_GAP.join(map(_pad, cells, widths, table.columns)).rstrip() for cells in lines]


def _pad(cell: str, width: int, column: Column) -> str:
    space = " " * (width - _width(cell))
    return space + cell if column.number else cell + space


def _width(text: str) -> int:
    """Return the columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.combining(char) > 0 for char in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def progress_line(description: str, done: int, total: int | None, seconds: float, note: str) -> str:
    """Describe progress after so many seconds."""
    of = "" if total is None else f" of {total:,} ({_percent(done, total)} %)"
    rate = f", {done / seconds:,.0f} per second" if done and seconds >= REDRAW_SECONDS else ""
    return f"{description} {done:,}{of}{rate}{', ' + note if note else ''}"


def _percent(done: int, total: int) -> int:
    return 100 if total <= 0 else min(100, 100 * done // total)
