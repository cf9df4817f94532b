"""What is next in a lane: read from the journal if it is not in memory, settled if it is not to be attempted.

That is where the filter does not match, or the event has expired.
"""

from collections.abc import Callable

from eventbus.core.clock import Clock
from eventbus.core.event_expiry import EXPIRY_HEADER, expires_at
from eventbus.core.model import Event
from eventbus.delivery.awaited import AwaitedEvents
from eventbus.delivery.event_views import EventViews
from eventbus.delivery.lane.companions import Candidates
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.reader import LaneReader
from eventbus.telemetry.counters import Counters


class Upcoming:
    """Prepares lanes for their next attempt."""

    def __init__(
        self, reader: LaneReader, load: LoopLoad, clock: Clock, counters: Counters, awaited: AwaitedEvents
    ) -> None:
        self._reader = reader
        self._load = load
        self._monotonic, self._wall = clock.monotonic, clock.wall
        self._counters = counters
        self._views = EventViews()
        self._awaited = awaited

    def prepare(self, lane: Lane, now: float, active: Callable[[], bool]) -> float:
        """Read the next page for a lane that needs one, and settle what comes next and is not to be attempted.

        Return the moment, on the monotonic clock, at which what is next is: at another one something else may be next.
        Where attempts are not ``active`` any more, nothing may start at it. Raises JournalError.
        """
        if lane.wants_page(now):
            if not self._reader.is_reading(lane):
                self._reader.read(lane)
            now = self._monotonic()
        return self._settle(lane, active) if lane.looks_ahead else now

    def _settle(self, lane: Lane, active: Callable[[], bool]) -> float:
        """Settle what is next as long as it is not to be attempted; give way to other work in between."""
        read: Event | None = None
        looked_up = -1  # what was read last
        now = self._monotonic()
        while lane.sendable(now):
            if not active():
                return self._monotonic()  # from when on the caller starts nothing
            found = lane.upcoming_delivery(now)
            if found is None or (found.attempted and not lane.expiring):
                return now
            seq = found.seqs[0]
            event = self._reader.recent.get(seq) or (read if looked_up == seq else None)
            if event is None and looked_up != seq:
                looked_up, read = seq, self._reader.read_event(lane, seq)
            elif not self.drops(lane, found, event, now):
                if lane.expiring:
                    lane.note_unexpired()
                return now  # it is to be attempted, or is gone, which is noted when it is taken
            else:
                self._load.give_way()
            now = self._monotonic()  # what is next may be another by now
        return now

    def drops(self, lane: Lane, found: Candidates, event: Event | None, now: float) -> bool:
        """Settle the first of what is next if its event is not to be attempted; return whether that is so."""
        if event is None:
            return False
        if lane.filter is not None and not found.attempted and not lane.filter.matches(self._views.of(event)):
            lane.filter_out(found, now)
            if self._awaited.by_seq:
                self._awaited.filtered(lane, event.seq)
            return True
        if event.head >= EXPIRY_HEADER and found.expires and expires_at(event.head) <= (wall := self._wall()):
            lane.expire_next(found, now, wall)
            self._counters.expired += 1
            return True
        return False

    def turn_is_over(self) -> bool:
        """Return whether the loop's turn has taken so long that a batch is sent as it is."""
        return self._load.urgent_turn_is_over()

    def to_attempt(
        self, lane: Lane, delivery: Delivery, event: Event | None, now: float, active: Callable[[], bool]
    ) -> Event | None:
        """Return the event of a delivery that was taken, read if it is not in memory any more.

        Return None, and settle the delivery or let it wait, where there is no attempt.
        """
        if event is None:
            event = self._fetch(lane, delivery, now, active)
        if event is None or not delivery.expires or expires_at(event.head) > (wall := self._wall()):
            return event
        lane.expire(delivery, self._monotonic(), wall)
        self._counters.expired += 1
        return None

    def _fetch(self, lane: Lane, delivery: Delivery, now: float, active: Callable[[], bool]) -> Event | None:
        event = self._reader.fetch(lane, delivery)
        over = lane.closed or self._monotonic() < lane.not_before  # by now: reading may have taken long
        if event is not None and (over or not active()):
            lane.release(delivery, now)
            return None
        return event
