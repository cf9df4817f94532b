"""The contract of a transport. Every implementation passes tests/contract/test_transport.py."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.model import Event, Subscriber
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse


class AddressCheck(NamedTuple):
    """What is known of an address before anything is sent to it."""

    reason: str | None = None  # why nothing may be sent to it; None if that is allowed, or not known yet
    ips: frozenset[str] = frozenset()  # the IP addresses; empty if the name is not resolved yet


class Element(NamedTuple):
    """An event as it stands in a batch."""

    text: bytes
    ids: tuple[str, ...]  # the bus's, and the CloudEvent's own where it has another
    expires_at: float = math.inf  # seconds since 1970; inf where the event does not expire


#: The events of one batch, in order.
Elements = Sequence[Element]


class Route(Protocol):
    """Sends events to one subscriber. Whatever is constant for the subscriber is built once."""

    __slots__ = ()

    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        """POST an event once, within the subscriber's timeout; never raise for what a subscriber does.

        ``now`` is on the monotonic clock, ``wall`` is in seconds since 1970.
        """

    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        """POST several events at once, as ``post`` does one; the response has the body that came with a 2xx."""

    def ask_consent(self) -> Consent:
        """Ask the subscriber whether it consents to deliveries; never raise for what a subscriber does."""

    def close(self) -> None:
        """Close idle connections now, and those in use when they become idle."""


class Transport(Protocol):
    """Makes routes, and checks addresses."""

    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> Route:
        """Return a route to a subscriber with its present options; ``credentials`` authorize and sign deliveries.

        No response has them in its error, excerpt or body.
        """

    def check_address(self, address: Address) -> AddressCheck:
        """Resolve an address and check it against the rules, in at most a few seconds. Send nothing to it."""

    def certificate_expiry(self) -> float | None:
        """Return when the bus's client certificate expires, in seconds since 1970; None if it has none."""

    def close(self) -> None:
        """Close what all routes share."""
