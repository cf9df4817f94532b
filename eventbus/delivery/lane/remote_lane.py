"""What retention asks of lanes: the first event that one still needs, and whether it needs a certain one. Pure."""

from eventbus.core.model import LaneRecord
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of


def floor_of(lane: Lane) -> int:
    """No event before this number is pending or newly dead in a lane, but for those that have rows."""
    cursors = [part.span().cursor + 1 for part in lane.ranges() if part.left]
    return min([*cursors, *lane.numbers()], default=2**63)


class RemoteLane:
    """A lane of another bus, as far as retention asks: by its record, since which it may have done more."""

    def __init__(self, record: LaneRecord) -> None:
        self._lane = lane_of(record, Rules(0), retries=0, ends=0, now=0, wall=0)
        self._scanned = record.scanned
        self.floor = min(floor_of(self._lane), record.scanned + 1, *(seq for seq, _ in record.in_flight))

    def holds(self, seq: int, topic: str | None) -> bool:
        """Whether an event may be pending there; deferred ones have rows, which keep it anyway.

        A lane whose topics do not match what comes is saved no more: of the newest events it holds those that match.
        """
        new = seq > self._scanned and self._lane.covers(self._lane.live, seq, topic)
        return new or self._lane.holds(seq, topic)
