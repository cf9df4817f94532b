"""What is next in a lane: read from the journal if it is not in memory, settled if the filter does not match."""

from collections.abc import Callable

from eventbus.core.model import Event
from eventbus.delivery.awaited import AwaitedEvents
from eventbus.delivery.event_views import EventViews
from eventbus.delivery.lane.companions import Candidates
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.reader import LaneReader


class Upcoming:
    """Prepares lanes for their next attempt."""

    def __init__(
        self, reader: LaneReader, load: LoopLoad, monotonic: Callable[[], float], awaited: AwaitedEvents
    ) -> None:
        self._reader = reader
        self._load = load
        self._monotonic = monotonic
        self._views = EventViews()
        self._awaited = awaited

    def prepare(self, lane: Lane, now: float, active: Callable[[], bool]) -> float:
        """Read the next page for a lane that needs one, and settle what comes next and does not match its filter.

        Return the moment, on the monotonic clock, at which what is next matches: at another one something else may be
        next. Where attempts are not ``active`` any more, nothing may start at it. Raises JournalError.
        """
        if lane.wants_page(now):
            if not self._reader.is_reading(lane):
                self._reader.read(lane)
            now = self._monotonic()
        return now if lane.filter is None else self._settle(lane, active)

    def _settle(self, lane: Lane, active: Callable[[], bool]) -> float:
        """Settle what is next as long as the filter does not match it; give way to other work in between."""
        read: Event | None = None
        looked_up = -1  # what was read last
        now = self._monotonic()
        while lane.sendable(now):
            if not active():
                return self._monotonic()  # from when on the caller starts nothing
            found = lane.upcoming_delivery(now)
            if found is None or found.attempted:
                return now
            seq = found.seqs[0]
            event = self._reader.recent.get(seq) or (read if looked_up == seq else None)
            if event is None and looked_up != seq:
                looked_up, read = seq, self._reader.read_event(lane, seq)
            elif not self.drops(lane, found, event, now):
                return now  # it matches, or is gone, which is noted when it is taken
            else:
                self._load.give_way()
            now = self._monotonic()  # what is next may be another by now
        return now

    def drops(self, lane: Lane, found: Candidates, event: Event | None, now: float) -> bool:
        """Settle the first of what is next if the lane's filter does not match its event; return whether it did."""
        if lane.filter is None or found.attempted or event is None or lane.filter.matches(self._views.of(event)):
            return False
        lane.filter_out(found, now)
        if self._awaited.by_seq:
            self._awaited.filtered(lane, event.seq)
        return True

    def turn_is_over(self) -> bool:
        """Return whether the loop's turn has taken so long that a batch is sent as it is."""
        return self._load.urgent_turn_is_over()

    def fetch(self, lane: Lane, delivery: Delivery, now: float, active: Callable[[], bool]) -> Event | None:
        """Read an event that is not in memory any more; return None, and settle the delivery, without an attempt."""
        event = self._reader.fetch(lane, delivery)
        over = lane.closed or self._monotonic() < lane.not_before  # by now: reading may have taken long
        if event is not None and (over or not active()):
            lane.release(delivery, now)
            return None
        return event
