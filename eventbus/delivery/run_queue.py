"""The run queue: lanes that can start an attempt wait in it, and greenlets give each a turn, one attempt at a time.

A lane is in the queue once, and goes back to its end after each attempt, so that none starves another.
"""

import logging
import math
from collections import deque

from gevent.pool import Group
from gevent.queue import SimpleQueue

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.core.event_expiry import EXPIRY_HEADER
from eventbus.delivery.attempts import Attempts
from eventbus.delivery.batch_attempts import BatchAttempts
from eventbus.delivery.lane.health import Health
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.member_choice import MemberChoice
from eventbus.delivery.reader import UNREAD_RETRY_SECONDS, LaneReader
from eventbus.delivery.slots import Slot, Slots
from eventbus.delivery.timer import Timer
from eventbus.delivery.upcoming import Upcoming

#: Attempts in flight from which on no lane gets a second one while the event loop is saturated.
SATURATED_IN_FLIGHT = 64
#: Seconds until a lane is scheduled again that has too many changes to be saved.
UNSAVED_RETRY_SECONDS = 0.2
#: Seconds until a lane is scheduled again while this node may not deliver.
INACTIVE_POLL_SECONDS = 0.25

log = logging.getLogger(__name__)


class RunQueue:
    """Gives lanes their turns, with as many greenlets as there may be attempts in flight."""

    def __init__(  # noqa: PLR0913 - each is a part of it
        self,
        reader: LaneReader,
        attempts: Attempts,
        batches: BatchAttempts,
        members: MemberChoice,
        load: LoopLoad,
        clock: Clock,
        *,
        upcoming: Upcoming,
        max_in_flight: int,
    ) -> None:
        self._reader = reader
        self._recent = reader.recent
        self._attempts, self._batches, self._upcoming = attempts, batches, upcoming
        self._load = load
        self._monotonic = clock.monotonic
        self._limit = max_in_flight
        self._crowded = max(1, max_in_flight * 3 // 4)  # from here on, one attempt in flight for each lane
        self._timer = Timer(self.schedule, clock.monotonic)
        self._queue: SimpleQueue[Lane] = SimpleQueue()
        self._held_back: deque[Lane] = deque()  # can start another attempt, but too many are in flight
        self._slow = members.pool
        self._members = members
        self.slots = Slots(members.pool, clock.monotonic, self._others_wait)
        self._greenlets = Group()
        self._idle = 0  # greenlets that wait for a lane
        self.busy = 0  #: attempts in flight
        self.until = math.inf  #: no attempt starts from then on, on the monotonic clock
        self._draining = False

    def start(self) -> None:
        """Begin to wake lanes when their time comes."""
        self._timer.start()
        self.slots.start()

    def run_until(self, moment: float) -> None:
        """Start no attempt from a moment of the monotonic clock on."""
        self.until = moment

    def drain(self) -> None:
        """Start no more attempts."""
        self._draining = True

    def stop(self) -> None:
        """Start no more attempts, and end those in flight; they are made again after the next start."""
        self._draining = True
        self._timer.stop()
        self.slots.stop()
        self._greenlets.kill()

    # The queue

    def schedule(self, lane: Lane) -> None:
        """Queue a lane that can start an attempt or needs a page; set the timer for one that has to wait."""
        self._schedule(lane, self._monotonic())

    def _schedule(self, lane: Lane, now: float) -> None:
        if lane.queue_entry.queued or self._draining:
            return
        if now >= self.until:
            self._timer.set(lane, now + INACTIVE_POLL_SECONDS)
            return
        if lane.sendable(now):
            busy = self.busy
            if lane.in_flight and (busy >= self._crowded or (busy >= SATURATED_IN_FLIGHT and self._is_loop_full())):
                lane.queue_entry.queued = True
                self._held_back.append(lane)
                return
        elif not lane.wants_page(now) or self._reader.is_reading(lane):
            if lane.retries.count or lane.dead_letters or lane.paced or not lane.works or now < lane.not_before:
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
        if lane.waits_for_save():
            moment = max(moment, now + UNSAVED_RETRY_SECONDS)
        if now < moment and now < lane.lease.ends:
            self._timer.set(lane, moment)

    def _is_loop_full(self) -> bool:
        """Return whether the event loop has enough to do; slow lanes only wait, and use none of its time."""
        return self._load.saturated and self.busy - self._slow.busy >= SATURATED_IN_FLIGHT

    # Slow lanes

    def leave_slow_pool(self, target: Health) -> None:
        """Let a subscriber go on that waited among the slow ones, and is quick now."""
        if self._slow.leave(target):
            self._resume(target)

    def _resume(self, target: Health) -> None:
        """Let a subscriber go on that waited among the slow ones: its lane, or the group that it is a member of."""
        lane = self._members.lane_of(target)
        if lane is target:
            self._enqueue(lane)
        elif lane is not None:
            self.schedule(lane)

    def _others_wait(self) -> bool:
        """Return whether a lane that is not slow waits for room."""
        if self._idle < self._queue.qsize() and any(not lane.slow for lane in self._queue.queue):
            return True
        return any(not lane.slow for lane in self._held_back)

    def _admitted(self, lane: Lane, slot: Slot) -> bool:
        """Return whether there is room for a slow lane; it waits in the pool otherwise.

        Hundreds of them may begin at once, and connecting costs time: those that are not slow go first.
        """
        slot.turn = self._slow.admit(lane)
        if slot.turn is not None:
            self._load.give_way()
        return slot.turn is not None

    # Turns

    def _work(self) -> None:
        """Give turns, in a greenlet of the group."""
        slot = self.slots.add()
        while True:
            lane = self._queue.get()
            self._idle -= 1
            if lane.in_flight and self.busy >= self._crowded:  # there was room when it was queued, but not any more
                self._held_back.append(lane)
            else:
                self._turns(lane, slot)
            self._idle += 1

    def _turns(self, lane: Lane, slot: Slot) -> None:
        """Give a lane its turn, and then turns to those that were held back, where there is room for them."""
        while True:
            if not lane.slow or self._admitted(lane, slot):
                self._turn(lane, slot)
                if slot.turn is not None:
                    for waiting in self._slow.end(slot.turn):
                        self._resume(waiting)
                    slot.turn = None
            if not self._held_back:
                return
            held = self._next_held_back()
            if held is None:
                return
            lane = held
            while self._held_back and self.busy - self._slow.busy + self._queue.qsize() < SATURATED_IN_FLIGHT:
                self._enqueue(self._held_back.popleft())

    def _next_held_back(self) -> Lane | None:
        """Return a lane that was held back, for the greenlet of one whose turn is over.

        Slow ones get greenlets of their own: in this one, others that are held back would wait for their answers.
        """
        while self._held_back and self.busy < self._crowded:
            lane = self._held_back.popleft()
            if not lane.slow:
                return lane
            self._enqueue(lane)
        return None

    def _turn(self, lane: Lane, slot: Slot) -> None:
        """Read the next page for a lane that needs one, and make its next attempt."""
        lane.queue_entry.queued = False
        try:
            now = self._monotonic()
            if lane.live.remaining or lane.retries.count or lane.replays or lane.looks_ahead:
                now = self._upcoming.prepare(lane, now, self._is_active)
            delivery = None if self._draining or now >= self.until else lane.take(now)
            self._schedule(lane, now)
            if delivery is None:
                return
            self.busy += 1
            try:
                event = self._recent.get(delivery.seq)
                if event is None or event.head >= EXPIRY_HEADER:
                    event = self._upcoming.to_attempt(lane, delivery, event, now, self._is_active)
                if event is not None:
                    target = lane if lane.roster is None else self._members.choose(lane, delivery, event, slot)
                    if target is not None:
                        attempts = self._attempts if target.batch == 1 else self._batches
                        attempts.make(lane, target, delivery, event, now, slot)
            finally:
                self.busy -= 1
                if not lane.queue_entry.queued:
                    self._schedule(lane, self._monotonic())
        except JournalError as error:
            if not lane.closed:
                self._reader.note_failure(lane, error)
            self._timer.set(lane, self._monotonic() + UNREAD_RETRY_SECONDS)
        except Exception:
            key = lane.subscriber.key
            log.exception("unexpected error in a delivery to %s", key, extra={"address": key})

    def _is_active(self) -> bool:
        """Return whether attempts may start on this node."""
        return not self._draining and self._monotonic() < self.until
