"""An attempt: one HTTP request for a delivery, and what its response means for the lane."""

import logging
from collections.abc import Callable
from typing import Protocol

from eventbus.core.clock import Clock
from eventbus.core.model import Event, State
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import DELIVERED_STATUSES, DeliveryResponse, Verdict, classify_response
from eventbus.delivery.lane_registry import LaneRegistry
from eventbus.delivery.slots import CutShort, Slot
from eventbus.delivery.slow_pool import SLOW_SECONDS
from eventbus.delivery.transport import Route
from eventbus.telemetry.counters import Counters

#: Seconds until a delivery is attempted again that this node had no files, ports or memory for.
RESOURCE_RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class SubscriberListener(Protocol):
    """Hears what subscribers answer that is about their registration, not about an event."""

    def gone(self, lane: Lane) -> None:
        """End the registration of a subscriber that answered 410: it wants no more."""


class Attempts:
    """Makes attempts, and settles the deliveries."""

    def __init__(
        self,
        registry: LaneRegistry,
        clock: Clock,
        counters: Counters,
        listener: SubscriberListener,
        quick: Callable[[Lane], None],
    ) -> None:
        self._routes = registry.routes
        self._clock = clock
        self._counters = counters
        self._listener = listener
        self._quick = quick  # called with a lane that is not slow any more

    def make(self, lane: Lane, delivery: Delivery, event: Event, now: float, slot: Slot) -> None:
        """Send an event to a lane's subscriber, and settle the delivery or let it wait for a retry."""
        wall = self._clock.wall()
        slot.at = lane
        try:
            route = self._routes[lane]
            if lane.consented or (answer := self._refusal(route, lane, delivery)) is None:
                answer = route.post(event, delivery.attempts, now, wall)
        except Exception as error:
            answer = _broken_off(lane, error)
        slot.at = None
        if not answer.made:
            lane.release(delivery, self._clock.monotonic() + RESOURCE_RETRY_SECONDS)
            return
        state = lane.state  # of this moment: of several attempts in flight one changes it
        seconds = self._clock.monotonic() - now
        self._counters.attempt.observe(seconds)
        if answer.status in DELIVERED_STATUSES:  # as classify_response says, without the cost of a call
            waited = wall - event.accepted_at + seconds
            self._counters.arrival.observe(waited if waited > 0 else 0.0)  # the wall clock may have been set back
            if lane.slow is not (seconds > SLOW_SECONDS):
                self._change_pace(lane)
            lane.deliver(delivery, now)
        else:
            result = classify_response(answer, wall)
            lane.set_slow(slow=seconds > SLOW_SECONDS or answer.status is None)
            self._counters.attempts[result.verdict.value] += 1
            lane.fail(delivery, result, answer, Moment(self._clock.monotonic(), wall, wall - event.accepted_at))
            if result.verdict is Verdict.GONE and not lane.closed:
                self._listener.gone(lane)
        if lane.state is not state:
            log_state_change(lane, answer, wall)

    def _change_pace(self, lane: Lane) -> None:
        """Note that a lane which was slow is quick, or the other way round."""
        if lane.hanging:
            return  # one quick answer says nothing of others that do not come
        lane.set_slow(slow=not lane.slow)
        if not lane.slow:
            self._quick(lane)

    def _refusal(self, route: Route, lane: Lane, delivery: Delivery) -> DeliveryResponse | None:
        """Ask a subscriber for its consent; return its refusal as a response, and count no attempt then."""
        consent = route.ask_consent()
        if consent.given:
            lane.consent(consent.per_minute, self._clock.monotonic())
            return None
        delivery.attempts -= 1
        return DeliveryResponse(None, error=consent.error)


def _broken_off(lane: Lane, error: Exception) -> DeliveryResponse:
    """Return the response of an attempt that ended with an exception."""
    if isinstance(error, CutShort):
        return DeliveryResponse(None, made=False)
    key = lane.subscriber.key
    log.exception("unexpected error in an attempt at %s", key, extra={"address": key})
    return DeliveryResponse(None, error=f"the attempt failed: {error!r}")


def log_state_change(lane: Lane, answer: DeliveryResponse, wall: float) -> None:
    """Log that a subscriber has gone down, come back, or asked for a pause, and note it for the dashboard."""
    key, level, text = lane.subscriber.key, logging.INFO, "is back"
    if lane.state is State.DOWN:
        level, text = logging.WARNING, f"is down: {answer.error}"
    elif lane.state is State.PAUSED:
        text = f"asked for a pause ({answer.status})"
    lane.note(text, wall)
    log.log(level, "subscriber %s %s", key, text, extra={"address": key})
