"""Builds the bytes of a request that holds several events: CloudEvents in the JSON batch format."""

import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from eventbus.core.batch_format import (
    BATCH_HEADER,
    BATCH_TYPE,
    CODING_ATTRIBUTE,
    ID_ATTRIBUTE,
    KEY_ATTRIBUTE,
    NO_TYPE,
    STRUCTURED_TYPE,
    TOPIC_ATTRIBUTE,
)
from eventbus.core.errors import BadRequest
from eventbus.core.event_attributes import attributes_in, media_type_of, usual_attributes
from eventbus.core.headers import is_valid_head
from eventbus.core.model import Event
from eventbus.core.signing import signature_lines
from eventbus.delivery.transport.base import Element, Elements
from eventbus.delivery.transport.request import MAX_CACHED_BODY_BYTES, LargeRequest, Request, attempt_head

#: Cached elements, and their bytes: one event goes to many subscribers at about the same time.
MAX_CACHED_ELEMENTS, MAX_CACHED_BYTES = 8_192, 4 * 1_024 * 1_024
_TYPE_LINE = b"Content-Type: %s\r\n" % BATCH_TYPE.encode()


def element_of(event: Event) -> Element:
    """Return an event as it stands in a batch. Raise BadRequest for one whose headers may not be sent."""
    if not is_valid_head(event.head):
        raise BadRequest(f"Its headers in the journal may not be sent: {event.head[:80]!r}.")
    headers = {name.lower(): value for name, value in event.headers.items()}
    media_type = media_type_of(headers)
    if media_type == STRUCTURED_TYPE and (structured := _object_in(event.body)) is not None:
        attributes, data = structured, b""
    else:
        attributes, data = attributes_in(headers), _data(event.body, media_type, coded="content-encoding" in headers)
    own_id = str(attributes.get("id", event.id))
    is_type = attributes.get("type", event.topic) == event.topic != NO_TYPE
    added = {
        ID_ATTRIBUTE: None if own_id == event.id else event.id,
        TOPIC_ATTRIBUTE: None if is_type else event.topic,
        KEY_ATTRIBUTE: event.key,
        CODING_ATTRIBUTE: headers.get("content-encoding"),
    }
    envelope = usual_attributes(event) | attributes | {name: value for name, value in added.items() if value}
    text = json.dumps(envelope, separators=(",", ":")).encode()
    return Element(text[:-1] + data + b"}", tuple(dict.fromkeys((event.id, own_id))))


def _object_in(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _data(body: bytes, media_type: str, *, coded: bool) -> bytes:
    """Return the member with an event's body: as it is where it is JSON."""
    if not body:
        return b""
    may_be_json = media_type == "application/json" or media_type.endswith("+json") or not media_type
    if may_be_json and not coded and _is_json(body, structured=not media_type):
        return b',"data":' + body
    return b',"data_base64":"%s"' % binascii.b2a_base64(body, newline=False)


def _is_json(body: bytes, *, structured: bool) -> bool:
    """Return whether a body is JSON in UTF-8; ``structured`` wants an object or an array."""
    if structured and body.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> Any:
    raise ValueError(name)


class ElementCache:
    """Makes the elements of events, each once for all subscribers."""

    def __init__(self) -> None:
        self._cached: OrderedDict[int, tuple[Event, Element]] = OrderedDict()
        self._free_bytes = MAX_CACHED_BYTES

    def of(self, event: Event) -> Element:
        """Return an event's element. Raise BadRequest."""
        cached = self._cached.get(id(event))  # unique while the cache holds the event
        if cached is not None:
            return cached[1]
        element = element_of(event)
        self._cached[id(event)] = event, element
        self._free_bytes -= len(element.text) + len(event.body)
        while self._free_bytes < 0 or len(self._cached) > MAX_CACHED_ELEMENTS:
            oldest, dropped = self._cached.popitem(last=False)[1]
            self._free_bytes += len(dropped.text) + len(oldest.body)
        return element


class BatchRequestBuilder:
    """Builds requests, signed if there are ``secrets``, and keeps what follows the subscriber's headers for others."""

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._cached: OrderedDict[tuple[int, ...], tuple[Elements, bytes]] = OrderedDict()
        self._free_bytes = MAX_CACHED_BYTES
        self._second = -1.0

    def build(self, head: bytes, batch: Elements, attempt: int, wall: float) -> Request:
        """Return a request that begins with a subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        if wall // 1 != self._second:
            self._second = wall // 1
            self._cached.clear()
            self._free_bytes = MAX_CACHED_BYTES
        key = (attempt, *map(id, batch))
        cached = self._cached.get(key)
        if cached is None:
            cached = batch, self._end(batch, attempt)
            if len(cached[1]) <= self._free_bytes:
                self._free_bytes -= len(cached[1])
                self._cached[key] = cached  # which keeps the ids of the elements unique
        end = cached[1]
        return head + end if len(end) <= MAX_CACHED_BODY_BYTES else LargeRequest(head, end)

    def _end(self, batch: Elements, attempt: int) -> bytes:
        body = b"[%s]" % b",".join([element.text for element in batch])
        batch_id = batch_id_of(batch)
        signatures = b""
        if self._secrets:
            signatures = signature_lines(self._secrets, batch_id, int(self._second), body, None, _TYPE_LINE)
        line = b"Webhook-Id: %s\r\n%s: %d\r\n" % (batch_id.encode(), BATCH_HEADER.encode(), len(batch))
        length = b"Content-Length: %d\r\n" % len(body)
        return b"".join((_TYPE_LINE, line, length, attempt_head(attempt, self._second, signatures), body))


def batch_id_of(batch: Elements) -> str:
    """Return the id of a batch: the same one for the same events."""
    digest = hashlib.sha256("\n".join([element.ids[0] for element in batch]).encode())
    return f"batch_{digest.hexdigest()[:32]}"
