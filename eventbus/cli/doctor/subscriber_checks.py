"""Check the subscribers: which are stuck, have dead letters, and can be reached from here."""

import shlex
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from eventbus.cli.doctor.connection import connection_error
from eventbus.cli.doctor.findings import Finding, ok, warning
from eventbus.cli.formatting import format_duration
from eventbus.cli.screen import pluralize
from eventbus.cli.subscribers import pause_text
from eventbus.client import Group, Pause, Subscriber, SubscriberList
from eventbus.client.encoding import rfc3339
from eventbus.client.errors import BusError
from eventbus.core.target_path import with_path

_ABOUT = "subscribers"
#: States in which deliveries succeed, or none was attempted yet.
_WELL = ("new", "ok")
#: The state of one whose credentials the bus does not have, since it has started again; and what ends it.
_WAITING = "waiting for credentials"
_RENEW = "It is delivered to when it renews with its credentials; see that it gives them with each renewal."
#: Connections that are made at once, and in all.
MAX_CONNECTIONS, MAX_CHECKED = 32, 500
#: Subscribers that are named; of more, only their number.
MAX_NAMED = 20


def diagnose(found: SubscriberList) -> list[Finding]:
    """Return the findings by what the bus says of subscribers and groups, and of the members of groups."""
    each: list[Subscriber | Group] = [*(one for one in found if one.group is None), *found.groups]
    members = [_stuck_member(one) for one in found if one.group is not None and one.state not in _WELL]
    expired = [_expired(one) for one in each if one.state == "expired"]
    stuck = [_stuck(one) for one in each if one.state not in (*_WELL, "expired")]
    stuck += [_draining(one) for one in found.groups if one.members and all(member.draining for member in one.members)]
    dead = [_dead(one) for one in each if one.dead]
    twice = [_ends_in_event(one) for one in found if one.path is None and one.address.rstrip("/").endswith("/event")]
    if not expired and not stuck and not members and not dead:
        well = ok(_ABOUT, f"{pluralize(len(each), 'subscriber')}; none is stuck, none has dead letters.")
        return [well, *_limit(twice, "end in /event too")]
    return [
        *_limit(expired, "are expired too"),
        *_limit(stuck, "are stuck too"),
        *_limit(members, "are members that are stuck too"),
        *_limit(dead, "have dead letters too"),
        *_limit(twice, "end in /event too"),
    ]


def not_listed(error: BusError) -> Finding:
    """Return the finding about a bus that did not list its subscribers."""
    return warning(
        _ABOUT, f"The bus does not list them: {error}.", "Give a token that may, in EVENTBUS_TOKEN or --token-file."
    )


def _stuck(one: Subscriber | Group) -> Finding:
    if one.pause is not None and one.pause.by == "operator":
        return _paused(one, _name(one), one.pause)
    since = f", the oldest for {format_duration(one.oldest_pending_seconds)}" if one.pending else ""
    text = f"{_name(one)} is {one.state}; {pluralize(one.pending, 'event')} pending{since}.{_attempts(one)}"
    usual = f"See that it answers POST {_path(one)} with 2xx; it gets all that is pending."
    return warning(_ABOUT, text, _RENEW if one.state == _WAITING else usual)


def _paused(one: Subscriber | Group, name: str, pause: Pause) -> Finding:
    text = f"{name} is {pause_text(pause)}; {pluralize(one.pending, 'event')} pending."
    return warning(_ABOUT, text, f"Where the reason is over, run: eventbus resume {_arguments(one)}")


def _stuck_member(one: Subscriber) -> Finding:
    if one.pause is not None and one.pause.by == "operator":
        return _paused(one, f"{_name(one)}, a member of group {one.group},", one.pause)
    text = f"{_name(one)}, a member of group {one.group}, is {one.state}.{_attempts(one)}"
    usual = f"See that it answers POST {_path(one)} with 2xx; until then other members get its share."
    return warning(_ABOUT, text, _RENEW if one.state == _WAITING else usual)


