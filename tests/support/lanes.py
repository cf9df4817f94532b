"""Lanes for tests of rules: a subscriber, a lane in a moment of one's choosing, and what it may be answered."""

from typing import Any

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Moment, Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.lane.limits import DEFAULT_LIMITS, LaneLimits
from eventbus.delivery.lane.outcome import DELIVERED, DeliveryResponse, classify_response

ADDRESS = "127.0.0.1:8000"
#: What the wall clock shows, in seconds since 1970, when the monotonic one shows zero.
EPOCH = 1_795_000_000.0

TAKEN = DeliveryResponse(204)
BUSY = DeliveryResponse(500, excerpt=b"busy")
UNWANTED = DeliveryResponse(400, excerpt=b"what is this?")
ENOUGH = DeliveryResponse(410)
REFUSED = DeliveryResponse(None, error="connection refused")


def wait_please(seconds: float) -> DeliveryResponse:
    """An answer that asks for a pause."""
    return DeliveryResponse(503, f"{seconds:g}")


def high() -> float:
    """Dice that always show the most: no jitter."""
    return 1.0


def subscriber_with(**options: Any) -> Subscriber:
    """A subscriber with these options."""
    return Subscriber(parse_address(ADDRESS), Options(**options))


def lane_with(
    *seqs: int,
    retry_seconds: float = 86_400,
    ends: float = 1_000_000,
    limits: LaneLimits = DEFAULT_LIMITS,
    **options: Any,
) -> Lane:
    """A lane that begins at zero on the monotonic clock, and has been offered these events."""
    rules = Rules(retry_seconds, high, limits=limits)
    lane = lane_of(new_record(subscriber_with(**options), EPOCH, 0), rules, retries=0, ends=ends, now=0, wall=EPOCH)
    lane.offer(seqs)
    return lane


def answer(lane: Lane, delivery: Delivery, response: DeliveryResponse, now: float, *, waited: float = 0.0) -> None:
    """Settle a delivery by what was answered."""
    result = classify_response(response, EPOCH + now)
    if result is DELIVERED:
        lane.deliver(delivery, delivery.began)
    else:
        lane.fail(delivery, result, response, Moment(now, EPOCH + now, waited))


def take_all(lane: Lane, now: float) -> list[Delivery]:
    """Start all attempts that may start now."""
    taken = []
    while (delivery := lane.take(now)) is not None:
        taken.append(delivery)
    return taken


def attempt(lane: Lane, response: DeliveryResponse, now: float) -> int | None:
    """Make one attempt that is answered at once; the number of its event, None where none may start."""
    delivery = lane.take(now)
    if delivery is None:
        return None
    answer(lane, delivery, response, now)
    return delivery.seq
