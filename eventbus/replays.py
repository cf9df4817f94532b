"""Delivering a part of the journal again, to one subscriber, at its own pace."""

from eventbus.clock import Clock
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane import Lane
from eventbus.errors import Conflict, Elsewhere
from eventbus.journal.base import Journal
from eventbus.places import Places
from eventbus.topics import matches

#: Events that are counted in one step.
PAGE = 2_000


class Replays:
    """Begins replays. The account counts a replayed event as accepted once more."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal, places: Places, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self.places = places
        self._clock = clock

    def begin(self, key: str, start: str, end: str) -> int:
        """Replay what was accepted from ``start`` to ``end``; answers how many events match.

        Raises Conflict where the address is not registered, Elsewhere, NotKnown, Refused and TooMany.
        """
        lane = self._dispatcher.lanes.get(key)
        if lane is None or lane.lease.ends <= self._clock.monotonic():
            raise Conflict("This address is not registered; register it, and replay then.")
        return self.replay(lane, self.places.before(start), self.places.after(end))

    def replay(self, lane: Lane, after: int, upto: int) -> int:
        """Replay the events after one number up to another. Raises Elsewhere where the lane is this bus's no more."""
        with self._dispatcher.checkpointer.alone:
            count = self._count(lane.subscriber.options.topics, after, upto)
            if count and not lane.closed:
                lane.add_replay(after, upto, count)
                self._dispatcher.checkpointer.save()
                self._dispatcher.look(lane)
            if lane.closed:
                raise Elsewhere
        return count

    def _count(self, topics: tuple[str, ...], after: int, upto: int) -> int:
        count = 0
        while rows := self._journal.topics(after, upto, PAGE):
            count += sum(1 for _, topic, _ in rows if matches(topics, topic))
            after = rows[-1][0]
        return count
