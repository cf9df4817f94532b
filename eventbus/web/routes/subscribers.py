"""``/registerAndKeepAlive``, ``/deregister`` and ``/listSubscribers``."""

from dataclasses import replace
from itertools import chain

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from eventbus.core.addresses import Address
from eventbus.core.clock import rfc3339
from eventbus.core.credentials import CREDENTIAL_HEADERS
from eventbus.core.dead_events import own_topic_warning
from eventbus.core.errors import BadRequest
from eventbus.core.model import group_key
from eventbus.core.tokens import Scope
from eventbus.delivery.lane_registry import address_of, targets_of
from eventbus.services.audit import Changed
from eventbus.services.bus import Bus
from eventbus.services.registration_steps import JoinRequest, RegistrationRequest
from eventbus.services.registrations import Registration
from eventbus.web.accept import wants_json
from eventbus.web.access import access_of, needs
from eventbus.web.audit import client_of, log_change
from eventbus.web.credentials import credentials_in
from eventbus.web.current import the_bus, the_changes
from eventbus.web.dry_run_payload import dry_run_payload
from eventbus.web.pages import long_json, separated
from eventbus.web.query import Query, query_of
from eventbus.web.replies import SUCCESS, Reply, as_json, text
from eventbus.web.subscriber_payloads import (
    address_payload,
    by_address,
    group_payloads,
    payload_of,
    registration_payload,
)
from eventbus.web.subscriptions import address_in, check_path, group_in, wire_error
from eventbus.web.terms import drain_in, dry_run_in, terms_of

blueprint = Blueprint("subscribers", __name__)


@blueprint.post("/registerAndKeepAlive", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE)
def register_and_keep_alive() -> Reply:
    """Register an address, or renew its lease."""
    query = query_of(request.environ)
    bus, address, group = the_bus(), address_in(query), group_in(query)
    asked, start = _asked(bus, query, address, group), query.first("from") or None
    if dry_run_in(query):
        return _dry_run(bus, asked, start)
    client, changes = client_of(request.environ), the_changes()
    with wire_error():
        registration = bus.accept(asked, start)
    other = changes.by_another(address.key, client)
    whose = {} if group is None else {"group": group}
    if registration.created:
        log_change(Changed.REGISTERED, address.key, 1, **whose)
    elif registration.changed:
        terms = ",".join(registration.changed)
        log_change(Changed.TERMS, address.key, len(registration.changed), terms=terms, **whose)
    if registration.created or registration.changed:
        changes.note(address.key, bus.clock.wall(), client)
    if not wants_json(request):
        return text(SUCCESS)
    return as_json(
        {
            "created": registration.created,
            **registration_payload(bus, registration),
            "changed_at": None if other is None else rfc3339(other.at),
            "changed_by": None if other is None else other.by,
            "origin": bus.settings.origin if bus.settings.verify == "handshake" else None,
            "warnings": warnings(address, registration),
        }
    )


def _asked(bus: Bus, query: Query, address: Address, group: str | None) -> RegistrationRequest:
    """Return what this request registers. Raises BadRequest, and Forbidden for an address that it may not register."""
    by = access_of(request.environ, bus.tokens)
    by.check_address(address)
    with wire_error():
        terms, credentials, drain = terms_of(query), credentials_in(request.environ), drain_in(query)
    if group is None:
        return RegistrationRequest(address, terms, credentials, by, drain)
    return JoinRequest(address, terms, credentials, by, drain, group=group)


def _dry_run(bus: Bus, asked: RegistrationRequest, start: str | None) -> Reply:
    """Say what a registration would be, and which of the last day's events match; as JSON, whatever is accepted."""
    with wire_error():
        found = bus.dry_run(asked, start)
    return as_json(dry_run_payload(asked, found, bus.past_events.matching(found.options)))


def warnings(address: Address, registration: Registration) -> list[str]:
    """Return warnings about what may be a mistake: the address, ``dead_to``, or that credentials did not come again."""
    found = []
    if address.path.endswith("/event"):
        other = f"address={replace(address, path='', legacy_key='').key}&path={address.path}"
        added = f"Deliveries go to {address.url}: the bus adds /event to an address."
        found.append(f"{added} To get them there without it, say {other}.")
    if own_topic := own_topic_warning(registration.lane.subscriber.options):
        found.append(own_topic)
    whose = registration.member or registration.lane
    if lacking := whose.credentials.lacking(whose.subscriber.credentials):
        headers = " and ".join(CREDENTIAL_HEADERS[kind] for kind in lacking)
        found.append(f"Nothing is delivered until a renewal has {headers} again.")
    return found


@blueprint.delete("/deregister", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE)
def deregister() -> Reply:
    """Deregister an address or a whole group, and discard pending deliveries; a member only leaves its group."""
    query, bus = query_of(request.environ), the_bus()
    access, group = access_of(request.environ, bus.tokens), group_in(query)
    check_path(query)
    if group is None or query.first("address") is not None:
        address = address_in(query)
        access.check_address(address)
        key, whose = address.key, address_payload(address)
    else:
        key, whose = group_key(group), {"group": group}
    dispatcher = bus.dispatcher
    lane = dispatcher.lanes.get(key)
    known = lane is not None or key in bus.expired or key in dispatcher.registry.groups
    targets = () if lane is None else tuple(targets_of(lane))
    for target in targets:  # of a group all members leave
        access.check_address(address_of(target).address)
    addresses = [target.subscriber.key for target in targets] or [key]
    discarded = bus.deregister(key, access)
    if known:
        log_change(Changed.DEREGISTERED, key, discarded)
        for each in addresses:
            the_changes().note(each, bus.clock.wall(), client_of(request.environ))
    return as_json({**whose, "discarded": discarded}) if wants_json(request) else text(SUCCESS)


@blueprint.get("/listSubscribers", provide_automatic_options=False)
@needs(Scope.SUBSCRIBE, Scope.VIEW)
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
        rows = separated(payload_of(bus, lane, target) for lane, target in by_address(lanes))
        groups = separated(group_payloads(bus, lanes))
        return long_json(chain([b'{"subscribers":['], rows, [b'],"groups":['], groups, [b"]}\n"]), bus.give_way)
    lines = []
    for _, target in by_address(lanes):
        bus.give_way()
        lines.append(f"{target.subscriber.text}  :  {rfc3339(target.lease.renewed_at)}\n")
    return text("".join(lines))
