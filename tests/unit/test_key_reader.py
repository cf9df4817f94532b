"""How what waits for an order key is read back from the journal."""

import math
from typing import Any, cast

from eventbus.core.clock import Clock
from eventbus.core.ordering import BY_KEY
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.recent_events import RecentEvents
from tests.support.lane_journal import LaneJournal
from tests.support.lanes import BUSY, EPOCH, TAKEN, answer, high, subscriber_with, take_all

#: When all retries are due.
LATER = 100.0


class World:
    """A lane that is ordered by key, its journal, and what reads for it."""

    def __init__(self, *keys: str) -> None:
        self.journal = LaneJournal()
        events = {event.seq: event for event in (self.journal.publish(None, key) for key in keys)}
        rules = Rules(86_400, high, limits=LaneLimits(retries=0), find=events.get)
        record = new_record(subscriber_with(ordered=BY_KEY), EPOCH, 0)
        self.lane: Lane = lane_of(record, rules, retries=0, ends=1e6, now=0, wall=EPOCH)
        clock = Clock(lambda: LATER, lambda: EPOCH + LATER)
        checkpointer = Checkpointer(cast(Any, self.journal), clock, lambda: len(keys))
        checkpointer.watch(self.lane)
        self.reader = LaneReader(cast(Any, self.journal), RecentEvents(), checkpointer, clock)
        self.lane.offer(list(events))

    def take(self) -> dict[str, Delivery]:
        """Start all attempts that may start; each by its event's key."""
        return {self.journal.events[delivery.seq - 1].key: delivery for delivery in take_all(self.lane, LATER)}

    def settle(self, delivery: Delivery) -> None:
        """Have it delivered."""
        answer(self.lane, delivery, TAKEN, LATER)


def test_an_event_that_is_settled_while_others_are_saved_is_not_read_again() -> None:
    """A key that is freed while a checkpoint is saved has a row in the journal that is settled, and is passed over."""
    world = World(*"ab" * 3)
    for delivery in world.take().values():
        answer(world.lane, delivery, BUSY, 0)
    world.lane.window = 8
    world.lane.hold(-math.inf)
    first = world.take()
    world.settle(first["a"])
    world.journal.before_commit = lambda: first["b"] in world.lane.in_flight and world.settle(first["b"])
    assert world.lane.wants_page(LATER)
    world.reader.read(world.lane)
    taken = []
    while found := world.take():
        taken += [delivery.seq for delivery in found.values()]
        for delivery in found.values():
            world.settle(delivery)
        if world.lane.wants_page(LATER):
            world.reader.read(world.lane)
    assert sorted(taken) == [3, 4, 5, 6]
    assert isinstance(world.lane.retries, KeyedRetries)
    assert (world.lane.retries.count, world.lane.retries.queues, world.lane.delivered) == (0, {}, 6)
