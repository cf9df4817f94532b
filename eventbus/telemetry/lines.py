"""Log records as lines: one record is one line, whatever the values in it hold."""

import logging
import time

#: Characters of one line, at most.
MAX_LINE = 4_000


class LineFormatter(logging.Formatter):
    """``2026-11-24T06:03:29Z INFO eventbus.bus text``; control characters are escaped, tracebacks folded."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        return one_line(super().format(record))


def one_line(text: str) -> str:
    """The text with everything escaped that could break, forge or hide a line."""
    kept = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return kept if len(kept) <= MAX_LINE else f"{kept[:MAX_LINE]}... ({len(kept)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
