"""Builds the bytes of a request that holds several events: CloudEvents in the JSON batch format."""

import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from eventbus.core.batch_format import (
    BATCH_HEADER,
    BATCH_TYPE,
    CODING_ATTRIBUTE,
    DEAD_ATTRIBUTES,
    ID_ATTRIBUTE,
    KEY_ATTRIBUTE,
    NO_TYPE,
    PUBLISHER_ATTRIBUTE,
    PUBLISHER_FIELD,
    STRUCTURED_TYPE,
    TOPIC_ATTRIBUTE,
)
from eventbus.core.errors import BadRequest
from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE, attributes_in, media_type_of, usual_attributes
from eventbus.core.event_expiry import expires_at, expirytime_in
from eventbus.core.headers import headers_in, is_valid_head
from eventbus.core.model import Event, Message
from eventbus.core.signing import signature_lines
from eventbus.delivery.transport.base import Element, Elements
from eventbus.delivery.transport.request import Request, attempt_head, request_of

#: Cached elements, and their bytes: one event goes to many subscribers at about the same time.
MAX_CACHED_ELEMENTS, MAX_CACHED_BYTES = 8_192, 4 * 1_024 * 1_024
#: Bytes of the bodies that are cached: subscribers that keep up with each other get the same batches.
MAX_CACHED_BODIES_BYTES = 2 * 1_024 * 1_024
#: Heads whose JSON is cached, by the topic and second of their events too, and bytes of one of them, at most.
MAX_CACHED_KINDS, MAX_CACHED_HEAD_BYTES = 256, 256
_TYPE_LINE = b"Content-Type: %s\r\n" % BATCH_TYPE.encode()


class _Envelope(NamedTuple):
    """What events have in common as elements: all but their ids, their order keys and their data."""

    own_id: Any  # a CloudEvent's; None without one
    members: bytes  # in JSON, each with a comma before it


class _Kind(NamedTuple):
    """What a head says of its event."""

    media_type: str
    coding: str | None
    publisher: str | None
    expires_at: float  # seconds since 1970, inf where it does not expire
    envelope: _Envelope


def element_of(event: Event) -> Element:
    """Return an event as it stands in a batch. Raise BadRequest for one whose headers may not be sent."""
    _, event_id, topic, head, body, accepted_at, key = event
    kind_of = _kind_of if len(head) > MAX_CACHED_HEAD_BYTES else _cached_kind_of
    media_type, coding, publisher, expires, (own_id, members) = kind_of(head, topic, int(accepted_at), bool(key))
    if media_type == STRUCTURED_TYPE and (structured := _object_in(body)) is not None:
        structured = _with_publisher(structured, publisher)
        if structured.get(EXPIRY_ATTRIBUTE) is None and (time := expirytime_in(head)) is not None:
            structured[EXPIRY_ATTRIBUTE] = time
        own_id, members = _envelope(structured, topic, int(accepted_at), coding, keyed=bool(key))
        data: tuple[bytes, ...] = ()
    else:
        data = _data(body, media_type, coded=coding is not None)
    if own_id is None or own_id == event_id:
        ids: tuple[str, ...] = (event_id,)
        start = f'{{"id":{_quoted(event_id)}'
    else:
        ids = event_id, str(own_id)
        start = f'{{"id":{_encode(own_id)},"{ID_ATTRIBUTE}":{_quoted(event_id)}'
    if key:
        start += f',"{KEY_ATTRIBUTE}":{_quoted(key)}'
    return _new_element((b"".join((start.encode(), members, *data, b"}")), ids, expires))


def _kind_of(head: bytes, topic: str | None, second: int, keyed: bool) -> _Kind:  # noqa: FBT001 - the cache finds it faster so
    if not is_valid_head(head):
        raise BadRequest(f"Its headers in the journal may not be sent: {head[:80]!r}.")
    headers = {name.lower(): value for name, value in headers_in(head).items()}
    coding = headers.get("content-encoding")
    dead = {attribute: headers[name] for attribute, name in DEAD_ATTRIBUTES.items() if name in headers}
    publisher = headers.get(PUBLISHER_FIELD)
    attributes = _with_publisher(attributes_in(headers) | dead, publisher)
    envelope = _envelope(attributes, topic, second, coding, keyed=keyed)
    return _Kind(media_type_of(headers), coding, publisher, expires_at(head), envelope)


def _with_publisher(attributes: dict[str, Any], publisher: str | None) -> dict[str, Any]:
    """Return attributes with the name of who published the event, whatever they say of it themselves."""
    own = {name: value for name, value in attributes.items() if name != PUBLISHER_ATTRIBUTE}
    return own if publisher is None else own | {PUBLISHER_ATTRIBUTE: publisher}


_cached_kind_of = lru_cache(MAX_CACHED_KINDS)(_kind_of)


