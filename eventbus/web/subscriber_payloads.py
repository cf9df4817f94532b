"""Subscribers, groups and members as JSON."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from eventbus.core.addresses import Address
from eventbus.core.clock import rfc3339
from eventbus.core.model import Group, Options, State, Subscription
from eventbus.core.option_table import options_of, to_json
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.status import status
from eventbus.services.bus import Bus
from eventbus.services.held_keys import oldest_held_key
from eventbus.services.registrations import Registration

#: Options that the group has, and not each member.
_SHARED = tuple(one.name for one in options_of(Options) if one.shared)


def registration_payload(bus: Bus, found: Registration) -> dict[str, Any]:
    """Return what was registered: a subscriber, or a member of a group."""
    return payload_of(bus, found.lane, found.lane if found.member is None else found.member)


def address_payload(address: Address) -> dict[str, Any]:
    """Return an address as it was given, and its target path, which is None without one."""
    return {"address": address.text, "path": address.target or None}


def identity_payload(whose: Subscription) -> dict[str, Any]:
    """Return whose subscription it is: an address and its target path, or a group; what it has not is None."""
    if isinstance(whose, Group):
        return {"address": None, "path": None, "group": whose.name}
    return {**address_payload(whose.address), "group": None}


def by_address(lanes: Sequence[Lane]) -> list[tuple[Lane, Lane | Member]]:
    """Return each subscriber and each member of a group with its lane, by address."""
    found: list[tuple[Lane, Lane | Member]] = []
    for lane in lanes:
        if lane.roster is None:
            found.append((lane, lane))
        else:
            found += ((lane, member) for member in lane.roster)
    return sorted(found, key=lambda pair: pair[1].subscriber.key)


def payload_of(bus: Bus, lane: Lane, target: Lane | Member) -> dict[str, Any]:
    """Return a subscriber, or a member of a group."""
    if isinstance(target, Member):
        return member_payload(bus, lane, target)
    return subscription_payload(bus, lane)


def group_payloads(bus: Bus, lanes: Sequence[Lane]) -> Iterator[dict[str, Any]]:
    """Yield a payload for each group, with its account and its members."""
    yield from (subscription_payload(bus, lane) for lane in lanes if isinstance(lane, GroupLane))


def subscription_payload(bus: Bus, lane: Lane) -> dict[str, Any]:
    """Return a subscriber or a group: its options, lease, state and account."""
    now = bus.clock.monotonic()
    whose = {**identity_payload(lane.subscriber), "declared": lane.subscriber.declared and lane.ended_at is None}
    owner = {"owner": lane.subscriber.owner or None}
    if isinstance(lane, GroupLane):
        whose = {"group": whose["group"], "members": [_brief(member, now) for member in lane.roster]}
    return {
        **whose,
        **owner,
        **_lease(bus, lane, expired_at=lane.ended_at),
        **to_json(lane.subscriber.options),
        "credentials": lane.subscriber.credentials,
        "draining": lane.draining,
        "state": status(lane, now),
        "pause": _pause(bus, lane, now),
        "pending": lane.backlog,
        "backlog": lane.backlog - len(lane.in_flight),
        "in_flight": len(lane.in_flight),
        "oldest_pending_seconds": bus.oldest_pending_seconds(lane),
        "accepted": lane.accepted,
        "delivered": lane.delivered,
        "failed_attempts": lane.failed_attempts,
        "dead": lane.dead,
        "discarded": lane.discarded,
        "filtered": lane.filtered,
        **_held_keys(bus, lane),
        **_attempts(lane, now),
    }


def member_payload(bus: Bus, lane: Lane, member: Member) -> dict[str, Any]:
    """Return a member: its own lease and state, and the deliveries that it has had; the group has the account."""
    now, options = bus.clock.monotonic(), lane.subscriber.options
    own = replace(member.subscriber.options, **{name: getattr(options, name) for name in _SHARED})
    return {
        **address_payload(member.subscriber.address),
        "group": lane.subscriber.text,
        "declared": member.subscriber.declared,
        "owner": lane.subscriber.owner or None,
        **_lease(bus, member, expired_at=None),
        **to_json(own),
        "credentials": member.subscriber.credentials,
        "draining": member.draining,
        "state": status(member, now),
        "pause": _pause(bus, member, now),
        "pending": member.in_flight,
        "backlog": 0,
        "in_flight": member.in_flight,
        "oldest_pending_seconds": 0.0,
        "accepted": member.delivered + member.in_flight,
        "delivered": member.delivered,
        "failed_attempts": member.failed_attempts,
        "dead": 0,
        "discarded": 0,
        "filtered": 0,
        "held_keys": 0,
        "oldest_held_key": None,
        **_attempts(member, now),
    }


def _brief(member: Member, now: float) -> dict[str, Any]:
    return {
        **address_payload(member.subscriber.address),
        "state": status(member, now),
        "in_flight": member.in_flight,
        "draining": member.draining,
        "declared": member.subscriber.declared,
    }


def _lease(bus: Bus, of: Lane | Member, *, expired_at: float | None) -> dict[str, Any]:
    """Return the times of a lease. That of a group with members, or of a declared subscriber, has no end."""
    now, lease = bus.clock.monotonic(), of.lease
    ends = bus.clock.wall() + lease.ends - now if expired_at is None else expired_at
    until = rfc3339(ends) if math.isfinite(ends) else None
    return {
        "registered_at": rfc3339(lease.registered_at),
        "renewed_at": rfc3339(lease.renewed_at),
        "expires_at": until,
        "expired_at": until if status(of, now) is State.EXPIRED else None,
        "renew_after": None if of.subscriber.declared else round(of.subscriber.options.lease / 3, 3),
    }


def _pause(bus: Bus, of: Lane | Member, now: float) -> dict[str, Any] | None:
    """Return who has paused a subscriber, and until when; None where nobody has."""
    pause = of.pause_at(now)
    if pause is not None:
        until = None if pause.until is None else rfc3339(pause.until)
        return {"by": "operator", "client": pause.client, "since": rfc3339(pause.since), "until": until}
    if of.asked_for_pause(now):
        until = rfc3339(bus.clock.wall() + of.own_wait_ends - now)
        return {"by": "subscriber", "client": None, "since": None, "until": until}
    return None


def _held_keys(bus: Bus, lane: Lane) -> dict[str, Any]:
    """Return how many order keys are held, and the one whose failed event is the oldest."""
    oldest = oldest_held_key(lane, bus.journal, bus.dispatcher.recent)
    return {
        "held_keys": len(lane.retries.held()),
        "oldest_held_key": None if oldest is None else asdict(oldest),
    }


def _attempts(of: Lane | Member, now: float) -> dict[str, Any]:
    """Return how recent attempts went."""
    error_rate = of.recent.error_rate(now)
    successes, failures = of.recent.counts(now)
    return {
        "last_error": of.last_error or None,
        "last_error_at": None if of.last_error_at is None else rfc3339(of.last_error_at),
        "error_rate": None if error_rate is None else round(error_rate, 3),
        "recent_successes": successes,
        "recent_failures": failures,
    }
