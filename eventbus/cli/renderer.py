"""What a command draws beside plain lines, and the interface of what draws it: tables, and the progress of its work."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from eventbus.cli.escape import escape


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers are aligned right."""

    head: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells that are safe to print, and a colour for each row that needs attention: ``red``, ``yellow`` or none."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    colours: Sequence[str] = ()

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Iterable[Sequence[object]], colours: Iterable[str] = ()) -> Self:
        """Make a table of any values. Escape them; None is an empty cell."""
        cells = [["" if cell is None else escape(str(cell)) for cell in row] for row in rows]
        return cls(columns, cells, tuple(colours))

    @property
    def coloured_rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each row with its colour."""
        return zip(self.colours or [""] * len(self.rows), self.rows, strict=True)


class ShowTable(Protocol):
    """A function that draws a table over the one before."""

    def __call__(self, table: Table, title: str, /) -> None:
        """Draw a table below its title."""


class ShowProgress(Protocol):
    """A function that draws progress over the progress before."""

    def __call__(self, done: int, note: str = "", /) -> None:
        """Draw how many are done so far, with a note beside it."""


class Renderer(Protocol):
    """Draws on one output."""

    def table(self, table: Table) -> None:
        """Draw a table."""

    def live_table(self) -> AbstractContextManager[ShowTable]:
        """Draw a table again and again, until the context ends."""

    def progress(self, description: str, total: int | None) -> AbstractContextManager[ShowProgress]:
        """Draw the progress of work on ``total`` of something, None where that is not known."""