def _envelope(
    attributes: dict[str, Any], topic: str | None, second: int, coding: str | None, *, keyed: bool
) -> _Envelope:
    """Return what an element has of the attributes, and what the bus adds; ``second`` is when it was accepted."""
    own_id = attributes.get("id")
    is_type = attributes.get("type", topic) == topic != NO_TYPE
    added = {TOPIC_ATTRIBUTE: None if is_type else topic, CODING_ATTRIBUTE: coding}
    usual = usual_attributes(Message("", topic, b"", b"", second))
    members = usual | attributes | {name: value for name, value in added.items() if value}
    of_each = {"id", *[ID_ATTRIBUTE] * (own_id is not None), *[KEY_ATTRIBUTE] * keyed}
    left = {name: value for name, value in members.items() if name not in of_each}
    return _Envelope(own_id, b"," + _encode(left)[1:-1].encode())


def _object_in(body: bytes) -> dict[str, Any] | None:
    found = _value_in(body)
    return found if isinstance(found, dict) else None


def _data(body: bytes, media_type: str, *, coded: bool) -> tuple[bytes, ...]:
    """Return the parts of the member with an event's body: as it is where it is JSON."""
    if not body:
        return ()
    may_be_json = media_type == "application/json" or media_type.endswith("+json") or not media_type
    if may_be_json and not coded and _is_json(body, structured=not media_type):
        return b',"data":', body
    return b',"data_base64":"', binascii.b2a_base64(body, newline=False), b'"'


def _is_json(body: bytes, *, structured: bool) -> bool:
    """Return whether a body is JSON in UTF-8; ``structured`` wants an object or an array."""
    if structured and body.lstrip()[:1] not in (b"{", b"["):
        return False
    return _value_in(body) is not _NOT_JSON


def _value_in(body: bytes) -> Any:
    """Return what a body says in JSON, or _NOT_JSON."""
    try:
        text = body.decode().strip(_WHITESPACE)
        value, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return _NOT_JSON
    return value if end == len(text) else _NOT_JSON


def _refuse(name: str) -> Any:
    raise ValueError(name)


_encode = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii  # what the encoder does with a text
_decoder, _WHITESPACE = json.JSONDecoder(parse_constant=_refuse), " \t\n\r"
_NOT_JSON = object()
_new_element = partial(tuple.__new__, Element)  # of a tuple: half the cost of Element()


class ElementCache:
    """Makes the elements of events, each once for all subscribers.

    What is cached is dropped by halves: to drop one element for each that is made would cost more than to look it up.
    """

    def __init__(self) -> None:
        self._older: dict[int, tuple[Event, Element]] = {}
        self._begin_half()

    def _begin_half(self) -> None:
        self._newer: dict[int, tuple[Event, Element]] = {}
        self._free_bytes = MAX_CACHED_BYTES // 2

    def of(self, event: Event) -> Element:
        """Return an event's element. Raise BadRequest."""
        key = id(event)  # unique while the cache holds the event
        cached = self._newer.get(key) or self._older.get(key)
        if cached is not None:
            return cached[1]
        element = element_of(event)
        size = len(element.text) + len(event.body)
        if self._free_bytes < size or len(self._newer) >= MAX_CACHED_ELEMENTS // 2:
            self._older = self._newer
            self._begin_half()
        self._free_bytes -= size
        self._newer[key] = event, element
        return element


class BatchRequestBuilder:
    """Builds requests, signed if there are ``secrets``, and keeps what follows the subscriber's headers for others."""

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._cached: OrderedDict[tuple[int, ...], tuple[Elements, bytes, bytes]] = OrderedDict()
        self._free_bytes = MAX_CACHED_BODIES_BYTES
        self._second = -1.0

    def build(self, head: bytes, batch: Elements, attempt: int, wall: float) -> Request:
        """Return a request that begins with a subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        if wall // 1 != self._second:
            self._second = wall // 1
            self._cached.clear()
            self._free_bytes = MAX_CACHED_BODIES_BYTES
        key = (attempt, *map(id, batch))
        cached = self._cached.get(key)
        if cached is None:
            cached = self._cached[key] = batch, *headers_and_body(self._secrets, batch, attempt, self._second)
            self._free_bytes -= len(cached[2])
            while self._free_bytes < 0:  # what is cached keeps the ids of its elements unique
                self._free_bytes += len(self._cached.popitem(last=False)[1][2])
        _, headers, body = cached
        return request_of(head + headers, body)


def headers_and_body(secrets: Sequence[bytes], batch: Elements, attempt: int, second: float) -> tuple[bytes, bytes]:
    """Return what follows the subscriber's headers in a request, signed at a second since 1970 if there are secrets."""
    body = b"[%s]" % b",".join([element.text for element in batch])
    batch_id = batch_id_of(batch)
    signatures = signature_lines(secrets, batch_id, int(second), body, None, _TYPE_LINE) if secrets else b""
    line = b"Webhook-Id: %s\r\n%s: %d\r\n" % (batch_id.encode(), BATCH_HEADER.encode(), len(batch))
    length = b"Content-Length: %d\r\n" % len(body)
    return b"".join((_TYPE_LINE, line, length, attempt_head(attempt, second, signatures))), body


def batch_id_of(batch: Elements) -> str:
    """Return the id of a batch: the same one for the same events."""
    digest = hashlib.sha256("\n".join([element.ids[0] for element in batch]).encode())
    return f"batch_{digest.hexdigest()[:32]}"
