"""The options of ``eventbus send``: which contradict each other, and what they send."""

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """The options of the command."""

    topic: str | None
    data: str | None
    file: Path | None
    lines: bool
    content_type: str | None
    key: str | None
    order_by: str | None
    expires: float | None  # seconds
    attributes: dict[str, str]
    source: str | None
    delay: float | None  # seconds
    deliver_at: datetime | None
    retry: float  # seconds
    settle: float | None  # the same

    def check(self) -> None:
        """Raise UsageError where options contradict each other."""
        if (self.data is None) == (self.file is None):
            raise click.UsageError("Say what to send: DATA, - for standard input, or --file FILE; '' is an empty event")
        if sum(given is not None for given in (self.delay, self.deliver_at, self.settle)) > 1:
            raise click.UsageError("Give only one of --in, --at and --settle")
        if self.lines and self.data not in (None, "-"):
            raise click.UsageError("--lines reads --file FILE, or - for standard input")
        if self.lines and self.settle is not None:
            raise click.UsageError("--settle waits for one event: leave out --lines")
        if self.lines and (self.content_type or self.attributes or self.source or self.order_by is not None):
            raise click.UsageError(
                "With --lines each event is JSON: leave out --content-type, --order-by, --attribute and --source"
            )

    @property
    def later(self) -> bool:
        """Return whether it is to come later."""
        return self.delay is not None or self.deliver_at is not None

    @property
    def when(self) -> dict[str, Any]:
        """Return when it is due and when it expires, as the client takes it."""
        return {"delay": self.delay, "deliver_at": self.deliver_at, "expires": self.expires}

    def open(self) -> BinaryIO:
        """Open the file, or standard input."""
        if self.file is None or str(self.file) == "-":
            return sys.stdin.buffer
        return self.file.open("rb")

    def body(self) -> bytes:
        """Return the body of one event."""
        if self.data is not None and self.data != "-":
            return os.fsencode(self.data)
        with self.open() as source:
            return source.read()

    def events(self) -> int | None:
        """Count the lines to send; None for a pipe."""
        if self.file is None or not self.file.is_file():
            return None
        with self.file.open("rb") as source:
            return sum(1 for line in source if line.strip())