def _attempts(one: Subscriber | Group) -> str:
    rate = "" if one.error_rate is None else f" {one.error_rate:.0%} of the last minute's attempts failed."
    at = "" if one.last_error_at is None else f" at {rfc3339(one.last_error_at)}"
    return rate + (f" Last error{at}: {one.last_error}." if one.last_error else "")


def _draining(one: Group) -> Finding:
    text = (
        f"{_name(one)} gets nothing, since all of its members are draining; {pluralize(one.pending, 'event')} pending."
    )
    return warning(_ABOUT, text, "Start a member, or renew one without drain.")


def _expired(one: Subscriber | Group) -> Finding:
    since = "" if one.expired_at is None else f" since {rfc3339(one.expired_at)}"
    kept = f"{pluralize(one.pending, 'event')} pending, {pluralize(one.dead, 'dead letter')}"
    fix = f"Start it again; or, where it is gone for good, run: eventbus deregister {_arguments(one)}"
    return warning(_ABOUT, f"{_name(one)} is expired{since}; {kept}.", fix)


def _dead(one: Subscriber | Group) -> Finding:
    text = f"{_name(one)} has {pluralize(one.dead, 'dead letter')}."
    listing = f"eventbus dead-letters list {_arguments(one, '--address ')}"
    return warning(_ABOUT, text, f"Replay or discard them. To see them, run: {listing}")


def _name(one: Subscriber | Group) -> str:
    return f"Group {one.group}" if isinstance(one, Group) else with_path(one.address, one.path)


def _path(one: Subscriber | Group) -> str:
    """Return where the events of a subscriber are POSTed to."""
    return "/event" if isinstance(one, Group) else one.path or "/event"


def _arguments(one: Subscriber | Group, before_address: str = "") -> str:
    """Return what names a subscriber or a group on the command line, quoted for a shell."""
    if isinstance(one, Group):
        return f"--group {shlex.quote(one.group)}"
    path = "" if one.path is None else f" --path {shlex.quote(one.path)}"
    return f"{before_address}{shlex.quote(one.address)}{path}"


def _ends_in_event(one: Subscriber) -> Finding:
    text = f"{one.address} ends in /event, and its events go to {one.address.rstrip('/')}/event."
    return warning(_ABOUT, text, "Where that is not meant, register it without /event, or with path= and the path.")


def check_connections(found: Sequence[Subscriber]) -> list[Finding]:
    """Connect to subscribers from here, which may not be where the bus is. Return the findings."""
    addresses = [one.address for one in found[:MAX_CHECKED]]
    if not addresses:
        return []
    with ThreadPoolExecutor(min(MAX_CONNECTIONS, len(addresses))) as threads:
        errors = list(threads.map(connection_error_of, addresses))
    return connection_findings(zip(addresses, errors, strict=True), len(found))


def connection_findings(tried: Iterable[tuple[str, str]], total: int) -> list[Finding]:
    """Return the findings about addresses, each with an error or an empty text, of ``total`` subscribers."""
    outcomes = list(tried)
    fix = "See that it runs; if the bus reaches it, this is only about this machine."
    failed = [
        warning("reach", f"{address} cannot be reached from here: {reason}.", fix)
        for address, reason in outcomes
        if reason
    ]
    of = "" if len(outcomes) == total else f" of {total:,}"
    good = len(outcomes) - len(failed)
    reached_ones = [ok("reach", f"{pluralize(good, 'subscriber')}{of} can be reached from here.")] if good else []
    return [*_limit(failed, "cannot be reached from here either"), *reached_ones]


def connection_error_of(address: str) -> str:
    """Return why no connection to an address can be made; empty where one can."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    return connection_error(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _limit(findings: list[Finding], what: str) -> list[Finding]:
    if len(findings) <= MAX_NAMED:
        return findings
    more = f"{pluralize(len(findings) - MAX_NAMED, 'subscriber')} more {what}."
    return [*findings[:MAX_NAMED], warning(findings[0].about, more, "'eventbus subscribers' lists all.")]
