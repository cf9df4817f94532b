"""Batches: several events in one request, taken apart, and the answer to all of them. Pure."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from eventbus.client.dispatch import HANDLED, InboxResponse
from eventbus.client.encoding import json_bytes
from eventbus.client.errors import BadBody
from eventbus.client.model import Event
from eventbus.client.signatures import time_of
from eventbus.core.batch_format import (
    CODING_ATTRIBUTE,
    DEAD_ATTRIBUTES,
    ID_ATTRIBUTE,
    KEY_ATTRIBUTE,
    NO_TYPE,
    PUBLISHER_ATTRIBUTE,
    PUBLISHER_FIELD,
    SOURCE,
    STRUCTURED_TYPE,
    TOPIC_ATTRIBUTE,
)
from eventbus.core.errors import BadRequest
from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE
from eventbus.core.topics import check_topic

#: Characters of a reason in the answer to a batch, which may have a thousand of them.
MAX_REASON_CHARS = 100
#: What a header stands for in an event that is no CloudEvent.
_HEADERS = {
    "datacontenttype": "content-type",
    CODING_ATTRIBUTE: "content-encoding",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
    PUBLISHER_ATTRIBUTE: PUBLISHER_FIELD,
    EXPIRY_ATTRIBUTE: f"ce-{EXPIRY_ATTRIBUTE}",
    **DEAD_ATTRIBUTES,
}


def events_in_batch(headers: Mapping[str, str], body: bytes, now: float) -> list[Event]:
    """Return the events of a batch; names of ``headers`` are lower case. Raises BadBody.

    A CloudEvent is one in structured mode then.
    """
    try:
        elements = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise BadBody("the batch is not JSON") from error
    if not isinstance(elements, list):
        raise BadBody("the batch is not an array")
    at, attempt = time_of(headers.get("webhook-timestamp", ""), now), headers.get("eventbus-attempt", "1")
    number = int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 1
    found = []
    for element in elements:
        if not isinstance(element, dict) or not isinstance(element.get("id"), str):
            raise BadBody("the batch has an element that is no CloudEvent")
        kept, data = _content(element)
        event_id = str(element.get(ID_ATTRIBUTE) or element["id"])
        found.append(Event(event_id, _topic(element), data, kept, at, number, element.get(KEY_ATTRIBUTE)))
    return found


def _topic(element: Mapping[str, Any]) -> str | None:
    if topic := element.get(TOPIC_ATTRIBUTE):
        return str(topic)
    kind = element.get("type")
    try:
        return None if kind in (None, NO_TYPE) else check_topic(str(kind))
    except BadRequest:
        return None


def _content(element: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an element."""
    if ID_ATTRIBUTE in element or element.get("source") != SOURCE:
        added = ID_ATTRIBUTE, TOPIC_ATTRIBUTE, PUBLISHER_ATTRIBUTE
        own = {name: value for name, value in element.items() if name not in added}
        publisher = {PUBLISHER_FIELD: str(element[PUBLISHER_ATTRIBUTE])} if PUBLISHER_ATTRIBUTE in element else {}
        return {"content-type": STRUCTURED_TYPE, **publisher}, json_bytes(own)
    headers = {header: str(element[name]) for name, header in _HEADERS.items() if name in element}
    if "data_base64" in element:
        return headers, base64.b64decode(element["data_base64"])
    return headers, json_bytes(element["data"]) if "data" in element else b""


def response_to_batch(events: Sequence[Event], responses: Sequence[InboxResponse]) -> InboxResponse:
    """Return the response to a batch: which events failed, or what all of them have in common."""
    failed = [(event, response) for event, response in zip(events, responses, strict=True) if response.status != 200]
    if not failed:
        return HANDLED
    if len(failed) == len(events) and len(set(map(_meaning, responses))) == 1:
        return responses[0]
    body = json_bytes({"failed": [_failure(event, response) for event, response in failed]})
    return InboxResponse(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)


def _meaning(response: InboxResponse) -> tuple[int, str | None, bytes]:
    return response.status, response.headers.get("Retry-After"), response.body


def _failure(event: Event, response: InboxResponse) -> dict[str, Any]:
    if response.status == 422:
        return {"id": event.id, "reject": response.body.decode(errors="replace")[:MAX_REASON_CHARS]}
    wait = response.headers.get("Retry-After")
    return {"id": event.id, **({} if wait is None else {"retry_after": int(wait)})}
