"""``/registerAndKeepAlive``, ``/deregister`` and ``/listSubscribers``."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from eventbus.core.addresses import Address, parse_address
from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadAddress, BadRequest
from eventbus.core.model import State
from eventbus.core.options import to_json
from eventbus.core.tokens import Scope
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.status import status
from eventbus.services.bus import Bus
from eventbus.web.accept import wants_json
from eventbus.web.access import needs
from eventbus.web.audit import Changed, client_of, log_change
from eventbus.web.current import the_bus, the_changes
from eventbus.web.pages import long_json, separated
from eventbus.web.query import Query, query_of
from eventbus.web.replies import SUCCESS, Reply, as_json, text
from eventbus.web.terms import terms_of

blueprint = Blueprint("subscribers", __name__)


@blueprint.post("/registerAndKeepAlive", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE)
def register_and_keep_alive() -> Reply:
    """Register an address, or renew its lease."""
    query = query_of(request.environ)
    bus, address = the_bus(), address_in(query)
    client, changes = client_of(request.environ), the_changes()
    with _wire_error():
        registration = bus.register(address, terms_of(query), query.first("from") or None)
    other = changes.by_another(address.key, client)
    if registration.created:
        log_change(Changed.REGISTERED, address.key, 1)
    elif registration.changed:
        log_change(Changed.TERMS, address.key, len(registration.changed), terms=",".join(registration.changed))
    if registration.created or registration.changed:
        changes.note(address.key, bus.clock.wall(), client)
    if not wants_json(request):
        return text(SUCCESS)
    return as_json(
        {
            "created": registration.created,
            **subscriber_payload(bus, registration.lane),
            "changed_at": None if other is None else rfc3339(other.at),
            "changed_by": None if other is None else other.by,
            "origin": bus.settings.origin if bus.settings.verify == "handshake" else None,
            "warnings": warnings(address),
        }
    )


def warnings(address: Address) -> list[str]:
    """Return warnings about an address that may be a mistake."""
    if not address.path.endswith("/event"):
        return []
    return [f"Deliveries go to {address.url}: the bus adds /event to every address."]


@blueprint.delete("/deregister", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE)
def deregister() -> Reply:
    """Deregister an address, and discard its pending deliveries."""
    address = address_in(query_of(request.environ))
    bus = the_bus()
    known = address.key in bus.dispatcher.lanes or address.key in bus.expired
    discarded = bus.deregister(address)
    if known:
        log_change(Changed.DEREGISTERED, address.key, discarded)
        the_changes().note(address.key, bus.clock.wall(), client_of(request.environ))
    return as_json({"address": address.text, "discarded": discarded}) if wants_json(request) else text(SUCCESS)


@blueprint.get("/listSubscribers", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE)
def list_subscribers() -> Reply | Response:
    """List the live or the expired subscribers."""
    if request.method != "GET":
        raise MethodNotAllowed(["GET"])
    expired = query_of(request.environ).first("expired")
    if expired not in (None, "true", "false"):
        raise BadRequest("expired must be true or false.")
    bus = the_bus()
    lanes = bus.expired.lanes() if expired == "true" else bus.subscribers()
    if wants_json(request):
        rows = separated(subscriber_payload(bus, lane) for lane in lanes)
        return long_json(chain([b'{"subscribers":['], rows, [b"]}\n"]), bus.give_way)
    lines = []
    for lane in lanes:
        bus.give_way()
        lines.append(f"{lane.subscriber.address.text}  :  {rfc3339(lane.lease.renewed_at)}\n")
    return text("".join(lines))


def subscriber_payload(bus: Bus, lane: Lane) -> dict[str, Any]:
    """Return a subscriber as JSON: its options, lease, state and account."""
    options, lease = lane.subscriber.options, lane.lease
    now, wall = bus.clock.monotonic(), bus.clock.wall()
    state, error_rate = status(lane, now), lane.recent.error_rate(now)
    successes, failures = lane.recent.counts(now)
    ends = wall + lease.ends - now if lane.ended_at is None else lane.ended_at
    return {
        "address": lane.subscriber.address.text,
        "registered_at": rfc3339(lease.registered_at),
        "renewed_at": rfc3339(lease.renewed_at),
        "expires_at": rfc3339(ends),
        "expired_at": rfc3339(ends) if state is State.EXPIRED else None,
        "renew_after": round(options.lease / 3, 3),
        **to_json(options),
        "state": state,
        "pending": lane.backlog,
        "backlog": lane.backlog - len(lane.in_flight),
        "in_flight": len(lane.in_flight),
        "oldest_pending_seconds": bus.oldest_pending_seconds(lane),
        "accepted": lane.accepted,
        "delivered": lane.delivered,
        "failed_attempts": lane.failed_attempts,
        "dead": lane.dead,
        "discarded": lane.discarded,
        "last_error": lane.last_error or None,
        "last_error_at": None if lane.last_error_at is None else rfc3339(lane.last_error_at),
        "error_rate": None if error_rate is None else round(error_rate, 3),
        "recent_successes": successes,
        "recent_failures": failures,
    }


def address_in(query: Query) -> Address:
    """Return the address in the query. Raises BadAddress with the wire contract's text."""
    with _wire_error():
        return parse_address(query.first("address") or "")


@contextmanager
def _wire_error() -> Iterator[None]:
    """Phrase a BadAddress as the wire contract says."""
    try:
        yield
    except BadAddress as error:
        raise BadAddress(f"Wrong input address. {error}".rstrip()) from None
