"""Check the subscribers: which are stuck, have dead letters, and can be reached from here."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from eventbus.cli.doctor.connection import connection_error
from eventbus.cli.doctor.findings import Finding, ok, warning
from eventbus.cli.formatting import format_duration
from eventbus.cli.screen import pluralize
from eventbus.client import Subscriber
from eventbus.client.encoding import rfc3339
from eventbus.client.errors import BusError

_ABOUT = "subscribers"
#: Connections that are made at once, and in all.
MAX_CONNECTIONS, MAX_CHECKED = 32, 500
#: Subscribers that are named; of more, only their number.
MAX_NAMED = 20


def diagnose(found: Sequence[Subscriber]) -> list[Finding]:
    """Return the findings by what the bus says of subscribers."""
    expired = [_expired(one) for one in found if one.state == "expired"]
    stuck = [_stuck(one) for one in found if one.state not in ("new", "ok", "expired")]
    dead = [_dead(one) for one in found if one.dead]
    if not expired and not stuck and not dead:
        return [ok(_ABOUT, f"{pluralize(len(found), 'subscriber')}; none is stuck, none has dead letters.")]
    return [
        *_limit(expired, "are expired too"),
        *_limit(stuck, "are stuck too"),
        *_limit(dead, "have dead letters too"),
    ]


def not_listed(error: BusError) -> Finding:
    """Return the finding about a bus that did not list its subscribers."""
    return warning(
        _ABOUT, f"The bus does not list them: {error}.", "Give a token that may, in EVENTBUS_TOKEN or --token-file."
    )


def _stuck(one: Subscriber) -> Finding:
    since = f", the oldest for {format_duration(one.oldest_pending_seconds)}" if one.pending else ""
    rate = "" if one.error_rate is None else f" {one.error_rate:.0%} of the last minute's attempts failed."
    at = "" if one.last_error_at is None else f" at {rfc3339(one.last_error_at)}"
    why = f" Last error{at}: {one.last_error}." if one.last_error else ""
    text = f"{one.address} is {one.state}; {pluralize(one.pending, 'event')} pending{since}.{rate}{why}"
    return warning(_ABOUT, text, "See that it answers POST /event with 2xx; it gets all that is pending.")


def _expired(one: Subscriber) -> Finding:
    since = "" if one.expired_at is None else f" since {rfc3339(one.expired_at)}"
    kept = f"{pluralize(one.pending, 'event')} pending, {pluralize(one.dead, 'dead letter')}"
    fix = f"Start it again, or say that it is gone: 'eventbus deregister {one.address}'."
    return warning(_ABOUT, f"{one.address} is expired{since}; {kept}.", fix)


def _dead(one: Subscriber) -> Finding:
    text = f"{one.address} has {pluralize(one.dead, 'dead letter')}."
    check = f"'eventbus dead-letters list --address {one.address}'"
    return warning(_ABOUT, text, f"Look at {check}; then replay or discard them.")


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
