"""Log records as lines, of text or of JSON: one record is one line, whatever the values in it hold."""

import json
import logging
import time
from typing import Any

#: Characters of one line, at most.
MAX_LINE_CHARACTERS = 4_000
#: What a record may carry beside its text, by ``extra``.
FIELDS = frozenset({"address", "event", "target", "count", "client", "scope", "forwarded_for", "terms"})


class LineFormatter(logging.Formatter):
    """``2026-11-24T06:03:29Z INFO eventbus.services.bus text``; control characters are escaped, tracebacks folded."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        return one_line(super().format(record))


class JsonFormatter(logging.Formatter):
    """A JSON object a line: ``time``, ``level``, ``logger``, ``message``, and the fields that a record carries."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; JSON escapes what could break it."""
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _short(record.getMessage()),
        }
        said |= {name: _told(value) for name, value in vars(record).items() if name in FIELDS}
        if record.exc_info:
            said["error"] = _short(self.formatException(record.exc_info))
        return json.dumps(said)


def _told(value: Any) -> str | int:
    return value if isinstance(value, int) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:MAX_LINE_CHARACTERS]}... ({len(text)} characters)"


def one_line(text: str) -> str:
    """The text with everything escaped that could break, forge or hide a line."""
    kept = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _short(kept)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
