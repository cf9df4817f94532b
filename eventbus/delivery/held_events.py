"""Which events lanes still need: found by sequence number and topic, whatever the number of lanes. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from eventbus.core.model import Interest
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of
from eventbus.delivery.topic_index import TopicIndex

#: Answers that are tried first for the next event, since the range that holds one event often holds the next.
REMEMBERED_HOLDERS = 4


class HeldEvents:
    """The events that some lanes hold at this moment.

    Later they hold fewer of them, as long as no replay begins: what is pending is attempted, and what was attempted is
    delivered, waits for a retry, or is dead.
    """

    def __init__(self, lanes: Iterable[Lane], give_way: Callable[[], None] = lambda: None) -> None:
        """Read what the lanes hold; call ``give_way`` after each lane."""
        self._numbers = set[int]()
        self._last = deque[Interest](maxlen=REMEMBERED_HOLDERS)  # that held an event
        held: dict[tuple[tuple[str, ...], int | None], int] = {}  # thousands may wait for the same topics
        for lane in lanes:
            self._numbers.update(lane.numbers())
            for one in waiting_parts(lane):
                held[one.topics, one.until] = min(one.after, held.get((one.topics, one.until), one.after))
            give_way()
        self._index = TopicIndex[Interest]()
        for number, ((topics, until), after) in enumerate(held.items()):
            self._index.put(str(number), topics, Interest(after, until, topics))
            give_way()

    def holds(self, seq: int, topic: str | None) -> bool:
        """Return whether one of the lanes holds an event; see ``Backlog.holds``."""
        if seq in self._numbers or any(part.covers(seq, topic) for part in self._last):
            return True
        for part in self._index.matching(topic):
            if part.after < seq and (part.until is None or seq <= part.until):
                self._last.appendleft(part)
                return True
        return False


def waiting_parts(lane: Lane) -> Iterator[Interest]:
    """Yield the parts of the journal, by topics, in which events may wait for their first attempt in a lane."""
    for part in lane.ranges():
        if part.left:
            after = part.span().cursor
            for one in lane.interests if part is lane.live else (Interest(-1, part.end, part.topics),):
                if one.until is None or one.until > after:
                    yield Interest(max(after, one.after), one.until, one.topics)


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
