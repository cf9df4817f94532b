"""Tables: the same cells with lines on a terminal, and plainly in a pipe."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventbus.cli.escape import escape

#: Between two columns.
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; numbers stand right."""

    head: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells that are safe to print, and a style for rows that want attention: ``red``, ``yellow`` or none."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    styles: Sequence[str] = ()

    @property
    def styled_rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each row with its style."""
        return zip(self.styles or [""] * len(self.rows), self.rows, strict=True)


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]], styles: Sequence[str] = ()) -> Table:
    """A table of whatever, made safe; None is an empty cell."""
    return Table(columns, [["" if cell is None else escape(str(cell)) for cell in row] for row in rows], styles)


def plain(shown: Table) -> list[str]:
    """The table as lines: columns side by side, each as wide as its widest cell."""
    lines = [[column.head for column in shown.columns], *shown.rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    return [GAP.join(map(_padded, cells, widths, shown.columns)).rstrip() for cells in lines]


def _padded(cell: str, width: int, column: Column) -> str:
    space = " " * (width - _width(cell))
    return space + cell if column.number else cell + space


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.combining(char) > 0 for char in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in text)
