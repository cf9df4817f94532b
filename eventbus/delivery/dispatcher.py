"""The dispatcher: lanes that can send stand in a queue, greenlets take them in turn and deliver one event each.

A lane stands in the queue once, and goes back to its end after each event, so that none starves another.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import gevent
from gevent.pool import Group
from gevent.queue import SimpleQueue

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.core.model import Event, Interest, State
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.fan_out import fan_out, in_parts
from eventbus.delivery.lane.health import MAX_ERROR, Moment
from eventbus.delivery.lane.lane import MAX_UNSAVED, Lane
from eventbus.delivery.lane.outcome import DeliveryResponse, Verdict, classify_response
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.lane.retries import Delivery
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.slots import CutShort, Slot, Slots
from eventbus.delivery.slow_pool import SLOW_SECONDS, SlowPool
from eventbus.delivery.subscriber_hosts import SubscriberHosts
from eventbus.delivery.timer import Timer
from eventbus.delivery.topic_index import TopicIndex
from eventbus.delivery.transport import Route, Transport
from eventbus.journal.base import Journal
from eventbus.telemetry.counters import Counters
from eventbus.telemetry.event_times import EventTimes

#: Deliveries under way that are enough where the event loop has no time left: more would only wait for it.
ENOUGH = 64
#: Seconds until a lane is looked at again that has too much to be saved.
UNSAVED_PATIENCE = 0.2
#: Seconds until a delivery is tried again for which the bus was short of something.
SHORTAGE_PATIENCE = 1.0
#: Seconds until a delivery is tried again whose event could not be read.
UNREAD_PATIENCE = 1.0
#: Seconds until a lane is looked at again while this bus may not act.
UNHEARD_PATIENCE = 0.25

log = logging.getLogger(__name__)


class Dispatcher:
    """Delivers what the journal has accepted to the lanes whose topics match."""

    def __init__(
        self, journal: Journal, transport: Transport, clock: Clock, max_in_flight: int, counters: Counters
    ) -> None:
        self.lanes: dict[str, Lane] = {}
        self.coming: dict[str, Lane] = {}  #: lanes that are offered what is new, and are not saved yet
        self.held: list[Interest] = []  #: what somebody counts, and has to stay in the journal meanwhile
        self.hosts = SubscriberHosts()  #: lanes by where their subscriber is
        self.recent = RecentEvents()
        self.event_times = EventTimes()
        self.checkpointer = Checkpointer(journal, clock, self._is_current, lambda: self.recent.newest)
        self._index: TopicIndex[Lane] = TopicIndex()
        self._journal = journal
        self._transport = transport
        self._routes: dict[Lane, Route] = {}
        self.clock = clock
        self.reader = LaneReader(journal, self.recent, self.checkpointer, clock)
        self.load = LoopLoad()
        self._timer = Timer(self.schedule, clock.monotonic)
        self._queue: SimpleQueue[Lane] = SimpleQueue()
        self._greenlets = Group()
        self._limit = max_in_flight
        self.counters = counters
        self._crowded = max(1, max_in_flight * 3 // 4)  # from here on, one delivery under way for each lane
        self._held: deque[Lane] = deque()  # could send, but for the crowd
        self._slow = SlowPool(max_in_flight, lambda lane: self.hosts.of(lane.subscriber.key))
        self._slots = Slots(self._slow, clock.monotonic, self._others_wait)
        self._idle = 0
        self.busy = 0  # deliveries under way
        self._stopping = False
        self.until = math.inf  #: no attempt starts from then on, on the monotonic clock
        self.on_gone: Callable[[Lane], object] = _nobody  #: called with a lane whose subscriber answered 410

    def start(self) -> None:
        """Begin to deliver."""
        self.checkpointer.start()
        self._timer.start()
        self.load.start()
        self._slots.start()
        for lane in self.lanes.values():
            self.schedule(lane)

    # Lanes

    def announce(self, lane: Lane, ips: Collection[str] = ()) -> None:
        """Offer the lane each new event that matches from now on; it is added, or removed, in a moment.

        ``ips`` are what its host has resolved to.
        """
        self.coming[lane.subscriber.key] = lane
        self.hosts.add(lane.subscriber.key, {lane.subscriber.address.host, *ips})
        self.index(lane)

    def add(self, lane: Lane) -> None:
        """Deliver to this lane from now on, and offer it each new event that matches."""
        key = lane.subscriber.key
        self.coming.pop(key, None)
        self.hosts.add(key, {lane.subscriber.address.host})
        self.lanes[key] = lane
        self.checkpointer.watch(lane)
        self.index(lane)

    def _is_current(self, lane: Lane) -> bool:
        """Whether the lane is still the one of its address."""
        return self.lanes.get(lane.subscriber.key) is lane

    def index(self, lane: Lane) -> None:
        """Offer the lane what its subscriber's topics match from now on."""
        self._index.put(lane.subscriber.key, lane.subscriber.options.topics, lane)
        former = self._routes.get(lane)
        self._routes[lane] = self._transport.route(lane.subscriber)
        if former is not None:
            former.close()

    def unindex(self, lane: Lane) -> None:
        """Offer the lane nothing new; what it has is still its own."""
        self._index.remove(lane.subscriber.key)

    def matching(self, topic: str | None) -> tuple[Lane, ...]:
        """The lanes that an event with this topic is offered to."""
        return self._index.matching(topic)

    def reached(self, topics: Iterable[str | None]) -> int:
        """How many lanes events with these topics are offered to; others have their turns meanwhile."""
        return len(self._index.among(topics, self.load.give_way))

    def fan_out(
        self, seqs: Sequence[int], topics: Sequence[str | None]
    ) -> Iterator[tuple[Sequence[Lane], Sequence[int]]]:
        """The lanes that get some of these events, each once at most, and which."""
        return fan_out(seqs, topics, self._index)

    def remove(self, lane: Lane, reason: CloseReason) -> None:
        """Close a lane, unless it is closed, and deliver nothing to it any more."""
        key = lane.subscriber.key
        if not lane.closed:
            lane.close(reason)
        self.reader.forget(lane)
        if (route := self._routes.pop(lane, None)) is not None:
            route.close()
        there = self.lanes.get(key) or self.coming.get(key)
        if there in (lane, None):
            self._index.remove(key)
        if there is lane:
            self.lanes.pop(key, None)
            self.coming.pop(key, None)
            self.hosts.remove(key)

    def committed(self, events: Sequence[Event]) -> None:
        """Offer a committed batch to the lanes; the journal calls this in its order."""
        if not events:
            return
        epoch = self.recent.epoch
        seqs, _, topics, _, _, _ = zip(*events, strict=True)
        for part in in_parts(topics, self._index, self.load.urgent_turn_is_over):
            self.load.give_way_urgently()  # other commits wait for this one
            if self.recent.epoch != epoch:
                return  # the journal is not what it was, and the rest of the batch is of no meaning
            self._offer(events[part], seqs[part], topics[part])

    def _offer(self, events: Sequence[Event], seqs: Sequence[int], topics: Sequence[str | None]) -> None:
        """Offer events, all at one moment: whatever is among the recent ones has been offered."""
        self.recent.add(events)
        self.event_times.note(seqs[0], events[0].accepted_at)
        for lanes, numbers in fan_out(seqs, topics, self._index):
            for lane in lanes:
                lane.offer(numbers)
                if not lane.queue_entry.queued:
                    self.schedule(lane)

    def is_busy_with(self, lane: Lane) -> bool:
        """Return whether a lane is queued, or read for; attempts in flight aside."""
        return lane.queue_entry.queued or self.reader.is_reading(lane)

    def reset(self, newest: int) -> None:
        """Forget what is known of events by their numbers: the journal is not what it was, and ends with this one."""
        self.recent.reset(newest)
        self.event_times.cut(newest)

    # Turns

    def schedule(self, lane: Lane) -> None:
        """Queue a lane that can send or wants to be read for; set the alarm for one that has to wait."""
        self._schedule(lane, self.clock.monotonic())

    def _schedule(self, lane: Lane, now: float) -> None:
        if lane.queue_entry.queued or self._stopping:
            return
        if now >= self.until:
            self._timer.set(lane, now + UNHEARD_PATIENCE)
            return
        if lane.sendable(now):
            busy = self.busy
            if lane.in_flight and (busy >= self._crowded or (busy >= ENOUGH and self._is_loop_full())):
                lane.queue_entry.queued = True
                self._held.append(lane)
                return
        elif not lane.wants_page(now) or self.reader.is_reading(lane):
            if lane.retries.count or lane.dead_letters or lane.spacing or not lane.works:
                self._wake_later(lane, now)
            return
        lane.queue_entry.queued = True
        self._enqueue(lane)

    def _enqueue(self, lane: Lane) -> None:
        self._queue.put(lane)
        if self._idle < self._queue.qsize() and len(self._greenlets) < self._limit:
            self._idle += 1
            self._greenlets.spawn(self._work)

    def _wake_later(self, lane: Lane, now: float) -> None:
        moment = lane.next_moment()
        if lane.unsaved() >= MAX_UNSAVED:
            moment = max(moment, now + UNSAVED_PATIENCE)
        if now < moment and now < lane.lease.ends:
            self._timer.set(lane, moment)

    def _is_loop_full(self) -> bool:
        """Whether the loop has enough to do; slow lanes only wait, and use none of its time."""
        return self.load.saturated and self.busy - self._slow.busy >= ENOUGH

    def _work(self) -> None:
        """One greenlet of the pool."""
        slot = self._slots.new()
        while True:
            lane = self._queue.get()
            self._idle -= 1
            if lane.in_flight and self.busy >= self._crowded:  # there was room when it was queued, but not any more
                self._held.append(lane)
            else:
                self._turns(lane, slot)
            self._idle += 1

    def _others_wait(self) -> bool:
        """Whether a lane that is not slow waits for room."""
        if self._idle < self._queue.qsize() and any(not lane.slow for lane in self._queue.queue):
            return True
        return any(not lane.slow for lane in self._held)

    def _turns(self, lane: Lane, slot: Slot) -> None:
        """A lane's turn, and then turns of those that were held back, where there is room for them."""
        while True:
            if not lane.slow or self._admitted(lane, slot):
                self._turn(lane, slot)
                if slot.turn is not None:
                    for waiting in self._slow.end(slot.turn):
                        self._enqueue(waiting)
                    slot.turn = None
            if not self._held:
                return
            held = self._next_held()
            if held is None:
                return
            lane = held
            while self._held and self.busy - self._slow.busy + self._queue.qsize() < ENOUGH:
                self._enqueue(self._held.popleft())

    def _next_held(self) -> Lane | None:
        """A lane that was held back, and goes on in the place of one whose turn is over.

        Slow ones get greenlets of their own: in this one, others that are held back would wait for their answers.
        """
        while self._held and self.busy < self._crowded:
            lane = self._held.popleft()
            if not lane.slow:
                return lane
            self._enqueue(lane)
        return None

    def _admitted(self, lane: Lane, slot: Slot) -> bool:
        """Whether there is room for a slow lane; it waits otherwise.

        Hundreds of them may begin at once, and connecting costs time: those that are not slow go first.
        """
        slot.turn = self._slow.admit(lane)
        if slot.turn is not None:
            self.load.give_way()
        return slot.turn is not None

    def _turn(self, lane: Lane, slot: Slot) -> None:
        """Read on for a lane if it is low, and make its next delivery."""
        lane.queue_entry.queued = False
        try:
            now = self.clock.monotonic()
            if (lane.live.remaining or lane.retries.count or lane.replays) and lane.wants_page(now):
                if not self.reader.is_reading(lane):
                    self.reader.read(lane)
                now = self.clock.monotonic()
            delivery = None if self._stopping or now >= self.until else lane.take(now)
            self._schedule(lane, now)
            if delivery is None:
                return
            self.busy += 1
            try:
                self._deliver(lane, delivery, now, slot)
            finally:
                self.busy -= 1
                if not lane.queue_entry.queued:
                    self.schedule(lane)
        except JournalError as error:
            if not lane.closed:
                self.reader.fails(lane, error)
            self._timer.set(lane, self.clock.monotonic() + 1)
        except Exception:
            log.exception(
                "a delivery to %s failed in a way that was not foreseen",
                lane.subscriber.key,
                extra={"address": lane.subscriber.key},
            )

    # One delivery

    def _deliver(self, lane: Lane, delivery: Delivery, now: float, slot: Slot) -> None:
        event = self.recent.get(delivery.seq)
        if event is None:
            event = self._fetch(lane, delivery, now)
            if event is None:
                return
        wall, state = self.clock.wall(), lane.state
        slot.at = lane
        try:
            route = self._routes[lane]
            if lane.consented or (answer := self._refusal(route, lane, delivery)) is None:
                answer = route.post(event, delivery.attempts, now, wall)
        except Exception as error:
            answer = _broken_off(lane, error)
        slot.at = None
        if not answer.made:
            lane.release(delivery, self.clock.monotonic() + SHORTAGE_PATIENCE)
            return
        took = self.clock.monotonic() - now
        self.counters.attempt.observe(took)
        if answer.status is not None and 200 <= answer.status < 300:
            waited = wall - event.accepted_at + took
            self.counters.arrival.observe(waited if waited > 0 else 0.0)  # the wall clock may have been set back
            if lane.slow is not (took > SLOW_SECONDS):
                self._change_pace(lane)
            lane.deliver(delivery, now)
        else:
            lane.slow = took > SLOW_SECONDS or answer.status is None
            outcome = classify_response(answer, wall)
            self.counters.attempts[outcome.verdict.value] += 1
            lane.settle(delivery, outcome, answer, Moment(self.clock.monotonic(), wall, wall - event.accepted_at))
            if outcome.verdict is Verdict.GONE and not lane.closed:
                self.on_gone(lane)
        if lane.state is not state:
            _tell(lane, answer, wall)

    def _change_pace(self, lane: Lane) -> None:
        """A lane that was slow is not any more, and waits among the slow ones no longer; or the other way round."""
        if lane.hanging:
            return  # one quick answer says nothing of others that do not come
        lane.slow = not lane.slow
        if not lane.slow and self._slow.leave(lane):
            self._enqueue(lane)

    def _refusal(self, route: Route, lane: Lane, delivery: Delivery) -> DeliveryResponse | None:
        """Ask a subscriber for its consent; where it does not give it, that is the answer, and there was no attempt."""
        consent = route.ask_consent()
        if consent.given:
            lane.consent(consent.per_minute, self.clock.monotonic())
            return None
        delivery.attempts -= 1
        return DeliveryResponse(None, error=consent.error)

    def _fetch(self, lane: Lane, delivery: Delivery, now: float) -> Event | None:
        """Read an event that is not in memory any more; None where there is no attempt."""
        try:
            found = self._journal.find([delivery.seq])
        except JournalError:
            lane.release(delivery, self.clock.monotonic() + UNREAD_PATIENCE)  # others may be in memory
            raise
        self.reader.works(lane)
        if not found:
            lane.drop_missing(delivery)
            log.error(
                "event %d for %s is not in the journal any more",
                delivery.seq,
                lane.subscriber.key,
                extra={"address": lane.subscriber.key},
            )
            return None
        if self.clock.monotonic() >= self.until or lane.closed:  # reading may have taken long
            lane.release(delivery, now)
            return None
        return found[0]

    # The end

    def drain(self, seconds: float) -> bool:
        """Start no more deliveries, and wait for those under way; whether all of them ended in time."""
        self._stopping = True
        deadline = self.clock.monotonic() + seconds
        while self.busy and self.clock.monotonic() < deadline:
            gevent.sleep(0.02)
        return not self.busy

    def stop(self) -> None:
        """End the greenlets; deliveries still under way will be made again after the next start."""
        self._stopping = True
        self._timer.stop()
        self.load.stop()
        self._slots.stop()
        self.checkpointer.stop()
        self._greenlets.kill()
        self._transport.close()


def _nobody(_: Lane) -> None:
    """Wait for no subscriber that wants no more."""


def _broken_off(lane: Lane, error: Exception) -> DeliveryResponse:
    """What an attempt comes to that ended with an exception."""
    if isinstance(error, CutShort):
        return DeliveryResponse(None, made=False)
    key = lane.subscriber.key
    log.exception("an attempt at %s failed in a way that was not foreseen", key, extra={"address": key})
    return DeliveryResponse(None, error=f"the attempt failed: {error!r}")


def _tell(lane: Lane, answer: DeliveryResponse, wall: float) -> None:
    """Log, and note for whoever looks, that a subscriber has gone down, come back, or asked for a pause."""
    key = lane.subscriber.key
    level, said = logging.INFO, "is back"
    if lane.state is State.DOWN:
        level, said = logging.WARNING, f"is down: {answer.error}"
    elif lane.state is State.PAUSED:
        said = f"asked for a pause ({answer.status})"
    lane.notes.append((wall, said[:MAX_ERROR]))
    log.log(level, "subscriber %s %s", key, said, extra={"address": key})
