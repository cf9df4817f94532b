"""``settle=S``: a publish whose answer says what became of its event."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from eventbus.core.access import Access
from eventbus.core.errors import BadRequest, TooManyStreams
from eventbus.core.number_kinds import Duration
from eventbus.core.settling import MAX_SETTLE_SECONDS, MIN_SETTLE_SECONDS
from eventbus.core.tokens import Scope
from eventbus.services.settled_fates import Settled, SettledFate
from eventbus.web.query import Query
from eventbus.web.server.connections import ClientConnection
from eventbus.web.subscriber_payloads import identity_payload

#: The parameter, and its values: seconds.
SETTLE = "settle"
SETTLE_SECONDS = Duration(MIN_SETTLE_SECONDS, MAX_SETTLE_SECONDS)
#: Parameters that delay an event.
DELAYING = ("delay", "deliver_at")
#: Subscriptions that an answer lists, at most.
MAX_LISTED = 100
#: The states of a delivery; those that need attention are listed first.
STATES = ("pending", "dead", "discarded", "filtered", "delivered")


def settle_seconds(query: Query) -> float:
    """Return how long a publish of one event waits for it to be settled, which the query gives. Raises BadRequest."""
    seconds: float = SETTLE_SECONDS.parse(SETTLE, query.values[SETTLE])
    for name in DELAYING:
        if name in query.values:
            raise BadRequest(
                f"settle and {name} contradict each other: what is delayed is not settled yet when this is answered. "
                "Leave out one of them."
            )
    return seconds


def check_unsettled(query: Query) -> None:
    """Raise BadRequest where a batch is to wait for its events to be settled."""
    if SETTLE in query.values:
        raise BadRequest("settle applies to a single event; publish a batch without it, or its events one by one.")


def may_list(access: Access | None) -> bool:
    """Return whether a client may read who subscribes; None stands for all that there is, where no token is needed."""
    return access is None or not access.scopes.isdisjoint((Scope.SUBSCRIBE, Scope.VIEW))


def settled_payload(settled: Settled, *, listed: bool) -> dict[str, Any]:
    """Return what became of an event: the number of each state, and of some subscriptions which it is."""
    fates = sorted(settled.fates.values(), key=lambda fate: (STATES.index(fate.delivery.state), fate.subscription.text))
    counts = Counter(fate.delivery.state for fate in fates)
    counts["pending"] += settled.unknown
    listed_fates: Sequence[SettledFate] = fates[:MAX_LISTED] if listed else ()
    return {
        **{state: counts[state] for state in STATES},
        "subscriptions": [_fate_payload(fate) for fate in listed_fates],
        "more": len(fates) + settled.unknown - len(listed_fates),
    }


def _fate_payload(fate: SettledFate) -> dict[str, Any]:
    state, attempts, status = fate.delivery
    return {**identity_payload(fate.subscription), "state": state, "status": status, "attempts": attempts}


def hold(connection: ClientConnection | None) -> None:
    """Count a connection as a long poll while its publish waits. Raises TooManyStreams."""
    if connection is not None and not connection.acquire_long_lived():
        raise TooManyStreams("The limit of streams and long polls is reached; publish without settle, or later.")
