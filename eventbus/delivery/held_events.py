"""Which events lanes still need: found by sequence number and topic, whatever the number of lanes. Pure."""

from collections.abc import Callable, Iterable
from itertools import count

from eventbus.core.model import Interest
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of
from eventbus.delivery.topic_index import TopicIndex

#: Sequence numbers of events: all after the first of these, up to the last.
Numbers = tuple[int, float]


class HeldEvents:
    """The events that some lanes hold at this moment.

    Later they hold fewer of them, as long as no replay begins: what is pending is attempted, and what was attempted is
    delivered, waits for a retry, or is dead.
    """

    def __init__(self, lanes: Iterable[Lane], give_way: Callable[[], None] = lambda: None) -> None:
        """Read what the lanes hold; call ``give_way`` after each lane."""
        self._numbers = set[int]()
        self._index = TopicIndex[Numbers]()
        keys = count()
        for lane in lanes:
            self._numbers.update(lane.numbers())
            for part in lane.ranges():
                if part.left:
                    after = part.span().cursor
                    live = part is lane.live
                    for one in lane.interests if live else (Interest(-1, part.end, part.topics),):
                        until = float("inf") if one.until is None else one.until
                        self._index.put(str(next(keys)), one.topics, (max(after, one.after), until))
            give_way()

    def holds(self, seq: int, topic: str | None) -> bool:
        """Return whether one of the lanes holds an event; see ``Backlog.holds``."""
        return seq in self._numbers or any(after < seq <= until for after, until in self._index.matching(topic))


def floor_of(lane: Lane) -> int:
    """Return the first sequence number that may be pending or newly dead in a lane; retries with rows are left out."""
    cursors = [part.span().cursor + 1 for part in lane.ranges() if part.left]
    return min([*cursors, *lane.numbers()], default=2**63)


class RemoteLane:
    """A lane of another node, as its record describes it; it may have settled more since."""

    def __init__(self, record: LaneRecord) -> None:
        self._lane = lane_of(record, Rules(0), retries=0, ends=0, now=0, wall=0)
        self._scanned = record.scanned
        self.floor = min(floor_of(self._lane), record.scanned + 1, *(seq for seq, _ in record.in_flight))

    def holds(self, seq: int, topic: str | None) -> bool:
        """Return whether an event may be pending there; retries have rows, which keep it anyway.

        A lane whose topics do not match the newest events is not saved: of those it holds the ones that match.
        """
        new = seq > self._scanned and self._lane.covers(self._lane.live, seq, topic)
        return new or self._lane.holds(seq, topic)
