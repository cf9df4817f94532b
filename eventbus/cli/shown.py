"""What comes from the bus, as people read it and as JSON."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NoReturn

from eventbus.cli.safe import safe, safe_json, safe_lines
from eventbus.client import Event

#: Characters of JSON that stand on one line; longer JSON is spread over lines.
LINE = 100
#: Bytes of a body that are shown in hexadecimal, and of each line.
HEX_BYTES, HEX_LINE = 1_024, 16
#: Levels of JSON that are decoded; what is deeper is shown as text.
DEEPEST = 100
_BRACKETS = re.compile(r"[\[\]{}]")
Json = dict[str, Any]


def body_lines(event: Event) -> list[str]:
    """The body for people: JSON spread out, text as it is, anything else in hexadecimal; safe for a terminal."""
    return bytes_lines(event.body, json_said=_says_json(event))


def bytes_lines(body: bytes, *, json_said: bool = False) -> list[str]:
    """The same of any bytes; without a word of JSON they are taken for it where they look like it."""
    text = text_of(body)
    if text is None:
        return hex_lines(body)
    # many who publish by curl say no type, or that of a form
    if json_said or text.lstrip()[:1] in ("{", "["):
        lines = _json_lines(text)
        if lines is not None:
            return lines
    return safe_lines(text).rstrip("\n").split("\n") if text else []


def _json_lines(text: str) -> list[str] | None:
    """The text's JSON spread out; None for text that is no JSON, whatever its type says."""
    try:
        return safe_json(_spread(_json(text))).splitlines()
    except ValueError:
        return None


def beginning(event: Event, width: int) -> str:
    """The body's beginning on one line; safe for a terminal."""
    text = text_of(event.body)
    if text is None:
        said, all_of_it = event.body[: width // 3].hex(" "), len(event.body) <= width // 3
    else:
        words = " ".join(text.split())
        said, all_of_it = words[:width], len(words) <= width
    return safe(said) + ("" if all_of_it else "…")


def hex_lines(body: bytes) -> list[str]:
    """Bytes in hexadecimal, with what of them is visible ASCII."""
    shown = body[:HEX_BYTES]
    lines = [_hex_line(at, shown[at : at + HEX_LINE]) for at in range(0, len(shown), HEX_LINE)]
    return lines if len(body) <= HEX_BYTES else [*lines, f"and {len(body) - HEX_BYTES:,} bytes more"]


def _hex_line(at: int, part: bytes) -> str:
    visible = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
    return f"{at:04x}  {part.hex(' '):<{3 * HEX_LINE}} {visible}"


def event_json(event: Event) -> Json:
    """An event as JSON: its body as ``data``, decoded where it is JSON, or as ``data_base64``."""
    said: Json = {"id": event.id, "topic": event.topic, "at": rfc3339(event.at), "headers": dict(event.headers)}
    if event.attempt:
        said["attempt"] = event.attempt
    text = text_of(event.body)
    if text is None:
        return {**said, "data_base64": base64.b64encode(event.body).decode()}
    return {**said, "data": _decoded(text) if _says_json(event) else text}


def as_json(thing: Any) -> Json:
    """A subscriber, a delivery or a dead letter as JSON."""
    return {part.name: _plain(getattr(thing, part.name)) for part in fields(thing)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        text = text_of(value)
        return {"base64": base64.b64encode(value).decode()} if text is None else {"text": text}
    return list(value) if isinstance(value, tuple) else value


def rfc3339(at: datetime) -> str:
    """A time in UTC, with whole seconds unless the bus said more."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(seconds: float | None) -> str:
    """A time span as people say it: 5 s, 12 min, 3 h, 2 d."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def is_json(text: str | bytes) -> bool:
    """Whether a text is JSON as everybody reads it."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def text_of(body: bytes) -> str | None:
    """The body as UTF-8 without controls that no text has; None where it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _says_json(event: Event) -> bool:
    kind = event.content_type
    return kind == "application/json" or kind.endswith("+json")


def _json(text: str) -> Any:
    """Raises ValueError also for what only Python reads as JSON, and for what is too deep to be written again."""
    if _depth(text) > DEEPEST:
        raise ValueError("too deep")
    return json.loads(text, parse_constant=_refuse)


def _decoded(text: str) -> Any:
    """The text's JSON; the text itself where it is no JSON, so that nothing of the body is lost."""
    try:
        return _json(text)
    except ValueError:
        return text


def _depth(text: str) -> int:
    """How many levels the text has, at most: brackets within strings count too."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0
    return max(accumulate(1 if found[0] in "[{" else -1 for found in _BRACKETS.finditer(text)))


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _spread(value: Any) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= LINE else json.dumps(value, ensure_ascii=False, indent=2)


def indented(lines: list[str]) -> Iterator[str]:
    """Lines that belong to the one above."""
    return (f"  {line}".rstrip() for line in lines)
