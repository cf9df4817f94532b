"""An attempt: one HTTP request for a delivery, and what its response means for the lane."""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from eventbus.core.clock import Clock
from eventbus.core.model import Event, State
from eventbus.delivery.awaited import AwaitedEvents
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Health, Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import (
    DELIVERED_STATUSES,
    AttemptResult,
    DeliveryResponse,
    Verdict,
    classify_response,
)
from eventbus.delivery.lane_registry import LaneRegistry
from eventbus.delivery.slots import CutShort, LeaseExpired, Slot
from eventbus.delivery.slow_pool import SLOW_SECONDS
from eventbus.delivery.transport import Route
from eventbus.telemetry.attempt_ring import BLOCK, AttemptRing
from eventbus.telemetry.counters import Counters
from eventbus.telemetry.text_ring import NO_TEXT

#: Seconds until a delivery is attempted again that this node had no files, ports or memory for.
RESOURCE_RETRY_SECONDS = 1.0

#: What stands for each verdict in the ring of the newest attempts; 0 is DELIVERED.
OUTCOMES = tuple(Verdict)
OUTCOME_NUMBERS = {verdict: number for number, verdict in enumerate(OUTCOMES)}

log = logging.getLogger(__name__)


class SubscriberListener(Protocol):
    """Hears what subscribers answer that is about their registration, not about an event."""

    def gone(self, lane: Lane, target: Health) -> None:
        """End the registration of a subscriber that answered 410: it wants no more. It may be a group's member."""


class Ended(NamedTuple):
    """How one delivery's attempt ended: which one it was, and what its response means."""

    event_id: str
    number: int
    verdict: Verdict
    answer: DeliveryResponse


