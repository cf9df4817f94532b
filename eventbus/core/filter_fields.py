"""What the names in a filter stand for: topic, key, CloudEvents attributes, headers, and values in the data. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from eventbus.core.event_attributes import DATA_NAMES
from eventbus.core.event_view import EventView
from eventbus.core.json_body import MISSING

#: Reads a field of an event: a text, or what JSON has; MISSING where it is not there.
Read = Callable[[EventView], Any]
_DATA, _HEADER = "data.", "header."
#: CloudEvents 1.0.2, 3.1.
_ATTRIBUTE = re.compile(r"[a-z0-9]+\Z")
_KEPT = re.compile(r"(content-type|content-encoding|traceparent|tracestate|ce-[!#$%&'*+.^_`|~0-9a-z-]+)\Z")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARTS = re.compile(r"((?:[^.\\]|\\.)*)(?:\.|\Z)", re.DOTALL)
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of events: its ``name``, and what reads it."""

    name: str
    read: Read

    @property
    def in_data(self) -> bool:
        """Return whether this is a value in the data."""
        return self.name.startswith(_DATA)


def field_named(name: str) -> Field:
    """Return the field with this name. Raises ValueError with what is wrong."""
    return Field(name, _found_by(name))


def _found_by(name: str) -> Read:
    if name == "topic":
        return lambda view: MISSING if view.topic is None else view.topic
    if name == "key":
        return lambda view: view.key or MISSING
    if name.startswith(_DATA):
        path = [(part, int(part) if _INDEX.match(part) else None) for part in _path(name.removeprefix(_DATA))]
        return partial(_value_at, path)
    if name.startswith(_HEADER):
        header = name.removeprefix(_HEADER).lower()
        if not _KEPT.match(header):
            raise ValueError(
                "the headers that are kept are content-type, content-encoding, traceparent, tracestate and ce-*"
            )
        return lambda view: view.headers.get(header, MISSING)
    if not _ATTRIBUTE.match(name) or name in DATA_NAMES:
        raise ValueError(
            "a name is topic, key, that of a CloudEvents attribute (lower-case letters and digits), header.NAME or"
            " data.PATH"
        )
    return lambda view: view.attributes.get(name, MISSING)


def _path(text: str) -> list[str]:
    """Split a path at its dots; a backslash stands before a dot, or a backslash, that belongs to a name."""
    parts, start = [], 0
    while True:
        match = _PARTS.match(text, start)
        if match is None or not match[1]:
            raise ValueError("data.PATH has names between dots, none of them empty, and \\. for a dot in a name")
        if any(escaped not in ".\\" for escaped in _ESCAPED.findall(match[1])):
            raise ValueError("in data.PATH a backslash stands before a dot or another backslash")
        parts.append(_ESCAPED.sub(r"\1", match[1]))
        if match.end() == match.end(1):
            return parts
        start = match.end()


def _value_at(path: list[tuple[str, int | None]], view: EventView) -> Any:
    """Return the value at a path in the data: names in objects, and positions in arrays; MISSING without any."""
    value = view.data
    for name, index in path:
        if isinstance(value, dict):
            value = value.get(name, MISSING)
        elif isinstance(value, list) and index is not None and index < len(value):
            value = value[index]
        else:
            return MISSING
    return value
