"""Parse what the bus writes as JSON. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from eventbus.client.errors import ProtocolError
from eventbus.core.clock import seconds_of
from eventbus.core.option_table import options_of

T = TypeVar("T")
#: Names of fields that are times, beside those that end so.
_TIMES = frozenset({"at", "since", "until"})


def parse_as(kind: type[T], payload: Any, **parts: type) -> T:
    """Make a dataclass of what the bus wrote; ``parts`` are the dataclasses of fields that are objects, or null.

    Ignore fields that only a newer bus has.

    Raises ProtocolError.
    """
    try:
        names = [part.name for part in fields(cast(Any, kind)) if part.name in payload]
        options = {one.name: one.kind.from_json for one in options_of(kind)}
        return kind(
            **{
                name: options[name](payload[name])
                if name in options
                else _parse_value(name, payload[name], parts.get(name))
                for name in names
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"Not a bus's {kind.__name__}: {str(payload)[:80]}") from error


def _parse_value(name: str, value: Any, part: type | None) -> Any:
    if part is not None:
        return None if value is None else parse_as(part, value)
    if name in _TIMES or name.endswith("_at"):
        return None if value is None else parse_time(value)
    if name in ("answer", "last_answer"):
        return decode_body(value)
    return tuple(value) if isinstance(value, list) else value


def decode_body(body: Mapping[str, str]) -> bytes:
    """Decode a body as the bus writes it: ``text``, or ``base64``."""
    return body["text"].encode() if "text" in body else base64.b64decode(body["base64"])


def parse_time(text: str) -> datetime:
    """Return the time in an RFC 3339 text, in UTC. Raises ValueError."""
    seconds = seconds_of(text)
    if seconds is None:
        raise ValueError(f"not a time in RFC 3339: {text!r}")
    return datetime.fromtimestamp(seconds, UTC)
