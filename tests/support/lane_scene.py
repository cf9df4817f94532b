"""Lanes for tests of what is settled before it is attempted: events in memory, or only in the journal."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalUnavailable
from eventbus.core.event_expiry import EXPIRY_HEADER
from eventbus.core.model import Event
from eventbus.delivery.awaited import AwaitedEvents
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.loop_load import LoopLoad
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.upcoming import Upcoming
from eventbus.telemetry.counters import Counters
from tests.support.lane_journal import LaneJournal
from tests.support.lanes import EPOCH, TAKEN, answer


class Scene:
    """Events that say whether their number is even, and what prepares a lane for its next attempt."""

    def __init__(
        self,
        count: int = 20,
        *,
        in_memory: bool = True,
        key: str = "",
        head_of: Callable[[int], bytes] = lambda seq: b"",
    ) -> None:
        self.now = 0.0
        self.journal = LaneJournal()
        self.events = [self._publish(key, head_of) for _ in range(count)]
        self.reads = 0
        self.fails = False
        self.journal.find = self._find  # type: ignore[attr-defined]
        self.clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.recent = RecentEvents()
        self.recent.start(0 if in_memory else count)
        if in_memory:
            self.recent.add(self.events)
        self.counters = Counters()
        checkpointer = Checkpointer(cast(Any, self.journal), self.clock, lambda: count)
        reader = LaneReader(cast(Any, self.journal), self.recent, checkpointer, self.clock)
        self.upcoming = Upcoming(reader, LoopLoad(), self.clock, self.counters, AwaitedEvents())

    def _publish(self, key: str, head_of: Callable[[int], bytes]) -> Event:
        event = self.journal.publish(None, key)
        body = json.dumps({"even": event.seq % 2 == 0}).encode()
        self.journal.events[-1] = event._replace(body=body, head=head_of(event.seq))
        return self.journal.events[-1]

    def _find(self, seqs: Sequence[int]) -> list[Event]:
        if self.fails:
            raise JournalUnavailable("It cannot be read.")
        self.reads += 1
        return [event for event in self.events if event.seq in seqs]

    def take(self, lane: Lane, *, active: bool = True) -> Delivery | None:
        """Start what is next, as the run queue does."""
        while True:
            now = self.upcoming.prepare(lane, self.now, lambda: active)
            delivery = lane.take(now) if active else None
            if delivery is None or not self._expires(delivery.seq):
                return delivery
            event = self.recent.get(delivery.seq)
            if self.upcoming.to_attempt(lane, delivery, event, now, lambda: active) is not None:
                return delivery

    def _expires(self, seq: int) -> bool:
        return seq <= len(self.events) and self.events[seq - 1].head >= EXPIRY_HEADER

    def deliver(self, lane: Lane) -> list[int]:
        """Deliver one after another until nothing is next; return their numbers."""
        found = []
        while (delivery := self.take(lane)) is not None:
            found.append(delivery.seq)
            answer(lane, delivery, TAKEN, self.now)
        return found


def adds_up(lane: Lane) -> bool:
    """Tell whether the account has all that the lane was offered."""
    return lane.account.pending == lane.backlog
