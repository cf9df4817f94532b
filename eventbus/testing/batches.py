"""Deliver several events to an inbox in one request, as the bus does, and take its response apart."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from eventbus.client.dispatch import BUSY, HANDLED, InboxResponse, response_to
from eventbus.client.encoding import json_bytes, rfc3339
from eventbus.client.errors import Reject, Retry
from eventbus.client.inbox import Inbox
from eventbus.client.model import STRUCTURED, Event
from eventbus.core.batch_format import (
    BATCH_HEADER,
    BATCH_TYPE,
    CODING_ATTRIBUTE,
    ID_ATTRIBUTE,
    KEY_ATTRIBUTE,
    NO_TYPE,
    SOURCE,
    TOPIC_ATTRIBUTE,
)
from eventbus.testing.deliveries import signed_headers


def deliver_many(inbox: Inbox, topic: str | None, items: Iterable[Any], *, attempt: int = 1) -> InboxResponse:
    """Deliver events to an inbox in one request, as if ``Bus.publish_many`` had sent them. Return its response.

    It is signed with the inbox's first secret. A response 200 may have a body that names events which failed.
    """
    now, kept = datetime.now(UTC), {"content-type": "application/json"}
    bodies = [item if isinstance(item, bytes) else json_bytes(item) for item in items]
    return deliver_batch(inbox, [Event(str(uuid4()), topic, body, kept, now) for body in bodies], attempt)


def deliver_batch(inbox: Inbox, events: Sequence[Event], attempt: int = 1) -> InboxResponse:
    """Deliver events in one request. Return the response to it."""
    body = b"[%s]" % b",".join(json_bytes(element_of(event)) for event in events)
    batch_id = hashlib.sha256("\n".join(event.id for event in events).encode()).hexdigest()[:32]
    request = Event(f"batch_{batch_id}", None, body, {"content-type": BATCH_TYPE}, datetime.now(UTC))
    headers = {**signed_headers(inbox, request, attempt), BATCH_HEADER.lower(): str(len(events))}
    return inbox.dispatch("POST", headers, body)


def deliver_together(inbox: Inbox, events: Sequence[Event]) -> list[InboxResponse]:
    """Deliver events as the inbox's terms say: one by itself, or all in one request. Return the response for each.

    Those that are rejected together come again at once in halves, as those of the bus do.
    """
    if (inbox.terms.batch or 1) == 1:
        return [inbox.dispatch("POST", signed_headers(inbox, event), event.body) for event in events]
    response = deliver_batch(inbox, events)
    if len(events) > 1 and 400 <= response.status < 500 and response.status != BUSY.status:
        middle = (len(events) + 1) // 2
        return deliver_together(inbox, events[:middle]) + deliver_together(inbox, events[middle:])
    return _responses_in(response, events)


def _responses_in(response: InboxResponse, events: Sequence[Event]) -> list[InboxResponse]:
    """Return what the response to a request means for each of its events."""
    if response.status != HANDLED.status or not response.body.startswith(b"{"):
        return [response] * len(events)
    failed = {entry["id"]: entry for entry in json.loads(response.body)["failed"]}
    return [_response_in(failed[event.id]) if event.id in failed else HANDLED for event in events]


def _response_in(failure: dict[str, Any]) -> InboxResponse:
    return response_to(Reject(failure["reject"]) if "reject" in failure else Retry(after=failure.get("retry_after")))


def element_of(event: Event) -> dict[str, Any]:
    """Return an event as it stands in a batch."""
    if event.content_type == STRUCTURED:
        given, data = event.json(), {}
    else:
        traced = {name: event.headers[name] for name in ("traceparent", "tracestate") if name in event.headers}
        given, data = {**_type_of(event), **event.attributes, **traced}, _data_of(event)
    own_id = str(given.get("id", event.id))
    added = {
        ID_ATTRIBUTE: None if own_id == event.id else event.id,
        TOPIC_ATTRIBUTE: None if given.get("type", event.topic) == event.topic != NO_TYPE else event.topic,
        KEY_ATTRIBUTE: event.key,
        CODING_ATTRIBUTE: event.headers.get("content-encoding"),
    }
    needed = {"specversion": "1.0", "id": event.id, "source": SOURCE, "type": event.topic or NO_TYPE}
    added = {name: value for name, value in added.items() if value}
    return {**needed, "time": rfc3339(event.at), **given, **added, **data}


def _type_of(event: Event) -> dict[str, str]:
    return {"datacontenttype": event.headers["content-type"]} if "content-type" in event.headers else {}


def _data_of(event: Event) -> dict[str, Any]:
    """Return the member with an event's body: as JSON where it is that, by its type or by how it begins."""
    kind, body = event.content_type, event.body
    by_type = kind == "application/json" or kind.endswith("+json")
    if (by_type or (not kind and body.lstrip()[:1] in (b"{", b"["))) and "content-encoding" not in event.headers:
        try:
            return {"data": json.loads(body)}
        except (ValueError, RecursionError):
            pass
    return {"data_base64": base64.b64encode(body).decode()} if body else {}
