"""What filters see of one event: its names, attributes, headers and body, each read when first asked for. Pure."""

from typing import Any, Protocol

from eventbus.core.batch_format import STRUCTURED_TYPE
from eventbus.core.event_attributes import (
    DATA_NAMES,
    EXPIRY_ATTRIBUTE,
    Described,
    attributes_in,
    media_type_of,
    usual_attributes,
)
from eventbus.core.headers import is_valid_head
from eventbus.core.json_body import MISSING, parse_json


class Viewed(Described, Protocol):
    """An event."""

    @property
    def key(self) -> str:
        """Return the order key, empty without one."""

    @property
    def head(self) -> bytes:
        """Return the kept headers as they go on the wire."""

    @property
    def body(self) -> bytes:
        """Return the body."""


class EventView:
    """One event as filters see it. What was read once is kept."""

    __slots__ = ("_attributes", "_data", "_event", "_headers", "_parsed")

    def __init__(self, event: Viewed) -> None:
        self._event = event
        self._headers: dict[str, str] | None = None
        self._attributes: dict[str, str] | None = None
        self._parsed = self._data = _UNREAD

    @property
    def topic(self) -> str | None:
        """Return the topic."""
        return self._event.topic

    @property
    def key(self) -> str:
        """Return the order key; empty without one."""
        return self._event.key

    @property
    def headers(self) -> dict[str, str]:
        """Return the kept headers, their names in lower case; none of a head that may not be sent."""
        if self._headers is None:
            head = self._event.head
            lines = head.decode("latin-1").split("\r\n")[:-1] if is_valid_head(head) else []
            pairs = (line.split(":", 1) for line in lines)
            self._headers = {name.lower(): value.strip(" \t") for name, value in pairs}
        return self._headers

    @property
    def attributes(self) -> dict[str, str]:
        """Return the CloudEvents attributes as texts, those that stand for missing ones included."""
        if self._attributes is None:
            given = attributes_in(self.headers)
            if self._structured:  # what the bus keeps beside the body is when the event expires
                time = {EXPIRY_ATTRIBUTE: given[EXPIRY_ATTRIBUTE]} if EXPIRY_ATTRIBUTE in given else {}
                given = time | _attributes_of(self._body())
            self._attributes = usual_attributes(self._event) | given
        return self._attributes

    @property
    def data(self) -> Any:
        """Return the JSON in the body, or in the data of a structured CloudEvent; MISSING without any."""
        if self._data is _UNREAD:
            parsed = self._body()
            if self._structured:
                parsed = parsed.get("data", MISSING) if isinstance(parsed, dict) else MISSING
            self._data = parsed
        return self._data

    @property
    def _structured(self) -> bool:
        return media_type_of(self.headers) == STRUCTURED_TYPE

    def _body(self) -> Any:
        if self._parsed is _UNREAD:
            self._parsed = MISSING if "content-encoding" in self.headers else parse_json(self._event.body)
        return self._parsed


#: What was not looked at yet.
_UNREAD: Any = object()


def _attributes_of(envelope: Any) -> dict[str, str]:
    """Return the attributes of a structured CloudEvent as texts (type system 1.0.2, 3.1); null is not set."""
    if not isinstance(envelope, dict):
        return {}
    found = {name: _text_of(value) for name, value in envelope.items() if name not in DATA_NAMES}
    return {name: text for name, text in found.items() if text}


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""
