"""The contract of a transport. Every implementation passes tests/contract/test_transport.py."""

from typing import NamedTuple, Protocol

from eventbus.core.addresses import Address
from eventbus.core.model import Event, Subscriber
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse

#: Bytes of an answer's body that are kept for whoever looks.
EXCERPT_BYTES = 1_024
#: Bytes of an answer, and of its head; one with more is no answer.
MAX_ANSWER_BYTES = 65_536
MAX_HEAD_BYTES = 32_768
#: Answers of status 1xx before the real one.
MAX_INTERIM_ANSWERS = 8
#: Idle connections kept to one host and port.
KEPT_CONNECTIONS = 64


class Examined(NamedTuple):
    """What was found out about an address before anything is sent there."""

    reason: str | None = None  # why nothing would ever be sent there; None where it would, as far as can be told
    ips: frozenset[str] = frozenset()  # where it leads to; none for a name that is not known yet


class Route(Protocol):
    """The way to one subscriber: what is constant for it is built once."""

    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        """POST an event once, within the subscriber's timeout; never raises for what a subscriber does.

        ``now`` is on the monotonic clock, ``wall`` seconds since 1970.
        """

    def ask_consent(self) -> Consent:
        """Ask the subscriber whether it consents to deliveries; never raises for what it does."""

    def close(self) -> None:
        """Close the connections that are idle; those in use close when they become idle."""


class Transport(Protocol):
    """Finds routes."""

    def route(self, subscriber: Subscriber) -> Route:
        """The way to a subscriber, with its options as they are now."""

    def examine(self, address: Address) -> Examined:
        """Find out what can be told in a moment of an address, to which nothing is sent yet."""

    def close(self) -> None:
        """Close what all routes share."""
