"""Replays: delivers a past range of the journal again, to one subscriber, at its own pace."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gevent

from eventbus.core.errors import Conflict, NotOwner
from eventbus.core.model import Interest
from eventbus.core.records import Checkpoint
from eventbus.core.topics import matches
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of, replaying_record
from eventbus.services.node import Node
from eventbus.services.positions import Positions
from eventbus.services.registered_lane import no_lane


@dataclass(frozen=True, slots=True)
class Counted:
    """A range of the journal, and how many events in it match topics."""

    topics: tuple[str, ...]
    after: int
    end: int
    count: int


class Replays:
    """Begins replays. The account counts a replayed event as accepted once more."""

    def __init__(self, node: Node, positions: Positions) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._page_events = node.timing.replay_page_events
        self._positions = positions

    def begin(self, key: str, start: str, end: str) -> int:
        """Replay what was accepted from ``start`` to ``end``; return how many events match.

        Raises Conflict where the subscription has no lease, NotOwner, JournalError, NotFound, BadRequest and TooMany.
        """
        lane = self._dispatcher.lanes.get(key)
        if lane is None:
            raise no_lane(self._node, key)
        self._check(lane)
        with self.counted(lane.subscriber.options.topics, start, end) as found:
            if found.count:
                self._save(lane, found)
            elif lane.closed:
                raise NotOwner
        return found.count

    @contextmanager
    def counted(self, topics: tuple[str, ...], from_position: str, to_position: str) -> Iterator[Counted]:
        """Count the matching events between two positions, and keep them in the journal until this ends.

        It may take long; nobody else waits for it. Raises JournalError, NotFound and BadRequest.
        """
        after, end = self._positions.before(from_position), self._positions.after(to_position)
        held = Interest(after, None, topics)
        with self._dispatcher.registry.holding(held):
            yield Counted(topics, after, end, self._count(topics, after, end))

    def check_position(self, start: str | None) -> None:
        """Raise NotFound or BadRequest where a registration may not start there."""
        if start is not None:
            self._positions.before(start)

    def add(self, lane: Lane, found: Counted) -> None:
        """Add what was counted, and what has come since up to where live events begin, to a lane that is new."""
        end = lane.interests[-1].after
        count = found.count + self._count(found.topics, found.end, end)
        if count:
            lane.add_replay(found.after, end, count)

    def _check(self, lane: Lane) -> None:
        """Raise where a replay may not begin: NotOwner, Conflict or TooMany."""
        if lane.closed:
            raise NotOwner
        if lane.lease.ends <= self._clock.monotonic():
            raise no_lane(self._node, lane.subscriber.key)
        lane.check_replays()

    def _save(self, lane: Lane, found: Counted) -> None:
        def change() -> Checkpoint:
            self._check(lane)
            if lane.subscriber.options.topics != found.topics:
                raise Conflict("Its topics were changed in this moment; ask again.")
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            record = replaying_record(record_of(lane, newest, now, wall), found.after, found.end, found.count)
            return Checkpoint(wall, newest, lanes=(record,))

        def happen() -> None:
            lane.add_replay(found.after, found.end, found.count)
            self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [lane.subscriber.key]))

    def _count(self, topics: tuple[str, ...], after: int, end: int) -> int:
        count = 0
        while rows := self._journal.topics(after, end, self._page_events):
            for _, topic, _ in rows:
                count += matches(topics, topic)
                self._dispatcher.load.give_way()
            after = rows[-1][0]
            gevent.sleep(0)
        return count
