"""Where a command writes: data to standard output, everything else to standard error.

Colour, tables with lines and bars are for terminals, and need rich; without it all is plain.
"""

import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from typing import Any, Self, TextIO

import click

from eventbus.cli.escape import escape, escape_json
from eventbus.cli.progress import NoProgress, PlainProgress, Progress
from eventbus.cli.table import Table, plain


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
        """As the process was started; https://no-color.org says when there is no colour."""
        colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(as_json, _is_terminal(sys.stdout), _is_terminal(sys.stderr), colour, has_rich())

    # Data

    def line(self, text: str = "") -> None:
        """Write a line; what is in it from elsewhere has been made safe."""
        click.echo(text, color=True)

    def safe_line(self, text: str) -> None:
        """Write text from elsewhere on a line: for a terminal made safe, else as it is."""
        self.line(escape(text) if self.terminal else text)

    def value(self, value: Any) -> None:
        """Write a value as JSON on a line of its own."""
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        click.echo(escape_json(json.dumps(value, ensure_ascii=not utf8)))

    def raw(self, data: bytes) -> None:
        """Write bytes as they are. For what is no terminal."""
        click.echo(data, nl=False)

    def table(self, table: Table) -> None:
        """Write a table."""
        if self.terminal and self.rich:
            from eventbus.cli.with_rich import print_table  # noqa: PLC0415 - rich may not be there

            print_table(table, colour=self.colour)
        else:
            self.line("\n".join(plain(table)))

    def styled(self, text: str, **style: Any) -> str:
        """The text with colour, where standard output shows it."""
        return click.style(text, **style) if self.terminal and self.colour else text

    # Everything else

    def note(self, sentence: str) -> None:
        """Tell something that is no data."""
        click.echo(sentence, err=True, color=True)

    def progress(self, what: str, total: int | None = None) -> Progress:
        """A bar on standard error, where that is a terminal; ``what`` is being done to ``total`` of something."""
        if not self.error_terminal:
            return NoProgress()
        if not self.rich:
            return PlainProgress(sys.stderr, what, total)
        from eventbus.cli.with_rich import RichProgress  # noqa: PLC0415 - rich may not be there

        return RichProgress(what, total, colour=self.colour)

    def agrees(self, question: str, *, yes: bool, needed: bool) -> bool:
        """Whether to go on: asked on a terminal, where it is needed and was not said before."""
        if yes or not needed:
            return True
        if not (_is_terminal(sys.stdin) and self.error_terminal):
            raise click.UsageError(f"{question} Say --yes to go on: there is no terminal to ask on.")
        return click.confirm(question, err=True)


def has_rich() -> bool:
    """Whether the extra ``cli`` is installed."""
    return importlib.util.find_spec("rich") is not None


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def pluralize(number: int, noun: str) -> str:
    """A number with its noun: 1 event, 1,200 events."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
