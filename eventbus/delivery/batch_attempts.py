"""An attempt at several events at once: one HTTP request for a batch, and what its response means for each."""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from eventbus.core.batch_format import BATCH_BYTES
from eventbus.core.clock import Clock
from eventbus.core.errors import BadRequest
from eventbus.core.model import Event
from eventbus.delivery.attempts import RESOURCE_RETRY_SECONDS, Attempts, Ended, broken_off, log_state_change, result_of
from eventbus.delivery.lane.batch import DeliveryBatch, Failure, InvalidBatchResponse, failures_in
from eventbus.delivery.lane.companions import Candidates
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Health, Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import DELIVERED_STATUSES, RETRY, DeliveryResponse, Verdict
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.slots import Slot
from eventbus.delivery.transport.base import Element
from eventbus.delivery.transport.batch_request import ElementCache
from eventbus.delivery.transport.limits import EXCERPT_BYTES
from eventbus.delivery.upcoming import Upcoming


class _Request(NamedTuple):
    """A batch that is being filled and sent: the events of its deliveries, and what stands for them on the wire."""

    lane: Lane
    target: Health
    batch: DeliveryBatch
    events: list[Event]
    elements: list[Element]


class BatchAttempts:
    """Makes attempts with batches, and settles their deliveries."""

    def __init__(self, attempts: Attempts, recent: RecentEvents, upcoming: Upcoming, clock: Clock) -> None:
        self._attempts = attempts
        self._recent = recent
        self._upcoming = upcoming
        self._clock = clock
        self._elements = ElementCache()

    def make(self, lane: Lane, target: Health, delivery: Delivery, event: Event, now: float, slot: Slot) -> None:
        """Send an event, and those that may go along with it, and settle the deliveries or let them wait."""
        request = _Request(lane, target, DeliveryBatch(lane, delivery), [event], [])
        try:
            request.elements.append(self._elements.of(event))
        except BadRequest as error:  # the journal holds something that no publisher can have sent
            answer = DeliveryResponse(None, error=str(error), sendable=False)
        else:
            if target.consented:
                self._fill(request, now)
            answer = self._post(request, now, slot)
        self._settle(request, answer, now)

    def _fill(self, request: _Request, now: float) -> None:
        """Add what may go along, is in memory, matches the filter, has not expired, and has room."""
        lane, target, batch, events, elements = request
        most = min(target.together, batch.deliveries[0].max_batch)
        room = BATCH_BYTES - len(b"[]") - len(elements[0].text)
        while (size := len(events)) < most:
            found = lane.candidates(batch.deliveries[-1], now, size, most - size)
            if found is None:
                return
            if self._upcoming.drops(lane, found, self._recent.get(found.seqs[0]), now):
                if self._upcoming.turn_is_over():
                    return
                continue
            room, goes_on = self._take_fitting(request, found, room)
            if len(events) > size:
                batch.add(found, len(events) - size, now)
            if not goes_on:
                return

    def _take_fitting(self, request: _Request, found: Candidates, room: int) -> tuple[int, bool]:
        """Add the events that may go along and fit into ``room`` bytes, up to the first that may not.

        Return the rest of the room, and whether others may go along. Their deliveries are still to be started.
        """
        lane, first = request.lane, request.batch.deliveries[0]
        take_event, take_element = request.events.append, request.elements.append
        find, element_of, in_group = self._recent.get, self._elements.of, lane.roster is not None
        wall = self._clock.wall()
        for seq in found.seqs:
            event = find(seq)
            if event is None or (in_group and not lane.suits(first, event.topic)):
                return room, False
            try:
                element = element_of(event)
            except BadRequest:
                return room, False  # it is the first of a batch then
            if element.expires_at <= wall and seq != found.seqs[0]:
                return room, True  # those before it go along first
            if room <= len(element.text):
                return room, False
            room -= 1 + len(element.text)
            take_event(event)
            take_element(element)
        return room, True

    def _post(self, request: _Request, now: float, slot: Slot) -> DeliveryResponse:
        target, batch = request.target, request.batch
        slot.at = target
        try:
            route = self._attempts.routes[target]
            if target.consented or (answer := self._attempts.refusal(route, target, batch.deliveries[0])) is None:
                answer = route.post_batch(request.elements, batch.attempt, now, self._clock.wall())
        except Exception as error:
            answer = broken_off(target, error)
        slot.at = None
        return answer

    def _settle(self, request: _Request, answer: DeliveryResponse, began: float) -> None:
        lane, target, batch, events, _ = request
        now, wall, state = self._clock.monotonic(), self._clock.wall(), target.state
        if not answer.made:
            batch.release(now + RESOURCE_RETRY_SECONDS)
            return
        seconds = now - began
        numbers = [delivery.attempts for delivery in batch.deliveries]
        if answer.status in DELIVERED_STATUSES:
            ended = self._settle_answered(request, numbers, answer, began, now, wall)
        else:
            outcome = result_of(target, answer, wall - seconds, seconds)
            result = batch.fail(outcome, answer, _moments(events, now, wall))
            self._note_awaited(request, answer, range(len(events)))
            self._attempts.note_failed(target, result, answer, seconds)
            self._attempts.end_if_gone(lane, target, result)
            ended = _ended(events, numbers, result.verdict, answer)
        if target.consented:
            self._attempts.record(lane, target, ended, wall - seconds, seconds)
        if target.state is not state:
            log_state_change(target, answer, wall)

    def _settle_answered(
        self,
        request: _Request,
        numbers: Sequence[int],
        answer: DeliveryResponse,
        began: float,
        now: float,
        wall: float,
    ) -> list[Ended]:
        """Settle a batch that was answered 2xx: its body may say that some events failed. Return how each ended.

        One that was behind another which failed counts no attempt.
        """
        _, target, batch, events, elements = request
        seconds = now - began
        try:
            failures = failures_in(answer.body, (element.ids for element in elements))
        except InvalidBatchResponse as error:
            described = DeliveryResponse(answer.status, error=str(error), excerpt=answer.body[:EXCERPT_BYTES])
            self._attempts.note_failed(target, RETRY, answer, seconds)
            batch.fail(RETRY, described, _moments(events, now, wall))
            self._note_awaited(request, answer, range(len(events)))
            return _ended(events, numbers, Verdict.RETRY, described)
        taken = [event for index, event in enumerate(events) if index not in failures] if failures else events
        waited = [wall - event.accepted_at for event in taken]
        self._attempts.note_delivered(target, seconds, waited)
        ended = _ended(events, numbers, Verdict.DELIVERED, answer)
        if failures:
            batch.settle(failures, answer, _moments(events, now, wall))
            ended = _with_failures(ended, failures, batch, answer)
        else:
            batch.deliver(began)
        self._note_awaited(request, answer, failures)
        return ended

    def _note_awaited(self, request: _Request, answer: DeliveryResponse, failures: Container[int]) -> None:
        """Note what became of those that somebody waits for; ``failures`` has the indices of those that failed."""
        awaited = self._attempts.awaited
        if awaited.by_seq:
            for index, delivery in enumerate(request.batch.deliveries):
                note = awaited.failed if index in failures else awaited.delivered
                note(request.lane, delivery, answer.status)


def _ended(events: Sequence[Event], numbers: Sequence[int], verdict: Verdict, answer: DeliveryResponse) -> list[Ended]:
    """Return the same end of an attempt for each event."""
    return [Ended(event.id, number, verdict, answer) for event, number in zip(events, numbers, strict=True)]


def _with_failures(
    ended: Sequence[Ended], failures: Mapping[int, Failure], batch: DeliveryBatch, answer: DeliveryResponse
) -> list[Ended]:
    """Return how the attempt ended for each event where some failed, without those that count no attempt."""
    found = []
    for index, (each, delivery) in enumerate(zip(ended, batch.deliveries, strict=True)):
        failure = failures.get(index)
        if delivery.attempts >= each.number:
            own = each if failure is None else each._replace(verdict=failure.result.verdict, answer=failure.of(answer))
            found.append(own)
    return found


def _moments(events: Sequence[Event], now: float, wall: float) -> list[Moment]:
    """Return when the response to each event came, and how long each had waited."""
    return [Moment(now, wall, wall - event.accepted_at) for event in events]