class Attempts:
    """Makes attempts, and settles the deliveries."""

    def __init__(
        self,
        registry: LaneRegistry,
        clock: Clock,
        counters: Counters,
        listener: SubscriberListener,
        quick: Callable[[Health], None],
        awaited: AwaitedEvents,
    ) -> None:
        self.routes = registry.routes  #: by target
        self.awaited = awaited  #: those whose publishers wait for what becomes of them
        self._awaited_seqs = awaited.by_seq  # mostly empty
        self.ring = AttemptRing()  #: the newest attempts
        self._clock = clock
        self._counters = counters
        self._listener = listener
        self._quick = quick  # called with a subscriber that is not slow any more

    def make(self, lane: Lane, target: Health, delivery: Delivery, event: Event, now: float, slot: Slot) -> None:
        """Send an event, and settle the delivery or let it wait for a retry.

        The ``target`` is the lane itself, or the member of a group that the event goes to.
        """
        wall = self._clock.wall()
        slot.at = target
        try:
            route = self.routes[target]
            if target.consented or (answer := self.refusal(route, target, delivery)) is None:
                answer = route.post(event, delivery.attempts, now, wall)
        except Exception as error:
            answer = broken_off(target, error)
        slot.at = None
        if not answer.made:
            lane.release(delivery, self._clock.monotonic() + RESOURCE_RETRY_SECONDS)
            return
        state = target.state  # of this moment: of several attempts in flight one changes it
        seconds = self._clock.monotonic() - now
        if answer.status in DELIVERED_STATUSES:  # as classify_response says, without the cost of a call
            self._counters.attempt.observe(seconds)
            waited = wall - event.accepted_at + seconds
            self._counters.arrival.observe(waited if waited > 0 else 0.0)  # the wall clock may have been set back
            if target.slow is not (seconds > SLOW_SECONDS):
                self._change_pace(target)
            ring, name = self.ring, target.attempts_name
            if name <= ring.forgotten:
                name = self._name(lane, target)
            packed = ring.packed_ids.get(event.id) or ring.pack_id(event.id)
            ring.fresh.append((packed, wall, seconds, name, delivery.attempts, answer.status, 0, NO_TEXT))
            if len(ring.fresh) >= BLOCK:
                ring.write()
            lane.deliver(delivery, now)
            if self._awaited_seqs:
                self.awaited.delivered(lane, delivery, answer.status)
        else:
            self._fail(lane, target, delivery, event, answer, wall)
        if target.state is not state:
            log_state_change(target, answer, wall)

    def _fail(
        self, lane: Lane, target: Health, delivery: Delivery, event: Event, answer: DeliveryResponse, wall: float
    ) -> None:
        """Settle a delivery whose attempt, which began at ``wall`` (seconds since 1970), failed."""
        now = self._clock.monotonic()
        seconds = now - delivery.began
        result = result_of(target, answer, wall, seconds)
        self.note_failed(target, result, answer, seconds)
        if target.consented:
            self.record(lane, target, [Ended(event.id, delivery.attempts, result.verdict, answer)], wall, seconds)
        lane.fail(delivery, result, answer, Moment(now, wall, wall - event.accepted_at))
        if self._awaited_seqs:
            self.awaited.failed(lane, delivery, answer.status)
        self.end_if_gone(lane, target, result)

    # The newest attempts

    def record(self, lane: Lane, target: Health, ended: Iterable[Ended], wall: float, seconds: float) -> None:
        """Keep attempts that have ended together, begun at ``wall`` (seconds since 1970), among the newest ones."""
        ring, name = self.ring, target.attempts_name
        if name <= ring.forgotten:
            name = self._name(lane, target)
        for event_id, number, verdict, answer in ended:
            texts = NO_TEXT if verdict is Verdict.DELIVERED else ring.keep(answer.error, answer.excerpt)
            outcome = OUTCOME_NUMBERS[verdict]
            ring.note(event_id, name, number, wall, seconds, answer.status or 0, outcome, texts)

    def _name(self, lane: Lane, target: Health) -> int:
        """Name a subscriber that the ring does not know, or not any more."""
        name = self.ring.name(lane.subscriber.key, target.subscriber.key)
        target.take_attempts_name(name)
        return name

    # For several deliveries at once

    def note_delivered(self, target: Health, seconds: float, waited: Iterable[float]) -> None:
        """Count an attempt that took so many seconds, and events that have ``waited`` for as long until its end."""
        self._counters.attempt.observe(seconds)
        self._counters.arrival.observe_all([each if each > 0.0 else 0.0 for each in waited])
        if target.slow is not (seconds > SLOW_SECONDS):
            self._change_pace(target)

    def note_failed(self, target: Health, result: AttemptResult, answer: DeliveryResponse, seconds: float) -> None:
        """Count an attempt that failed after so many seconds."""
        self._counters.attempt.observe(seconds)
        target.set_slow(slow=seconds > SLOW_SECONDS or answer.status is None)
        self._counters.attempts[result.verdict.value] += 1

    def end_if_gone(self, lane: Lane, target: Health, result: AttemptResult) -> None:
        """End the registration of a subscriber that wants no more."""
        if result.verdict is Verdict.GONE and not lane.closed:
            self._listener.gone(lane, target)

    def _change_pace(self, target: Health) -> None:
        """Note that a subscriber which was slow is quick, or the other way round."""
        if target.hanging:
            return  # one quick answer says nothing of others that do not come
        target.set_slow(slow=not target.slow)
        if not target.slow:
            self._quick(target)

    def refusal(self, route: Route, target: Health, delivery: Delivery) -> DeliveryResponse | None:
        """Ask a subscriber for its consent; return its refusal as a response, and count no attempt then."""
        consent = route.ask_consent()
        if consent.given:
            target.consent(consent.per_minute, self._clock.monotonic())
            return None
        delivery.attempts -= 1
        return DeliveryResponse(None, error=consent.error)


def broken_off(target: Health, error: Exception) -> DeliveryResponse:
    """Return the response of an attempt that ended with an exception."""
    if isinstance(error, LeaseExpired):
        return DeliveryResponse(None, error="its lease expired during the attempt")
    if isinstance(error, CutShort):
        return DeliveryResponse(None, made=False)
    key = target.subscriber.key
    log.exception("unexpected error in an attempt at %s", key, extra={"address": key})
    return DeliveryResponse(None, error=f"the attempt failed: {error!r}")


def result_of(target: Health, answer: DeliveryResponse, sent_at: float, seconds: float) -> AttemptResult:
    """Return what the response to an attempt means, which began at ``sent_at`` and took so many seconds.

    The moment is in seconds since 1970: the credentials of then were sent, and a date in Retry-After is later.
    """
    stale, declared = target.credentials.are_stale(sent_at), target.subscriber.declared
    return classify_response(answer, sent_at + seconds, stale=stale, declared=declared)


def log_state_change(target: Health, answer: DeliveryResponse, wall: float) -> None:
    """Log that a subscriber has gone down, come back, or asked for a pause, and note it for the dashboard."""
    key, level, text = target.subscriber.key, logging.INFO, "is back"
    if target.state is State.DOWN:
        level, text = logging.WARNING, f"is down: {answer.error}"
    elif target.state is State.PAUSED:
        text = f"asked for a pause ({answer.status})"
    target.note(text, wall)
    log.log(level, "subscriber %s %s", key, text, extra={"address": key})
