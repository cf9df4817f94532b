"""Deliver events to an inbox directly, signed as the bus signs them."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from eventbus import __version__
from eventbus.client.dispatch import InboxResponse
from eventbus.client.encoding import encode_body
from eventbus.client.inbox import Inbox
from eventbus.client.model import Event
from eventbus.client.signatures import encode_headers
from eventbus.core.event_view import EventView
from eventbus.core.filters import parse_filter
from eventbus.core.order_key import ORDER_KEY_HEADER, encode_key
from eventbus.core.signing import body_signatures, header_signatures


def deliver(  # noqa: PLR0913 - each is a part of the delivery
    inbox: Inbox,
    topic: str | None,
    data: Any = b"",
    *,
    event_id: str | None = None,
    attempt: int = 1,
    headers: Mapping[str, str] | None = None,
    order_by: str | None = None,
) -> InboxResponse:
    """Deliver an event to an inbox, as if ``Bus.publish`` had sent it. Return the inbox's response.

    It is signed with the inbox's first secret. ``event_id`` makes it a repetition of an earlier one, ``headers``
    are those that the bus keeps of a publish, ``order_by`` the event's order key.
    """
    body, kind = encode_body(data)
    kept = {**({"content-type": kind} if kind else {}), **(headers or {})}
    event = Event(event_id or str(uuid4()), topic, body, kept, datetime.now(UTC), key=order_by)
    return inbox.dispatch("POST", signed_headers(inbox, event, attempt), body)


def signed_headers(inbox: Inbox, event: Event, attempt: int = 1, at: float | None = None) -> dict[str, str]:
    """Return the headers of one attempt, in lower case; ``at`` is seconds since 1970, now if left out."""
    stamp = int(time.time() if at is None else at)
    headers = {
        "user-agent": f"eventbus/{__version__}",
        **{name.lower(): value for name, value in event.headers.items()},
        "webhook-id": event.id,
        "webhook-timestamp": str(stamp),
        "eventbus-attempt": str(attempt),
    }
    if authorization := inbox.credentials.given()["authorization"]:
        headers["authorization"] = authorization
    if event.topic is not None:
        headers["eventbus-topic"] = event.topic
    if event.key is not None:
        headers[ORDER_KEY_HEADER.lower()] = encode_key(event.key)
    if secrets := inbox.verifier.secrets:
        made = body_signatures(secrets, event.id, stamp, event.body)
        both = header_signatures(secrets, made, encode_headers(headers))
        headers["webhook-signature"], headers["eventbus-signature"] = b" ".join(made).decode(), b" ".join(both).decode()
    return headers


class _Viewed(NamedTuple):
    """An event as filters look at it."""

    id: str
    topic: str | None
    head: bytes
    body: bytes
    accepted_at: float
    key: str


def passes(inbox: Inbox, event: Event) -> bool:
    """Return whether an inbox's filter matches an event."""
    found = parse_filter(inbox.terms.filter or "")
    if found is None:
        return True
    head = "".join(f"{name}: {value}\r\n" for name, value in event.headers.items()).encode("latin-1")
    viewed = _Viewed(event.id, event.topic, head, event.body, event.at.timestamp(), event.key or "")
    return found.matches(EventView(viewed))
