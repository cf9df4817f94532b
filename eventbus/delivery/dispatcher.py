"""The dispatcher: offers committed events to the lanes that match, and lets them deliver."""

from collections.abc import Iterable, Sequence

import gevent

from eventbus.core.clock import Clock
from eventbus.core.model import Event
from eventbus.delivery.attempts import Attempts, SubscriberListener
from eventbus.delivery.awaited import AwaitedEvents
from eventbus.delivery.batch_attempts import BatchAttempts
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.lane.health import Health
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane_registry import LaneRegistry
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.member_choice import MemberChoice
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.run_queue import RunQueue
from eventbus.delivery.slow_pool import SlowPool
from eventbus.delivery.transport import Transport
from eventbus.delivery.upcoming import Upcoming
from eventbus.journal.base import Journal
from eventbus.telemetry.counters import Counters
from eventbus.telemetry.event_times import EventTimes

#: Seconds between two looks at whether attempts in flight have ended.
DRAIN_POLL_SECONDS = 0.02


class Dispatcher:
    """Delivers what the journal has accepted to the lanes whose topics match."""

    def __init__(
        self,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        max_in_flight: int,
        counters: Counters,
        listener: SubscriberListener,
    ) -> None:
        self.clock = clock
        self.counters = counters
        self.recent = RecentEvents()
        self.event_times = EventTimes()
        self.load = LoopLoad()
        self.awaited = AwaitedEvents()
        self.checkpointer = Checkpointer(journal, clock, lambda: self.recent.newest, self.awaited.saved)
        self.reader = LaneReader(journal, self.recent, self.checkpointer, clock)
        self.registry = LaneRegistry(transport, self.checkpointer, self.reader)
        self.lanes = self.registry.lanes  #: read only: the registry's
        self._transport = transport
        pool = SlowPool(max_in_flight, self.registry.hosts_of)
        attempts = Attempts(self.registry, clock, counters, listener, self._quick, self.awaited)
        self.newest_attempts = attempts.ring
        members = MemberChoice(self.registry.groups, pool, clock)
        upcoming = Upcoming(self.reader, self.load, clock, counters, self.awaited)
        batches = BatchAttempts(attempts, self.recent, upcoming, clock)
        self._queue = RunQueue(
            self.reader, attempts, batches, members, self.load, clock, upcoming=upcoming, max_in_flight=max_in_flight
        )

    def start(self) -> None:
        """Begin to deliver."""
        self.checkpointer.start()
        self.load.start()
        self._queue.start()
        for lane in self.lanes.values():
            self._queue.schedule(lane)

    # Events

    def committed(self, events: Sequence[Event]) -> None:
        """Offer a committed batch to the lanes; the journal calls this in its order."""
        if not events:
            return
        epoch = self.recent.epoch
        seqs, _, topics, _, _, _, _ = zip(*events, strict=True)
        for part in self.registry.in_parts(topics, self.load.urgent_turn_is_over):
            self.load.give_way_urgently()  # other commits wait for this one
            if self.recent.epoch != epoch:
                return  # sequence numbers were reset: the rest of the batch means nothing any more
            self._offer(events[part], seqs[part], topics[part])

    def _offer(self, events: Sequence[Event], seqs: Sequence[int], topics: Sequence[str | None]) -> None:
        """Offer events, all at one moment: whatever is among the recent ones has been offered."""
        self.recent.add(events)
        self.event_times.note(seqs[0], events[0].accepted_at)
        if self.awaited.expected:
            for event in events:
                self.awaited.offered(event, self.registry.matching(event.topic))
        schedule = self._queue.schedule
        for lanes, numbers in self.registry.fan_out(seqs, topics):
            for lane in lanes:
                lane.offer(numbers)
                if not lane.queue_entry.queued:
                    schedule(lane)

    def reached(self, topics: Iterable[str | None]) -> int:
        """Return how many lanes events with these topics are offered to; give way to other work meanwhile."""
        return len(self.registry.among(topics, self.load.give_way))

    def reset(self, newest: int) -> None:
        """Reset what is known by sequence numbers: the journal is another one, and ends with ``newest``."""
        self.recent.reset(newest)
        self.event_times.cut(newest)
        self.awaited.reset()

    # Deliveries

    def schedule(self, lane: Lane) -> None:
        """Let a lane deliver when it can: call this after every change from outside."""
        self._queue.schedule(lane)

    def deliver_until(self, moment: float) -> None:
        """Start no attempt from a moment of the monotonic clock on: this node may not own its lanes then."""
        self._queue.run_until(moment)

    def cut_short(self, member: Member) -> None:
        """End the attempts in flight to a member whose lease has expired; other members of its group get the events."""
        self._queue.slots.cut_short(member)

    def _quick(self, target: Health) -> None:
        """Let a subscriber that is not slow any more wait among the others."""
        self._queue.leave_slow_pool(target)

    @property
    def until(self) -> float:
        """Return the moment of the monotonic clock from which on no attempt starts."""
        return self._queue.until

    @property
    def busy(self) -> int:
        """Return how many attempts are in flight."""
        return self._queue.busy

    # The end

    def drain(self, seconds: float) -> bool:
        """Start no more attempts, and wait for those in flight; return whether all of them ended in time."""
        self._queue.drain()
        deadline = self.clock.monotonic() + seconds
        while self.busy and self.clock.monotonic() < deadline:
            gevent.sleep(DRAIN_POLL_SECONDS)
        return not self.busy

    def stop(self) -> None:
        """End all greenlets; deliveries that are in flight are made again after the next start."""
        self._queue.stop()
        self.load.stop()
        self.checkpointer.stop()
        self._transport.close()
