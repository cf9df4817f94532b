"""An event, and its deliveries, as JSON."""

import json
from collections.abc import Callable
from typing import Any

from eventbus.core.clock import rfc3339, rfc3339_ms
from eventbus.core.event_expiry import displayed_expiry
from eventbus.core.model import Event
from eventbus.core.records import FailedDelivery, Retry
from eventbus.core.schedule import ScheduledEvent
from eventbus.delivery.lane.outcome import Verdict
from eventbus.services.attempt_history import outcome_of
from eventbus.services.history import Fate
from eventbus.web.attempt_payload import step_payload
from eventbus.web.body_text import body_json, body_payload
from eventbus.web.subscriber_payloads import identity_payload


def event_payload(event: Event) -> dict[str, Any]:
    """Return an event as JSON."""
    return {**_without_body(event), "body": body_payload(event.body)}


def event_brief(event: Event) -> dict[str, Any]:
    """Return an event as JSON, with the number of its body's bytes instead of the body."""
    return {**_without_body(event), "bytes": len(event.body)}


def event_json(event: Event, give_way: Callable[[], None]) -> bytes:
    """Return an event as the text of its JSON, without spaces; call ``give_way`` between the steps of a large one."""
    return _with_body(_without_body(event), event.body, give_way)


def as_event(scheduled: ScheduledEvent) -> Event:
    """Return a scheduled event as one that is in the journal, which has no number yet."""
    return Event(0, *scheduled.message)


def scheduled_payload(scheduled: ScheduledEvent) -> dict[str, Any]:
    """Return a scheduled event as JSON."""
    return {**_scheduled_without_body(scheduled), "body": body_payload(scheduled.message.body)}


def scheduled_json(scheduled: ScheduledEvent, give_way: Callable[[], None]) -> bytes:
    """Return a scheduled event as the text of its JSON; see ``event_json``."""
    return _with_body(_scheduled_without_body(scheduled), scheduled.message.body, give_way)


def _with_body(names: dict[str, Any], body: bytes, give_way: Callable[[], None]) -> bytes:
    text = json.dumps(names, separators=(",", ":")).encode()
    return b'%s,"body":%s}' % (text[:-1], body_json(body, give_way))


def _scheduled_without_body(scheduled: ScheduledEvent) -> dict[str, Any]:
    return {**_without_body(as_event(scheduled)), "scheduled_for": rfc3339_ms(scheduled.due_at)}


def _without_body(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "topic": event.topic,
        "key": event.key or None,
        "publisher": event.publisher,
        "accepted_at": rfc3339(event.accepted_at),
        "expires_at": displayed_expiry(event.head),
        "headers": event.headers,
    }


def delivery_payload(fate: Fate) -> dict[str, Any]:
    """Return an event's delivery for one subscriber, as JSON."""
    payload = {**identity_payload(fate.subscription), "state": fate.state}
    if fate.deferral is not None:
        payload |= {**_attempts(fate.deferral), "next_attempt_at": rfc3339(fate.deferral.due_at)}
    elif fate.failed is not None and fate.failed.attempts:
        payload |= _attempts(fate.failed)
    last = fate.attempts[-1] if fate.attempts else None
    if fate.state == "delivered" and last is not None and outcome_of(last) is Verdict.DELIVERED:
        payload["delivered_at"] = rfc3339_ms(last.ended)
    return {**payload, "timeline": list(map(step_payload, fate.attempts))}


def _attempts(of: Retry | FailedDelivery) -> dict[str, Any]:
    return {"attempts": of.attempts, "last_status": of.status, "last_error": of.error or None}
