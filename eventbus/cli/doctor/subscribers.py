"""The subscribers: who is stuck, who has dead letters, and who can be reached from here."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from eventbus.cli.doctor.connection import trouble
from eventbus.cli.doctor.findings import Finding, warning, well
from eventbus.cli.screen import counted
from eventbus.cli.shown import ago, rfc3339
from eventbus.client import Subscriber
from eventbus.client.errors import BusError

_ABOUT = "subscribers"
#: Connections that are tried at once, and in all.
AT_ONCE, TRIED = 32, 500
#: Subscribers that are named; of more, only how many.
NAMED = 20


def judged(found: Sequence[Subscriber]) -> list[Finding]:
    """What the bus itself says of them."""
    expired = [_expired(one) for one in found if one.state == "expired"]
    stuck = [_stuck(one) for one in found if one.state not in ("new", "ok", "expired")]
    dead = [_dead(one) for one in found if one.dead]
    if not expired and not stuck and not dead:
        return [well(_ABOUT, f"{counted(len(found), 'subscriber')}; none is stuck, none has dead letters.")]
    return [
        *_bounded(expired, "are expired too"),
        *_bounded(stuck, "are stuck too"),
        *_bounded(dead, "have dead letters too"),
    ]


def refused(error: BusError) -> Finding:
    """Nothing can be said of them: the bus did not tell."""
    return warning(
        _ABOUT, f"The bus does not tell: {error}.", "Give a token that may, in EVENTBUS_TOKEN or --token-file."
    )


def _stuck(one: Subscriber) -> Finding:
    since = f", the oldest for {ago(one.oldest_pending_seconds)}" if one.pending else ""
    rate = "" if one.error_rate is None else f" {one.error_rate:.0%} of the last minute's attempts failed."
    at = "" if one.last_error_at is None else f" at {rfc3339(one.last_error_at)}"
    why = f" Last error{at}: {one.last_error}." if one.last_error else ""
    text = f"{one.address} is {one.state}; {counted(one.pending, 'event')} pending{since}.{rate}{why}"
    return warning(_ABOUT, text, "See that it answers POST /event with 2xx; it gets all that is pending.")


def _expired(one: Subscriber) -> Finding:
    since = "" if one.expired_at is None else f" since {rfc3339(one.expired_at)}"
    kept = f"{counted(one.pending, 'event')} pending, {counted(one.dead, 'dead letter')}"
    mend = f"Start it again, or say that it is gone: 'eventbus deregister {one.address}'."
    return warning(_ABOUT, f"{one.address} is expired{since}; {kept}.", mend)


def _dead(one: Subscriber) -> Finding:
    text = f"{one.address} has {counted(one.dead, 'dead letter')}."
    check = f"'eventbus dead-letters list --address {one.address}'"
    return warning(_ABOUT, text, f"Look at {check}; then replay or discard them.")


def unreached(found: Sequence[Subscriber]) -> list[Finding]:
    """Connect to each from here, which is not where the bus is."""
    tried = [one.address for one in found[:TRIED]]
    if not tried:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(tried))) as threads:
        reasons = list(threads.map(connect, tried))
    return reached(zip(tried, reasons, strict=True), len(found))


def reached(tried: Iterable[tuple[str, str]], total: int) -> list[Finding]:
    """What is to be said of those that were tried, of so many; a reason that is empty is a connection."""
    outcomes = list(tried)
    mend = "See that it runs; if the bus reaches it, this is only about this machine."
    failed = [
        warning("reach", f"{address} cannot be reached from here: {reason}.", mend)
        for address, reason in outcomes
        if reason
    ]
    of = "" if len(outcomes) == total else f" of {total:,}"
    good = len(outcomes) - len(failed)
    reached_ones = [well("reach", f"{counted(good, 'subscriber')}{of} can be reached from here.")] if good else []
    return [*_bounded(failed, "cannot be reached from here either"), *reached_ones]


def connect(address: str) -> str:
    """Why no connection to an address comes about; empty where one does."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    return trouble(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _bounded(findings: list[Finding], what: str) -> list[Finding]:
    if len(findings) <= NAMED:
        return findings
    more = f"{counted(len(findings) - NAMED, 'subscriber')} more {what}."
    return [*findings[:NAMED], warning(findings[0].about, more, "'eventbus subscribers' lists all.")]
