"""Format what comes from the bus, for people and as JSON."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, NoReturn

from eventbus.cli.escape import escape, escape_json, escape_lines
from eventbus.cli.screen import Screen
from eventbus.client import Event
from eventbus.client.encoding import rfc3339
from eventbus.core.option_table import options_of

#: Characters of a body in a list.
MAX_BODY_CHARS = 60
#: Characters of JSON on one line; longer JSON is spread over lines.
MAX_LINE_CHARS = 100
#: Bytes of a body that are printed in hexadecimal, and in each line.
MAX_HEX_BYTES, HEX_BYTES_PER_LINE = 1_024, 16
#: Levels of JSON that are decoded; deeper JSON is printed as text.
MAX_JSON_DEPTH = 100
_BRACKETS = re.compile(r"[\[\]{}]")
Json = dict[str, Any]


def body_lines(event: Event) -> list[str]:
    """Return the body for people: JSON indented, text as it is, anything else in hexadecimal. Escape it."""
    return bytes_lines(event.body, is_json_type=_has_json_type(event))


def bytes_lines(body: bytes, *, is_json_type: bool = False) -> list[str]:
    """Return bytes for people, as ``body_lines`` does. They are JSON, too, if they begin like it."""
    text = decode_text(body)
    if text is None:
        return hex_lines(body)
    # Many clients, such as curl, send JSON with no type or a form's.
    if is_json_type or text.lstrip()[:1] in ("{", "["):
        lines = _json_lines(text)
        if lines is not None:
            return lines
    return escape_lines(text).rstrip("\n").split("\n") if text else []


def _json_lines(text: str) -> list[str] | None:
    """Return JSON, indented; None for text that is not JSON, whatever its type is."""
    try:
        return escape_json(_format_json(_parse_json(text))).splitlines()
    except ValueError:
        return None


def preview(event: Event, width: int) -> str:
    """Return the start of the body on one line, escaped."""
    text = decode_text(event.body)
    if text is None:
        start, is_complete = event.body[: width // 3].hex(" "), len(event.body) <= width // 3
    else:
        line = " ".join(text.split())
        start, is_complete = line[:width], len(line) <= width
    return escape(start) + ("" if is_complete else "…")


def hex_lines(body: bytes) -> list[str]:
    """Return bytes in hexadecimal, and beside them those that are visible ASCII."""
    start = body[:MAX_HEX_BYTES]
    lines = [_hex_line(at, start[at : at + HEX_BYTES_PER_LINE]) for at in range(0, len(start), HEX_BYTES_PER_LINE)]
    return lines if len(body) <= MAX_HEX_BYTES else [*lines, f"and {len(body) - MAX_HEX_BYTES:,} bytes more"]


def _hex_line(at: int, part: bytes) -> str:
    visible = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
    return f"{at:04x}  {part.hex(' '):<{3 * HEX_BYTES_PER_LINE}} {visible}"


def event_to_json(event: Event) -> Json:
    """Return an event as JSON: its body as ``data``, decoded where it is JSON, or as ``data_base64``."""
    payload: Json = {"id": event.id, "topic": event.topic, "key": event.key, "at": rfc3339(event.at)}
    payload["headers"] = dict(event.headers)
    if event.publisher is not None:
        payload["publisher"] = event.publisher
    if event.scheduled_for is not None:
        payload["scheduled_for"] = rfc3339(event.scheduled_for)
    if event.attempt:
        payload["attempt"] = event.attempt
    text = decode_text(event.body)
    if text is None:
        return {**payload, "data_base64": base64.b64encode(event.body).decode()}
    return {**payload, "data": _decode_json(text) if _has_json_type(event) else text}


def to_json(thing: Any) -> Json:
    """Return a dataclass of the client, such as a subscriber or a dead letter, as JSON."""
    options = {one.name: one.kind.to_json for one in options_of(type(thing))}
    return {part.name: options.get(part.name, _json_value)(getattr(thing, part.name)) for part in fields(thing)}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        text = decode_text(value)
        return {"base64": base64.b64encode(value).decode()} if text is None else {"text": text}
    if isinstance(value, tuple):
        return [to_json(one) if is_dataclass(one) else one for one in value]
    return to_json(value) if is_dataclass(value) else value


def format_duration(seconds: float | None) -> str:
    """Return a time span for people: 5 s, 12 min, 3 h, 2 d."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def is_json(text: str | bytes) -> bool:
    """Return whether a text is JSON. NaN and Infinity, which only Python reads, are not."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def decode_text(body: bytes) -> str | None:
    """Return the body as text; None where it is not UTF-8, or holds a NUL."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _has_json_type(event: Event) -> bool:
    kind = event.content_type
    return kind == "application/json" or kind.endswith("+json")


def _parse_json(text: str) -> Any:
    """Parse JSON. Raises ValueError also for what only Python reads, and for what is too deep to be written again."""
    if _depth(text) > MAX_JSON_DEPTH:
        raise ValueError("too deep")
    return json.loads(text, parse_constant=_refuse_constant)


def _decode_json(text: str) -> Any:
    """Return the value of JSON; the text itself where it is not JSON, so that nothing of the body is lost."""
    try:
        return _parse_json(text)
    except ValueError:
        return text


def _depth(text: str) -> int:
    """Return how many levels the text has at most: brackets within strings count too."""
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return 0
    return max(accumulate(1 if found[0] in "[{" else -1 for found in _BRACKETS.finditer(text)))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _format_json(value: Any) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= MAX_LINE_CHARS else json.dumps(value, ensure_ascii=False, indent=2)


def indent(lines: list[str]) -> Iterator[str]:
    """Yield lines, indented below the one above."""
    return (f"  {line}".rstrip() for line in lines)


def event_printer(screen: Screen, *, raw: bool) -> Callable[[Event], None]:
    """Return what prints one event: as JSON, as only its body if ``raw``, else for people."""
    if screen.as_json:
        return lambda event: screen.value(event_to_json(event))
    return (lambda event: print_body(screen, event, end=b"\n")) if raw else (lambda event: print_event(screen, event))


def print_event(screen: Screen, event: Event) -> None:
    """Print an event's time, topic and id, and below them the body."""
    screen.line(headline(screen, event))
    for line in indent(body_lines(event)):
        screen.line(line)


def headline(screen: Screen, event: Event) -> str:
    """Return an event's time, topic and id."""
    at, event_id = (screen.styled(text, dim=True) for text in (rfc3339(event.at), escape(event.id)))
    return f"{at}  {screen.styled(escape(event.topic or '-'), fg='cyan', bold=True)}  {event_id}"


def print_body(screen: Screen, event: Event, *, end: bytes) -> None:
    """Print the body as it is; escaped for a terminal."""
    if screen.terminal:
        screen.line("\n".join(body_lines(event)))
    else:
        screen.raw(event.body + end)
