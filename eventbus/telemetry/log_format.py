"""Log formats, text and JSON: one record is one line, whatever its values hold."""

import json
import logging
import time
from typing import Any

#: Characters of one line, at most.
MAX_LINE_CHARACTERS = 4_000
#: The fields that a record may carry by ``extra``.
FIELDS = frozenset(
    {
        *("address", "event", "target", "count", "client", "scope", "forwarded_for", "terms", "group"),
        *("until", "skipped_event", "actor", "settings"),
    }
)


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
        payload: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _truncated(record.getMessage()),
        }
        payload |= {name: _json_value(value) for name, value in vars(record).items() if name in FIELDS}
        if record.exc_info:
            payload["error"] = _truncated(self.formatException(record.exc_info))
        return json.dumps(payload)


def _json_value(value: Any) -> str | int:
    return value if isinstance(value, int) else _truncated(str(value))


def _truncated(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:MAX_LINE_CHARACTERS]}... ({len(text)} characters)"


def one_line(text: str) -> str:
    """Return the text with all characters escaped that could break, forge or hide a line."""
    printable = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _truncated(printable)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
