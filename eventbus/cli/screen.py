"""Where a command writes: data to standard output, everything else to standard error.

Colour, tables with lines and bars are for terminals, and need rich.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self, TextIO, TypeVar

import click

from eventbus.cli.escape import escape, escape_json
from eventbus.cli.plain_renderer import PlainRenderer
from eventbus.cli.renderer import Renderer, ShowProgress, ShowTable, Table

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Screen:
    """What the two outputs are, and how to write to them."""

    as_json: bool = False
    terminal: bool = False  # standard output is one
    error_terminal: bool = False  # standard error is one
    colour: bool = False
    rich: bool = False

    @classmethod
    def of_this_process(cls, *, as_json: bool) -> Self:
        """Inspect this process's outputs; https://no-color.org says when there is no colour."""
        colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        rich = importlib.util.find_spec("rich") is not None  # the extra ``cli``
        return cls(as_json, _is_terminal(sys.stdout), _is_terminal(sys.stderr), colour, rich)

    # Data

    def line(self, text: str = "") -> None:
        """Write a line; text from elsewhere has been escaped."""
        click.echo(text, color=True)

    def safe_line(self, text: str) -> None:
        """Write text from elsewhere on a line: escaped for a terminal, else as it is."""
        self.line(escape(text) if self.terminal else text)

    def value(self, value: Any) -> None:
        """Write a value as JSON on a line of its own."""
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        click.echo(escape_json(json.dumps(value, ensure_ascii=not utf8)))

    def raw(self, data: bytes) -> None:
        """Write bytes as they are, to what is not a terminal."""
        click.echo(data, nl=False)

    def table(self, table: Table) -> None:
        """Write a table."""
        self._renderer(sys.stdout, terminal=self.terminal).table(table)

    def page(
        self,
        items: Iterable[T],
        limit: int,
        to_json: Callable[[T], Any],
        to_table: Callable[[Sequence[T]], Table],
        *,
        none: str,
        more: Callable[[T], str] = lambda _: "--limit shows more",
    ) -> None:
        """Write up to ``limit`` items: as JSON one a line, else as a table.

        Say ``none`` if there are none, and, if there are more, how to list them, given the last item.
        """
        found = list(islice(items, limit + 1))
        listed = found[:limit]
        if self.as_json:
            for item in listed:
                self.value(to_json(item))
        elif listed:
            self.table(to_table(listed))
        if len(found) > limit:
            self.note(f"There are more: {more(listed[-1])}.")
        elif not found:
            self.note(none)

    def live_table(self) -> AbstractContextManager[ShowTable]:
        """Write a table over the one before, on a terminal."""
        return self._renderer(sys.stdout, terminal=self.terminal).live_table()

    def styled(self, text: str, **style: Any) -> str:
        """Return the text with colour, where standard output shows it."""
        return click.style(text, **style) if self.terminal and self.colour else text

    # Everything else

    def note(self, sentence: str) -> None:
        """Write a sentence that is not data."""
        click.echo(sentence, err=True, color=True)

    def progress(self, description: str, total: int | None = None) -> AbstractContextManager[ShowProgress]:
        """Show progress on standard error, where that is a terminal."""
        return self._renderer(sys.stderr, terminal=self.error_terminal).progress(description, total)

    def confirms(self, question: str, *, yes: bool, needed: bool) -> bool:
        """Return whether to continue. Ask on a terminal, if it is needed and ``yes`` was not given.

        Raises UsageError where there is no terminal.
        """
        if yes or not needed:
            return True
        if not (_is_terminal(sys.stdin) and self.error_terminal):
            raise click.UsageError(f"{question} Say --yes to go on: there is no terminal to ask on.")
        return click.confirm(question, err=True)

    def _renderer(self, out: TextIO, *, terminal: bool) -> Renderer:
        if not (terminal and self.rich):
            return PlainRenderer(out, terminal=terminal)
        from eventbus.cli.rich_renderer import RichRenderer  # noqa: PLC0415 - rich may not be installed

        return RichRenderer(out, colour=self.colour)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def pluralize(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun, or its plural, which adds an s by default: 1 event, 1,200 events."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
